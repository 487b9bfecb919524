# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a history has of each plan: its sessions, and the looks, gaps, notes and points that matter for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from .._api.errors import OptionError
from .._api.options import check_text
from .._failover.facts import READY, Session, newest_per_plan, point_ids, same_backup_server

Item = Mapping[str, Any]
_ANY = (object,)
_TEXT = (str, type(None))
_TIME = (str,)
_OBJECT = (dict, type(None), Mapping)
_NUMBER = (float, int, type(None))
_LIST = (list, type(None), tuple)
_ITEMS = (list, Sequence)
_ACCEPTED = {
    _TIME: "Give a time",
    _OBJECT: "Give a dictionary or null",
    _NUMBER: "Give a number or null",
    _LIST: "Give a list or null",
    _ITEMS: "Give a list",
}
_FACTS: dict[str, dict[str, tuple[type, ...]]] = {
    "failover_sessions": {
        "id": _TEXT,
        "name": _TEXT,
        "backup_server": _OBJECT,
        "finished": _ANY,
        "result": _TEXT,
        "duration": _NUMBER,
        "creation_time": _TEXT,
        "end_time": _TEXT,
        "tasks": _ITEMS,
        "run?": _OBJECT,
    },
    "failover_plans": {"id": _TEXT, "name": _TEXT, "backup_server": _OBJECT, "vms": _ANY, "tenant?": _OBJECT},
    "looks": {"seen_at": _TIME, "collected_at?": _TEXT, "missing?": _LIST},
    "gaps": {"from": _TIME, "to": _TIME},
    "notes": {"type": _TEXT, "session_id?": _TEXT, "plan?": _TEXT, "seen_at?": _TEXT, "until?": _TEXT, "due?": _TEXT},
    "points": {"id": _TEXT, "vm_name": _TEXT, "backup_server": _OBJECT, "state": _TEXT},
    # Of the VMs of runs there are so many that each check is felt.
    "tasks": {"vm_name": _ANY, "finished": _ANY, "result": _ANY, "replica_point": _OBJECT},
    "vms": {"name": _TEXT, "order": _NUMBER},
    "versions": {"seen_at": _TIME, "vms": _ANY},
}
"""The lists, and what their items need to have, and of which types; what has a question mark may be missing."""
_NEEDED = {name: {fact for fact in facts if fact[-1] != "?"} for name, facts in _FACTS.items()}
_TYPED = {
    name: [(fact.rstrip("?"), types) for fact, types in facts.items() if types != _ANY]
    for name, facts in _FACTS.items()
}


class PlanEvidence(NamedTuple):
    """What there is of one plan.

    :ivar look: the newest look at its EM.
    :ivar gaps: those of its EM.
    :ivar notes: on it and its sessions, in the order of the history, which is that of recording.
    :ivar points: of its VMs, those that are not at rest.
    """

    plan: Item
    sessions: Sequence[Item]
    look: Item | None
    gaps: Sequence[Item]
    notes: Sequence[Item]
    points: Sequence[Item]


