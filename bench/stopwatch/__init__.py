"""The stopwatch's parts: `rows` says what is measured, `work` how, `peers` by whom, `clusters` where; `page` tells it."""

import sys

from stopwatch.places import ROOT

# `realkube` and `tools`, which the tests have as well, are found there.
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests/support")]
