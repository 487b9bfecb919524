# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The facts that this collection is about, as types, and what follows from facts alone.

All times are texts in UTC with six digits and ``Z``, durations are seconds, and None is "not known". RETURN of
failover_session_info and failover_plan_info describes each field.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypedDict

STATES = ("Starting", "Working", "Stopping", "Stopped")
RESULTS = ("None", "Success", "Warning", "Failed")
READY = "Ready"
"""State of a replica point whose VM is at rest."""
IN_FAILOVER = "Failover"
FAILED_OVER = (IN_FAILOVER, "Failback", "PermanentFailover")
"""States of a replica point whose VM is not at rest. No other word says anything."""
SESSIONS_PATH = "/api/cloud/failoverSessions"
"""What the path of a session starts with."""
SESSION_SOURCES = ("task", "inferred")
"""How it is known that a session is that of a run, in the words of the module failover_plan."""


class Reference(TypedDict):
    """A backup server or tenant, by what EM's link to it says."""

    id: str | None
    name: str | None


class ReplicaPoint(TypedDict):
    """The restore point that a VM used. Time and state are None where the point was not read, or EM no longer has it."""

    id: str | None
    name: str | None
    creation_time: str | None
    state: str | None


class PointFacts(ReplicaPoint):
    """All that EM says of a replica point. It has no link to a plan."""

    vm_name: str | None
    backup_server: Reference | None


class Progress(TypedDict):
    """What a session and the task of one VM have in common."""

    state: str | None
    result: str
    progress: int | None
    failure_message: str | None
    creation_time: str | None
    end_time: str | None
    duration: float | None
    finished: bool
    succeeded: bool | None


class SessionTask(Progress):
    """One VM of a session."""

    vm_name: str | None
    replica_point: ReplicaPoint | None


class TaskSummary(TypedDict):
    """Number of VMs by outcome."""

    total: int
    success: int
    warning: int
    failed: int
    running: int
    other: int


class _Kept(TypedDict, total=False):
    tasks_kept_at: str | None


class Session(Progress, _Kept):
    """A cloud failover session. ``tasks_kept_at`` is there after a wait, see :func:`merge_tasks`."""

    id: str
    uid: str
    name: str | None
    job_type: str | None
    backup_server: Reference | None
    href: str
    tasks: list[SessionTask]
    task_summary: TaskSummary


@dataclass
class SessionResult:
    """What a reading of sessions found, from EM or from a history.

    :ivar sessions: facts, sorted and cut as the criteria say.
    :ivar missing_ids: GUIDs that were requested and that EM does not know.
    :ivar filter: the filter that EM accepted, or None. Those of several queries for ids are joined by "," (OR).
    :ivar from_collection: whether EM refused or forbade to query sessions, so that its list was read, which covers 30 days.
    """

    sessions: list[Session] = field(default_factory=list)
    missing_ids: list[str] = field(default_factory=list)
    filter: str | None = None
    from_collection: bool = False


class Command(TypedDict):
    """A command that EM runs before or after a failover."""

    enabled: bool | None
    command: str | None


class PlanVm(TypedDict):
    """A VM of a plan, and its place in the order of starts, from 0."""

    id: str | None
    name: str | None
    order: int | None


class Plan(TypedDict):
    """A cloud failover plan."""

    id: str
    uid: str
    name: str | None
    description: str | None
    tenant: Reference | None
    backup_server: Reference | None
    pre_command: Command
    post_command: Command
    vms: list[PlanVm]
    actions: list[str]


class TaskFacts(TypedDict):
    """EM's own task for an action, each None where it is not known."""

    state: str | None
    success: bool | None
    message: str | None


def same_backup_server(one: Any, other: Any) -> bool | None:
    """Whether two objects (sessions, plans, points) are of the same backup server, or None where EM does not say enough.

    The id decides if both have one, else the name. EM links a session to its plan by nothing but name and server.
    """
    first, second = one["backup_server"] or {}, other["backup_server"] or {}
    for key in ("id", "name"):
        values = first.get(key), second.get(key)
        if all(values):
            return str(values[0]).casefold() == str(values[1]).casefold()
    return None


def last_time(session: Session) -> str:
    """The last time at which something is known to have happened to a session: its end or else its creation."""
    return max(session["creation_time"] or "", session["end_time"] or "")


def sort_key(session: Session) -> tuple[str, str]:
    """What sessions are sorted by: the creation time, and the id where two have the same."""
    return (session["creation_time"] or "", session["id"])


def newest_per_plan(sessions: Iterable[Session]) -> list[Session]:
    """The newest session of each plan. A session is linked to its plan by nothing but name and backup server."""
    newest: dict[str | None, list[Session]] = {}
    for session in sessions:
        namesakes = newest.setdefault(session["name"], [])
        for place, other in enumerate(namesakes):
            # Where EM names no server for either, both are taken to be of one.
            if same_backup_server(session, other) or session["backup_server"] == other["backup_server"]:
                namesakes[place] = max(session, other, key=sort_key)
                break
        else:
            namesakes.append(session)
    return [session for namesakes in newest.values() for session in namesakes]


def point_ids(sessions: Iterable[Session]) -> list[str]:
    """The ids of the replica points that the VMs of sessions used, each once."""
    points = (task["replica_point"] for session in sessions for task in session["tasks"])
    return list(dict.fromkeys(guid for point in points if point and (guid := point["id"])))


def may_change(session: Session) -> bool:
    """Whether a session is worth reading again: it runs, or it has ended without a result, which may follow (assumed)."""
    return not session["finished"] or session["result"] == "None"


def merge_tasks(session: Session, before: Session | None, seen_at: str | None) -> Session:
    """The facts of a session, with the VMs that it had before if EM no longer lists any, as it may at the end of a run.

    ``tasks_kept_at`` says when EM listed such VMs for the last time; it is None where EM lists VMs itself.

    :arg session: from a reading, or from a wait that has kept VMs itself.
    :arg before: facts of the same session from an earlier reading.
    :arg seen_at: when that was.
    """
    merged = session.copy()
    if session["tasks"] or before is None or not before["tasks"]:
        merged["tasks_kept_at"] = session.get("tasks_kept_at")
    else:
        merged["tasks"], merged["task_summary"] = before["tasks"], before["task_summary"]
        merged["tasks_kept_at"] = before.get("tasks_kept_at") or seen_at
    return merged


def vms_done(session: Session) -> str:
    """How many VMs are done, in words for a sentence; nothing where EM lists none."""
    summary = session["task_summary"]
    done = summary["total"] - summary["running"]
    return f" with {done} of {summary['total']} VMs done" if summary["total"] else ""
