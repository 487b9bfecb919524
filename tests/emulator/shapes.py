# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Entities as trees: elements, attributes and links of each reply (docs/evidence.md, "Representations")."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from .behaviour import Behaviour
from .clock import format_time
from .collecting import SystemSession
from .em_tasks import EmTask
from .logons import Logon
from .points import Point
from .render import Element, Kept, Style, items, text
from .world import PLAN_ACTIONS, BackupServer, Plan, PlanVm, SessionView, TaskView

SESSIONS_PATH = "/api/cloud/failoverSessions"
PLANS_PATH = "/api/cloud/cloudFailoverPlans"
POINTS_PATH = "/api/cloud/vmReplicaPoints"
TASKS_PATH = "/api/tasks"
SERVERS_PATH = "/api/backupServers"
SYSTEM_SESSIONS_PATH = "/api/systemSessions"
LOGONS_PATH = "/api/logonSessions"
API_VERSIONS = ("v1_5", "v1_6", "v1_7")  # [doc] what versions 12 and 13 offer

_ORDERS = {  # [doc] attribute order has no meaning and varies between the printed replies
    False: (("Type", "Href", "Name", "UID"), ("Rel", "Type", "Href", "Name")),
    True: (("Href", "Type", "Name", "UID"), ("Rel", "Href", "Name", "Type")),
}
_ATTRIBUTES = ("Type", "Href", "Name", "UID", "CloudFailoverPlanName", "VmName")  # raw values that are no elements
_QUERY_ENTITY_CONTAINERS = (
    "BackupServers",
    "CloudFailoverPlans",
    "CloudFailoverSessions",
    "CloudTenants",
    "CloudVmReplicaPoints",
)


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
    up = _server_link(session.backup_server, style)
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
        links(
            _server_link(session.backup_server, style),
            link(style, "Alternate", "CloudFailoverSessionReference", path, session.name),
        ),
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


def _server_link(server: BackupServer, style: Style) -> Element:
    return link(style, "Up", "BackupServerReference", f"{SERVERS_PATH}/{server.id}", server.name)


def server_reference(server: BackupServer, style: Style, tag: str = "Ref") -> Element:
    """A backup server as reference (pages get_backupservers, get_backupservers_id)."""
    path, uid = f"{SERVERS_PATH}/{server.id}", f"urn:veeam:BackupServer:{server.id}"
    alternate = link(style, "Alternate", "BackupServer", path + "?format=Entity", server.name)
    return Element(tag, _identity(style, "BackupServerReference", path, server.name, uid), [links(alternate)])


def server_entity(server: BackupServer, style: Style) -> Element:
    """A backup server as entity (page get_backupservers_id)."""
    path, uid = f"{SERVERS_PATH}/{server.id}", f"urn:veeam:BackupServer:{server.id}"
    children = [
        links(
            link(style, "Alternate", "BackupServerReference", path, server.name),
            link(style, "Start", None, path + "?action=collect"),
        ),
        text("Description", "Created by the emulator"),
        text("Port", 9392),
        text("Version", f"{style.version}.0.0.1420"),
    ]
    return Element(
        "BackupServer", _identity(style, "BackupServer", path + "?format=Entity", server.name, uid), children
    )


def system_session(found: SystemSession, now: datetime, style: Style, tag: str = "Sessions") -> Element:
    """A run of one of EM's own jobs as entity (pages get_systemsessions, get_systemsessions_id)."""
    path, uid = f"{SYSTEM_SESSIONS_PATH}/{found.id}", f"urn:veeam:SystemSession:{found.id}"
    state = found.state_at(now)
    # [assumed] A job that goes on has no result.
    word = None if state == "InProgress" else state
    if word and style.system_result == "as table":
        word = {"CompletedSuccessfully": "Success", "CompletedWarning": "Warning"}.get(word, word)
    ended = state != "InProgress" and found.end_time is not None
    children = [
        links(
            # [doc] The type is a slip.
            link(style, "Alternate", "BackupJobSessionReference", path, found.name),
            link(style, "Down", "EventReferenceList", path + "/events"),
        ),
        text("SessionType", found.session_type),
        text("CreationTimeUTC", _time(found.creation_time, style, found.id)),
        text("EndTimeUTC", _time(found.end_time, style, found.id) if ended else None),
        text("State", state),
        Element(
            "Result",
            children=[text("Result", word), text("Message", found.message_at(now)), text("IsCanceled", False)],
        ),
    ]
    attributes = _identity(style, "SystemSession", path + "?format=Entity", found.name, uid)
    return _overridden(tag, attributes, children, found.raw)


