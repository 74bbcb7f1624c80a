"""Runs all tests part by part, says how long each took, and names what could not be run on this machine.

Called by `make test`. Every part runs even if an earlier one failed, so that one run shows everything.
"""

import subprocess
import sys
import time

import tools
from parts import ROOT, not_run, part, report, run

COMPILER = "1.95"  # whose messages crates/kopf/tests/ui holds


def main() -> int:
    pythons = subprocess.run(
        [ROOT / "scripts/find-python"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.split()

    started = time.monotonic()
    part(
        "build of the workspace and its tests",
        run("cargo", "build", "--workspace", "--all-targets", "--locked", PYO3_PYTHON=pythons[0]),
        started,
    )
    started = time.monotonic()
    part(
        "Rust tests",
        run("cargo", "test", "--workspace", "--locked", "--no-fail-fast", "--quiet", PYO3_PYTHON=pythons[0]),
        started,
    )

    if compiler_version() == COMPILER:
        started = time.monotonic()
        # Of the whole workspace, which is built: one crate alone has other features.
        messages = ("cargo", "test", "--workspace", "--locked", "--quiet", "--test", "ui", "--", "--ignored")
        part("messages of the compiler", run(*messages, PYO3_PYTHON=pythons[0]), started)
    else:
        not_run.append(
            f"the messages of the compiler: they are judged with Rust {COMPILER}, this is {compiler_version()}"
        )

    for number, python in enumerate(reversed(pythons), start=1):
        venv = ".venv" if number == len(pythons) else f".venv-{python_version(python)}"
        started = time.monotonic()
        passed = run(ROOT / "scripts/develop", python, venv) and run(
            f"{venv}/bin/python", "-m", "pytest", "tests/python"
        )
        part(f"Python tests on {python_version(python)}", passed, started)
    for missing in sorted({"3.11", "3.12", "3.13"} - {python_version(python) for python in pythons}):
        not_run.append(f"the Python tests on CPython {missing}: it is not on this machine")

    started = time.monotonic()
    part("the project itself", run(".venv/bin/python", "-m", "pytest", "tests/project"), started)

    started = time.monotonic()
    judged = run(".venv/bin/python", "-m", "pytest", "tests/differential", KOPF_TEST_UPSTREAM=str(tools.upstream()))
    part("scenarios beside upstream Kopf", judged, started)

    started = time.monotonic()
    part("faults and kills", run(".venv/bin/python", "-m", "pytest", "tests/chaos"), started)

    started = time.monotonic()
    title = f"kubectl {tools.GO_TOOLS['kubectl']}"
    try:
        kubectl = tools.go_tool("kubectl")
    except tools.MissingToolError as error:
        not_run.append(f"the tests with kubectl: {error}")
    except subprocess.CalledProcessError:
        part(title, False, started)
    else:
        command = (".venv/bin/python", "-m", "pytest", "tests/kubectl")
        part(title, run(*command, KOPF_TEST_KUBECTL=str(kubectl)), started)

    started = time.monotonic()
    # The oldest kubectl has its turn in `make test-real`.
    flows = [".venv/bin/python", "-m", "pytest", "tests/clients/test_flows.py", "-k", "not kubectl-1.32"]
    variables = {"KOPF_TEST_CLIENTS": str(tools.clients()), "KOPF_TEST_KUBE_RS": str(tools.kube_rs())}
    try:
        variables["KOPF_TEST_KUBECTL"] = str(tools.go_tool("kubectl"))
    except tools.MissingToolError as error:
        not_run.append(f"what kubectl prints: {error}")
        flows[-1] = "not kubectl"
    except subprocess.CalledProcessError:
        flows[-1] = "not kubectl"  # that has failed above
    part("what clients print", run(*flows, **variables), started)

    return report()


def compiler_version() -> str:
    """The compiler's version as in `1.95`."""
    words = subprocess.run(["rustc", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    return ".".join(words[1].split(".")[:2])


def python_version(python: str) -> str:
    """The interpreter's version as in `3.12`."""
    script = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([python, "-c", script], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
