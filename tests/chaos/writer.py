"""Who writes the objects of a course."""

import contextlib
import random
import time
import urllib.error
from typing import Any

from judge import Client
from processes import EXAMPLES, PATIENCE

MERGE = "application/merge-patch+json"


class Writer:
    """Who writes the objects; it insists until the server has taken each write."""

    def __init__(self, client: Client, chance: random.Random) -> None:
        self._client = client
        self._chance = chance
        self._number = 0
        self.objects: dict[str, Any] = {}
        """What each object is to be, by name."""

    def write(self, pace: float = 0.05) -> None:
        """Creates, changes, or deletes an object at random."""
        name = f"o{self._chance.randrange(8)}"
        if name not in self.objects:
            self.create(name, pace)
        elif self._chance.random() < 0.2:
            self.delete(name)
        else:
            self.update(name)

    def create(self, name: str, pace: float = 0.05, troubles: int = 2) -> None:
        """Creates an object, which must not be there."""
        spec = {
            "value": self._chance.randrange(3),
            "color": self._chance.choice(["red", "green"]),
            "parts": self._chance.sample(["a", "b", "c"], self._chance.randrange(3)),
            "troubles": min(troubles, self._chance.choice([0, 0, 1, 2])),
            "pause": round(self._chance.random() * pace, 3),
        }
        self.objects[name] = spec
        body = {"apiVersion": "kopf.dev/v1", "kind": "KopfExample", "metadata": {"name": name}, "spec": spec}
        self._insist("POST", EXAMPLES, body, but=409)

    def update(self, name: str) -> Any:
        """Changes an object, sometimes back to what it was before; the spec."""
        self._number += 1
        changes = self._chance.choice(
            [
                {"value": self._chance.randrange(3)},
                {"color": self._chance.choice(["red", "green", "blue"])},
                {"number": self._number},
            ]
        )
        self.objects[name] = self.objects[name] | changes
        self._insist("PATCH", f"{EXAMPLES}/{name}", {"spec": changes}, MERGE)
        return self.objects[name]

    def change(self, name: str) -> Any:
        """Changes an object into what it never was; the spec."""
        self._number += 1
        changes = {"number": self._number}
        self.objects[name] = self.objects[name] | changes
        self._insist("PATCH", f"{EXAMPLES}/{name}", {"spec": changes}, MERGE)
        return self.objects[name]

    def delete(self, name: str) -> None:
        """Deletes an object; its name may stay taken for a while."""
        del self.objects[name]
        self._insist("DELETE", f"{EXAMPLES}/{name}", but=404)

    def _insist(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json", but: int = 0
    ) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                answer = self._client.request(method, path, body, content_type)
            except urllib.error.HTTPError as error:
                with error:
                    if error.code == but and not self._is_in_the_way(method, path, body):
                        return
                    if error.code not in (404, 409, 429, 500, 503, 504) or time.monotonic() > deadline:
                        raise
            except OSError:
                if time.monotonic() > deadline:
                    raise
            else:
                if method != "PATCH" or "deletionTimestamp" not in answer["metadata"]:
                    return
            time.sleep(0.05)

    def _is_in_the_way(self, method: str, path: str, body: Any) -> bool:
        """Whether an object of the same name is still to go, so that the new one cannot be created yet."""
        if method != "POST":
            return False
        with contextlib.suppress(OSError):
            found = self._client.request("GET", f"{path}/{body['metadata']['name']}")
            return "deletionTimestamp" in found["metadata"] or found["spec"] != body["spec"]
        return True