def system_session_reference(found: SystemSession, style: Style) -> Element:
    """The same as reference; ``/systemSessions/{ID}`` gives it without a format."""
    path, uid = f"{SYSTEM_SESSIONS_PATH}/{found.id}", f"urn:veeam:SystemSession:{found.id}"
    alternate = link(style, "Alternate", "SystemSession", path + "?format=Entity", found.name)
    return Element("EntityRef", _identity(style, "SystemSessionReference", path, found.name, uid), [links(alternate)])


def system_session_list(found: Sequence[SystemSession], now: datetime, style: Style) -> Element:
    """The system sessions, always as entities [doc] (page get_systemsessions)."""
    return items("SystemSessions", "Sessions", [system_session(one, now, style) for one in found])


def _task(view: TaskView, style: Style, seed: str) -> Element:
    task = view.task
    point = Element("VmReplicaPointLink", absent=True)
    if task.replica_point is not None:
        path = f"{POINTS_PATH}/{task.replica_point.id}"
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


def plan_reference(plan: Plan, style: Style, tag: str = "Ref") -> Element:
    """A cloud failover plan as reference (pages get_cloudfailoverplans, get_cloudfailoverplans_id)."""
    path, tenant = f"{PLANS_PATH}/{plan.id}", plan.tenant
    identity = ("CloudFailoverPlanReference", path, plan.name, f"urn:veeam:CloudFailoverPlan:{plan.id}")
    if style.plan_references == "as printed":  # [doc] the samples were copied from other pages
        href = f"/api/managedServers/{plan.id}"
        identity = ("FailoverPlanReference", href, plan.name, f"urn:veeam:FailoverPlan:{plan.id}")
    attributes = _identity(style, *identity)
    attributes.update((key, plan.raw[key]) for key in ("Name", "UID") if key in plan.raw)
    found = links(
        _server_link(plan.backup_server, style),
        link(style, "Alternate", "CloudFailoverPlan", path + "?format=Entity", plan.name),
        link(style, "Related", "CloudTenant", f"/api/cloud/tenants/{tenant.id}?format=Entity", tenant.name),
    )
    return Element(tag, attributes, [found])


def plan_entity(plan: Plan, style: Style) -> Element:
    """A cloud failover plan as entity on its own page (page cloudfailoverplans_id)."""
    return _plan(plan, style, "CloudFailoverPlanVm")


def listed_plan_entity(plan: Plan, style: Style) -> Element:
    """A cloud failover plan as entity in a list: the VMs have another name (page get_query_cloudfailoverplan)."""
    return _plan(plan, style, None if style.plan_vms == "left out" else "CloudFailoveredVm")


