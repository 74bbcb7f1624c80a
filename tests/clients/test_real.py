"""What the dev cluster is compared with is what a real server answers now."""

import pathlib

import conftest
import pytest
import transcripts


@pytest.mark.parametrize("flow", conftest.flows(), ids=str)
def test_what_is_expected_is_what_a_real_server_answers(
    flow: conftest.Flow, real_cluster: pathlib.Path, tmp_path: pathlib.Path, request: pytest.FixtureRequest
) -> None:
    found = conftest.run_flow(flow, real_cluster, tmp_path)
    if request.config.getoption("--record"):
        flow.expected.parent.mkdir(parents=True, exist_ok=True)
        flow.expected.write_text(found)
    if told := transcripts.told(flow.expected.read_text(), found):
        pytest.fail(f"{flow.expected} is stale: read this, then keep it with --record\n{told}", pytrace=False)
