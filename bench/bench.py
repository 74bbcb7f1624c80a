"""The stopwatch: what ours costs, beside what exists, on this machine and now. `make bench` is its front door.

Every row is one kind of work, done by each peer in turn, round by round, so that what disturbs the machine disturbs all of
them. The primary figure is the CPU time of the operator's process, all threads, user and system: it suffers least. Nothing
here passes or fails.
"""

import argparse
import collections
import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parent.parent
HERE = ROOT / "bench"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
WORK = TARGET / "stopwatch"
RELEASE = TARGET / "release"
TALLY = WORK / "tally"
LOG = WORK / "operator.log"
PAGE = ROOT / "docs" / "performance.md"
PATIENCE = 400.0  # seconds until a run counts as failed

sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests/support")]
# Found by the path above only.
import realkube  # noqa: E402
import tools  # noqa: E402

PEERS = ("limit", "kube", "controller-runtime", "upstream", "python", "rust")
TITLES = {
    "limit": "bare client",
    "kube": "kube",
    "controller-runtime": "controller-runtime",
    "upstream": "Kopf 1.45.2",
    "python": "ours, Python",
    "rust": "ours, Rust",
}


@dataclasses.dataclass(frozen=True)
class Tools:
    """What was built for the runs."""

    ours: pathlib.Path  # the Python with our kopf
    upstream: pathlib.Path
    controller: pathlib.Path | None  # controller-runtime's, if there is Go
    realkube: pathlib.Path | None  # a real Kubernetes, if it is in the cache


# ---- building


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
        pip = [venv / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "click>=8.2"]
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


# ---- processes


class Process:
    """A process with what the kernel says of it."""

    def __init__(self, command: list[str | pathlib.Path], env: dict[str, str], log: pathlib.Path) -> None:
        with log.open("wb") as file:
            self._process = subprocess.Popen(list(map(str, command)), env=env, stdout=file, stderr=subprocess.STDOUT)
        self._log = log
        self.started = time.time()

    def cpu(self) -> float:
        """Seconds of user and system time so far, all threads."""
        if sys.platform == "linux":
            # The process's own clock: /proc/PID/stat says the same in steps of 10 ms.
            return time.clock_gettime((~self._process.pid << 3) | 2)
        raise SystemExit("The stopwatch reads the clocks of processes as Linux has them: it runs there only.")

    def memory(self) -> float:
        """The resident memory, in MiB."""
        status = pathlib.Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(found[1]) / 1024 if found else 0.0

    def settle(self, least: float = 1.0, span: float = 0.5) -> None:
        """Waits until the process has had almost nothing to do for a while."""
        deadline = time.monotonic() + PATIENCE
        time.sleep(least)
        before = self.cpu()
        while time.monotonic() < deadline:
            time.sleep(span)
            if self._process.poll() is not None:
                raise RuntimeError(f"the operator has ended:\n{self._log.read_text()[-2000:]}")
            now = self.cpu()
            if now - before < 0.01:
                return
            before = now
        raise RuntimeError("the operator does not settle")

    def output(self) -> str:
        """Waits for its end; gives what it has printed."""
        if self._process.wait(timeout=PATIENCE) != 0:
            raise RuntimeError(f"a process has failed:\n{self._log.read_text()[-2000:]}")
        return self._log.read_text()

    def end(self) -> None:
        """Ends it, whatever it does."""
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def running(*args: Any) -> Iterator[Process]:
    """A process that is ended in any case."""
    process = Process(*args)
    try:
        yield process
    finally:
        process.end()


def load(env: dict[str, str], *words: object) -> str:
    """Runs the load to its end; gives what it has printed."""
    command = [str(RELEASE / "load"), *map(str, words)]
    return subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE).stdout


# ---- the peers


