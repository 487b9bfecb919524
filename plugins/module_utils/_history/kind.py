# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a run was a test, a failover or an undo: recorded by who knew it, else inferred from its replica points.

EM does not say it. It is never concluded from names, hours or durations. Source: docs/history.md, "Kind of a run".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypedDict

from .._api.redaction import some_of
from .._failover.facts import FAILED_OVER, READY, Session, same_backup_server, sort_key
from .._failover.times import format_time, parse_time

KIND_OF_ACTION = {"start": "failover", "test": "test", "undo": "undo"}
"""The kind of a run by the action that was requested."""
RUN_KINDS = tuple(KIND_OF_ACTION.values())
"""What a person can note."""

TEST_WINDOW = timedelta(hours=24)
"""A test is inferred only from what was seen within this time after the end of the run."""
MAX_LISTED = 3


class RunKind(TypedDict):
    """What kind of run a session is.

    :ivar kind: ``test``, ``failover``, ``undo`` or ``unknown``.
    :ivar kind_basis: ``recorded``, ``inferred``, or ``none`` where it is unknown.
    :ivar kind_reasons: sentences that say from what.
    """

    kind: str
    kind_basis: str
    kind_reasons: list[str]


@dataclass(frozen=True)
class Sighting:
    """What one look saw of replica points.

    :ivar at: when, by EM's clock.
    :ivar collected_at: when the collection of EM's copy had started, or None if that is unknown.
    :ivar states: EM's word for each point, by the point's id.
    """

    at: str
    collected_at: str | None
    states: Mapping[str, str]


def run_kind(
    session: Session,
    run: Mapping[str, Any] | None,
    note: Mapping[str, Any] | None,
    sightings: Iterable[Sighting],
    until: str | None,
    in_failover: bool,
) -> RunKind:
    """The kind of a run, by the first that is there: our own record, a person's note, the states of its replica points.

    :arg run: what was recorded of our own run: ``action``, and ``session_source`` as failover_plan returns it.
    :arg note: the newest note of type ``kind``: ``kind``, ``by``, ``text``.
    :arg sightings: of any points, at any time, oldest first. No more of them are taken than are needed.
    :arg until: when the plan was run again (see :func:`next_runs`), the run was undone, or another one used its points;
        what was seen from then on proves nothing.
    :arg in_failover: whether one of its points was ever seen in failover.
    """
    if run is not None and run.get("session_source") != "inferred":
        kind = KIND_OF_ACTION[run["action"]]
        reasons = [f"Recorded by the run itself: it requested the action {run['action']}."]
        if note is not None and note["kind"] != kind:
            reasons.append(f"A note by {note['by']} calls it {note['kind']}, which the record of the run contradicts.")
        return RunKind(kind=kind, kind_basis="recorded", kind_reasons=reasons)
    if note is not None:
        reason = f"Noted by {note['by']}: {note['text']}"
        return RunKind(kind=note["kind"], kind_basis="recorded", kind_reasons=[reason])
    return _inferred(session, sightings, until, in_failover)


def next_runs(sessions: Iterable[Session]) -> dict[str, str]:
    """By the id of a session, when its plan was run again: the creation time of the next session of that plan.

    :arg sessions: all sessions of one EM and of these plans.
    """
    found: dict[str, str] = {}
    later: dict[str | None, list[Session]] = {}
    for session in sorted(sessions, key=sort_key, reverse=True):
        namesakes = later.setdefault(session["name"], [])
        # Where EM does not name the server of one, it may be a run of the same plan.
        following = next(
            (other for other in reversed(namesakes) if same_backup_server(other, session) is not False), None
        )
        if following is not None:
            found[session["id"]] = following["creation_time"] or ""
        namesakes.append(session)
    return found


def _inferred(session: Session, sightings: Iterable[Sighting], until: str | None, in_failover: bool) -> RunKind:
    end = parse_time(session["end_time"])
    if end is None:
        return _unknown("The run has not ended." if not session["finished"] else "EM does not say when the run ended.")
    ended_at, window = str(session["end_time"]), format_time(end + TEST_WINDOW) or ""
    points: dict[str, str | None] = {}
    no_points: list[str] = []
    for task in session["tasks"]:
        point = task["replica_point"]
        if point and point["id"]:
            points[point["id"]] = task["vm_name"]
        else:
            no_points.append(str(task["vm_name"]))
    seen = False
    failed_over: list[str] = []
    failed_over_at = "9999"
    at_rest: Sighting | None = None
    for sighting in sightings:
        # Points that are Ready after they were in failover show that it was undone.
        if sighting.at > failed_over_at or (until is not None and sighting.at >= until):
            break
        if not in_failover and (at_rest or sighting.at > window):
            break
        states = {guid: sighting.states[guid] for guid in points if guid in sighting.states}
        # An older copy shows how the points were before the end.
        if min(sighting.at, sighting.collected_at or sighting.at) < ended_at or not states:
            continue
        seen = True
        found = [
            f"the replica point of {points[guid]} was in state {state} at {sighting.at}"
            for guid, state in states.items()
            if state in FAILED_OVER
        ]
        if found:
            failed_over, failed_over_at = found, sighting.at
        is_ready = len(states) == len(points) and set(states.values()) == {READY} and not no_points
        if at_rest is None and is_ready and sighting.collected_at is not None and sighting.at <= window:
            at_rest = sighting
    if failed_over and at_rest:
        return _unknown(
            f"The replica points contradict each other: all were Ready at {at_rest.at}, and {failed_over[0]}, without another run."
        )
    if failed_over:
        reason = f"After the end of the run, before any later run or undo, {some_of(failed_over, MAX_LISTED)}."
        return RunKind(kind="failover", kind_basis="inferred", kind_reasons=[reason])
    if at_rest:
        reason = (
            f"All replica points of its VMs were Ready at {at_rest.at}, within 24 hours after its end, in a copy that EM "
            f"collected at {at_rest.collected_at}, after its end."
        )
        return RunKind(kind="test", kind_basis="inferred", kind_reasons=[reason])
    if not session["tasks"]:
        return _unknown("The VMs of the run are not known.")
    if no_points:
        return _unknown(f"The replica points of these VMs are not known: {some_of(no_points, MAX_LISTED)}.")
    if not seen:
        return _unknown(
            "The states of its replica points were not seen within 24 hours after its end, before the next run or undo."
        )
    return _unknown(
        "Its replica points were not all seen Ready within 24 hours after its end in a copy that EM collected after it, "
        "and none was seen in failover."
    )


def _unknown(reason: str) -> RunKind:
    return RunKind(kind="unknown", kind_basis="none", kind_reasons=[reason])
