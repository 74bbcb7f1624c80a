import os

import pytest


@pytest.fixture(scope="session")
def upstream() -> str:
    """The Python of upstream Kopf."""
    python = os.environ.get("KOPF_TEST_UPSTREAM")
    if python is None:
        pytest.fail(
            "KOPF_TEST_UPSTREAM must name the Python with upstream Kopf: what `scripts/tools.py upstream` prints"
        )
    return python
