# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Entities as trees: elements, attributes and links of each reply (docs/evidence.md, "Representations")."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .clock import format_time
from .logons import Logon
from .render import Element, Kept, Style, items, text
from .world import SessionView, TaskView

SESSIONS_PATH = "/api/cloud/failoverSessions"
API_VERSIONS = ("v1_5", "v1_6", "v1_7")  # [doc] what versions 12 and 13 offer

_ORDERS = {  # [doc] attribute order has no meaning and varies between the printed replies
    False: (("Type", "Href", "Name", "UID"), ("Rel", "Type", "Href", "Name")),
    True: (("Href", "Type", "Name", "UID"), ("Rel", "Href", "Name", "Type")),
}
_ATTRIBUTES = ("Type", "Href", "Name", "UID", "CloudFailoverPlanName", "VmName")  # raw values that are no elements
_QUERY_ENTITY_CONTAINERS = ("BackupServers", "CloudFailoverPlans", "CloudFailoverSessions", "CloudTenants")


def link(
    style: Style, rel: str, type_name: str | None, path: str, name: str | None = None, tag: str = "Link"
) -> Element:
    """A link; ``path`` begins with ``/api`` and may carry a query."""
    values = {"Rel": rel, "Type": type_name, "Href": style.href_base + path, "Name": name}
    return Element(tag, {key: values[key] for key in _ORDERS[style.query_order][1]})


def links(*children: Element) -> Element:
    """The ``Links`` container; a flat list in JSON."""
    return items("Links", "", list(children))


def _identity(style: Style, type_name: str, path: str, name: str, uid: str) -> dict[str, Any]:
    values = {"Type": type_name, "Href": style.href_base + path, "Name": name, "UID": uid}
    return {key: values[key] for key in _ORDERS[style.query_order][0]}


def session_reference(view: SessionView, style: Style, tag: str = "Ref") -> Element:
    """A cloud failover session as reference: no state, no result (page get_cloudfailoversessions)."""
    session = view.session
    path = f"{SESSIONS_PATH}/{session.id}"
    uid = f"urn:veeam:CloudFailoverSession:{session.id}"
    attributes = _identity(style, "CloudFailoverSessionReference", path, session.name, uid)
    up = _server_link(view, style)
    attributes.update((key, session.raw[key]) for key in ("Name", "UID") if key in session.raw)
    alternate = link(style, "Alternate", "CloudFailoverSession", path + "?format=Entity", session.name)
    return Element(tag, attributes, [links(up, alternate)])


def session_entity(view: SessionView, style: Style) -> Element:
    """A cloud failover session as entity with its tasks (page get_cloudfailoversessions_id)."""
    session = view.session
    path = f"{SESSIONS_PATH}/{session.id}"
    uid = f"urn:veeam:CloudFailoverSession:{session.id}"
    attributes = _identity(style, "CloudFailoverSession", path + "?format=Entity", session.name, uid)
    dropped = view.state == "Stopped" and style.finished_tasks == "drop"
    children = [
        links(_server_link(view, style), link(style, "Alternate", "CloudFailoverSessionReference", path, session.name)),
        text("JobType", session.job_type),
        text("CreationTimeUTC", _time(session.creation_time, style, session.id)),
        text("EndTimeUTC", None if view.end_time is None else _time(view.end_time, style, session.id)),
        text("State", view.state),
        text("Result", view.result),
        text("Progress", view.progress),
        text("FailureMessage", view.failure_message),
        items(
            "CloudFailoverTasks",
            "CloudFailoverTasks",
            [] if dropped else [_task(task, style, session.id) for task in view.tasks],
        ),
    ]
    return _overridden("CloudFailoverSession", attributes, children, session.raw)


def _server_link(view: SessionView, style: Style) -> Element:
    server = view.session.backup_server
    return link(style, "Up", "BackupServerReference", f"/api/backupServers/{server.id}", server.name)


def _task(view: TaskView, style: Style, seed: str) -> Element:
    task = view.task
    point = Element("VmReplicaPointLink", absent=True)
    if task.replica_point is not None:
        path = f"/api/cloud/vmReplicaPoints/{task.replica_point.id}"
        point = link(
            style, "Related", "CloudVmReplicaPointReference", path, task.replica_point.name, tag="VmReplicaPointLink"
        )
    children = [
        point,
        text("CreationTimeUTC", _time(view.creation_time, style, seed)),
        text("EndTimeUTC", None if view.end_time is None else _time(view.end_time, style, seed)),
        text("State", view.state),
        text("Result", view.result),
        text("Progress", view.progress),
        text("FailureMessage", view.failure_message),
    ]
    return _overridden("CloudFailoverTasks", {"VmName": task.vm_name}, children, task.raw)


