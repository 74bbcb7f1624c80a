"""Everything as it is released: the operators, the server, the load."""

import dataclasses
import os
import pathlib
import shutil
import subprocess

import tools

from stopwatch.places import HERE, RELEASE, ROOT, TARGET, WORK


@dataclasses.dataclass(frozen=True)
class Tools:
    """What was built for the runs."""

    ours: pathlib.Path  # the Python with our kopf
    upstream: pathlib.Path
    controller: pathlib.Path | None  # controller-runtime's, if there is Go
    realkube: pathlib.Path | None  # a real Kubernetes, if it is in the cache


def build() -> Tools:
    """Builds everything as it is released; what is built already takes seconds."""
    WORK.mkdir(parents=True, exist_ok=True)
    finder = [ROOT / "scripts/find-python"]
    python = subprocess.run(finder, stdout=subprocess.PIPE, text=True, check=True).stdout.split()[0]
    env = {**os.environ, "PYO3_PYTHON": python, "CARGO_TARGET_DIR": str(TARGET)}
    cargo = ["cargo", "build", "--release", "--locked"]
    subprocess.run([*cargo, "-p", "kopf-python", "-p", "kopf-cli"], cwd=ROOT, env=env, check=True)
    # One by one: together they would share the features of their dependencies.
    for package in ("bench-operator", "bench-peers"):
        subprocess.run([*cargo, "-p", package], cwd=HERE, env=env, check=True)
    controller = None
    if shutil.which("go"):
        controller = WORK / "controller"
        subprocess.run(["go", "build", "-o", controller, "."], cwd=HERE / "go", check=True)
    cached = sorted(tools.CACHE.glob(f"realkube-{tools.GO_TOOLS['realkube']}-????????????"))
    return Tools(install(python), tools.upstream(), controller, cached[-1] if cached else None)


def install(python: str) -> pathlib.Path:
    """An environment with the package and the library of the release build: what a wheel would install."""
    venv = WORK / "venv"
    if not (venv / "ready").exists():
        subprocess.run([python, "-m", "venv", "--clear", venv], check=True)
        pip = [str(venv / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "click>=8.2"]
        subprocess.run(pip, check=True)
        (venv / "ready").touch()
    ask = "import sysconfig; print(sysconfig.get_path('purelib'), sysconfig.get_config_var('EXT_SUFFIX'))"
    run = subprocess.run([venv / "bin/python", "-c", ask], stdout=subprocess.PIPE, text=True, check=True)
    site, suffix = run.stdout.split()
    package = pathlib.Path(site) / "kopf"
    shutil.rmtree(package, ignore_errors=True)
    shutil.copytree(ROOT / "python/kopf", package, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    library = next(path for path in (RELEASE / "lib_native.so", RELEASE / "lib_native.dylib") if path.exists())
    shutil.copy(library, package / f"_native{suffix}")
    subprocess.run([venv / "bin/python", "-m", "compileall", "-q", package], check=True)
    return venv / "bin/python"
