"""Loading of the files and modules with handlers."""

import importlib
import importlib.util
import os.path
import sys
from collections.abc import Iterable

from kopf import _pending, _tracebacks

__all__ = ["preload"]


def preload(paths: Iterable[str | os.PathLike[str]], modules: Iterable[str]) -> None:
    """Runs the files, then imports the modules: their decorators register the handlers.

    The folder of each file is put first on the path of modules, so that files can import what is beside them.

    Raises:
        Exception: What a file or a module has failed with, with a note which one it was.
        TypeError: A decorator was used without parentheses.
    """
    _pending.check()
    for number, path in enumerate(paths):
        _load(number, os.path.abspath(path))
    for name in modules:
        importlib.import_module(name)
    _pending.check()


def _load(number: int, path: str) -> None:
    sys.path.insert(0, os.path.dirname(path))
    name = f"__kopf_script_{number}__{path}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"The file with handlers is no Python file: {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        # Where the error is, the exception itself says.
        error.add_note(f"The file with handlers cannot be loaded: {path}")
        raise _tracebacks.expected(error).with_traceback(None) from None
    except FileNotFoundError as error:
        if error.filename == path:
            error.add_note("There is no such file with handlers.")
            _tracebacks.expected(error)
        raise