def _overridden(name: str, attributes: dict[str, Any], children: list[Element], raw: Mapping[str, Any]) -> Element:
    """The element with raw values in the place of its own; unknown ones become elements at the end."""
    if raw:
        elements = {key: text(key, value) for key, value in raw.items() if key not in _ATTRIBUTES}
        attributes.update((key, value) for key, value in raw.items() if key in _ATTRIBUTES)
        children = [elements.pop(child.name, child) for child in children] + list(elements.values())
    return Element(name, attributes, children)


def _time(moment: Any, style: Style, seed: str) -> str:
    if style.version < 13:
        return format_time(moment, digits=3)
    return format_time(moment, extra=str(int(seed[-1], 16) % 10))


def kept(shape: Callable[[SessionView, Style], Element], view: SessionView, style: Style) -> Element | Kept:
    """``shape(view, style)`` as a list item; what can no longer change is rendered once only."""
    if not view.settled:
        return shape(view, style)
    memo = view.session.memo.setdefault(shape.__name__, {})
    return Kept(memo, lambda: shape(view, style))


def reference_list(views: list[SessionView], style: Style) -> Element:
    """A collection without format (page get_cloudfailoversessions)."""
    return items("EntityReferences", "Refs", [kept(session_reference, view, style) for view in views])


def entity_list(views: list[SessionView], style: Style) -> Element:
    """A collection with ``format=Entity``."""
    name = "CloudFailoverSessions"
    return items(name, name, [kept(session_entity, view, style) for view in views])


def query_result(views: list[SessionView], entities: bool, paging: Element, style: Style) -> Element:
    """A page of a query; the members not asked for are null in JSON [seen]."""
    if entities:
        name = "CloudFailoverSessions"
        found = items(name, name, [kept(session_entity, view, style) for view in views])
        members = [found if c == name else Element(c, absent=True) for c in _QUERY_ENTITY_CONTAINERS]
        content = [Element("Refs", absent=True), Element("Entities", children=members)]
    else:
        references = [kept(session_reference, view, style) for view in views]
        content = [items("Refs", "Refs", references), Element("Entities", absent=True)]
    return Element("QueryResult", children=[*content, Element("Resources", absent=True), paging])


def paging_info(style: Style, number: int, size: int, count: int, pages: dict[str, str]) -> Element:
    """``PagingInfo`` with the links by Rel (docs/evidence.md, "Query service")."""
    found = [link(style, rel, None, path) for rel, path in pages.items()]
    numbers = {"PageNum": number, "PageSize": size, "PagesCount": count}
    if not style.query_order:
        numbers = dict(reversed(numbers.items()))
    return Element("PagingInfo", numbers, [links(*found)])


def enterprise_manager(style: Style) -> Element:
    """The root resource, readable without a token (page get_api)."""
    logon = "/api/sessionMngr/?v="
    versions = [
        Element("SupportedVersion", {"Name": v}, [links(link(style, "Create", "LogonSession", logon + v))])
        for v in API_VERSIONS
    ]
    entries = links(
        link(style, "Down", "LogonSessionList", "/api/logonSessions"),
        link(style, "Create", "LogonSession", logon + "latest"),
    )
    nothing: dict[str, Any] = {"Href": None, "Type": None}
    return Element("EnterpriseManager", nothing, [entries, items("SupportedVersions", "SupportedVersions", versions)])


def logon_session(logon: Logon, style: Style) -> Element:
    """A logon (page post_sessionmngr)."""
    path = f"/api/logonSessions/{logon.session_id}"
    return Element(
        "LogonSession",
        {"Type": "LogonSession", "Href": style.href_base + path},
        [
            links(
                link(style, "Delete", "LogonSession", path),
                link(style, "Down", "CloudConnectService", "/api/cloud"),
            ),
            text("UserName", logon.user.name),
            text("SessionId", logon.session_id),
        ],
    )


def logon_list(logons: list[Logon], style: Style) -> Element:
    """All logons (page get_logonsessions)."""
    return items("LogonSessions", "LogonSessions", [logon_session(logon, style) for logon in logons])


def cloud_service(style: Style) -> Element:
    """The entry to Cloud Connect resources (page get_cloud); only what this emulator has."""
    return Element(
        "CloudConnectService",
        {"Type": "CloudConnectService", "Href": style.href_base + "/api/cloud"},
        [
            links(
                link(style, "Down", "CloudFailoverSessionReferenceList", SESSIONS_PATH),
                link(style, "Down", "CloudFailoverSessionList", SESSIONS_PATH + "?format=Entity"),
            )
        ],
    )
