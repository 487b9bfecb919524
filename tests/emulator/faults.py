# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults on request: which requests they hit and what they do. ``FaultMiddleware`` applies them."""

from __future__ import annotations

import asyncio
import re
import threading
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, unquote_plus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .world import PLAN_ACTIONS

if TYPE_CHECKING:
    from .service import Service

# What an action does, and the options it takes with their defaults (... marks the ones that must be given).
# Actions before the handling let the request go on, and further rules may follow.
BEFORE: dict[str, dict[str, Any]] = {
    "slow_headers": {"seconds": ...},
    "expire": {},
    "appear": {"count": 1, "old": False, "name": "Appeared"},
    "run_by_others": {"plan": ..., "run": ..., "delay": 0, "list_delay": 0, "when": "before"},
    "repeat_page": {},
    "pages_count": {"count": ...},
}
# Actions instead of the handling: the request has no effect.
INSTEAD: dict[str, dict[str, Any]] = {
    "status": {"status": ..., "message": None, "headers": {}, "error_body": None},
    "unauthorized": {},
    "reply": {"status": 200, "content_type": "application/xml", "body": "", "headers": {}},
    "drop": {},
    "garbage": {},
    "html": {},
    "empty": {},
    "redirect": {"location": ..., "status": 302},
}
# Actions on the reply after the handling: the request has taken effect.
AFTER: dict[str, dict[str, Any]] = {
    "drop_after_handling": {},
    "cut": {"share": 0.5},
    "cut_xml": {"share": 0.5},
    "slow_body": {"seconds": ..., "chunks": 4},
    "headers": {"headers": ...},
}
ACTIONS = {**BEFORE, **INSTEAD, **AFTER}

LOGIN_PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><form>Please sign in</form></body></html>"
GARBAGE = bytes(range(256))
TRANSPORT = "emulator.transport"  # key of the connection's transport in the ASGI scope
IDLE = "emulator.idle"  # and of the seconds that it was idle before
PAGE_FAULTS = "emulator.page_faults"  # key of what the query handler is told


@dataclass
class Fault:
    """A rule: what to do to which requests.

    :param method: HTTP method in any case, None for all.
    :param path: regular expression searched in the path, as sent and without trailing slash; case ignored.
    :param query: the same for the query string, raw and decoded.
    :param times: how often it acts, None for ever.
    :param after: how many matching requests it lets pass first.
    """

    action: str
    options: dict[str, Any]
    method: str | None = None
    path: str | None = None
    query: str | None = None
    times: int | None = None
    after: int = 0
    matched: int = 0

    def matches(self, method: str, path: str, query: str) -> bool:
        """Whether the rule is meant for such a request."""
        return (
            (self.method is None or self.method.upper() == method)
            and _found(self.path, path, path.rstrip("/"))
            and _found(self.query, query, unquote_plus(query))
        )

    def is_due(self) -> bool:
        """Whether to act on the next matching request."""
        number = self.matched + 1 - self.after
        return number > 0 and (self.times is None or number <= self.times)

    def take(self) -> bool:
        """Count one matching request and tell whether to act on it."""
        due = self.is_due()
        self.matched += 1
        return due


def _found(pattern: str | None, *texts: str) -> bool:
    return pattern is None or any(re.search(pattern, text, re.IGNORECASE) for text in texts)


