"""docs/differences.md: every row names statements, and a test names at least one of them."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
STATEMENT = r"(?:FIX|DEC)-\d+|[AWD]-[A-Z]+-\d+"
PAGE = (ROOT / "docs/differences.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and "In Kopf" not in line]


def statements_of_tests() -> set[str]:
    """The statements that tests name: in the folders of tests, in the tests of a Rust module, and in the golden data's
    overrides, which the golden tests judge."""
    files = [
        *ROOT.glob("tests/**/*.py"),
        *ROOT.glob("crates/*/tests/**/*.rs"),
        *ROOT.glob("crates/*/src/**/*tests*.rs"),
    ]
    files.append(ROOT / "contract/golden/overrides.json")
    texts = [file.read_text() for file in files if file != pathlib.Path(__file__)]
    texts += [file.read_text().partition("#[cfg(test)]")[2] for file in ROOT.glob("crates/*/src/**/*.rs")]
    return {statement for text in texts for statement in re.findall(STATEMENT, text)}


TESTED = statements_of_tests()


@pytest.mark.parametrize("row", ROWS)
def test_every_difference_is_named_by_a_test(row: str) -> None:
    statements = re.findall(STATEMENT, row)
    assert statements, "a row names the statements behind it"
    assert TESTED.intersection(statements), f"no test names any of {', '.join(statements)}"
