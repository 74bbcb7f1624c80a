"""Real clients on the dev cluster print what they print on a real server."""

import pathlib

import conftest
import pytest
import transcripts

# client-go sends no token without TLS, so that users cannot be told apart there.
TRANSPORTS = [
    pytest.param(flow, transport, id=f"{flow}-{transport}")
    for transport in ("https", "http")
    for flow in conftest.flows()
    if transport == "https" or flow.client in conftest.OVER_HTTP
]


@pytest.mark.parametrize(("flow", "dev_cluster"), TRANSPORTS, indirect=["dev_cluster"])
def test_a_client_sees_no_difference_from_a_real_server(
    flow: conftest.Flow, dev_cluster: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    expected = flow.expected.read_text()
    found = conftest.run_flow(flow, dev_cluster, tmp_path)
    known = conftest.known_differences(flow)
    if told := transcripts.told(expected, found, known):
        pytest.fail(told, pytrace=False)
    differing = transcripts.differences(expected, found)
    gone = {pattern for pattern in known if not any(transcripts.matches(pattern, step) for step in differing)}
    assert not gone, f"these are no differences any more: take them out of {conftest.DIFFERENCES}"
