# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The facts of a session from what EM sent; nothing here sends a request.

Source of the fields, their values and their quirks: docs/evidence.md, "The cloud failover session".
"""

from __future__ import annotations

from typing import Literal

from .._api import xml
from .facts import SESSIONS_PATH, Progress, Reference, ReplicaPoint, Session, SessionTask, TaskSummary
from .times import format_time, parse_time

ENTITY_TYPE = "CloudFailoverSession"
_Outcome = Literal["success", "warning", "failed", "running", "other"]
_OUTCOMES: dict[str, _Outcome] = {"success": "success", "warning": "warning", "failed": "failed"}


def session_facts(entity: xml.Entity) -> Session:
    """The facts of one session, as RETURN of failover_session_info describes them, from an entity (not a reference)."""
    guid = xml.identity(entity)
    tasks = [_task_facts(task) for task in xml.children(entity, "CloudFailoverTasks")]
    return {
        "id": guid,
        "uid": xml.text(entity, "UID") or f"urn:veeam:{ENTITY_TYPE}:{guid}",
        "name": xml.text(entity, "Name") or xml.text(entity, "CloudFailoverPlanName"),
        "job_type": xml.text(entity, "JobType"),
        **_progress_facts(entity),  # type: ignore[typeddict-item, unused-ignore]  # it has no tasks_kept_at
        "backup_server": backup_server(entity),
        "href": _path(xml.text(entity, "Href")) or f"{SESSIONS_PATH}/{guid}",
        "tasks": tasks,
        "task_summary": _task_summary(tasks),
    }


def backup_server(entity: xml.Entity) -> Reference | None:
    """The server behind the link Up. A type decides, or the path: other objects have a second link Up to their parent."""
    for link in xml.links(entity):
        href = xml.text(link, "Href") or ""
        if link.get("Rel") == "Up" and (
            (xml.text(link, "Type") or "").startswith("BackupServer") or "/backupServers/" in href
        ):
            return {"id": xml.guid(href), "name": xml.text(link, "Name")}
    return None


def _task_facts(task: xml.Entity) -> SessionTask:
    links = xml.objects(task, "VmReplicaPointLink")
    point: ReplicaPoint | None = None
    if links:  # ``PointReader`` reads the rest
        guid, name = xml.guid(xml.text(links[0], "Href")), xml.text(links[0], "Name")
        point = {"id": guid, "name": name, "creation_time": None, "state": None}
    return {"vm_name": xml.text(task, "VmName"), **_progress_facts(task), "replica_point": point}


def _progress_facts(entity: xml.Entity) -> Progress:
    state = xml.text(entity, "State")
    # "None" is EM's word while running. It is also used for a missing result, which tells as little.
    result = xml.text(entity, "Result") or "None"
    finished = state == "Stopped"  # the only word that ends a run; Progress and Result do not (docs/evidence.md)
    start = parse_time(xml.text(entity, "CreationTimeUTC"))
    end = parse_time(xml.text(entity, "EndTimeUTC")) if finished else None
    return {
        "state": state,
        "result": result,
        "progress": xml.whole_number(xml.text(entity, "Progress")),
        "failure_message": xml.text(entity, "FailureMessage"),
        "creation_time": format_time(start),
        "end_time": format_time(end),
        "duration": (end - start).total_seconds() if start and end and end >= start else None,
        "finished": finished,
        "succeeded": result == "Success" if finished else None,
    }


def _task_summary(tasks: list[SessionTask]) -> TaskSummary:
    summary: TaskSummary = {"total": len(tasks), "success": 0, "warning": 0, "failed": 0, "running": 0, "other": 0}
    for task in tasks:
        word = _OUTCOMES.get(task["result"].lower(), "other") if task["finished"] else "running"
        summary[word] += 1
    return summary


def _path(href: str | None) -> str | None:
    """Path of a link without query; the host is EM's own idea. None of what could lead to another host behind a URL."""
    if not href:
        return None
    rest = href.partition("://")[2]
    path = ("/" + rest.partition("/")[2] if rest else href).partition("?")[0]
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else None
