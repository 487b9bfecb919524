# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the history: sessions by criteria, with the facts that EM gave, and what else was recorded. No request is sent."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

from .._api.errors import OptionError
from .._api.redaction import some_of
from .._failover.criteria import SessionCriteria
from .._failover.facts import FAILED_OVER, READY, Session, SessionResult, point_ids
from .._failover.times import format_time
from .bodies import session_of_body, sighting_of
from .kind import Sighting, next_runs, run_kind
from .looks import Looks
from .options import open_history
from .records import StoredRecord, subject_of
from .store import Store

MAX_NAMES = 5


@contextmanager
def open_instead_of_em(option: Callable[[str], Any], warn: Callable[[str], Any]) -> Iterator[HistoryReader]:
    """What ``source: history`` reads.

    :arg option: gives the value of the option with that name.
    :raises OptionError: there is a limit for the age of EM's data, or the store cannot be used.
    :raises HistoryError: it cannot be opened.
    """
    if option("max_data_age"):
        accepted = "With source: history, no data of EM is read, however old it is. Leave the option out; seen_at says when a session was seen."
        raise OptionError("max_data_age", option("max_data_age"), accepted)
    with open_history(option, read_only=True) as store:
        yield HistoryReader(store, option("em_name"), warn)


class HistoryReader:
    """Reads a history as if it were EM.

    :arg em_names: only what was recorded of these EMs; None for all.
    :arg warn: is given a sentence if nothing was recorded of one of them.
    :ivar location: of the store, for sentences.
    """

    def __init__(
        self, store: Store, em_names: Collection[str] | None = None, warn: Callable[[str], Any] | None = None
    ) -> None:
        self._store = store
        self.location = store.location
        self._em_names = [name for name in em_names or () if name.strip()] or None
        unknown = [repr(name) for name in self._em_names or () if warn and not store.has_em(name)]
        if warn and unknown:
            known = some_of(list(map(repr, store.em_names())), MAX_NAMES) or "none"
            warn(
                f"The history has no records of Enterprise Manager {some_of(unknown, MAX_NAMES)} (em_name), so nothing of it is "
                f"returned. Enterprise Managers with looks: {known}. ({store.location})"
            )

    def list_sessions(self, criteria: SessionCriteria) -> SessionResult:
        """The sessions for which all criteria hold, each with ``em_name``, and ``seen_at``: since when the history has it so."""
        records = self._store.sessions(criteria, self._em_names)
        return self._result(criteria, records, self._points_of(records))

    def _result(
        self, criteria: SessionCriteria, records: list[StoredRecord], points: Mapping[str, Sequence[StoredRecord]]
    ) -> SessionResult:
        missing = set(criteria.ids or ()) - {record.body["id"] for record in records}
        if missing:  # or excluded by another criterion
            known = SessionCriteria(criteria.now, ids=tuple(missing))
            missing -= {record.body["id"] for record in self._store.sessions(known, self._em_names)}
        newest = {subject: versions[-1].body for subject, versions in points.items()}
        sessions: list[Any] = [
            {**session_of_body(record.body, record.em_name, newest), **record.origin} for record in records
        ]
        return SessionResult(sessions, [guid for guid in criteria.ids or () if guid in missing])

    def _points_of(self, records: Iterable[StoredRecord]) -> dict[str, list[StoredRecord]]:
        """All records of the restore points of these sessions, by subject, each oldest first."""
        subjects = [
            subject_of(record.em_name, guid) for record in records for guid in point_ids([cast(Session, record.body)])
        ]
        points: dict[str, list[StoredRecord]] = {}
        for point in self._store.records("points", dict.fromkeys(subjects)):
            points.setdefault(point.subject, []).append(point)
        return points

    def points_seen_at(self, criteria: SessionCriteria, sessions: Iterable[Any]) -> str | None:
        """When the restore points of these sessions were seen in the states that :meth:`list_sessions` returns."""
        subjects = dict.fromkeys(point for session in sessions for point in _points(session))
        looks = {em_name: Looks(self._store, em_name) for em_name in self._ems()}
        return _seen_at(self._store.newest("points", subjects), looks, str(format_time(criteria.now)))

    def _ems(self) -> Collection[str]:
        return self._store.em_names() if self._em_names is None else self._em_names

    def plans_named(self, names: Collection[str]) -> list[Any]:
        """As :meth:`PlanReader.plans_named`, of the plans that EM listed at the newest look."""
        keys = ("id", "name", "tenant", "backup_server", "vms")
        plans = (record.body for record in self._store.newest("plan") if self._is_wanted(record))
        return [{key: plan[key] for key in keys} for plan in plans if plan["name"] in names and not plan["deleted"]]

    def read(self, criteria: SessionCriteria) -> dict[str, Any]:
        """All that the history has of the sessions for which the criteria hold: see RETURN of failover_history_info."""
        records = self._store.sessions(criteria, self._em_names)
        points = self._points_of(records)
        result = self._result(criteria, records, points)
        sessions: list[Any] = result.sessions
        subjects = {record.subject: session for record, session in zip(records, sessions)}
        looks = {em_name: Looks(self._store, em_name) for em_name in self._ems()}
        notes = [note for note in self._store.records("note") if self._is_wanted(note)]
        kinds = {note.subject: note.body for note in notes if note.body["type"] == "kind"}
        runs = {record.subject: record for record in self._store.newest("run", subjects)}
        verdicts = {record.subject: record.body for record in self._store.newest("verdict", subjects)}
        again = self._next_runs(criteria, sessions)
        for subject, session in subjects.items():
            run = runs.get(subject)
            undone_at = run.at if run and (run.body.get("undo") or {}).get("done") is True else None
            em_looks = looks.get(session["em_name"])
            seen = em_looks.sightings(session["end_time"]) if em_looks and session["end_time"] else iter(())
            in_failover = any(
                version.body["state"] in FAILED_OVER for point in _points(session) for version in points.get(point, ())
            )
            used_at = None
            if in_failover:
                sightings = list(seen)
                used_at = self._used_again(session, sightings, criteria)
                seen = iter(sightings)
            until = min(filter(None, (again.get(subject), undone_at, used_at)), default=None)
            session.update(run_kind(session, run and run.body, kinds.get(subject), seen, until, in_failover))
            session.update(run=run and run.body, verdict=verdicts.get(subject))
        plans = self._plans(criteria)
        names = {name for plan in plans for name in (plan["id"], plan["name"])} | (criteria.names or set())
        shown = {subject: versions[-1] for subject, versions in points.items()}
        now = str(format_time(criteria.now))
        not_ready = {
            subject_of(look.em_name, guid)
            for those in looks.values()
            if (look := those.newest(those.until(now), with_points=True))
            for guid, state in sighting_of(look).states.items()
            if state != READY
        }
        shown.update((point.subject, point) for point in self._store.newest("points", not_ready - set(shown)))
        listed = [look for those in looks.values() for look in those.listed(criteria)]
        return {
            "failover_sessions": sessions,
            "missing_ids": result.missing_ids,
            "failover_plans": plans,
            "looks": sorted(listed, key=lambda look: look["seen_at"], reverse=True),
            "gaps": [{"em_name": em_name, **gap} for em_name, those in looks.items() for gap in those.gaps(now)],
            "notes": [
                {**note.origin, **note.body}
                for note in notes
                if note.subject in subjects
                or ("plan" in note.body and (criteria.names is None or note.body["plan"] in names))
            ],
            "points": [
                {**record.origin, **record.body}
                for record in sorted(shown.values(), key=lambda record: record.sequence)
            ],
            "points_seen_at": _seen_at(shown.values(), looks, now),
            "head": self._store.head(),
        }

    def _is_wanted(self, record: StoredRecord) -> bool:
        return self._em_names is None or record.em_name in self._em_names

    def _next_runs(self, criteria: SessionCriteria, sessions: list[Any]) -> dict[str, str]:
        """By the subject of a session, when its plan was run again."""
        names = {session["name"] for session in sessions}
        all_runs = SessionCriteria(criteria.now, names=None if None in names else frozenset(names))
        by_em = self._store.session_facts(all_runs, self._em_names) if sessions else {}
        return {
            subject_of(em_name, guid): created
            for em_name, those in by_em.items()
            for guid, created in next_runs(those).items()
        }

    def _used_again(self, session: Any, seen: Iterable[Sighting], criteria: SessionCriteria) -> str | None:
        """When another run, also of another plan, used one of its points before one was seen in failover."""
        points, end = set(point_ids([session])), session["end_time"]
        in_failover = [
            sighting.at
            for sighting in seen
            if end and sighting.at > end and any(sighting.states.get(guid) in FAILED_OVER for guid in points)
        ]
        if not in_failover:
            return None
        between = SessionCriteria(criteria.now, created_after=end, created_before=min(in_failover))
        return min(
            (
                record.body["creation_time"]
                for record in self._store.sessions(between, [session["em_name"]])
                if record.body["id"] != session["id"] and points & set(point_ids([cast(Session, record.body)]))
            ),
            default=None,
        )

    def _plans(self, criteria: SessionCriteria) -> list[dict[str, Any]]:
        """The newest record of each plan, with all its versions, newest first."""
        versions: dict[str, list[StoredRecord]] = {}
        for record in self._store.records("plan"):
            if self._is_wanted(record):
                versions.setdefault(record.subject, []).insert(0, record)
        return [
            {
                **those[0].origin,
                **those[0].body,
                "versions": [{"seen_at": one.at, "digest": one.digest, "vms": one.body["vms"]} for one in those],
            }
            for those in versions.values()
            if (criteria.names is None or those[0].body["name"] in criteria.names)
        ]


def _seen_at(points: Iterable[StoredRecord], looks: Mapping[str, Looks], now: str) -> str | None:
    """When all these points were seen as these records say, of several EMs the earliest; None where no such time is known."""
    of_em: dict[str, list[StoredRecord]] = {}
    for point in points:
        of_em.setdefault(point.em_name, []).append(point)
    times = []
    for em_name in of_em.keys() & looks.keys() or looks:
        look = looks[em_name].newest(looks[em_name].until(now), with_points=True, complete=True)
        known = of_em.get(em_name) or filter(None, [look])
        seen = {look.at if look and look.sequence >= one.sequence else one.at for one in known}
        times.append(seen.pop() if len(seen) == 1 else "")
    return min(times, default="") or None


def _points(session: Any) -> list[str]:
    return [subject_of(session["em_name"], guid) for guid in point_ids([session])]
