"""Faults and time of the dev cluster from Python, and over HTTP (D-220 to D-230)."""

import datetime
import json
import pathlib
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from kopf.testing import DevCluster

CONFIGS = "/api/v1/namespaces/default/configmaps"
WATCH = f"{CONFIGS}?watch=true&fieldSelector=metadata.name%3Da"
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: '0'}\n"


@pytest.fixture
def cluster() -> Iterator[DevCluster]:
    with DevCluster() as cluster:
        cluster.apply(CONFIG)
        yield cluster


def request(cluster: DevCluster, method: str, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/merge-patch+json" if method == "PATCH" else "application/json"}
    asked = urllib.request.Request(cluster.url + path, data=data, method=method, headers=headers)
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return json.load(answer)


def status(cluster: DevCluster, method: str, path: str, body: Any = None) -> int:
    try:
        request(cluster, method, path, body)
    except urllib.error.HTTPError as error:
        return error.code
    return 200


def get(cluster: DevCluster) -> Any:
    return request(cluster, "GET", f"{CONFIGS}/a")["data"]["k"]


def test_a_fault_answers_matching_requests_as_often_as_it_was_said(cluster: DevCluster) -> None:
    """D-220."""
    fault = cluster.faults.answer(429, retry_after=7, message="slow down", verbs=["get"], name="a", skip=1, times=2)
    assert [status(cluster, "GET", f"{CONFIGS}/a") for _ in range(4)] == [200, 429, 429, 200]
    assert fault.happened == 2
    cluster.faults.answer(503, times="unlimited").remove()
    assert get(cluster) == "0"


def test_an_answer_has_the_header_and_the_message_that_were_said(cluster: DevCluster) -> None:
    """D-220."""
    cluster.faults.answer(429, retry_after=7, message="slow down")
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(cluster)
    assert caught.value.headers["Retry-After"] == "7"
    assert json.load(caught.value)["message"] == "slow down"


def test_a_lost_answer_leaves_its_write_and_a_dropped_request_leaves_none(cluster: DevCluster) -> None:
    """D-225."""
    cluster.faults.lose(verbs=["patch"])
    with pytest.raises(ConnectionError):
        request(cluster, "PATCH", f"{CONFIGS}/a", {"data": {"k": "1"}})
    assert get(cluster) == "1"
    cluster.faults.drop(verbs=["patch"])
    with pytest.raises(ConnectionError):
        request(cluster, "PATCH", f"{CONFIGS}/a", {"data": {"k": "2"}})
    assert get(cluster) == "1"


def test_reads_are_stale_as_long_as_it_was_said(cluster: DevCluster) -> None:
    """D-226."""
    request(cluster, "PATCH", f"{CONFIGS}/a", {"data": {"k": "1"}})
    cluster.faults.stale(changes=1, verbs=["get"], times=1)
    assert [get(cluster), get(cluster)] == ["0", "1"]


def test_somebody_else_writes_first(cluster: DevCluster) -> None:
    """D-227."""
    cluster.faults.interfere({"data": {"by": "another"}}, add_finalizers=["other.dev/f"], verbs=["patch"])
    patched = request(cluster, "PATCH", f"{CONFIGS}/a", {"data": {"k": "1"}})
    assert patched["data"] == {"by": "another", "k": "1"}
    assert patched["metadata"]["finalizers"] == ["other.dev/f"]
    cluster.faults.interfere(verbs=["update"])
    assert status(cluster, "PUT", f"{CONFIGS}/a", patched) == 409


def test_watches_are_told_and_cut(cluster: DevCluster) -> None:
    """D-221, D-223."""
    with urllib.request.urlopen(cluster.url + WATCH, timeout=60) as watch:
        assert json.loads(watch.readline())["type"] == "ADDED"
        assert [watch["resource"] for watch in cluster.faults.watches()] == ["configmaps"]
        assert cluster.faults.cut_watches(resource="pods") == 0
        assert cluster.faults.error_watches(500, message="oh") == 1
        assert json.loads(watch.readline())["object"]["message"] == "oh"
        assert watch.readline() == b""
    cluster.faults.cut(after_events=1)
    with urllib.request.urlopen(cluster.url + WATCH, timeout=60) as watch:
        assert len(watch.readlines()) == 1


def test_the_past_can_be_forgotten(cluster: DevCluster) -> None:
    """D-222."""
    version = request(cluster, "GET", f"{CONFIGS}/a")["metadata"]["resourceVersion"]
    cluster.apply(CONFIG.replace("name: a", "name: b"))
    cluster.faults.compact()
    with urllib.request.urlopen(f"{cluster.url}{CONFIGS}?watch=true&resourceVersion={version}", timeout=60) as watch:
        assert json.loads(watch.readline())["object"]["code"] == 410


def test_the_clock_stands_and_is_moved(cluster: DevCluster) -> None:
    """D-230."""
    cluster.clock.freeze()
    before = cluster.clock.now
    cluster.clock.advance(datetime.timedelta(hours=3))
    assert cluster.clock.is_frozen
    assert cluster.clock.now - before == datetime.timedelta(hours=3)
    cluster.apply(CONFIG.replace("name: a", "name: b"))
    created = request(cluster, "GET", f"{CONFIGS}/b")["metadata"]["creationTimestamp"]
    assert datetime.datetime.fromisoformat(created) == cluster.clock.now
    cluster.clock.run()
    assert not cluster.clock.is_frozen


def test_a_restart_resets_connections_and_loses_what_was_not_stored(cluster: DevCluster) -> None:
    """D-228."""
    with urllib.request.urlopen(cluster.url + WATCH, timeout=60) as watch:
        watch.readline()
        request(cluster, "PATCH", f"{CONFIGS}/a", {"data": {"k": "1"}})
        watch.readline()
        cluster.restart(lose_changes=1, version="v1.99.0")
        with pytest.raises(ConnectionError):
            watch.read()
    assert get(cluster) == "0"
    assert request(cluster, "GET", "/version")["gitVersion"] == "v1.99.0"


def test_a_new_authority_stands_in_the_kubeconfig() -> None:
    """D-228."""
    with DevCluster(tls=True) as cluster:
        before = cluster.kubeconfig.read_text()
        cluster.restart(renew="certificate")
        assert cluster.kubeconfig.read_text() == before
        cluster.restart(renew="authority", unserve=["batch"])
        assert cluster.kubeconfig.read_text() != before
        with pytest.raises(ValueError, match="is no group and no resource that is served"):
            cluster.restart(unserve=["batch"])


def test_chance_repeats_with_the_seed() -> None:
    """D-220, D-229."""
    runs = []
    for seed in (7, 7, 8):
        with DevCluster(seed=seed) as cluster:
            cluster.apply(CONFIG)
            cluster.faults.answer(503, probability=0.5, verbs=["get"], resource="configmaps")
            runs.append([status(cluster, "GET", f"{CONFIGS}/a") for _ in range(50)])
    assert runs[0] == runs[1] != runs[2]


def test_deterministic_clusters_give_the_same_answers_byte_by_byte() -> None:
    """D-229."""
    runs = []
    for seed in (7, 7, 8):
        answers = []
        with DevCluster(deterministic=seed) as cluster:
            cluster.faults.answer(503, probability=0.3, verbs=["create"])
            for step in range(30):
                created = {"metadata": {"generateName": "o-"}, "data": {"k": str(step)}}
                answers.append(status(cluster, "POST", CONFIGS, created))
                cluster.clock.advance(1)
            answers.append(request(cluster, "GET", CONFIGS))
        runs.append(json.dumps(answers))
    assert runs[0] == runs[1] != runs[2]
    assert "2026-01-01T00:00:29Z" in runs[0]


def test_a_seed_is_said_once() -> None:
    with pytest.raises(ValueError, match="Only one of seed and deterministic"):
        DevCluster(seed=1, deterministic=1)


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (lambda faults: faults.answer(200), "status: 200 is not right: expected an HTTP status from 400"),
        (lambda faults: faults.delay(-1), "seconds: -1 is not right"),
        (lambda faults: faults.hang(verb="get"), "matcher.verb is no field that is known here"),
        (lambda faults: faults.hang(verbs=["fetch"]), r"matcher.verbs\[0\]: \"fetch\" is not right"),
        (lambda faults: faults.hang(times=0), "times: 0 is not right"),
        (lambda faults: faults.stale(), "expected either changes or seconds"),
        (lambda faults: faults.cut("softly"), "how: \"softly\" is not right: expected one of clean, hard"),
        (lambda faults: faults.compact(10**9), "resourceVersion: .* expected at most"),
    ],
)
def test_what_is_wrong_with_a_fault_is_named(cluster: DevCluster, plan: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        plan(cluster.faults)


def test_the_control_endpoint_is_only_there_when_it_is_asked_for(cluster: DevCluster) -> None:
    assert status(cluster, "GET", "/_dev/clock") == 404
    assert cluster.requests() == []


def test_the_control_endpoint_does_over_http_what_python_does() -> None:
    """D-010, D-220, D-230."""
    with DevCluster(control=True) as cluster:
        cluster.apply(CONFIG)
        fault = {"do": "answer", "status": 500, "matcher": {"verbs": ["get"], "userAgent": "Python-urllib/*"}}
        assert request(cluster, "POST", "/_dev/faults", fault) == {"id": 1}
        assert status(cluster, "GET", f"{CONFIGS}/a") == 500
        assert cluster.faults.planned()[0]["happened"] == 1
        cluster.clock.freeze()
        assert request(cluster, "GET", "/_dev/clock")["frozen"] is True
        assert [(asked["verb"], asked["status"]) for asked in cluster.requests()] == [("create", 201), ("get", 500)]


def test_the_command_serves_the_control_endpoint_with_a_seed() -> None:
    script = (
        "import os, re, urllib.request; text = open(os.environ['KUBECONFIG']).read();"
        "print(urllib.request.urlopen(re.search('server: (.*)', text)[1] + '/_dev/clock').status)"
    )
    command = [sys.executable, "-m", "kopf", "cluster", "--control", "--seed", "7", "--", sys.executable, "-c", script]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.stdout.strip() == "200", ended.stderr


def documented(pattern: str) -> list[str]:
    page = pathlib.Path(__file__).parents[2] / "docs" / "faults.md"
    found = [text for line in page.read_text().splitlines() if line[0:1] == "|" for text in re.findall(pattern, line)]
    return [text for text in found if "…" not in text]


def test_all_faults_of_the_documentation_are_understood_in_json_and_in_python() -> None:
    """D-220 to D-228."""
    plans = documented(r'`(\{"do": .*?\})`')
    calls = documented(r"`(\.[a-z_]+\([^`|]*\))` \| `(?:\{|curl)")
    assert plans
    assert calls
    with DevCluster(control=True) as cluster:
        for plan in plans:
            assert request(cluster, "POST", "/_dev/faults", json.loads(plan))["id"], plan
        cluster.faults.clear()
        for call in calls:
            eval(f"cluster.faults{call}", {"cluster": cluster, "patch": {"a": 1}})
            cluster.faults.clear()


def test_a_late_answer_comes_when_the_clock_is_moved(cluster: DevCluster) -> None:
    """D-224, D-230: a delay is on the server's clock."""
    cluster.clock.freeze()
    fault = cluster.faults.delay(3600, verbs=["get"])
    script = f"import urllib.request; print(urllib.request.urlopen({cluster.url + CONFIGS + '/a'!r}).status)"
    client = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while not fault.happened and time.monotonic() < deadline:
            time.sleep(0.01)
        assert fault.happened == 1
        assert client.poll() is None
        cluster.clock.advance(3600)
        assert client.communicate(timeout=60)[0].strip() == "200"
    finally:
        client.kill()
        client.wait()
