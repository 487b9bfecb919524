# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The query service: which types and fields exist, selection, order and pages (docs/evidence.md, "Query service")."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from .behaviour import Behaviour
from .clock import parse_time
from .errors import ApiError
from .filters import Field, FilterError, parse_filter
from .points import Point
from .world import Plan, SessionView, World

DEFAULT_PAGE_SIZE = 100
_KEPT_ANSWERS = 16


@dataclass(frozen=True)
class QueryType:
    """A type that can be queried.

    :param fields: by lower-case name.
    :param items: all items of the type, in the order in which they were added.
    :param signed: whether the world's signature tells when an answer may have changed; else it is not kept.
    :param as_now: an item of a kept answer as it looks now. The signature tells only what a query can ask for, and the tasks of a
        session go on in between.
    """

    name: str
    fields: Mapping[str, Field]
    items: Callable[[World, Behaviour], list[Any]]
    signed: bool = True
    as_now: Callable[[World, Any], Any] = lambda _world, item: item


@dataclass(frozen=True)
class Page:
    """One page of an answer; ``links`` are paths with query by Rel, ``type`` is the name of the queried type."""

    type: str
    items: list[Any]
    entities: bool
    number: int
    size: int
    count: int
    links: dict[str, str]


def _time_of(name: str, read: Callable[[SessionView], Any]) -> Callable[[SessionView], Any]:
    """Reads a time, or its raw override as far as that is a time."""

    def time(view: SessionView) -> Any:
        if name not in view.session.raw:
            return read(view)
        try:
            return parse_time(view.session.raw[name] or "")
        except ValueError:
            return None

    return time


# [doc] Enums compare by position in the documented list, and this is the list's order.
_STATES = ("Starting", "Stopping", "Working", "Stopped")
_RESULTS = ("None", "Success", "Warning", "Failed")

# [doc] Query names differ from entity names.
_SESSION_FIELDS = (
    Field("UID", "uid", lambda view: view.session.id),
    Field("Name", "text", lambda view: view.served("Name", view.session.name)),
    Field("Type", "text", lambda view: view.served("JobType", view.session.job_type)),
    Field("CreationTime", "time", _time_of("CreationTimeUTC", lambda view: view.session.creation_time)),
    Field("EndTime", "time", _time_of("EndTimeUTC", lambda view: view.end_time)),
    Field("State", "enum", lambda view: view.served("State", view.state), _STATES),
    Field("Result", "enum", lambda view: view.served("Result", view.result), _RESULTS),
    Field("FailureMessage", "text", lambda view: view.served("FailureMessage", view.failure_message)),
    Field("BackupServerUid", "uid", lambda view: view.session.backup_server.id),
    Field("BackupServerName", "text", lambda view: view.session.backup_server.name),
)


def _of_plan(name: str, read: Callable[[Plan], Any]) -> Callable[[Plan], Any]:
    """Reads a property, or its raw override."""
    return lambda plan: plan.served(name, read(plan))


_PLAN_FIELDS = (
    Field("UID", "uid", lambda plan: plan.id),
    Field("Name", "text", _of_plan("Name", lambda plan: plan.name)),
    Field("Description", "text", _of_plan("Description", lambda plan: plan.description)),
    Field("CloudTenantUid", "uid", lambda plan: plan.tenant.id),
    Field("CloudTenantName", "text", _of_plan("TenantName", lambda plan: plan.tenant.name)),
    Field("BackupServerUid", "uid", lambda plan: plan.backup_server.id),
    Field("BackupServerName", "text", lambda plan: plan.backup_server.name),
)

_POINT_TYPES = ("CDP", "Full", "ReverseIncrement", "Increment", "Snapshot")
_POINT_STATES = ("Unknown", "Ready", "Failover", "Failback", "PermanentFailover")


_POINT_FIELDS = (
    Field("UID", "uid", lambda point: point.id),
    Field("Name", "text", lambda point: point.name),
    Field("CreationTime", "time", lambda point: point.creation_time),
    Field("VmName", "text", lambda point: point.vm_name),
    Field("Type", "enum", lambda point: "Snapshot", _POINT_TYPES),
    Field("ReplicaUid", "uid", lambda point: point.replica_id),
    Field("ReplicaName", "text", lambda point: point.vm_name),
    Field("VmDisplayName", "text", lambda point: point.vm_name),
    Field("BackupServerUid", "uid", lambda point: point.backup_server.id),
    Field("BackupServerName", "text", lambda point: point.backup_server.name),
    Field("State", "enum", lambda point: point.state, _POINT_STATES),
)


def shown_points(world: World, behaviour: Behaviour) -> list[Point]:
    """All restore points with the states that clients get to see."""
    points = world.points.all()
    return points if behaviour.point_states == "known" else [replace(point, state="Unknown") for point in points]


TYPES = {
    query_type.name.casefold(): query_type
    for query_type in (
        QueryType(
            "CloudFailoverSession",
            {f.name.casefold(): f for f in _SESSION_FIELDS},
            lambda world, _behaviour: world.views(),
            as_now=World.as_now,
        ),
        QueryType(
            "CloudFailoverPlan",
            {f.name.casefold(): f for f in _PLAN_FIELDS},
            lambda world, _behaviour: list(world.plans),
        ),
        QueryType(
            "CloudVmReplicaPoint",
            {f.name.casefold(): f for f in _POINT_FIELDS},
            shown_points,
            signed=False,
        ),
        # Further types (tenants) go here.
    )
}


