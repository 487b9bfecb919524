# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the history consists of: records, their canonical bytes and their hash chain. Pure; nothing here opens a store.

docs/history.md says how anybody can check a chain without this collection.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypedDict, cast

_PROGRESS = {"state", "result", "failure_message", "creation_time", "end_time", "duration", "finished", "succeeded"}
_TASK_FACTS = {"vm_name", "replica_point", *_PROGRESS}
FACTS: dict[str, Set[str]] = {
    "look": {"user", "url", "source", "created_after", "clock", "collected_at", "complete", "missing", "points"},
    "session": {"id", "uid", "name", "job_type", "backup_server", "tasks", "task_summary", *_PROGRESS},
    "plan": {"id", "name", "tenant", "backup_server", "vms", "deleted"},
    "points": {"id", "name", "vm_name", "backup_server", "creation_time", "state"},
    "run": {"session_id", "action"},
    "verdict": {"session", "passed"},
    "note": {"type", "by", "text"},
}
"""The kinds of records, and the facts without which a body of the kind is of no use."""
KINDS = tuple(FACTS)
STATES = frozenset({"session", "plan", "points"})
"""Kinds that say how an object is in EM; of each object, only the newest one holds."""
FIRST_HASH = "0" * 64
"""What the first record has as ``previous_hash``, and an empty store as head."""

SEEN_AGAIN = "seen_again"
"""Key that the store adds to a body that equals an earlier one of its subject, so that each body of a subject is unique."""


@dataclass(frozen=True)
class NewRecord:
    """A record to append.

    :ivar kind: one of :data:`KINDS`.
    :ivar subject: see :func:`subject_of`.
    :ivar at: EM's time of the look, as :func:`format_time` writes it.
    :ivar body: what JSON can hold, without NaN. Of a session these are its facts, from which the index is made.
    """

    kind: str
    subject: str
    at: str
    body: Mapping[str, Any]

    @cached_property
    def text(self) -> str:
        """The bytes of the body."""
        return canonical(self.body)

    @cached_property
    def digest(self) -> str:
        """The digest of the body."""
        return sha256(self.text)


class StoredRecord(NamedTuple):
    """A record as it was stored, but for ``body``, which is without :data:`SEEN_AGAIN`."""

    sequence: int
    kind: str
    subject: str
    at: str
    digest: str
    body: dict[str, Any]

    @property
    def em_name(self) -> str:
        return split_subject(self.subject)[0]

    @property
    def origin(self) -> dict[str, str]:
        """Where the facts are from, as readers return it with them."""
        return {"em_name": self.em_name, "seen_at": self.at}


class Head(TypedDict):
    """The newest record: sequence 0 and 64 zeros in an empty store."""

    sequence: int
    hash: str


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def canonical(value: Any) -> str:
    """The one JSON text of a value: keys sorted, no spaces, ASCII.

    :raises ValueError: it holds NaN or an infinity.
    """
    return _ENCODER.encode(value)


def body_of(kind: str, text: str) -> dict[str, Any]:
    """The body of a record, as it was before the store added :data:`SEEN_AGAIN`.

    :raises ValueError: it is no JSON, or it does not have the facts of its kind.
    """
    body = json.loads(text)
    is_whole = _has(body, FACTS.get(kind, set()))
    if is_whole and kind in STATES:
        is_whole = _is_reference(body["backup_server"])
    if is_whole and kind == "session":
        is_whole = isinstance(body["tasks"], list) and all(map(_is_task, body["tasks"]))
    if not is_whole:
        raise ValueError
    body.pop(SEEN_AGAIN, None)
    return cast("dict[str, Any]", body)


def _is_task(value: Any) -> bool:
    return _has(value, _TASK_FACTS) and _is_reference(value["replica_point"])


def _is_reference(value: Any) -> bool:
    return value is None or _has(value, {"id", "name"})


def _has(value: Any, facts: Set[str]) -> bool:
    return isinstance(value, dict) and facts <= value.keys()


def sha256(text: str) -> str:
    """The SHA-256 of a text as 64 hex digits; bytes that were no UTF-8 when they were read count as they were."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def hash_of(store_id: str, sequence: int, kind: str, subject: str, at: str, digest: str, previous_hash: str) -> str:
    """The hash of a record, which the next one repeats as ``previous_hash``."""
    return sha256(canonical([store_id, sequence, kind, subject, at, digest, previous_hash]))


def subject_of(em_name: str, identity: str) -> str:
    """The subject of a record: the EM, and the id of a session or plan, or the time of a look, none of which has a ``/``."""
    return f"{em_name}/{identity}"


def split_subject(subject: str) -> tuple[str, str]:
    """The name of the EM and the rest of a subject."""
    em_name, dummy, identity = subject.rpartition("/")
    return em_name, identity


def index_row(sequence: int, subject: str, at: str, session: Mapping[str, Any]) -> tuple[Any, ...]:
    """The row of ``session_index`` for a record of a session, in the order of its columns."""
    server = session.get("backup_server") or {}
    facts = [session.get(name) for name in ("state", "result", "creation_time", "end_time")]
    return sequence, *split_subject(subject), session.get("name"), server.get("id"), server.get("name"), *facts, at
