"""RabbitMQ by its management API: to look at queues and rights, and to prepare what others left there."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from tests.support.brokers import TestBroker


class Management:
    """One virtual host, ``/``, by HTTP. Raises httpx.HTTPError for what is refused."""

    def __init__(self, broker: TestBroker) -> None:
        login = (broker.user, broker.password)
        # Nothing is there to verify, and certificates take longer to load than a node may live that is to be killed.
        self._http = httpx.Client(base_url=f"{broker.management}/api", auth=login, timeout=10.0, verify=False)
        self._users: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for user in self._users:
            self._call("DELETE", f"/users/{user}")
        self._http.close()

    def queue(self, name: str) -> dict[str, Any] | None:
        """A queue's properties; None if there is none of that name."""
        answer = self._http.get(f"/queues/%2F/{quote(name, safe='')}", params={"disable_stats": "true"})
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    def arguments_like(self, part: str) -> dict[str, dict[str, str]]:
        """The arguments that queues with this in their names were declared with, by name."""
        pages = {"name": part, "page": "1", "page_size": "100"}
        found = self._http.get("/queues/%2F", params=pages).raise_for_status().json()["items"]
        return {queue["name"]: queue["arguments"] for queue in found}

    def topics_of(self, name: str) -> list[str]:
        """The routing keys by which a queue gets what is sent to topics."""
        bindings = self._call("GET", f"/queues/%2F/{quote(name, safe='')}/bindings").json()
        return [binding["routing_key"] for binding in bindings if binding["source"] == "amq.topic"]

    def queues_of(self, topic: str) -> list[str]:
        """The queues that get what is sent to a topic."""
        bindings = self._call("GET", "/exchanges/%2F/amq.topic/bindings/source").json()
        key = topic.removeprefix("/topic/")
        return [binding["destination"] for binding in bindings if binding["routing_key"] == key]

    def declare(self, name: str, **arguments: str) -> None:
        """A durable queue, bound to nothing; ``x_queue_type`` is written ``x-queue-type``."""
        named = {argument.replace("_", "-"): value for argument, value in arguments.items()}
        self._call("PUT", f"/queues/%2F/{quote(name, safe='')}", {"durable": True, "arguments": named})

    def bind(self, name: str, topic: str) -> None:
        """Have a queue get what is sent to a topic."""
        path = f"/bindings/%2F/e/amq.topic/q/{quote(name, safe='')}"
        self._call("POST", path, {"routing_key": topic.removeprefix("/topic/")})

    def delete(self, name: str) -> None:
        """Delete a queue, with what is in it."""
        self._call("DELETE", f"/queues/%2F/{quote(name, safe='')}")

    def add_user(self, name: str, password: str, *, configure: str, write: str, read: str) -> None:
        """A user with these rights, each a pattern of names."""
        self._users.append(name)
        self._call("PUT", f"/users/{name}", {"password": password, "tags": ""})
        self._call("PUT", f"/permissions/%2F/{name}", {"configure": configure, "write": write, "read": read})

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        return self._http.request(method, path, json=body).raise_for_status()