class QueryService:
    """Answers queries over a world. The release decides how page links are spelt."""

    def __init__(self, world: World, behaviour: Behaviour, em_version: int) -> None:
        self._encoded = _encoded if em_version < 13 else _encoded_by_13
        self._world = world
        self._behaviour = behaviour
        self._answers: dict[Any, list[Any]] = {}

    def page(self, parameters: Mapping[str, str]) -> Page:
        """The page asked for. ``parameters`` by lower-case name. Raises ApiError (400, or as a switch says)."""
        query_type = self._type(parameters.get("type", ""))
        wanted = parameters.get("format", "References")
        if wanted.casefold() not in ("references", "entities"):
            raise ApiError(400, f"Unknown format: {wanted}")
        size = self._size(parameters)
        number = _positive(parameters, "page", 1)
        selected, spelling = self._select(query_type, parameters)
        count = -(-len(selected) // size) or self._behaviour.pages_count_of_empty
        return Page(
            type=query_type.name,
            items=[query_type.as_now(self._world, item) for item in selected[(number - 1) * size : number * size]],
            entities=wanted.casefold() == "entities" and not self._behaviour.ignore_format,
            number=number,
            size=size,
            count=count,
            links=_links(self._encoded, query_type, parameters, spelling, number, size, count),
        )

    def _type(self, name: str) -> QueryType:
        query_type = TYPES.get(name.casefold())
        if query_type is None:
            raise ApiError(400, f"Unknown query type: {name}" if name else "Query type is not specified")
        if self._behaviour.refuse_query_type is not None:
            raise ApiError(self._behaviour.refuse_query_type, f"Query type {query_type.name} is not supported")
        return query_type

    def _size(self, parameters: Mapping[str, str]) -> int:
        size = _positive(parameters, "pagesize", DEFAULT_PAGE_SIZE)
        largest = self._behaviour.max_page_size
        if largest is None or size <= largest:
            return size
        if self._behaviour.over_page_size == "refuse":
            raise ApiError(400, f"pageSize must not exceed {largest}")
        return largest

    def _select(self, query_type: QueryType, parameters: Mapping[str, str]) -> tuple[list[Any], dict[str, str]]:
        """All items that match, in order, and filter and sort as the server spells them.

        The last answers are kept while no item looks different, so that reading page after page of a large world
        does not filter and sort it each time.
        """
        field, descending = _order(query_type, parameters)
        spelling = {}
        expression = parameters.get("filter", "")
        selection = None
        if expression:
            try:
                selection = parse_filter(expression, query_type.fields, self._behaviour)
            except FilterError as error:
                raise ApiError(400, str(error)) from error
            spelling["filter"] = selection.text
        if field is not None:
            spelling["sortDesc" if descending else "sortAsc"] = field.name
        key = (query_type.name, expression, field, descending, repr(self._behaviour), self._world.signature())
        items = self._answers.get(key) if query_type.signed else None
        if items is None:
            items = query_type.items(self._world, self._behaviour)
            if selection is not None:
                items = list(filter(selection.matches, items))
            if field is not None and self._behaviour.sort == "honour":
                read = field.key(self._behaviour)
                values = {id(item): read(item) for item in items}
                items.sort(key=lambda item: (values[id(item)] is not None, values[id(item)]), reverse=descending)
            while len(self._answers) >= _KEPT_ANSWERS:
                self._answers.pop(next(iter(self._answers)))
            self._answers[key] = items
        return items, spelling


def _positive(parameters: Mapping[str, str], name: str, default: int) -> int:
    text = parameters.get(name, str(default))
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ApiError(400, f"{name} must be a number from 1")
    return int(text)


def _order(query_type: QueryType, parameters: Mapping[str, str]) -> tuple[Field | None, bool]:
    """Field to sort by and whether descending."""
    named = [(parameters[name], name == "sortdesc") for name in ("sortasc", "sortdesc") if name in parameters]
    if len(named) > 1:
        raise ApiError(400, "Only one of sortAsc and sortDesc can be specified")
    for name, descending in named:
        field = query_type.fields.get(name.casefold())
        if field is None:
            raise ApiError(400, f"Unknown sort field: {name}")
        return field, descending
    return None, False


def _links(
    encoded: Callable[[str], str],
    query_type: QueryType,
    parameters: Mapping[str, str],
    spelling: dict[str, str],
    number: int,
    size: int,
    count: int,
) -> dict[str, str]:
    """First and Last always, Previous and Next where they exist [doc]; spelt anew by the server [seen]."""
    wanted = {"type": query_type.name, **spelling}
    if "format" in parameters:
        wanted["format"] = parameters["format"]
    wanted["pageSize"] = str(size)
    base = "/api/query?" + "&".join(f"{name}={encoded(value)}" for name, value in wanted.items())
    last = max(count, 1)
    pages = {"First": 1, "Previous": min(number - 1, last), "Next": number + 1, "Last": last}
    if number <= 1:
        del pages["Previous"]
    if number >= last:
        del pages["Next"]
    return {rel: f"{base}&page={page}" for rel, page in pages.items()}


def _encoded(value: str) -> str:
    """Lower-case percent codes, ``+`` for spaces, as the .NET Framework does [seen, up to 12]."""
    parts = quote(value, safe="()*!-._ ").split("%")
    return (parts[0] + "".join(f"%{part[:2].lower()}{part[2:]}" for part in parts[1:])).replace(" ", "+")


def _encoded_by_13(value: str) -> str:
    """Upper-case percent codes, also for spaces, as modern .NET does [assumed]."""
    return quote(value, safe="-._~")