class Faults:
    """The list of rules in force. Safe from any thread."""

    def __init__(self) -> None:
        self._rules: list[Fault] = []
        self._lock = threading.Lock()

    def add(
        self,
        action: str,
        *,
        method: str | None = None,
        path: str | None = None,
        query: str | None = None,
        times: int | None = None,
        after: int = 0,
        **options: Any,
    ) -> Fault:
        """Add a rule. Raises ValueError for an unknown action or option, or a missing one."""
        defaults = ACTIONS.get(action)
        if defaults is None:
            raise ValueError(f"unknown fault action {action!r}; known are {', '.join(sorted(ACTIONS))}")
        unknown = set(options) - set(defaults)
        chosen = {**defaults, **options}
        missing = {name for name, value in chosen.items() if value is ...}
        if unknown or missing:
            raise ValueError(f"fault {action}: unknown options {sorted(unknown)}, missing options {sorted(missing)}")
        if action == "run_by_others" and (
            chosen["run"] not in PLAN_ACTIONS or chosen["when"] not in ("before", "after")
        ):
            raise ValueError(f"fault {action}: run is one of {PLAN_ACTIONS}, when is before or after")
        if "status" in chosen:
            HTTPStatus(chosen["status"])
        for pattern in (path, query):
            if pattern is not None:
                try:
                    re.compile(pattern)
                except re.error as error:
                    raise ValueError(f"fault {action}: {pattern!r} is no regular expression: {error}") from error
        rule = Fault(action, chosen, method, path, query, times, after)
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Remove all rules."""
        with self._lock:
            self._rules.clear()

    def due(self, method: str, path: str, query: str) -> set[str]:
        """The actions of the rules for such a request, if it were the next."""
        with self._lock:
            return {rule.action for rule in self._rules if rule.matches(method, path, query) and rule.is_due()}

    def take(self, method: str, path: str, query: str) -> list[Fault]:
        """The rules that act on this request, in their order; none follows one that replaces or spoils the reply."""
        taken = []
        with self._lock:
            for rule in self._rules:
                if rule.matches(method, path, query) and rule.take():
                    taken.append(rule)
                    if rule.action not in BEFORE:
                        break
        return taken


class FaultMiddleware:
    """Stands before the API and applies the faults of a service."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        outage = self._service.outage_now()
        if outage == "drop":
            scope[TRANSPORT].abort()
            return
        if outage is not None:
            media_type, body = self._service.error_body(scope, int(outage), None, None)
            await reply(send, int(outage), media_type, body)
            return
        path, query = unquote(scope["raw_path"].decode("latin-1")), scope["query_string"].decode("latin-1")
        rules = self._service.faults.take(scope["method"], path, query)
        scope[PAGE_FAULTS] = {}
        later = [rule for rule in rules if rule.options.get("when") == "after"]
        for rule in rules:
            if rule in later:
                continue
            if rule.action in BEFORE:
                await self._before(rule, scope)
            elif rule.action in INSTEAD:
                self._run_by_others(later)
                await self._instead(rule, scope, send)
                return
            else:
                await self._after(rule, scope, receive, send, later)
                return
        await self._handle(scope, receive, send, later)

    async def _handle(self, scope: Scope, receive: Receive, send: Send, later: list[Fault]) -> None:
        """Let the request be handled, and then others act, before anybody has the reply."""

        async def acting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._run_by_others(later)
            await send(message)

        await self._app(scope, receive, acting if later else send)

    def _run_by_others(self, rules: list[Fault]) -> None:
        for rule in rules:
            options = rule.options
            self._service.run_by_others(options["plan"], options["run"], options["delay"], options["list_delay"])

    async def _before(self, rule: Fault, scope: Scope) -> None:
        options = rule.options
        if rule.action == "slow_headers":
            await asyncio.sleep(options["seconds"])
        elif rule.action == "expire":
            self._service.expire_logons()
        elif rule.action == "appear":
            for dummy in range(options["count"]):
                self._service.appear(options["name"], options["old"])
        elif rule.action == "run_by_others":
            self._run_by_others([rule])
        else:
            scope[PAGE_FAULTS][rule.action] = options

    async def _instead(self, rule: Fault, scope: Scope, send: Send) -> None:
        options = rule.options
        if rule.action == "drop":
            scope[TRANSPORT].abort()
        elif rule.action == "status":
            status = options["status"]
            media_type, body = self._service.error_body(scope, status, options["message"], options["error_body"])
            await reply(send, status, media_type, body, options["headers"])
        elif rule.action == "unauthorized":
            if scope["method"] != "DELETE":
                self._service.expire_logons()
            media_type, body = self._service.error_body(scope, 401, None, None)
            await reply(send, 401, media_type, body, {"WWW-Authenticate": "Basic Realm=RestSvc"})
        elif rule.action == "reply":
            body = options["body"]
            body = body if isinstance(body, bytes) else body.encode()
            await reply(send, options["status"], options["content_type"], body, options["headers"])
        elif rule.action == "redirect":
            await reply(send, options["status"], "", b"", {"Location": options["location"]})
        else:
            media_type = "text/html" if rule.action == "html" else "application/xml"
            body = {"garbage": GARBAGE, "html": LOGIN_PAGE, "empty": b""}[rule.action]
            await reply(send, 200, media_type, body)

    async def _after(self, rule: Fault, scope: Scope, receive: Receive, send: Send, later: list[Fault]) -> None:
        start: Message = {}
        body = b""

        async def keep(message: Message) -> None:
            nonlocal body
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                body += message.get("body", b"")

        await self._handle(scope, receive, keep, later)
        options = rule.options
        if rule.action == "drop_after_handling":
            scope[TRANSPORT].abort()
        elif rule.action == "cut_xml":
            part = body[: int(len(body) * options["share"])]
            headers = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
            start["headers"] = [*headers, (b"content-length", str(len(part)).encode())]
            await send(start)
            await send({"type": "http.response.body", "body": part})
        elif rule.action == "cut":
            await send(start)
            part = body[: int(len(body) * options["share"])]
            await send({"type": "http.response.body", "body": part, "more_body": True})
            scope[TRANSPORT].close()  # close, not abort: what was sent must arrive
        elif rule.action == "headers":
            new = {
                name.lower().encode("latin-1"): value.encode("latin-1") for name, value in options["headers"].items()
            }
            start["headers"] = [(name, value) for name, value in start["headers"] if name.lower() not in new]
            start["headers"] += new.items()
            await send(start)
            await send({"type": "http.response.body", "body": body})
        else:
            await send(start)
            size = max(1, -(-len(body) // options["chunks"]))
            for begin in range(0, len(body), size):
                await asyncio.sleep(options["seconds"] if begin else 0)
                await send({"type": "http.response.body", "body": body[begin : begin + size], "more_body": True})
            await send({"type": "http.response.body", "body": b""})


async def reply(send: Send, status: int, media_type: str, body: bytes, headers: dict[str, str] | None = None) -> None:
    """Send a whole reply."""
    names = {"Content-Length": str(len(body)), **({"Content-Type": media_type} if media_type else {})}
    names.update(headers or {})
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in names.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
