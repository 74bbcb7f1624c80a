"""Credentials (A-ACT-020 to A-ACT-032, W-AUT, golden: credentials)."""

import base64
import json
import logging
import pathlib
import ssl
from typing import Any

import kubernetes.client
import kubernetes.config
import pytest
from helpers import golden

import kopf
from kopf import _logins, _registry

KUBECONFIGS = [case for case in golden("credentials") if case["kind"] == "kubeconfig"]
HEADERS = [case for case in golden("credentials") if case["kind"] == "http_headers"]

logger = logging.getLogger("kopf.activities.authentication")


def fields(info: kopf.ConnectionInfo) -> dict[str, Any]:
    return {name: value for name, value in vars(info).items() if value is not None}


@pytest.mark.parametrize("case", KUBECONFIGS, ids=lambda case: case["id"])
def test_kubeconfigs_are_read_as_recorded(case: dict[str, Any]) -> None:
    """W-AUT-010, W-AUT-011."""
    output = case["output"]
    if "error" in output:
        with pytest.raises((kopf.LoginError, ValueError)):
            _logins.read_kubeconfigs(case["input"]["documents"])
        return
    info = _logins.read_kubeconfigs(case["input"]["documents"])
    headers = output.pop("_http_headers", None)
    assert fields(info) == output
    if headers is not None:
        assert info.as_http_headers() == headers


@pytest.mark.parametrize("case", HEADERS, ids=lambda case: case["id"])
def test_headers_are_as_recorded(case: dict[str, Any]) -> None:
    """W-AUT-020."""
    info = kopf.ConnectionInfo(**{"server": "https://x", **case["input"]})
    output = case["output"]
    assert info.as_http_headers() == output.get("_http_headers", output)


@pytest.mark.parametrize("name", ["ca", "certificate", "private_key"])
def test_a_file_excludes_data(name: str) -> None:
    """A-ACT-025, W-AUT-021."""
    with pytest.raises(ValueError, match=f"{name}_path"):
        kopf.ConnectionInfo(server="https://x", **{f"{name}_path": "p", f"{name}_data": "d"})  # type: ignore[arg-type]


def test_connections_are_frozen_and_of_keywords() -> None:
    """A-ACT-025."""
    with pytest.raises(TypeError):
        kopf.ConnectionInfo("https://x")  # type: ignore[call-arg,misc]
    info = kopf.ConnectionInfo(server="https://x")
    with pytest.raises(AttributeError):
        info.server = "y"  # type: ignore[misc]


def test_insecure_connections_check_nothing() -> None:
    """A-ACT-027."""
    context = kopf.ConnectionInfo(server="https://x", insecure=True).as_ssl_context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)


def test_basic_auth_of_aiohttp_is_gone() -> None:
    """A-ACT-028."""
    with pytest.warns(DeprecationWarning, match="as_http_headers"):
        kopf.ConnectionInfo(server="https://x").as_aiohttp_basic_auth()


