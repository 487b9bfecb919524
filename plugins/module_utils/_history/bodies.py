# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From facts to the bodies of records and back, and what follows from the record of a look. Pure.

What changes by itself (``progress``), follows from the rest (``href``) or may be secret (commands of plans) stays out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, TypedDict, cast

from .._failover.facts import SESSIONS_PATH, Plan, PointFacts, Session, SessionTask
from .._failover.times import format_time, parse_time
from .kind import Sighting
from .records import NewRecord, StoredRecord, sha256, subject_of

LISTED = timedelta(days=30)
"""How long EM surely lists a session (docs/evidence.md, "Requests in general")."""
_AFTER_SCHEME = re.compile(r"(://[^\s:]*:)(?:\S*@|(\S*))")
"""A user and its password, to the last ``@`` of the word: people do not escape what their password has. Without an ``@``, all
of the word, so that the search does not start again in it."""
COMMANDS = frozenset({"pre_command", "post_command"})


Gap = TypedDict("Gap", {"from": str, "to": str})
"""The times of two looks so far apart that EM may have forgotten sessions in between."""


def session_body(session: Session) -> dict[str, Any]:
    """What is recorded of a session."""
    left_out = {"progress", "href", *([] if session.get("tasks_kept_at") else ["tasks_kept_at"])}
    body = {name: value for name, value in session.items() if name not in left_out}
    return {**body, "tasks": [_task_body(task) for task in session["tasks"]]}


def _task_body(task: SessionTask) -> dict[str, Any]:
    point = task["replica_point"]
    body = {name: value for name, value in task.items() if name != "progress"}
    return {**body, "replica_point": point and {"id": point["id"], "name": point["name"]}}


def session_of_body(body: Mapping[str, Any], em_name: str, points: Mapping[str, Mapping[str, Any]]) -> Session:
    """The facts of a session of an EM from its record.

    :arg points: what was recorded of replica points, by the subjects of these records.
    """
    tasks = []
    for task in body["tasks"]:
        point = task["replica_point"]
        if point is not None:
            known = points.get(subject_of(em_name, point["id"] or ""), {})
            point = {**point, "creation_time": known.get("creation_time"), "state": known.get("state")}
        tasks.append({**task, "progress": None, "replica_point": point})
    facts = {**body, "progress": None, "href": f"{SESSIONS_PATH}/{body['id']}", "tasks": tasks}
    return cast(Session, facts)


def plan_body(plan: Plan) -> dict[str, Any]:
    """What is recorded of a plan: without its commands, and without the actions that this user is offered."""
    body = {name: value for name, value in plan.items() if name not in (*COMMANDS, "actions")}
    return {**body, "deleted": False}


def digest_of_all(records: Iterable[NewRecord]) -> str:
    """One digest of many bodies: the SHA-256 of their digests, sorted, one a line."""
    return sha256("\n".join(sorted(record.digest for record in records)))


def masked(value: Any, mask: Callable[[str], str]) -> Any:
    """The body of a record without secrets, which servers put into their messages and people into notes.

    :arg mask: takes known secrets out of a text; a password in a URL needs not be known.
    """

    def mask_all(text: str) -> str:
        return _AFTER_SCHEME.sub(lambda url: url[1] + ("********@" if url[2] is None else url[2]), mask(text))

    text = json.dumps(value)
    # Only where there is something to mask, text by text: thousands of small searches take longer than a big one.
    return value if mask_all(text) == text else _masked(value, mask_all)


def _masked(value: Any, mask: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {name: _masked(item, mask) for name, item in value.items()}
    return [_masked(item, mask) for item in value] if isinstance(value, list) else value


# Looks


def ids_by_state(points: Iterable[PointFacts]) -> dict[str, list[str]]:
    """The ids of points by their state, as a look records them."""
    ids: dict[str, list[str]] = {}
    for point in points:
        if point["id"] and point["state"]:
            ids.setdefault(point["state"], []).append(point["id"])
    return {state: sorted(those) for state, those in ids.items()}


def sighting_of(look: StoredRecord) -> Sighting:
    """What a look saw of replica points. Its record has their ids by their state."""
    states = {guid: state for state, guids in (look.body["points"] or {}).items() for guid in guids}
    return Sighting(look.at, look.body["collected_at"], states)


def reaches_back_to(at: str, created_after: str | None) -> str:
    """The time since when a look surely saw all sessions.

    :arg at: the time of the look.
    :arg created_after: it left out sessions created before.
    """
    when = parse_time(at)
    return max(created_after or "", when and format_time(when - LISTED) or "")


def gap_between(before: str, at: str, created_after: str | None) -> Gap | None:
    """The gap between a look and the next one, or None if EM still listed at the second all that was new since the first.

    :arg before: the time of the first.
    :arg at: the time of the second.
    :arg created_after: the second left out sessions created before.
    """
    return {"from": before, "to": at} if before < reaches_back_to(at, created_after) else None