def _plan(plan: Plan, style: Style, vm_tag: str | None) -> Element:
    path = f"{PLANS_PATH}/{plan.id}"
    uid = f"urn:veeam:CloudFailoverPlan:{plan.id}"
    reference = "CloudFailoverPlanReference"
    includes = Element("CloudFailoverPlanInfo", absent=True)
    if vm_tag is not None:
        vms = items("Includes", f"{vm_tag}s", [_plan_vm(plan, vm, style, vm_tag) for vm in plan.vms])
        includes = Element("CloudFailoverPlanInfo", children=[vms])
    children = [
        links(
            _server_link(plan.backup_server, style),
            link(style, "Alternate", reference, path, plan.name),
            link(style, "Edit", reference, path, plan.name),
            *(
                link(style, action.capitalize(), None, f"{path}?action={action}")
                for action in PLAN_ACTIONS
                if action in plan.actions
            ),
            link(style, "Delete", reference, path, plan.name),
        ),
        text("TenantUid", f"urn:veeam:CloudTenant:{plan.tenant.id}"),
        text("TenantName", plan.tenant.name),
        text("Description", plan.description),
        Element(
            "CloudFailoverPlanOptions",
            children=[
                text("PostFailoverPlanCommandEnabled", plan.post_command is not None),
                text("PostFailoverPlanCommand", plan.post_command or ""),
                text("PreFailoverPlanCommandEnabled", plan.pre_command is not None),
                text("PreFailoverPlanCommand", plan.pre_command or ""),
            ],
        ),
        includes,
    ]
    attributes = _identity(style, "CloudFailoverPlan", path + "?format=Entity", plan.name, uid)
    return _overridden("CloudFailoverPlan", attributes, children, plan.raw)


def _plan_vm(plan: Plan, vm: PlanVm, style: Style, tag: str) -> Element:
    href = f"{style.href_base}{PLANS_PATH}/{plan.id}/includes/{vm.id}"
    children = [text("FailoverPlanVMId", vm.id), text("Name", vm.name), text("Order", vm.order)]
    return Element(tag, {"Type": "CloudFailoveredVm", "Href": href}, children)


def plan_includes(plan: Plan, style: Style) -> Element:
    """The VMs of a plan (page cloudfailoverplans_id_includes)."""
    name = "CloudFailoveredVms"
    return items(name, name, [_plan_vm(plan, vm, style, "CloudFailoveredVm") for vm in plan.vms])


def task(found: EmTask, now: datetime, behaviour: Behaviour, style: Style) -> Element:
    """A task of Enterprise Manager (page get_tasks_id). It has a link to its session only in the end."""
    state = found.state(now, behaviour.operation_finished)
    true_word = behaviour.true_word
    path = f"{TASKS_PATH}/{found.id}"
    own = [link(style, "Delete", "Task", path)]
    if state == "Finished" and found.session_id is not None and now >= found.linked_from:
        session = f"{SESSIONS_PATH}/{found.session_id}?format=Entity"
        own.append(link(style, "Related", "CloudFailoverSession", session, found.session_name))
    result = Element("Result", absent=True)
    if state == "Finished" or (state == "OperationFinished" and behaviour.early_result):
        word = {"true": ("true", "false"), "True": ("True", "False"), "1": ("1", "0")}[true_word][not found.success]
        success = found.success if style.json and true_word == "true" else word
        message = found.message if state == "Finished" else state  # [doc]
        result = Element("Result", {"Success": success}, [text("Message", message)])
    children = [
        links(*own),
        text("TaskId", found.id),
        text("State", state),
        text("Operation", found.operation),
        result,
    ]
    return Element("Task", {"Type": "Task", "Href": style.href_base + path}, children)


def task_list(tasks: Sequence[Element]) -> Element:
    """The tasks of a logon (page get_tasks)."""
    return items("Tasks", "Tasks", tasks)


def point_reference(point: Point, style: Style, tag: str = "Ref") -> Element:
    """A restore point of a replica as reference (page get_cloud_vmreplicapoints)."""
    path = f"{POINTS_PATH}/{point.id}"
    uid = f"urn:veeam:CloudVmReplicaPoint:{point.id}"
    attributes = _identity(style, "CloudVmReplicaPointReference", path, point.name, uid)
    alternate = link(style, "Alternate", "CloudVmReplicaPoint", path + "?format=Entity", point.name)
    return Element(tag, attributes, [links(*_point_ups(point, style), alternate)])


