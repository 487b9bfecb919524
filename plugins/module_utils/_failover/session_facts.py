# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The facts of a session from what EM sent; nothing here sends a request.

Source of the fields, their values and their quirks: docs/evidence.md, "The cloud failover session".
"""

from __future__ import annotations

from typing import cast

from .._api import xml
from .facts import SESSIONS_PATH, Progress, Reference, ReplicaPoint, Session, SessionTask, TaskSummary
from .times import parse_and_format_time

ENTITY_TYPE = "CloudFailoverSession"


def session_facts(entity: xml.Entity) -> Session:
    """The facts of one session, as RETURN of failover_session_info describes them, from an entity (not a reference).

    :raises ValueError: the entity has no id.
    """
    guid = session_guid(entity)
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


def session_guid(item: xml.Entity) -> str:
    """The id of a session, from its entity or a reference to it.

    :raises ValueError: it has none.
    """
    guid = xml.guid(xml.text(item, "UID")) or xml.guid(xml.text(item, "Href"))
    if guid is None:
        raise ValueError("a session has neither a UID nor an Href with a GUID")
    return guid


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
    point = _replica_point(links[0]) if links else None
    return {"vm_name": xml.text(task, "VmName"), **_progress_facts(task), "replica_point": point}


def _replica_point(link: xml.Entity) -> ReplicaPoint:
    """What a session says of a replica point; ``PointReader`` reads the rest."""
    return {
        "id": xml.guid(xml.text(link, "Href")),
        "name": xml.text(link, "Name"),
        "creation_time": None,
        "state": None,
    }


def _progress_facts(entity: xml.Entity) -> Progress:
    state = xml.text(entity, "State")
    # "None" is EM's word while running. It is also used for a missing result, which tells as little.
    result = xml.text(entity, "Result") or "None"
    finished = state == "Stopped"  # the only word that ends a run; Progress and Result do not (docs/evidence.md)
    start, creation_time = parse_and_format_time(xml.text(entity, "CreationTimeUTC"))
    end, end_time = parse_and_format_time(xml.text(entity, "EndTimeUTC")) if finished else (None, None)
    return {
        "state": state,
        "result": result,
        "progress": xml.whole_number(xml.text(entity, "Progress")),
        "failure_message": xml.text(entity, "FailureMessage"),
        "creation_time": creation_time,
        "end_time": end_time,
        "duration": (end - start).total_seconds() if start and end and end >= start else None,
        "finished": finished,
        "succeeded": result == "Success" if finished else None,
    }


def _task_summary(tasks: list[SessionTask]) -> TaskSummary:
    outcomes = [_outcome(task) for task in tasks]
    counts = {word: outcomes.count(word) for word in ("success", "warning", "failed", "running", "other")}
    return cast(TaskSummary, {"total": len(tasks), **counts})


def _outcome(task: SessionTask) -> str:
    if not task["finished"]:
        return "running"
    word = task["result"].lower()
    return word if word in ("success", "warning", "failed") else "other"


def _path(href: str | None) -> str | None:
    """Path of a link without query; the host is EM's own idea. None of what could lead to another host behind a URL."""
    if not href:
        return None
    rest = href.partition("://")[2]
    path = ("/" + rest.partition("/")[2] if rest else href).partition("?")[0]
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else None
