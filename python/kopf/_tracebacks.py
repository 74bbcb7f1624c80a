"""Tracebacks of the command line: how the framework came to call the user's code, helps nobody.

What is dropped are the frames before the first one of the user; and all of them for errors that are no defects of
anybody's code, but tell what is wrong outside of it: a missing file, an unreachable cluster. With `--debug`, nothing is.
"""

import os.path
import sys
import traceback
from types import TracebackType
from typing import TypeVar

from kopf._credentials import LoginError

__all__ = ["expected", "shorten"]

_Error = TypeVar("_Error", bound=BaseException)
_FRAMEWORK = os.path.dirname(os.path.abspath(__file__))
_LIBRARY = os.path.dirname(os.path.abspath(os.path.__file__))


def expected(error: _Error) -> _Error:
    """Marks an error whose text tells everything that there is to know."""
    error.__dict__["_kopf_expected"] = True
    return error


def shorten() -> None:
    """Lets the process show short tracebacks when it ends with an error."""
    sys.excepthook = _show


def _show(kind: type[BaseException], error: BaseException, tb: TracebackType | None) -> None:
    is_expected = isinstance(error, LoginError) or "_kopf_expected" in error.__dict__
    if is_expected:
        lines = traceback.format_exception_only(kind, error)
    else:
        lines = traceback.format_exception(kind, error, _from_first_foreign(tb) or tb)
    sys.stderr.write("".join(lines))


def _from_first_foreign(tb: TracebackType | None) -> TracebackType | None:
    while tb is not None and _is_ours(tb.tb_frame.f_code.co_filename):
        tb = tb.tb_next
    return tb


def _is_ours(file: str) -> bool:
    is_library = file.startswith(_LIBRARY) and "site-packages" not in file
    is_click = os.path.basename(os.path.dirname(file)) == "click"
    return file.startswith((_FRAMEWORK, "<frozen ")) or is_library or is_click or os.path.basename(file) == "kopf"
