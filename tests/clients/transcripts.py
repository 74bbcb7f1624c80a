"""What a client has printed, as text that is equal for equal behaviour: without what differs in every run.

A transcript is a list of steps; each begins with `$ ` and what was done.
"""

import ast
import difflib
import re
from collections.abc import Set as AbstractSet

__all__ = ["differences", "masked", "matches", "steps", "told"]

# In this order: what one leaves, the next one sees.
MASKS = [
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<uid>"),
    (r"\beyJ[\w-]+\.[\w-]+\.[\w-]*", "<token>"),
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)", "<time>"),
    (r"\b[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d (\+0000|GMT)", "<time>"),
    (r"datetime\.datetime\([\d, ]+, tzinfo=tz\w+\(\)\)", "<time>"),
    (r"(https?://)?127\.0\.0\.1:\d+", "<address>"),
    (r"\b10\.(9[6-9]|10\d|11[01])\.\d+\.\d+\b", "<cluster-ip>"),
    (r'(storageVersionHash": ")[^"]+', r"\1<hash>"),
    (r"(?i)(resource_?version['\"]?\s?[:=]\s?['\"]?)\d+", r"\1<version>"),
    (r"(Resource Version:\s+)\d+", r"\1<version>"),
    (r"(['\"]?continue['\"]?\s?[:=]\s?['\"])[\w=+/-]{20,}", r"\1<token>"),
    (r"(?<![\w-])(dev-cluster-)?admin\b(?!@)", "<user>"),
    # Ages, in columns and in descriptions.
    (r"(?<![\w.:=-])(\d+d)?(\d+h)?(\d+m)?(\d+s)?(?<=[dhms])(?![\w.-])", "<age>"),
    # Columns are as wide as the widest that is masked now.
    (r"(?<=\S) {2,}", "  "),
    (r"[ \t]+$", ""),
]


# What a server without priorities of requests does not send.
LEFT_OUT = ("X-Kubernetes-Pf-",)


def masked(text: str, **names: str) -> str:
    """The transcript with all that differs from run to run made equal; `names` are texts of this run: `ID="f07"`."""
    for name, value in names.items():
        text = text.replace(value, f"${name}")
    for pattern, replacement in MASKS:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return re.sub(r"HTTPHeaderDict\(\{(.*)\}\)", lambda match: f"HTTPHeaderDict({_headers(match[1])})", text)


def steps(transcript: str) -> list[tuple[str, str]]:
    """What was done, and what was printed for it."""
    parts = re.split(r"^\$ (.*)\n", transcript, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def differences(expected: str, found: str) -> dict[str, tuple[str, str]]:
    """The steps that do not have the same output: both. A step that is not there has the output `nothing`."""
    left, right = (_named(steps(transcript)) for transcript in (expected, found))
    absent = "(this step is not there)\n"
    pairs = {step: (left.get(step, absent), right.get(step, absent)) for step in [*left, *right]}
    return {step: pair for step, pair in pairs.items() if pair[0] != pair[1]}


def told(expected: str, found: str, known: AbstractSet[str] = frozenset()) -> str:
    """The differences for people, as `diff` shows them, but those in steps that are known; empty if there are none."""
    return "\n".join(
        line.rstrip("\n")
        for step, pair in differences(expected, found).items()
        if not any(matches(pattern, step) for pattern in known)
        for line in [
            f"$ {step}",
            *difflib.unified_diff(*(text.splitlines() for text in pair), "expected", "found", n=2),
        ]
    )


def matches(pattern: str, step: str) -> bool:
    """Whether a pattern is about a step: `*` is any text."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), step) is not None


def _headers(text: str) -> str:
    """The headers of an HTTP/1.1 answer, in one order."""
    headers: dict[str, str] = ast.literal_eval(f"{{{text}}}")
    return str({name: headers[name] for name in sorted(headers) if not name.startswith(LEFT_OUT)})


def _named(transcript: list[tuple[str, str]]) -> dict[str, str]:
    """Equal steps are told apart by their number."""
    named: dict[str, str] = {}
    for step, output in transcript:
        count = 1
        name = step
        while name in named:
            count += 1
            name = f"{step} #{count}"
        named[name] = output
    return named
