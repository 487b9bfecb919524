# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the history: sessions by criteria, with the facts that EM gave, and what else was recorded. No request is sent."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, cast

from .._failover.criteria import SessionCriteria
from .._failover.facts import FAILED_OVER, READY, Session, point_ids
from .._failover.sessions import SessionResult
from .bodies import reaches_back_to, session_of_body, sighting_of
from .kind import Sighting, next_runs, run_kind
from .records import StoredRecord, split_subject, subject_of
from .store import Store

MAX_LOOKS = 100
"""Maximum number of looks that are returned unless a period is asked for: thousands take longer than the sessions."""
LOOK_FACTS = ("user", "url", "source", "created_after", "clock", "collected_at", "complete", "missing")
"""What is returned of a look."""


class HistoryReader:
    """Reads a history as if it were EM.

    :arg em_names: only what was recorded of these EMs; None for all.
    """

    def __init__(self, store: Store, em_names: Collection[str] | None = None) -> None:
        self._store = store
        self._em_names = [name for name in em_names or () if name.strip()] or None

    def list_sessions(self, criteria: SessionCriteria) -> SessionResult:
        """The sessions for which all criteria hold, each with ``em_name``, and ``seen_at``: since when the history has it so."""
        records = self._store.sessions(criteria, self._em_names)
        missing = set(criteria.ids or ()) - {record.body["id"] for record in records}
        if missing:  # or excluded by another criterion
            known = SessionCriteria(criteria.now, ids=tuple(missing))
            missing -= {record.body["id"] for record in self._store.sessions(known, self._em_names)}
        ems = [split_subject(record.subject)[0] for record in records]
        subjects = {
            subject_of(em_name, guid)
            for em_name, record in zip(ems, records)
            for guid in point_ids([cast(Session, record.body)])
        }
        points: dict[str, dict[str, Any]] = {}
        for point in self._store.newest("points", subjects):
            em_name, guid = split_subject(point.subject)
            points.setdefault(em_name, {})[guid] = point.body
        sessions: list[Any] = [
            {**session_of_body(record.body, points.get(em_name, {})), "em_name": em_name, "seen_at": record.at}
            for em_name, record in zip(ems, records)
        ]
        return SessionResult(sessions, [guid for guid in criteria.ids or () if guid in missing])

    def points_seen_at(self) -> str | None:
        """When the states of replica points were read last, of several EMs the earliest; None if they were never read."""
        seen = [
            next((look.at for look in self._store.looks(name) if look.body["points"] is not None), None)
            for name in self._ems()
        ]
        return min(filter(None, seen)) if seen and all(seen) else None

    def _ems(self) -> Collection[str]:
        return self._store.em_names() if self._em_names is None else self._em_names

    def plans_named(self, names: Collection[str]) -> list[Any]:
        """As :meth:`PlanReader.plans_named`, of the plans that EM listed at the newest look."""
        keys = ("id", "name", "tenant", "backup_server", "vms")
        plans = (record.body for record in self._store.newest("plan") if self._is_wanted(record))
        return [{key: plan[key] for key in keys} for plan in plans if plan["name"] in names and not plan["deleted"]]

    def read(self, criteria: SessionCriteria) -> dict[str, Any]:
        """All that the history has of the sessions for which the criteria hold: see RETURN of failover_history_info."""
        result = self.list_sessions(criteria)
        sessions: list[Any] = result.sessions
        subjects = {subject_of(session["em_name"], session["id"]): session for session in sessions}
        looks = _Looks()
        for em_name in self._ems():
            looks.add(em_name, self._store.looks(em_name), criteria)
        notes = [note for note in self._store.records("note") if self._is_wanted(note)]
        kinds = {note.subject: note.body for note in notes if note.body["type"] == "kind"}
        runs = {record.subject: record for record in self._store.newest("run", subjects)}
        verdicts = {record.subject: record.body for record in self._store.newest("verdict", subjects)}
        again = self._next_runs(criteria, sessions)
        for subject, session in subjects.items():
            run = runs.get(subject)
            undone_at = run.at if run and (run.body.get("undo") or {}).get("done") is True else None
            seen = looks.sightings_of(_points_of(session))
            used_at = self._used_again(session, seen, criteria)
            until = min(filter(None, (again.get(subject), undone_at, used_at)), default=None)
            session.update(run_kind(session, run and run.body, kinds.get(subject), seen, until))
            session.update(run=run and run.body, verdict=verdicts.get(subject))
        plans = self._plans(criteria)
        names = {name for plan in plans for name in (plan["id"], plan["name"])} | (criteria.names or set())
        points = {subject for session in sessions for subject in _points_of(session)} | looks.not_ready
        return {
            "failover_sessions": sessions,
            "missing_ids": result.missing_ids,
            "failover_plans": plans,
            "looks": looks.newest(),
            "gaps": looks.gaps,
            "notes": [
                {**_origin(note), **note.body}
                for note in notes
                if note.subject in subjects
                or ("plan" in note.body and (criteria.names is None or note.body["plan"] in names))
            ],
            "points": [{**_origin(record), **record.body} for record in self._store.newest("points", points)],
            "points_seen_at": self.points_seen_at(),
            "head": self._store.head(),
        }

    def _is_wanted(self, record: StoredRecord) -> bool:
        return self._em_names is None or split_subject(record.subject)[0] in self._em_names

    def _next_runs(self, criteria: SessionCriteria, sessions: list[Any]) -> dict[str, str]:
        """By the subject of a session, when its plan was run again."""
        names = {session["name"] for session in sessions}
        all_runs = SessionCriteria(criteria.now, names=None if None in names else frozenset(names))
        by_em: dict[str, list[Any]] = {}
        for record in self._store.sessions(all_runs, self._em_names) if sessions else ():
            by_em.setdefault(split_subject(record.subject)[0], []).append(record.body)
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
                **_origin(those[0]),
                **those[0].body,
                "versions": [{"seen_at": one.at, "digest": one.digest, "vms": one.body["vms"]} for one in those],
            }
            for those in versions.values()
            if (criteria.names is None or those[0].body["name"] in criteria.names)
        ]


