# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A look at EM as records for the history.

Its sessions are complete, or nothing is recorded. What else may not be read is left out, and the look says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar, cast

from .._api.client import EnterpriseManager
from .._api.errors import EmError
from .._failover.criteria import PlanCriteria, SessionCriteria
from .._failover.data_age import DataAgeReader
from .._failover.facts import READY, PointFacts, Session, last_time, merge_tasks, point_ids
from .._failover.plans import PlanReader
from .._failover.replica_points import PointReader
from .._failover.sessions import SessionReader
from .._failover.times import format_time, utc_now
from .bodies import Gap, digest_of_all, gap_between, ids_by_state, masked, plan_body, session_body, sighting_of
from .looks import Looks
from .records import NewRecord, StoredRecord, split_subject, subject_of
from .store import Store

REPLACING = frozenset({"kind", "waiver"})
"""Types of notes of which the newest counts; all others hold at the same time."""

Read = TypeVar("Read")
_POINTS_MISSING = "The states of replica points are missing in the history of this look."


@dataclass(frozen=True)
class Look:
    """What a look is to add to the history.

    :ivar at: when, by EM's clock, or by that of this machine if EM does not say.
    """

    at: str
    records: list[NewRecord]
    gap: Gap | None


class _Points(NamedTuple):
    """The replica points that were read.

    :ivar by_id: None if some of those that were asked for by their ids could not be read.
    :ivar gone: ids that EM no longer has.
    :ivar complete: whether all that are not ready are among them.
    """

    by_id: dict[str, PointFacts] | None
    gone: Collection[str]
    complete: bool


