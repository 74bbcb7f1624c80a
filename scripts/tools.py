"""What judges us, built or installed once into a cache outside of the clone: Kubernetes' own programs, clients, upstream Kopf.

    scripts/tools.py kubectl|kubectl-1.32|realkube|upstream|clients|kube-rs    makes it, and prints the path

The cache is `$XDG_CACHE_HOME/kopf-rs`, `~/.cache/kopf-rs` by default; a name in it holds what it was made from, so that a
change of the sources makes another. What is in Rust is built beside the workspace instead, which has most of its dependencies.
"""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "kopf-rs"

GO = "Go 1.26 or newer: https://go.dev/dl"
# The folders in tools/ with modules in Go, and the version of Kubernetes that each is.
GO_TOOLS = {"kubectl": "1.37.2", "kubectl-1.32": "1.32.3", "realkube": "1.37.2"}
UPSTREAM = ["kopf==1.45.2", "aiohttp==3.14.5", "kubernetes==37.0.2"]
# Those of contract/recordings, with what lightkube models: the same Kubernetes.
CLIENTS = ["kr8s==0.20.15", "kubernetes==37.0.2", "lightkube==1.0.1", "lightkube-models==1.37.0.8", "pykube-ng==23.6.0"]


class MissingToolError(Exception):
    """This machine lacks what is needed to make a tool; the text says what to install."""


def go_tool(name: str) -> pathlib.Path:
    """A program of `tools/`, built if it is not in the cache.

    Raises:
        MissingToolError: There is no Go.
        subprocess.CalledProcessError: It does not build.
    """
    source, version = ROOT / "tools" / name, GO_TOOLS[name]
    files = sorted(file for file in source.iterdir() if file.suffix in (".go", ".mod", ".sum"))
    binary = CACHE / f"{name}-{version}-{_digest(*(file.read_text() for file in files))}"
    if binary.exists():
        return binary
    if shutil.which("go") is None:
        raise MissingToolError(f"{name} {version} is built from Go modules; install {GO}")
    CACHE.mkdir(parents=True, exist_ok=True)
    major, minor, _ = version.split(".")
    package = "k8s.io/component-base/version"
    variables = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor}
    flags = " ".join(["-s", "-w", *(f"-X {package}.{name}={value}" for name, value in variables.items())])
    unfinished = binary.with_name(f"{binary.name}.{os.getpid()}")
    # Cross-compiled for no other machine, and without a C compiler.
    env = {**os.environ, "CGO_ENABLED": "0"}
    print(f"building {name} {version} from Go modules ...", file=sys.stderr, flush=True)
    subprocess.run(
        ["go", "build", "-trimpath", "-mod=readonly", "-ldflags", flags, "-o", unfinished, "."],
        cwd=source,
        env=env,
        check=True,
    )
    unfinished.rename(binary)
    return binary


def upstream(python: str | os.PathLike[str] | None = None) -> pathlib.Path:
    """The Python of a virtual environment with upstream Kopf 1.45.2, and without ours.

    Args:
        python: Of this interpreter's version; by default of the newest on the machine.

    Raises:
        subprocess.CalledProcessError: There is no Python, or the packages cannot be installed.
    """
    return _environment("upstream", UPSTREAM, python)


def clients(python: str | os.PathLike[str] | None = None) -> pathlib.Path:
    """The Python of a virtual environment with the clients of Kubernetes that Python programs use.

    Args:
        python: Of this interpreter's version; by default of the newest on the machine.

    Raises:
        subprocess.CalledProcessError: There is no Python, or the packages cannot be installed.
    """
    return _environment("clients", CLIENTS, python)


def kube_rs() -> pathlib.Path:
    """The folder with the programs of `tests/clients/flows/kube-rs`.

    Raises:
        subprocess.CalledProcessError: They do not build.
    """
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).absolute()
    source = ROOT / "tests/clients/flows/kube-rs"
    command = ["cargo", "build", "--locked", "--quiet"]
    subprocess.run(command, cwd=source, env={**os.environ, "CARGO_TARGET_DIR": str(target)}, check=True)
    return target / "debug"


def _environment(name: str, packages: list[str], python: str | os.PathLike[str] | None) -> pathlib.Path:
    if python is None:
        found = subprocess.run([ROOT / "scripts/find-python"], stdout=subprocess.PIPE, text=True, check=True)
        python = found.stdout.split()[0]
    says = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    version = subprocess.run(says, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    venv = CACHE / f"{name}-{version}-{_digest(*packages)}"
    if not (venv / "ready").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run([python, "-m", "venv", "--clear", venv], check=True)
        pip = [venv / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *packages], check=True)
        (venv / "ready").touch()
    return venv / "bin/python"


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


def main() -> None:
    match sys.argv[1:]:
        case ["upstream"]:
            print(upstream())
        case ["clients"]:
            print(clients())
        case ["kube-rs"]:
            print(kube_rs())
        case [name] if name in GO_TOOLS:
            print(go_tool(name))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main()
    except MissingToolError as error:
        sys.exit(str(error))