def command(kit: Tools, peer: str, work: str) -> tuple[list[str | pathlib.Path], dict[str, str]] | None:
    """How to start a peer for `create` or `event`; a suffix of the peer's name is a variant of it."""
    name, _, variant = peer.partition("+")
    env = {"BENCH_HANDLER": work, "BENCH_TALLY": str(TALLY)}
    mode = "event" if work == "event" else "handle"
    quiet = work == "event"
    match name:
        case "limit":
            return [RELEASE / "limit", mode], env
        case "kube":
            return [RELEASE / "controller", "watch" if variant == "watch" else mode], env
        case "controller-runtime":
            return ([kit.controller, mode], env) if kit.controller else None
        case "rust":
            env |= {"KOPF_RUN_QUIET": "true"} if quiet else {}
            env |= {} if variant == "events" else {"BENCH_EVENTS": "no"}
            return [RELEASE / "bench-operator", "run", "--all-namespaces"], env
        case "upstream" | "python":
            python = kit.upstream if name == "upstream" else kit.ours
            handlers = HERE / "handlers" / ("with_sync.py" if variant == "sync" else "with_async.py")
            env |= {"BENCH_EVENTS": "no"} if name == "python" and variant != "events" else {}
            # Upstream's command needs the folder of `tally`, which is not a handler's own.
            env |= {"PYTHONPATH": str(HERE / "handlers")}
            flags = ["-q"] if quiet else []
            return [python, "-m", "kopf", "run", "-A", "--standalone", *flags, handlers], env
        case _:
            raise ValueError(f"There is no peer {peer!r}.")


# ---- the targets