class _Looks:
    """What many looks saw.

    :ivar gaps: with the name of the EM, oldest first.
    :ivar not_ready: subjects of the points that were not ready when they were seen last.
    """

    def __init__(self) -> None:
        self.gaps: list[dict[str, Any]] = []
        self.not_ready: set[str] = set()
        self._listed: list[dict[str, Any]] = []
        self._by_point: dict[str, list[Sighting]] = {}

    def add(self, em_name: str, looks: Iterable[StoredRecord], criteria: SessionCriteria) -> None:
        """Add the looks at one EM, newest first."""
        gaps: list[dict[str, Any]] = []
        listed: list[dict[str, Any]] = []
        later: StoredRecord | None = None
        reach = "9999"
        full: list[StoredRecord] = []
        partial: list[StoredRecord] = []
        newest: Sighting | None = None
        for look in looks:
            if later and look.at < reach:
                # Of thousands of looks, those that matter: what one left out, a later one may have seen.
                reach = min(reaches_back_to(one.at, one.body["created_after"]) for one in [*full, *partial])
                if look.at < reach:
                    gaps.insert(0, {"em_name": em_name, "from": look.at, "to": later.at})
            later = look
            if look.body["created_after"]:
                partial.append(look)
            else:
                full = [look]
            if _is_within(look.at, criteria) and (criteria.created_after or len(listed) < MAX_LOOKS):
                listed.append({**_origin(look), **{name: look.body[name] for name in LOOK_FACTS}})
            sighting = sighting_of(look.at, look.body)
            for guid in sighting.states:
                self._by_point.setdefault(subject_of(em_name, guid), []).append(sighting)
            if newest is None and look.body["points"] is not None:
                newest = sighting
        self.gaps += gaps
        self._listed += listed
        if newest is not None:
            self.not_ready |= {subject_of(em_name, guid) for guid, state in newest.states.items() if state != READY}

    def newest(self) -> list[dict[str, Any]]:
        """The looks of all EMs, newest first."""
        return sorted(self._listed, key=lambda look: look["seen_at"], reverse=True)

    def sightings_of(self, points: Iterable[str]) -> list[Sighting]:
        """All that was seen of these points, given by their subjects."""
        return list({id(sighting): sighting for point in points for sighting in self._by_point.get(point, ())}.values())


def _origin(record: StoredRecord) -> dict[str, Any]:
    return {"em_name": split_subject(record.subject)[0], "seen_at": record.at}


def _points_of(session: Any) -> list[str]:
    return [subject_of(session["em_name"], guid) for guid in point_ids([session])]


def _is_within(at: str, criteria: SessionCriteria) -> bool:
    return at >= (criteria.created_after or "") and (criteria.created_before is None or at < criteria.created_before)