class Evidence:
    """A history by what it is about. Where it does not name EMs, all is of one.

    :arg history: see RETURN of failover_history_info.
    :arg until: a later look was made while EM's clock was ahead. It does not count, nor does the gap until then.
    :raises OptionError: it is something else.
    """

    def __init__(self, history: Any, until: str) -> None:
        if not isinstance(history, Mapping) or not {"failover_sessions", "failover_plans"} <= set(history):
            accepted = "Give what failover_history_info returns, which has failover_sessions and failover_plans."
            raise OptionError("history", history, accepted)
        lists = {name: _items(history, name, "history") for name in list(_FACTS)[:6]}
        for place, session in enumerate(lists["failover_sessions"]):
            _items(session, "tasks", "history[failover_sessions]", place)
        for place, plan in enumerate(lists["failover_plans"]):
            for version in (plan, *_items(plan, "versions", "history[failover_plans]", place)):
                _items(version, "vms", "history[failover_plans]", place)
        self._sessions = lists["failover_sessions"]
        self._plans = [plan for plan in lists["failover_plans"] if not plan.get("deleted")]
        self._read_ems = {plan.get("em_name") for plan in lists["failover_plans"]}
        self._looks: dict[Any, Item] = {}
        for look in sorted(lists["looks"], key=lambda look: look["seen_at"]):
            if look["seen_at"] <= until:
                self._looks[look.get("em_name")] = look
        self._gaps = _grouped(gap for gap in lists["gaps"] if gap["to"] <= until)
        self._places = {id(note): place for place, note in enumerate(lists["notes"])}
        self._notes = _grouped(lists["notes"], "session_id", "plan")
        self._points = [point for point in lists["points"] if point["state"] not in (READY, None)]
        ids = {point["id"] for point in self._points}
        self._used = ids & set(point_ids(cast(Sequence[Session], self._sessions))) if ids else set()

    def latest(self) -> str:
        """The latest time at which something is known to have happened to a session, as text."""
        return max((session["end_time"] or session["creation_time"] or "" for session in self._sessions), default="")

    def by_plan(self) -> Iterator[PlanEvidence]:
        """What there is of each plan. A session is linked to its plan by nothing but EM, name and backup server."""
        sessions = _grouped(self._sessions, "name")
        plans = _grouped([*self._plans, *self._unread_plans()], "name")
        for key, namesakes in plans.items():
            fitting = [
                (session, [plan for plan in namesakes if same_backup_server(session, plan) is not False])
                for session in sessions.get(key, ())
            ]
            for plan in namesakes:
                # A session that may be of several plans proves nothing for any of them.
                own = [
                    session if len(those) == 1 else {**session, "kind": "unknown", "of_several": True}
                    for session, those in fitting
                    if plan in those
                ]
                yield self._of_plan(plan, own)

    def _of_plan(self, plan: Item, sessions: Sequence[Item]) -> PlanEvidence:
        em_name = plan.get("em_name")
        subjects = dict.fromkeys((plan["id"], plan["name"], *(session["id"] for session in sessions)))
        notes = [note for subject in subjects for note in self._notes.get((em_name, subject), ())]
        notes.sort(key=lambda note: self._places[id(note)])
        return PlanEvidence(
            plan,
            sessions,
            self._looks.get(em_name),
            self._gaps.get((em_name, None), ()),
            notes,
            self._points_of_plan(plan, sessions) if self._points else (),
        )

    def _points_of_plan(self, plan: Item, sessions: Sequence[Item]) -> list[Item]:
        """The points that its runs used, and those of its VMs that no run used: such a VM was failed over alone."""
        used = set(point_ids(cast(Sequence[Session], sessions))) if self._used else set()
        names = {vm["name"] for vm in plan["vms"] or ()}
        return [
            point
            for point in self._points
            if point.get("em_name") == plan.get("em_name")
            and (
                point["id"] in used
                if point["id"] in self._used
                else point["vm_name"] in names and same_backup_server(point, plan) is not False
            )
        ]

    def _unread_plans(self) -> list[Item]:
        """Plans made up from the sessions of each EM of which no plan was ever read."""
        unknown = [session for session in self._sessions if session.get("em_name") not in self._read_ems]
        made_up = {"id": None, "vms": None}
        return [
            {**made_up, "em_name": em_name, "name": session["name"], "backup_server": session["backup_server"]}
            for (em_name, dummy), those in _grouped(unknown).items()
            for session in newest_per_plan(cast(list[Session], those))
        ]


def _grouped(items: Iterable[Item], *names: str) -> dict[tuple[Any, Any], list[Item]]:
    """The items by EM and the first of these facts that they have, None where there are none."""
    groups: dict[tuple[Any, Any], list[Item]] = {}
    for item in items:
        fact = next((item[name] for name in names if item.get(name)), None)
        groups.setdefault((item.get("em_name"), fact), []).append(item)
    return groups


def _items(parent: Item, name: str, path: str, place: int | None = None) -> list[Item]:
    """The items of a list, checked; none if it is null or not there."""
    items, where = parent.get(name) or [], f"{path}[{place}][{name}]" if place is not None else f"{path}[{name}]"
    if not isinstance(items, Sequence) or isinstance(items, str):
        raise OptionError(where, items, "Give the list that failover_history_info returns.")
    needed, typed = _NEEDED[name], _TYPED[name]
    for number, item in enumerate(items):
        if not isinstance(item, (dict, Mapping)) or not needed <= item.keys():
            names = ", ".join(fact for fact in _FACTS[name] if fact in needed)
            accepted = f"It needs {names}, as failover_history_info returns it."
            raise OptionError(f"{where}[{number}]", item, accepted)
        for fact, types in typed:
            value = item.get(fact)
            if not isinstance(value, types):
                if types == _TEXT:
                    check_text(f"{where}[{number}][{fact}]", value)
                accepted = f"{_ACCEPTED[types]}, as failover_history_info returns it."
                raise OptionError(f"{where}[{number}][{fact}]", value, accepted)
    return list(items)