@pytest.fixture
def kubeconfig(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A kubeconfig of a server with a token."""
    file = tmp_path / "kubeconfig"
    file.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "ns"}}],
                "clusters": [{"name": "k", "cluster": {"server": "https://example.com:6443"}}],
                "users": [{"name": "u", "user": {"token": "secret"}}],
            }
        )
    )
    monkeypatch.setenv("KUBECONFIG", str(file))
    return file


def test_the_kubeconfig_is_read(kubeconfig: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    """A-ACT-030, A-ACT-032; habit, FIX-24: `kopf.login_with_kubeconfig()` with no arguments."""
    caplog.set_level(logging.DEBUG)
    info = kopf.login_with_kubeconfig()
    assert caplog.messages == []
    assert info == kopf.login_with_kubeconfig(settings=kopf.OperatorSettings(), logger=logger)
    assert caplog.messages == ["Client is configured via kubeconfig file."]  # W-LOG-006
    assert info is not None
    assert fields(info) == {
        "server": "https://example.com:6443",
        "token": "secret",
        "default_namespace": "ns",
        "priority": 10,
        "trust_env": False,
    }


def test_a_missing_kubeconfig_is_named(kubeconfig: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A-ACT-030."""
    monkeypatch.setenv("KUBECONFIG", f"{kubeconfig}:{kubeconfig}-absent")
    with pytest.raises(FileNotFoundError, match="kubeconfig-absent"):
        kopf.login_with_kubeconfig()


def test_outside_of_pods_there_is_no_service_account() -> None:
    assert kopf.login_with_service_account() is None


def test_the_service_account_is_read(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """W-AUT-012."""
    monkeypatch.setattr(_logins, "_SERVICE_ACCOUNT", tmp_path)
    for name, text in {"token": "secret\n", "namespace": "ns", "ca.crt": "CA"}.items():
        (tmp_path / name).write_text(text)
    info = kopf.login_with_service_account()
    assert info is not None
    assert fields(info) == {
        "server": "https://kubernetes.default.svc",
        "token": "secret",
        "default_namespace": "ns",
        "ca_path": str(tmp_path / "ca.crt"),
        "priority": 20,
        "trust_env": False,
    }


def test_habit_the_official_client_is_configured_by_the_login(
    kubeconfig: pathlib.Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Habit: handlers use `kubernetes.client.*Api()` with no `load_*_config()`. W-LOG-006."""
    monkeypatch.setattr(kubernetes.client.Configuration, "_default", None)
    # The location is remembered by the library at its import.
    monkeypatch.setattr(kubernetes.config.kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig))
    caplog.set_level(logging.DEBUG)
    info = kopf.login_via_client(logger=logger, settings=kopf.OperatorSettings())
    assert info is not None
    assert (info.server, info.scheme, info.token, info.priority) == (
        "https://example.com:6443",
        "Bearer",
        "secret",
        10,
    )
    assert info.as_http_headers() == {"Authorization": "Bearer secret"}
    assert kubernetes.client.CoreV1Api().api_client.configuration.host == "https://example.com:6443"
    assert "Client is configured via kubeconfig file." in caplog.text


def test_pykube_gives_its_credentials(kubeconfig: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    """W-LOG-006."""
    caplog.set_level(logging.DEBUG)
    info = kopf.login_via_pykube(logger=logger, settings=kopf.OperatorSettings())
    assert info is not None
    assert (info.server, info.token, info.default_namespace, info.priority) == (
        "https://example.com:6443",
        "secret",
        "ns",
        20,
    )
    assert "Pykube is configured via kubeconfig file." in caplog.text


def test_the_official_client_without_any_configuration_fails(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A-ACT-031."""
    monkeypatch.setattr(kubernetes.config.kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "absent"))
    with pytest.raises(kopf.LoginError, match="neither with the service account"):
        kopf.login_via_client(logger=logger, settings=kopf.OperatorSettings())


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        ({"pykube", "kubernetes"}, ["login_via_pykube", "login_via_client"]),
        ({"kubernetes", "kubernetes_asyncio"}, ["login_via_client"]),
        ({"kubernetes_asyncio"}, ["login_via_async_client"]),
        (set(), ["login_with_kubeconfig"]),
    ],
)
def test_the_fallbacks_depend_on_what_is_installed(
    kubeconfig: pathlib.Path, monkeypatch: pytest.MonkeyPatch, installed: set[str], expected: list[str]
) -> None:
    """A-ACT-021, A-PUB-046, W-AUT-001."""
    monkeypatch.setattr(_logins, "_is_installed", installed.__contains__)
    monkeypatch.setattr(_registry, "_default", None)
    handlers = kopf.get_default_registry().declarations()
    assert [handler.id for handler in handlers] == expected
    assert all(handler.errors is kopf.ErrorsMode.IGNORED for handler in handlers)


def test_other_registries_have_no_fallbacks() -> None:
    """A-PUB-046."""
    assert kopf.OperatorRegistry().declarations() == []


def test_data_may_be_base64() -> None:
    """A-ACT-027, W-AUT-021."""
    from kopf import _credentials

    pem = "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n"
    encoded = base64.b64encode(pem.encode())
    assert {_credentials._pem(data) for data in (pem, pem.encode(), encoded, encoded.decode())} == {pem}


def test_certificates_are_files_or_data(tmp_path: pathlib.Path) -> None:
    """A-ACT-027."""
    from kopf import _credentials

    pem = "-----BEGIN CERTIFICATE-----\n"
    file = _credentials._as_file(str(tmp_path), "certificate", None, pem)
    assert file == str(tmp_path / "certificate")
    assert (tmp_path / "certificate").read_text() == pem
    assert (tmp_path / "certificate").stat().st_mode & 0o077 == 0
    assert _credentials._as_file(str(tmp_path), "key", tmp_path / "given", None) == str(tmp_path / "given")
    assert _credentials._as_file(str(tmp_path), "key", None, None) is None


def test_libraries_are_looked_for_without_importing_them() -> None:
    """A-ACT-021."""
    assert _logins._is_installed("kubernetes")
    assert not _logins._is_installed("absent_library")
