"""The page: what the table was measured on, and where it is kept."""

import os
import pathlib
import platform
import re
import shutil
import subprocess

import tools

from stopwatch.building import Tools
from stopwatch.places import HERE, ROOT

PAGE = ROOT / "docs" / "performance.md"


def machine() -> str:
    """What the numbers depend on besides the code."""
    processor = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    said = [
        f"{os.cpu_count()} CPUs ({processor[1] if processor else platform.machine()}), {memory:.0f} GiB",
        f"Linux {platform.release()}",
    ]
    for words in (["rustc", "--version"], ["go", "version"]):
        if shutil.which(words[0]):
            said.append(subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout.strip())
    return "; ".join(said)


def versions(kit: Tools) -> str:
    """Of what is compared."""
    lock = (HERE / "Cargo.lock").read_text()
    kube = re.search(r'name = "kube"\nversion = "(.*)"', lock)
    runtime = re.search(r"sigs.k8s.io/controller-runtime v(\S+)", (HERE / "go/go.mod").read_text())
    ask = "import sys, kopf; print('Python %d.%d.%d' % sys.version_info[:3])"
    python = subprocess.run([kit.ours, "-c", ask], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    git = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(git, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout.strip() or "unknown"
    upstream = ", ".join(name.replace("==", " ") for name in tools.UPSTREAM[:2])
    return (
        f"ours: {commit}; {upstream}; kube {kube[1] if kube else '?'}; controller-runtime {runtime[1] if runtime else '?'}; "
        f"Kubernetes {tools.GO_TOOLS['realkube']}; {python}, asyncio's own loop"
    )


def write(text: str, command: str) -> None:
    """Puts a command's table into the page, between its marks; what stands around them stays."""
    begin, end = f"<!-- written by `{command}` -->", "<!-- end -->"
    before, _, rest = PAGE.read_text().partition(begin)
    _, _, after = rest.partition(end)
    PAGE.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")
