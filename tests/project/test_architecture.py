"""ARCHITECTURE.md is kept true: what it names exists, and the borders that it draws are there."""

import pathlib
import re
import tomllib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])

FORBIDDEN_EDGES = {
    # The core is pure: no runtime, no client, no interpreter, no clock.
    "kopf-core": {
        "kopf-engine",
        "kopf-devcluster",
        "kopf",
        "kopf-python",
        "kube",
        "k8s-openapi",
        "tokio",
        "pyo3",
        "hyper",
    },
    # The engine knows no door.
    "kopf-engine": {"kopf", "kopf-python", "pyo3", "kopf-cli"},
    # The dev cluster judges the others, so it may not know them.
    "kopf-devcluster": {"kopf-core", "kopf-engine", "kopf", "kopf-python", "kube", "pyo3"},
    # Only the Python crate knows PyO3.
    "kopf": {"pyo3", "kopf-python"},
    "kopf-cli": {"pyo3", "kopf-python"},
}


def named_paths(page: pathlib.Path) -> set[str]:
    """The paths that a page names: in backticks with a slash or a file's suffix, and as targets of links."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    ticked = re.findall(r"`([\w./<>*-]+)`", text)
    linked = re.findall(r"\]\(([^)#]+)\)", text)
    first_rooms = {path.name for path in ROOT.iterdir()}
    return {path for path in ticked if path.split("/")[0] in first_rooms} | {
        path for path in linked if "://" not in path
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_that_a_page_names_exists(page: pathlib.Path) -> None:
    roots = (ROOT, page.parent)
    missing = [path for path in sorted(named_paths(page)) if not any((root / path).exists() for root in roots)]
    assert not missing, f"{page.name} names what is not there"


def test_the_pages_name_paths_at_all() -> None:
    assert len(named_paths(ROOT / "ARCHITECTURE.md")) > 20


@pytest.mark.parametrize("crate", FORBIDDEN_EDGES)
def test_no_crate_depends_on_what_it_must_not_know(crate: str) -> None:
    manifest = tomllib.loads((ROOT / "crates" / crate / "Cargo.toml").read_text())
    assert not FORBIDDEN_EDGES[crate] & set(manifest["dependencies"])


def test_every_crate_is_described() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text()
    for crate in sorted((ROOT / "crates").iterdir()):
        assert f"`crates/{crate.name}`" in page, f"ARCHITECTURE.md says nothing of crates/{crate.name}"


def test_unsafe_code_is_allowed_in_the_python_crate_only() -> None:
    for manifest in sorted((ROOT / "crates").glob("*/Cargo.toml")):
        lints = tomllib.loads(manifest.read_text())["lints"]
        assert lints == {"workspace": True} or manifest.parent.name == "kopf-python"
    assert tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["lints"]["rust"]["unsafe_code"] == "forbid"