class Recorder:
    """Records one EM.

    :arg store: None where there is no history yet, and none may be created.
    """

    def __init__(self, store: Store | None, em_name: str) -> None:
        self._store = store
        self._em_name = em_name
        self._since: int | None = None

    def look(self, client: EnterpriseManager, criteria: SessionCriteria) -> Look:
        """Read EM once.

        :raises EmError: the sessions could not be read completely.
        """
        self._since = self._store.head()["sequence"] if self._store else None
        data_age = _or_warn(client, "The age of EM's data is", DataAgeReader(client).read)
        by_em = format_time(client.server_time)
        at = by_em or str(format_time(utc_now()))
        result = SessionReader(client).list_sessions(criteria)
        # A look that is later was made while EM's clock was ahead.
        looks = Looks(self._store, self._em_name) if self._store else None
        previous = looks.newest(at) if looks else None
        sessions = self._with_kept_tasks(result.sessions, previous, at)
        listed = _or_warn(client, "The plans are", lambda: PlanReader(client).list_plans(PlanCriteria()).plans)
        plans = None if listed is None else [plan_body(plan) for plan in listed]
        points = self._read_points(client, sessions, looks.newest(at, with_points=True) if looks else None)
        found = {"data_age": data_age is not None, "plans": plans is not None, "points": points.complete}
        missing = [name for name, complete in found.items() if not complete]
        session_records = self._records("session", map(session_body, sessions), at, client.mask_secrets)
        plan_records = self._records("plan", plans or (), at, client.mask_secrets)
        point_records = self._records("points", map(dict, (points.by_id or {}).values()), at, client.mask_secrets)
        look = {
            "user": client.username,
            "url": client.base_url,
            "source": "collection" if result.from_collection else "query",
            "created_after": criteria.created_after,
            "clock": "em" if by_em else "local",
            "collected_at": data_age["collected_at"] if data_age else None,
            "complete": not missing,
            "missing": missing,
            "sessions": {"count": len(sessions), "digest": digest_of_all(session_records)},
            "plans": None if plans is None else {"count": len(plans), "digest": digest_of_all(plan_records)},
            "points": None if points.by_id is None else ids_by_state(points.by_id.values()),
        }
        deleted = [] if plans is None else self._deleted_plans({plan["id"] for plan in plans})
        records = [
            NewRecord("look", subject_of(self._em_name, at), at, look),
            *session_records,
            *plan_records,
            *self._records("plan", deleted, at, client.mask_secrets),
            *point_records,
            *self._records("points", self._gone_points(points.gone), at, client.mask_secrets),
        ]
        gap = gap_between(previous.at, at, criteria.created_after) if previous else None
        return Look(at, records, gap)

    def _records(
        self, kind: str, bodies: Iterable[dict[str, Any]], at: str, mask: Callable[[str], str]
    ) -> list[NewRecord]:
        """The records of these bodies, without secrets. What the history has already is without them, and need not be searched."""
        records = [NewRecord(kind, subject_of(self._em_name, body["id"]), at, body) for body in bodies]
        known = self._store.digests(records) if self._store else {}
        return [
            record
            if record.digest in known.get((kind, record.subject), ())
            else replace(record, body=masked(record.body, mask))
            for record in records
        ]

    def append(self, records: Iterable[NewRecord], keep: bool = True) -> dict[str, int]:
        """Append what is new, all or nothing; returns the number of records by kind.

        :arg keep: False for check mode, which appends nothing.
        :raises OvertakenError: another process has recorded a different state since :meth:`look`.
        """
        if self._store is None:
            return Counter(record.kind for record in records)
        new = [record for record in records if record.kind != "note" or not self._is_known(self._store, record)]
        return self._store.append(new, self._since, keep)

    @staticmethod
    def _is_known(store: Store, note: NewRecord) -> bool:
        """Whether the history has this note already; of a type that others do not replace, whether it has ever had it."""
        bodies = [other.body for other in store.records("note", [note.subject])]
        same_type = [body for body in bodies if body["type"] == note.body["type"]]
        return note.body in (same_type[-1:] if note.body["type"] in REPLACING else same_type)

    # What the history has

    def _newest(self, kind: str, ids: Iterable[str] | None = None) -> dict[str, StoredRecord]:
        """The newest record of each object, by its id."""
        if self._store is None:
            return {}
        subjects = None if ids is None else [subject_of(self._em_name, guid) for guid in ids]
        records = self._store.newest(kind, subjects, self._em_name)
        return {split_subject(record.subject)[1]: record for record in records}

    def _with_kept_tasks(self, sessions: list[Session], previous: StoredRecord | None, at: str) -> list[Session]:
        """The sessions, with the VMs that the history has of those of which EM no longer lists any."""
        without = [session["id"] for session in sessions if not session["tasks"]]
        before = self._newest("session", without)
        merged = []
        for session in sessions:
            record = before.get(session["id"])
            if record is not None:
                # The record is of the first look that saw the session so, or of whoever followed it since the newest look.
                saw = previous and (previous.body["created_after"] or "") <= (session["creation_time"] or "")
                times = [record.at, *([previous.at] if previous and saw else [])]
                seen_at = max((time for time in times if time <= at), default=record.at)
                session = merge_tasks(session, cast(Session, record.body), seen_at)
            merged.append(session)
        return merged

    def _deleted_plans(self, listed: Collection[str]) -> list[dict[str, Any]]:
        """Plans that EM listed before, and does not list now."""
        before = self._newest("plan")
        return [{**record.body, "deleted": True} for guid, record in before.items() if guid not in listed]

    def _gone_points(self, ids: Collection[str]) -> list[dict[str, Any]]:
        """Points that EM had before, and no longer has: their state is not known."""
        return [{**record.body, "state": None} for record in self._newest("points", ids).values()]

    # What EM has

    def _read_points(
        self, client: EnterpriseManager, sessions: list[Session], previous: StoredRecord | None
    ) -> _Points:
        """All points that are not ready, and those that were not or whose run goes on or has ended since.

        :arg previous: the newest look that read points.
        """
        since = "" if previous is None else previous.body["collected_at"] or previous.at
        before = {} if previous is None else sighting_of(previous).states
        ids = [
            *point_ids(session for session in sessions if not session["finished"] or last_time(session) >= since),
            *(guid for guid, state in before.items() if state != READY),
        ]
        reader = PointReader(client)
        by_id: dict[str, PointFacts] = {}
        problem: EmError | str | None = None
        try:
            not_ready = reader.not_ready()
            if not_ready is None:
                problem = "EM does not filter them by their state."
            by_id = {point["id"] or "": point for point in not_ready or ()}
        except EmError as exc:
            problem = exc
        wanted = [guid for guid in dict.fromkeys(ids) if guid not in by_id]
        try:
            by_id.update((point["id"] or "", point) for point in reader.iter_points(wanted))
        except EmError as exc:
            client.warn(f"{_POINTS_MISSING} {exc}")
            return _Points(None, (), False)
        if problem:
            client.warn(f"{_POINTS_MISSING} {problem}")
        return _Points(by_id, [guid for guid in wanted if guid not in by_id], problem is None)


def _or_warn(client: EnterpriseManager, what: str, read: Callable[[], Read]) -> Read | None:
    """What EM says, or None and a warning if that may not or cannot be read."""
    try:
        return read()
    except EmError as exc:
        client.warn(f"{what} missing in the history of this look. {exc}")
        return None
