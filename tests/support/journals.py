"""Files to which processes append lines of JSON until they are killed.

A kill can tear the line that is being written. So each process begins with two newlines, which end such a line and mark it: only
what stands before an empty line, or at the end of the file, may be torn, and is left out. What it would have told was not done yet.
"""

import itertools
import json
import pathlib
from collections.abc import Iterator
from typing import Any

__all__ = ["read"]


def read(path: pathlib.Path) -> Iterator[Any]:
    """What is in the lines, oldest first.

    Raises:
        json.JSONDecodeError: A line is broken that no kill can have torn.
    """
    lines = path.read_bytes().split(b"\n")
    for line, following in itertools.pairwise(lines):
        if not line:
            continue
        try:
            told = json.loads(line)
        except json.JSONDecodeError:
            if following:
                raise
        else:
            yield told