def point_entity(point: Point, style: Style, tag: str = "CloudVmReplicaPoint") -> Element:
    """A restore point of a replica as entity (page get_cloud_vmreplicapoints_id)."""
    path = f"{POINTS_PATH}/{point.id}"
    uid = f"urn:veeam:CloudVmReplicaPoint:{point.id}"
    attributes = _identity(style, "CloudVmReplicaPoint", path + "?format=Entity", point.name, uid)
    attributes["VmDisplayName"] = point.vm_name
    children = [
        links(*_point_ups(point, style), link(style, "Alternate", "CloudVmReplicaPointReference", path, point.name)),
        text("CreationTimeUTC", _time(point.creation_time, style, point.id) if style.point_times == "served" else None),
        text("PointType", "Snapshot"),
        text("State", point.state),
    ]
    return Element(tag, attributes, children)


def listed_point_entity(point: Point, style: Style) -> Element:
    """A restore point in a list of entities, where its element has another name [doc]."""
    return point_entity(point, style, "CloudReplica")


def _point_ups(point: Point, style: Style) -> tuple[Element, Element]:
    """Both links with Rel="Up" [doc]."""
    replica = f"/api/cloud/replicas/{point.replica_id}"
    return (
        _server_link(point.backup_server, style),
        link(style, "Up", "CloudReplicaReference", replica, point.vm_name),
    )


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


# How the items of a list look, by type: as reference and as entity.
_LISTED: dict[str, tuple[Callable[[Any, Style], Element], Callable[[Any, Style], Element]]] = {
    "CloudFailoverSession": (session_reference, session_entity),
    "CloudFailoverPlan": (plan_reference, listed_plan_entity),
    "CloudVmReplicaPoint": (point_reference, listed_point_entity),
    "BackupServer": (server_reference, server_entity),
}


def kept(
    shape: Callable[[Any, Style], Element], item: SessionView | Plan | Point | BackupServer, style: Style
) -> Element | Kept:
    """``shape(item, style)`` as a list item; what can no longer change is rendered once only."""
    if item.memo is None:
        return shape(item, style)
    memo = item.memo.setdefault(shape.__name__, {})
    return Kept(memo, lambda: shape(item, style))


def reference_list(type_name: str, found: Sequence[Any], style: Style) -> Element:
    """A collection without format (pages get_cloudfailoversessions, get_backupservers)."""
    shape = _LISTED[type_name][0]
    return items("EntityReferences", "Refs", [kept(shape, item, style) for item in found])


def entity_list(type_name: str, found: Sequence[Any], style: Style) -> Element:
    """A collection with ``format=Entity``."""
    name, shape = f"{type_name}s", _LISTED[type_name][1]
    # In JSON the list is called by the plural of its children's name [assumed].
    plural = "CloudReplicas" if type_name == "CloudVmReplicaPoint" else name
    return items(name, plural, [kept(shape, item, style) for item in found])


def query_result(type_name: str, found: Sequence[Any], entities: bool, paging: Element, style: Style) -> Element:
    """A page of a query; the members not asked for are null in JSON [seen]."""
    if entities:
        listed = entity_list(type_name, found, style)
        members = [listed if c == listed.name else Element(c, absent=True) for c in _QUERY_ENTITY_CONTAINERS]
        content = [Element("Refs", absent=True), Element("Entities", children=members)]
    else:
        references = [kept(_LISTED[type_name][0], item, style) for item in found]
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
        link(style, "Down", "LogonSessionList", LOGONS_PATH),
        link(style, "Create", "LogonSession", logon + "latest"),
    )
    nothing: dict[str, Any] = {"Href": None, "Type": None}
    return Element("EnterpriseManager", nothing, [entries, items("SupportedVersions", "SupportedVersions", versions)])


def logon_session(logon: Logon, style: Style) -> Element:
    """A logon (page post_sessionmngr)."""
    path = f"{LOGONS_PATH}/{logon.session_id}"
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
                link(style, "Down", "CloudFailoverPlanReferenceList", PLANS_PATH),
                link(style, "Down", "CloudFailoverSessionReferenceList", SESSIONS_PATH),
                link(style, "Down", "CloudFailoverPlanList", PLANS_PATH + "?format=Entity"),
                link(style, "Down", "CloudFailoverSessionList", SESSIONS_PATH + "?format=Entity"),
            )
        ],
    )
