"""The requests of `contract/recordings`, sent as they were recorded: what comes of each, in outline.

Their group and their namespace are replaced by this flow's own. What a driver did besides, or the stub that recorded them
allowed, is made up for: an object that was there is created first, and one that was not is deleted. Requests in protobuf are
left out, since only their names were recorded.
"""

import base64
import http.client
import json
import os
import pathlib
import ssl
import typing
import urllib.parse

import yaml
from steps import GROUP, NAMESPACE, crd, until

RECORDINGS = pathlib.Path(__file__).parents[4] / "contract/recordings"
DOMAIN = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
RESOURCES = [
    ("kopfexamples", "KopfExample", "Namespaced"),
    ("kopfpeerings", "KopfPeering", "Namespaced"),
    ("clusterkopfpeerings", "ClusterKopfPeering", "Cluster"),
]
KINDS = {plural: kind for plural, kind, _ in RESOURCES}
# The least that the driver's objects need to have.
CONTENTS: dict[str, dict[str, typing.Any]] = {
    "deployments": {"spec": {"paused": True, "selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}},
    "pods": {"spec": TEMPLATE["spec"]},
    "kopfexamples": {"spec": {"field": "value"}},
}

Answer = tuple[int, str, bytes]


class Server:
    """A connection by the kubeconfig."""

    def __init__(self) -> None:
        config = yaml.safe_load(pathlib.Path(os.environ["KUBECONFIG"]).read_text())
        cluster = config["clusters"][0]["cluster"]
        self.token = config["users"][0]["user"]["token"]
        self.url = urllib.parse.urlsplit(cluster["server"])
        self.context = None
        if self.url.scheme == "https":
            data = cluster.get("certificate-authority-data")
            authority = base64.b64decode(data).decode() if data else None
            self.context = ssl.create_default_context(cafile=cluster.get("certificate-authority"), cadata=authority)

    def send(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """The status, the type and the body; of a watch nothing of the body."""
        if self.context is None:
            connection = http.client.HTTPConnection(self.url.netloc, timeout=30)
        else:
            connection = http.client.HTTPSConnection(self.url.netloc, timeout=30, context=self.context)
        content = None if body is None else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        quoted = urllib.parse.quote(path, safe="/?&=%,:+()!")
        connection.request(method, quoted, content, {"Authorization": f"Bearer {self.token}", **named})
        answer = connection.getresponse()
        is_endless = "watch=true" in path and answer.status == 200
        text = b"" if is_endless else answer.read()
        connection.close()
        return answer.status, answer.headers.get("Content-Type", ""), text


server = Server()


def own(value: typing.Any) -> typing.Any:
    """What was recorded, with names of this flow's own."""
    text = json.dumps(value)
    for old, new in (
        ("/namespaces/default", f"/namespaces/{NAMESPACE}"),
        ('"namespace": "default"', f'"namespace": "{NAMESPACE}"'),
        ("kopf.dev", GROUP),
        ('"shortNames": ["kex"], ', ""),
    ):
        text = text.replace(old, new)
    own = json.loads(text.replace("<time>", "2026-01-01T00:00:00.000000Z"))
    if isinstance(own, dict) and own.get("kind") == "Deployment" and "spec" in own:
        own["spec"]["paused"] = True  # so that nothing is rolled out
    return own


def is_object(path: str) -> bool:
    """Whether a path names an object."""
    parts = path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        rest = rest[2:]
    return len(rest) >= 2


def prepare(method: str, path: str, status: int, body: typing.Any) -> typing.Any:
    """Makes up for what happened besides, and puts current values where the recording has placeholders."""
    bare = path.partition("?")[0]
    if method == "POST" and status == 201 and isinstance(body, dict) and "name" in body.get("metadata", {}):
        server.send("DELETE", f"{bare}/{body['metadata']['name']}?gracePeriodSeconds=0")
        until(lambda: server.send("GET", f"{bare}/{body['metadata']['name']}")[0] in (404, 405))
        return body
    if not is_object(bare) or "/customresourcedefinitions/" in bare or bare.startswith("/openapi"):
        return body
    whole = "/".join(bare.split("/")[: -1 if bare.endswith(("/status", "/scale", "/log", "/exec")) else None])
    if status == 404 or (status == 201 and method == "PATCH"):
        server.send("DELETE", f"{whole}?gracePeriodSeconds=0")
        until(lambda: server.send("GET", whole)[0] in (404, 405))
        return body
    plural, name = whole.split("/")[-2:]
    if status == 200 and server.send("GET", whole)[0] == 404:
        created = {"metadata": {"name": name}, **CONTENTS.get(plural, {})}
        if kind := KINDS.get(plural):
            created = {"apiVersion": f"{GROUP}/v1", "kind": kind, **created}
        server.send("POST", whole.rpartition("/")[0], created)
    there, _, text = server.send("GET", whole)
    if there != 200:
        return body
    found = json.loads(text)
    if method == "PUT":
        # Fields that only the stub keeps in order are the object's.
        return {**body, "metadata": found["metadata"]}
    if method == "PATCH" and isinstance(body, dict):
        current = {key: found["metadata"][key] for key in ("resourceVersion", "uid", "creationTimestamp")}
        metadata = body.get("metadata") or {}
        metadata.update({key: value for key, value in current.items() if key in metadata})
    if method == "PATCH" and isinstance(body, list):
        for operation in body:
            if operation["path"] == "/metadata/resourceVersion":
                operation["value"] = found["metadata"]["resourceVersion"]
    return body


def outline(answer: Answer) -> list[str]:
    """What an answer is, without what it is about."""
    status, media_type, text = answer
    lines = [f"{status} {media_type}"]
    try:
        value = json.loads(text)
    except ValueError:
        return lines
    if not isinstance(value, dict) or "kind" not in value:
        return lines
    if value["kind"] == "Status":
        return [*lines, f"Status: {value.get('reason', value['status'])}: {value.get('message', '')}"]
    lines.append(f"{value.get('apiVersion', '')} {value['kind']}: {' '.join(sorted(value))}")
    if value["kind"] == "Table":
        lines.append(" | ".join(f"{column['name']} {column['type']}" for column in value["columnDefinitions"]))
    elif not value["kind"].endswith("List"):
        lines.append(f"metadata: {' '.join(sorted(value.get('metadata', {})))}")
    return lines


def replay(where: str, recorded: dict[str, typing.Any], accepts: dict[str, str], agent: str) -> None:
    """Sends one request."""
    method, _, path = own(recorded["r"]).partition(" ")
    version = json.loads(server.send("GET", "/api/v1/namespaces?limit=1")[2])["metadata"]["resourceVersion"]
    path = path.replace("<rv>", version).replace("<random>", "30")
    headers = {"User_Agent": agent}
    if recorded.get("accept", "-") != "-":
        headers["Accept"] = accepts[recorded["accept"]]
    if "type" in recorded and "body" in recorded:
        headers["Content_Type"] = recorded["type"]
    body = prepare(method, path, recorded["status"], own(recorded.get("body")))
    print(f"$ {where}: {method} {path.replace(f'resourceVersion={version}', 'resourceVersion=<rv>')}")
    answer = server.send(method, path, body, **headers)
    was = "" if answer[0] == recorded["status"] else f" (recorded: {recorded['status']})"
    first, *rest = outline(answer)
    print("\n".join([first + was, *rest]), flush=True)


def requests(file: dict[str, typing.Any]) -> typing.Iterator[tuple[str, dict[str, typing.Any]]]:
    """What a file has, with the names of its steps."""
    for step in [*file.get("steps", []), *file.get("scenarios", [])]:
        for phase, recorded in step.get("phases", {"": step.get("requests", [])}).items():
            for request in recorded:
                yield f"{step.get('step', step.get('scenario'))} {phase}".strip(), request


def define() -> None:
    """The definitions, if they are not there, and the resources that they make."""
    for plural, kind, scope in RESOURCES:
        definition = crd()
        definition["metadata"]["name"] = f"{plural}.{GROUP}"
        definition["spec"]["names"] = {"kind": kind, "plural": plural, "singular": kind.lower()}
        definition["spec"]["scope"] = scope
        server.send("POST", DOMAIN, definition)
    for plural, *_ in RESOURCES:
        until(lambda plural=plural: server.send("GET", f"/apis/{GROUP}/v1/{plural}")[0] == 200)


server.send("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
until(lambda: server.send("GET", f"/api/v1/namespaces/{NAMESPACE}/configmaps/kube-root-ca.crt")[0] == 200)
define()
for file in sorted(RECORDINGS.glob("*.json")):
    recording = json.loads(file.read_text())
    for where, recorded in requests(recording):
        if "r" not in recorded or "protobuf" in recorded or "/customresourcedefinitions/" in recorded["r"]:
            continue
        replay(f"{file.stem}: {where}", recorded, recording["accept_headers"], recording["user_agents"][0])
for plural, *_ in RESOURCES:
    server.send("DELETE", f"{DOMAIN}/{plural}.{GROUP}")
server.send("DELETE", f"/api/v1/namespaces/{NAMESPACE}")
