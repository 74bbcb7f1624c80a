"""Where everything is, and how long it may take."""

import os
import pathlib

HERE = pathlib.Path(__file__).resolve().parent.parent
ROOT = HERE.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
WORK = TARGET / "stopwatch"
RELEASE = TARGET / "release"
PATIENCE = 400.0  # seconds until a run counts as failed