@dataclasses.dataclass
class Cluster:
    """Where the peers work."""

    env: dict[str, str]
    port: int = 0

    def bench(self, path: str) -> dict[str, int]:
        """Asks the minimal server."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/bench/{path}", timeout=PATIENCE) as response:
            answer: dict[str, int] = json.load(response)
            return answer


@contextlib.contextmanager
def minimal() -> Iterator[Cluster]:
    """The minimal server: nothing but what the work needs."""
    log = WORK / "server.log"
    with running([RELEASE / "server"], dict(os.environ), log):
        while not (port := log.read_text().strip()):
            time.sleep(0.02)
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "bench", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "users": [{"name": "bench", "user": {}}],
            "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
            "current-context": "bench",
        }
        kubeconfig = WORK / "kubeconfig"
        kubeconfig.write_text(json.dumps(config))  # JSON is YAML
        yield Cluster({**os.environ, "KUBECONFIG": str(kubeconfig)}, int(port))


@contextlib.contextmanager
def dev() -> Iterator[Cluster]:
    """Our dev cluster, in a process of its own."""
    kubeconfig = WORK / "kubeconfig-dev"
    kubeconfig.unlink(missing_ok=True)
    flags = ["cluster", "--kubeconfig", kubeconfig, "--apply", HERE / "crd.yaml"]
    with running([RELEASE / "kopf", *flags], {**os.environ, "RUST_LOG": "warn"}, WORK / "server.log"):
        while not (kubeconfig.exists() and kubeconfig.stat().st_size):
            time.sleep(0.02)
        yield Cluster({**os.environ, "KUBECONFIG": str(kubeconfig)})


@contextlib.contextmanager
def real(binary: pathlib.Path) -> Iterator[Cluster]:
    """A real kube-apiserver with etcd, over TLS."""
    with realkube.RealCluster(binary) as cluster:
        apply = [binary, "kubectl", "apply", "-f", HERE / "crd.yaml"]
        subprocess.run(apply, env=cluster.env, stdout=subprocess.DEVNULL, check=True)
        while cluster.get("/apis/bench.dev/v1/widgets") is None:
            time.sleep(0.1)
        yield Cluster(cluster.env)


# ---- the work

Figures = dict[str, float]


def tally() -> list[int]:
    """What the operator says: its calls, the moment of the last, the delays; all zero before it has said anything."""
    try:
        return list(map(int, TALLY.read_text().split()))
    except FileNotFoundError:
        return [0, 0]


@contextlib.contextmanager
def operator(kit: Tools, peer: str, work: str, cluster: Cluster) -> Iterator[Process]:
    """A running operator."""
    TALLY.unlink(missing_ok=True)
    arguments, env = command(kit, peer, work) or ([], {})
    with running(arguments, {**cluster.env, **env}, LOG) as process:
        yield process


def events(kit: Tools, peer: str, objects: int, updates: int) -> Figures:
    """A storm of updates to a handler that does nothing."""
    with minimal() as cluster:
        cluster.bench(f"fill?n={objects}")
        with operator(kit, peer, "event", cluster) as process:
            process.settle()
            before, calls = process.cpu(), tally()[0]
            cluster.bench(f"storm?n={updates}")
            process.settle()
            return {"cpu_us": (process.cpu() - before) / updates * 1e6, "calls": (tally()[0] - calls) / updates}


def creates(
    kit: Tools, peer: str, count: int, target: Callable[[], contextlib.AbstractContextManager[Cluster]]
) -> Figures:
    """Objects that are there when the operator starts: each is handled once, and its result is kept in it."""
    with target() as cluster:
        if cluster.port:
            cluster.bench(f"fill?n={count}")
        else:
            load(cluster.env, "create", count)
        wait = [str(RELEASE / "load"), "wait", str(count)]
        handled = WORK / "handled"
        with running(wait, cluster.env, handled) as waiting, operator(kit, peer, "create", cluster) as process:
            done = int(waiting.output()) / 1e6
            process.settle()
            figures = {
                "cpu_ms": process.cpu() / count * 1e3,
                "rate": count / (done - process.started),
                "rss": process.memory(),
            }
            if cluster.port:
                writes = cluster.bench("writes")
                figures |= {"patches": writes["patches"] / count, "events": writes["events"] / count}
            return figures


def memory(kit: Tools, peer: str, count: int) -> Figures:
    """Objects that are listed, with a handler that does nothing; then nothing happens."""
    with minimal() as cluster:
        cluster.bench(f"fill?n={count}")
        with operator(kit, peer, "event", cluster) as process:
            process.settle()
            time.sleep(6)  # upstream's workers end after 5 seconds
            process.settle()
            before, span = process.cpu(), 5.0
            time.sleep(span)
            return {"rss": process.memory(), "idle": (process.cpu() - before) / span * 100}


def latency(kit: Tools, peer: str, count: int) -> Figures:
    """One new object per 100 ms: how long until its handler starts."""
    with dev() as cluster, operator(kit, peer, "create", cluster) as process:
        process.settle()
        before = process.cpu()
        load(cluster.env, "trickle", count, 100)
        process.settle()
        delays = sorted(delay / 1e3 for delay in tally()[2:])
        last = len(delays) - 1
        return {
            "p50": statistics.median(delays),
            "p99": delays[min(last, round(last * 0.99))],
            "cpu_ms": (process.cpu() - before) / count * 1e3,
        }


def version(kit: Tools, peer: str) -> Figures:
    """`kopf --version`: what each command pays before it does anything."""
    python = kit.upstream if peer == "upstream" else kit.ours
    script = (
        "import resource, subprocess, sys, time; start = time.monotonic();"
        "subprocess.run([sys.argv[1], '-m', 'kopf', '--version'], stdout=subprocess.DEVNULL, check=True);"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(time.monotonic() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)"
    )
    run = subprocess.run([python, "-c", script, python], stdout=subprocess.PIPE, text=True, check=True)
    seconds, cpu, rss = map(float, run.stdout.split())
    return {"seconds": seconds, "cpu_ms": cpu * 1e3, "rss": rss}


# ---- the rows


@dataclasses.dataclass(frozen=True)
class Figure:
    """A line of the table: one figure of a row."""

    key: str
    title: str
    form: str
    more_is_better: bool = False
    budget_python: str = ""
    budget_rust: str = ""
    upstream_form: str = ""


@dataclasses.dataclass(frozen=True)
class Row:
    """One kind of work, and who does it."""

    name: str
    peers: tuple[str, ...]
    run: Callable[[Tools, str, float], Figures]
    figures: tuple[Figure, ...]
    rounds: int = 3  # at most


def slower(peer: str, count: float, share: float = 0.25) -> int:
    """Upstream does less of what is measured per piece, where its start does not count."""
    return max(10, round(count * (share if peer.startswith("upstream") else 1)))


ALL = (*PEERS,)
VARIANTS = (
    "limit",
    "kube",
    "controller-runtime",
    "upstream",
    "upstream+sync",
    "python",
    "python+sync",
    "python+events",
    "rust",
    "rust+events",
)

ROWS = (
    Row(
        "event",
        ("limit", "kube", "kube+watch", "controller-runtime", "upstream", "python", "python+sync", "rust"),
        lambda kit, peer, scale: events(kit, peer, 1000, slower(peer, 50_000 * scale)),
        (
            Figure(
                "cpu_us",
                "a watch event to a no-op handler, CPU",
                "{:.1f} us",
                budget_python="10 us",
                budget_rust="3 us",
            ),
        ),
    ),
    Row(
        "create",
        VARIANTS,
        lambda kit, peer, scale: creates(kit, peer, round(10_000 * scale), minimal),
        (
            Figure(
                "cpu_ms",
                "`on.create` with its result patched, {n} objects there at the start: CPU per object",
                "{:.3f} ms",
                budget_python="0.15 ms async, 0.25 sync",
                budget_rust="0.07 ms",
            ),
            Figure(
                "rate",
                "the same, objects per second",
                "{:,.0f}",
                more_is_better=True,
                budget_python="6,700",
                budget_rust="13,000",
            ),
            Figure(
                "patches",
                "the same, PATCHes per object",
                "{:.2f}",
                budget_python="not more than upstream",
                budget_rust="not more than upstream",
            ),
            Figure("events", "the same, Kubernetes Events per object", "{:.2f}"),
            Figure("rss", "the same, memory after", "{:.0f} MiB"),
        ),
    ),
    Row(
        "memory-20k",
        ALL,
        lambda kit, peer, scale: memory(kit, peer, round(20_000 * scale)),
        (
            Figure(
                "rss",
                "{n} objects listed, no-op handler: memory",
                "{:.0f} MiB",
                budget_python="45 MiB",
                budget_rust="20 MiB",
            ),
        ),
        rounds=1,
    ),
    Row(
        "memory-100k",
        ALL,
        lambda kit, peer, scale: memory(kit, peer, round(100_000 * scale)),
        (
            Figure(
                "rss",
                "{n} objects listed, no-op handler: memory",
                "{:.0f} MiB",
                budget_python="95 MiB",
                budget_rust="60 MiB",
            ),
            Figure(
                "idle",
                "the same, CPU while nothing happens",
                "{:.2f} %",
                budget_python="nothing that `top` sees",
                budget_rust="nothing that `top` sees",
            ),
        ),
        rounds=1,
    ),
    Row(
        "real",
        ALL,
        lambda kit, peer, scale: creates(kit, peer, round(2_000 * scale), lambda: real(needed(kit.realkube))),
        (
            Figure(
                "cpu_ms",
                "a real API server over TLS, {n} objects: CPU per object",
                "{:.2f} ms",
                budget_python="0.5 ms",
                budget_rust="0.35 ms",
            ),
            Figure("rate", "the same, objects per second (the server's limit)", "{:,.0f}", more_is_better=True),
        ),
    ),
    Row(
        "dev",
        ("limit", "upstream", "python", "rust"),
        lambda kit, peer, scale: creates(kit, peer, round(2_000 * scale), dev),
        (Figure("cpu_ms", "the dev cluster over HTTP, {n} objects: CPU per object", "{:.2f} ms"),),
    ),
    Row(
        "latency",
        ("limit", "upstream", "python", "rust"),
        lambda kit, peer, scale: latency(kit, peer, max(20, round(100 * scale))),
        (
            Figure(
                "p50",
                "from the write of an object to the start of its handler, one per 100 ms, on the dev cluster: p50",
                "{:.1f} ms",
            ),
            Figure("p99", "the same, p99", "{:.1f} ms", budget_python="3 ms", budget_rust="3 ms"),
        ),
    ),
    Row(
        "version",
        ("upstream", "python"),
        lambda kit, peer, scale: version(kit, peer),
        (
            Figure("seconds", "`kopf --version`: time", "{:.2f} s", budget_python="a quarter of upstream's"),
            Figure("rss", "the same, memory", "{:.0f} MiB", budget_python="half of upstream's"),
        ),
    ),
)


def needed(binary: pathlib.Path | None) -> pathlib.Path:
    if binary is None:
        raise RuntimeError("there is no real Kubernetes in the cache: python scripts/tools.py realkube")
    return binary


# ---- running and telling

Results = dict[tuple[str, str], list[Figures]]


def measure(kit: Tools, rows: list[Row], rounds: int, scale: float, peers: list[str]) -> Results:
    """All rounds of all rows; prints each run."""
    results: Results = collections.defaultdict(list)
    for row in rows:
        if row.name == "real" and kit.realkube is None:
            print("real: left out, as there is no real Kubernetes in the cache: python scripts/tools.py realkube")
            continue
        for number in range(min(rounds, row.rounds)):
            for peer in row.peers:
                if (peers and peer not in peers) or command(kit, peer, "create") is None:
                    continue
                started = time.monotonic()
                try:
                    figures = row.run(kit, peer, scale)
                except (RuntimeError, OSError, subprocess.SubprocessError, ValueError) as error:
                    print(f"{row.name} {peer}: {error!r}", flush=True)
                    continue
                results[row.name, peer].append(figures)
                told = "  ".join(f"{key} {value:,.3f}" for key, value in figures.items())
                line = f"{row.name:12} round {number + 1}  {peer:18} {told}  ({time.monotonic() - started:.0f} s)"
                print(line, flush=True)
                with (WORK / "results.jsonl").open("a") as file:
                    print(json.dumps({"row": row.name, "peer": peer, "round": number, **figures}), file=file)
    return results


def table(results: Results, rows: list[Row], scale: float) -> str:
    """Markdown: medians, and the ratios within the rounds."""
    head = ["Work", *TITLES.values(), "budget, Python", "budget, Rust", "upstream ÷ ours", "ours ÷ bare"]
    lines = ["| " + " | ".join(head) + " |", "|" + "--|" * len(head)]
    for row in rows:
        count = COUNTS.get(row.name, 0) * scale
        for figure in row.figures:
            cells = [figure.title.replace("{n}", f"{count:,.0f}")]
            if not any(figure.key in figures for peer in row.peers for figures in results.get((row.name, peer), [])):
                continue
            for peer in PEERS:
                texts = []
                for variant in (name for name in row.peers if name.partition("+")[0] == peer):
                    values = [
                        found[figure.key] for found in results.get((row.name, variant), []) if figure.key in found
                    ]
                    if values:
                        suffix = variant.partition("+")[2]
                        text = figure.form.format(statistics.median(values))
                        texts.append(f"{text} {SUFFIXES[suffix]}" if suffix else text)
                cells.append("; ".join(texts) or "-")
            cells += [figure.budget_python or "-", figure.budget_rust or "-"]
            cells.append(ratios(results, row, figure, "upstream", ("python", "rust")))
            cells.append(ratios(results, row, figure, "limit", ("python", "rust")))
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


COUNTS = {"create": 10_000, "memory-20k": 20_000, "memory-100k": 100_000, "real": 2_000, "dev": 2_000}
SUFFIXES = {"sync": "sync", "events": "with Events", "watch": "(`watcher`)"}


def ratios(results: Results, row: Row, figure: Figure, base: str, peers: tuple[str, ...]) -> str:
    """The medians of the ratios to the base in the same round, for both of our doors."""
    texts = []
    for peer in peers:
        pairs = zip(results.get((row.name, peer), []), results.get((row.name, base), []), strict=False)
        values = [(mine[figure.key], theirs[figure.key]) for mine, theirs in pairs if figure.key in mine]
        over = [(a / b if base == "limit" else b / a) for a, b in values if a and b]
        if over:
            texts.append(f"{statistics.median(over):.3g}")
    return ", ".join(texts) or "-"


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


BEGIN, END = "<!-- written by `make bench` -->", "<!-- end -->"


def write(text: str) -> None:
    """Puts the tables into the page, between its marks; what people wrote around them stays."""
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures operators, ours and others'.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="the share of the full number of objects")
    parser.add_argument("--rows", default="", help=f"of {', '.join(row.name for row in ROWS)}; all by default")
    parser.add_argument("--peers", default="", help="only these, by commas; all by default")
    options = parser.parse_args()
    chosen = options.rows.split(",") if options.rows else [row.name for row in ROWS]
    unknown = set(chosen) - {row.name for row in ROWS}
    if unknown:
        parser.error(f"there is no row {', '.join(sorted(unknown))}: {', '.join(row.name for row in ROWS)}")
    kit = build()
    rows = [row for row in ROWS if row.name in chosen]
    started, load = time.monotonic(), os.getloadavg()[0]
    results = measure(kit, rows, options.rounds, options.scale, options.peers.split(",") if options.peers else [])
    minutes = (time.monotonic() - started) / 60
    words = f"ROUNDS={options.rounds} SCALE={options.scale:g}" + (f" ROWS={options.rows}" if options.rows else "")
    text = "\n".join(
        [
            table(results, rows, options.scale),
            "",
            f"- {datetime.date.today().isoformat()}, `make bench {words}`, {minutes:.0f} minutes.",
            f"- Load average before it began: {load:.1f}. Above 0.5 the machine was busy with other work, and the figures are upper bounds.",
            f"- {machine()}.",
            f"- {versions(kit)}.",
        ]
    )
    print(f"\n{text}")
    if options.rounds >= 3 and not options.rows and not options.peers:
        write(text)
        print(f"\nwritten into {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
