# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The API's routes and what every request passes through on its way to them (docs/evidence.md, "Requests in general", "Logon")."""

from __future__ import annotations

import asyncio
import re
import traceback
import uuid
from collections.abc import Callable, Sequence
from email.utils import formatdate
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import shapes
from .actions import ACTIONS, parse_spec
from .collecting import SystemSession
from .control import control_routes
from .em_tasks import EmTask
from .errors import ApiError
from .faults import IDLE, PAGE_FAULTS, TRANSPORT, FaultMiddleware
from .logons import PLANS, POINTS, SERVERS, SESSIONS, TOKEN_HEADER, Logon
from .points import Point
from .query import shown_points
from .render import Element, to_bytes
from .service import RequestRecord, Service
from .world import BackupServer, Plan, Session, SessionView

LOGON = "emulator.logon"  # key of the request's logon in the ASGI scope
_OPEN_PATHS = ("/api", "/api/sessionMngr")  # [doc] readable without a token
_WORDS = {  # path segments in their documented spelling; the server does not mind their case [assumed]
    word.casefold(): word
    for word in (
        "api",
        "sessionMngr",
        "logonSessions",
        "cloud",
        "failoverSessions",
        "cloudFailoverPlans",
        "includes",
        "vmReplicaPoints",
        "tasks",
        "query",
        "backupServers",
        "systemSessions",
    )
}
_RESOURCES = {"cloudfailoversession": SESSIONS, "cloudfailoverplan": PLANS, "cloudvmreplicapoint": POINTS}
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_VERSIONS = ("latest", *shapes.API_VERSIONS)


def canonical_path(path: str) -> str:
    """The path as the routes spell it: known words in their documented case, no trailing slash."""
    return "/".join(_WORDS.get(part.casefold(), part) for part in path.split("/")).rstrip("/") or "/"


def route_name(path: str) -> str:
    """The path with ids as ``{id}``, for counting."""
    collections = "logonSessions|failoverSessions|cloudFailoverPlans|vmReplicaPoints|tasks|backupServers|systemSessions"
    return re.sub(rf"(/(?:{collections}))/[^/]+", r"\1/{id}", path)


class Recorder:
    """Outermost: logs and counts requests below /api, adds latency and the headers every reply has."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        service = self._service
        record = RequestRecord(
            scope["method"],
            scope["path"],
            scope["query_string"].decode("latin-1"),
            {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
            len(service.runs),
        )
        scope["path"] = canonical_path(scope["path"])
        counters = service.counters
        counters.requests += 1
        counters.routes[f"{record.method} {route_name(scope['path'])}"] += 1
        service.requests.append(record)
        resets = counters.resets

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                server = "Microsoft-HTTPAPI/2.0" if service.em_version < 13 else "Kestrel"
                extra = [(b"server", server.encode())]
                if service.behaviour.date_offset is not None:
                    shown = service.clock.now().timestamp() + service.behaviour.date_offset
                    extra.append((b"date", formatdate(shown, usegmt=True).encode()))
                given = {name.lower() for name, dummy in message["headers"]}  # by a fault
                own = [(name.title(), value) for name, value in extra if name not in given]
                message = {**message, "headers": [*message["headers"], *own]}
            elif counters.resets == resets:
                counters.bytes_sent += len(message.get("body", b""))
            await send(message)

        counters.in_flight += 1
        counters.max_in_flight = max(counters.max_in_flight, counters.in_flight)
        try:
            if service.latency_ms:
                await asyncio.sleep(service.latency_ms / 1000)
            await self._app(scope, receive, noting)
        finally:
            counters.in_flight -= 1


class Gate:
    """Lets only requests with a live logon through, except to the open paths."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        self._service.catch_up()
        without_length = request.method == "POST" and not {"content-length", "transfer-encoding"} & set(request.headers)
        if without_length and self._service.behaviour.length_required:
            await self._refuse(request, ApiError(411, "Length Required"), receive, send)
            return
        if scope["path"] not in _OPEN_PATHS:
            logon = self._service.logons.use(request.headers)
            if logon is None:
                error = _unauthorized("The logon session is unknown or expired")
                await self._refuse(request, error, receive, send)
                return
            scope[LOGON] = logon
        await self._app(scope, receive, send)

    async def _refuse(self, request: Request, error: ApiError, receive: Receive, send: Send) -> None:
        await _error_response(self._service, request, error)(request.scope, receive, send)


def _unauthorized(message: str) -> ApiError:
    return ApiError(401, message, {"WWW-Authenticate": "Basic Realm=RestSvc"})


def _forbidden() -> ApiError:
    return ApiError(403, "Access is denied: the user's role does not permit this operation")


def _error_response(service: Service, request: Request, error: ApiError) -> Response:
    media_type, body = service.error_body(request.scope, error.status, error.message, None)
    headers = {**error.headers, **({"Content-Type": media_type} if media_type else {})}
    return Response(body, error.status, headers)


class Handlers:
    """One method per route. They raise ApiError; the exception handler turns it into a reply."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def root(self, request: Request) -> Response:
        """GET /api"""
        return self._reply(request, shapes.enterprise_manager)

    async def log_on(self, request: Request) -> Response:
        """POST /api/sessionMngr"""
        service = self._service
        version = _parameters(request).get("v", "latest")
        if version.casefold() not in _VERSIONS:
            raise ApiError(400, f"API version {version} is not supported. Supported are {', '.join(_VERSIONS)}")
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().casefold()
        if media_type in _FORMS and service.behaviour.form_logon == "refuse":
            raise ApiError(415, f"The Content-Type {media_type} is not supported")
        user = service.logons.authenticate(request.headers.get("authorization"))
        if user is None:
            raise _unauthorized("The user name or password is incorrect")
        logon = service.logons.log_on(user)
        service.counters.logons += 1
        service.counters.max_live_logons = max(service.counters.max_live_logons, service.counters.live_logons)
        response = self._reply(request, lambda style: shapes.logon_session(logon, style), 201)
        response.headers[TOKEN_HEADER] = logon.token
        if service.behaviour.logon_location == "served":
            response.headers["Location"] = f"{service.behaviour.href_base}{shapes.LOGONS_PATH}/{logon.session_id}"
        response.headers["Set-Cookie"] = f"{TOKEN_HEADER}={logon.token}; Path=/api;"
        return response

    async def logons(self, request: Request) -> Response:
        """GET /api/logonSessions"""
        return self._reply(request, lambda style: shapes.logon_list(self._own_logons(request), style))

    async def logon(self, request: Request) -> Response:
        """GET and DELETE /api/logonSessions/{id}"""
        wanted = request.path_params["id"].casefold()
        for logon in self._own_logons(request):
            if logon.session_id == wanted:
                break
        else:
            message = f"There is no logon session with id [{wanted}]"
            raise ApiError(self._service.behaviour.unknown_logon_id, message)
        if request.method == "GET":
            return self._reply(request, lambda style: shapes.logon_session(logon, style))
        self._service.logons.log_off(logon)
        self._service.counters.logoffs += 1
        return Response(status_code=204)

    def _own_logons(self, request: Request) -> list[Logon]:
        user = request.scope[LOGON].user  # [assumed] of others nothing is shown
        return [logon for logon in self._service.logons.live() if logon.user == user]

    async def cloud(self, request: Request) -> Response:
        """GET /api/cloud"""
        return self._reply(request, shapes.cloud_service)

    async def sessions(self, request: Request) -> Response:
        """GET /api/cloud/failoverSessions"""
        self._check_role(request, SESSIONS)
        views = self._service.collection()
        return self._list(request, "CloudFailoverSession", views)

    async def session(self, request: Request) -> Response:
        """GET /api/cloud/failoverSessions/{id}"""
        self._check_role(request, SESSIONS)
        found = self._session_view(request.path_params["id"])
        if self._wants_entity(request):
            return self._reply(request, lambda style: shapes.session_entity(found, style))
        return self._reply(request, lambda style: shapes.session_reference(found, style, tag="EntityRef"))

    async def plans(self, request: Request) -> Response:
        """GET /api/cloud/cloudFailoverPlans"""
        self._check_role(request, PLANS)
        return self._list(request, "CloudFailoverPlan", self._service.world.plans)

    async def plan(self, request: Request) -> Response:
        """GET /api/cloud/cloudFailoverPlans/{id}, and POST with ?action="""
        if request.method == "POST":
            return await self._act(request)
        self._check_role(request, PLANS)
        found = self._plan(request.path_params["id"])
        if self._wants_entity(request):
            return self._reply(request, lambda style: shapes.plan_entity(found, style))
        return self._reply(request, lambda style: shapes.plan_reference(found, style, tag="EntityRef"))

    async def plan_includes(self, request: Request) -> Response:
        """GET /api/cloud/cloudFailoverPlans/{id}/includes; there is one format only"""
        self._check_role(request, PLANS)
        found = self._plan(request.path_params["id"])
        return self._reply(request, lambda style: shapes.plan_includes(found, style))

    async def _act(self, request: Request) -> Response:
        action = _parameters(request).get("action", "").casefold()
        if not action:
            raise HTTPException(405)
        self._check_role(request, PLANS)
        found = self._plan(request.path_params["id"])
        if action not in ACTIONS:
            raise ApiError(400, f"Unknown action: {action}")
        service = self._service
        spec = None
        if action == "start":  # [doc] the others have no body
            spec = parse_spec(await request.body(), self._wants_json_body(request))
        outcome = service.plan_actions.act(found, action, spec)
        task = request.scope[LOGON].tasks.add(outcome, service.clock.now(), service.behaviour)
        return self._reply(request, lambda style: self._task_shape(task, style), 202)

    def _wants_json_body(self, request: Request) -> bool:
        """Whether the body is to be JSON: said by Content-Type, or by Accept whatever the former says [seen]."""
        if self._service.style(request.scope).json:
            return True
        media_type = request.headers.get("content-type", "application/xml").partition(";")[0].strip().casefold()
        if media_type not in ("application/xml", "text/xml", "application/json"):
            raise ApiError(400, f"The Content-Type {media_type} is not supported")
        return media_type == "application/json"

    def _task_shape(self, task: EmTask, style: Any) -> Element:
        return shapes.task(task, self._service.clock.now(), self._service.behaviour, style)

    async def tasks(self, request: Request) -> Response:
        """GET /api/tasks: those of this logon only [doc]"""
        found = request.scope[LOGON].tasks.all()
        return self._reply(request, lambda style: shapes.task_list([self._task_shape(t, style) for t in found]))

    async def task(self, request: Request) -> Response:
        """GET and DELETE /api/tasks/{id}"""
        wanted = request.path_params["id"]
        tasks = request.scope[LOGON].tasks
        found = tasks.find(wanted)
        if found is None:
            raise ApiError(500, f"There is no task with id [{wanted}] in current rest session")  # [seen] and not 404
        if request.method == "GET":
            return self._reply(request, lambda style: self._task_shape(found, style))
        tasks.remove(found)
        return Response(status_code=204)

    async def points(self, request: Request) -> Response:
        """GET /api/cloud/vmReplicaPoints"""
        self._check_role(request, POINTS)
        return self._list(request, "CloudVmReplicaPoint", self._shown_points())

    async def point(self, request: Request) -> Response:
        """GET /api/cloud/vmReplicaPoints/{id}"""
        self._check_role(request, POINTS)
        by_id = {point.id: point for point in self._shown_points()}
        found: Point = self._found("CloudVmReplicaPoint", request.path_params["id"], by_id.get)
        if self._wants_entity(request):
            return self._reply(request, lambda style: shapes.point_entity(found, style))
        return self._reply(request, lambda style: shapes.point_reference(found, style, tag="EntityRef"))

    def _shown_points(self) -> list[Point]:
        return shown_points(self._service.world, self._service.behaviour)

    async def servers(self, request: Request) -> Response:
        """GET /api/backupServers"""
        self._check_role(request, SERVERS)
        return self._list(request, "BackupServer", self._service.world.servers)

    async def server(self, request: Request) -> Response:
        """GET /api/backupServers/{id}, and POST with ?action=collect"""
        self._check_role(request, SERVERS)
        by_id = {server.id: server for server in self._service.world.servers}
        found: BackupServer = self._found("BackupServer", request.path_params["id"], by_id.get)
        if request.method == "POST":
            return self._collect(request)
        if self._wants_entity(request):
            return self._reply(request, lambda style: shapes.server_entity(found, style))
        return self._reply(request, lambda style: shapes.server_reference(found, style, tag="EntityRef"))

    def _collect(self, request: Request) -> Response:
        action = _parameters(request).get("action", "").casefold()
        if not action:
            raise HTTPException(405)
        if action != "collect":
            raise ApiError(400, f"Unknown action: {action}")
        service = self._service
        task = request.scope[LOGON].tasks.add(service.collecting.collect(), service.clock.now(), service.behaviour)
        return self._reply(request, lambda style: self._task_shape(task, style), 202)

    async def system_sessions(self, request: Request) -> Response:
        """GET /api/systemSessions: entities, whatever the format [doc]"""
        self._check_system_sessions(request)
        found = self._service.collecting.sessions()
        now = self._service.clock.now()
        return self._reply(request, lambda style: shapes.system_session_list(found, now, style))

    async def system_session(self, request: Request) -> Response:
        """GET /api/systemSessions/{id}"""
        self._check_system_sessions(request)
        by_id = {session.id: session for session in self._service.collecting.sessions()}
        found: SystemSession = self._found("SystemSession", request.path_params["id"], by_id.get)
        if self._wants_entity(request):
            now = self._service.clock.now()
            return self._reply(request, lambda style: shapes.system_session(found, now, style, "SystemSession"))
        return self._reply(request, lambda style: shapes.system_session_reference(found, style))

    def _check_system_sessions(self, request: Request) -> None:
        switch = self._service.behaviour.system_sessions
        if switch == "absent":
            raise ApiError(404, "Not Found")
        if switch == "administrators" and not request.scope[LOGON].user.administrates:
            raise _forbidden()

    async def query(self, request: Request) -> Response:
        """GET /api/query"""
        service = self._service
        parameters = _parameters(request)
        self._check_query_role(request, parameters.get("type", ""))
        faults = request.scope[PAGE_FAULTS]
        page = service.query.page(parameters)
        found = page
        if "repeat_page" in faults:
            found = service.query.page({**parameters, "page": "1"})
        count = faults.get("pages_count", {"count": page.count})["count"]

        def build(style: Any) -> Element:
            paging = shapes.paging_info(style, page.number, page.size, count, page.links)
            if service.behaviour.omit_paging_info:
                paging = Element("PagingInfo", absent=True)
            return shapes.query_result(page.type, found.items, page.entities, paging, style)

        return self._reply(request, build, query_order=True)

    def _list(self, request: Request, type_name: str, found: Sequence[Any]) -> Response:
        shape = shapes.entity_list if self._wants_entity(request) else shapes.reference_list
        return self._reply(request, lambda style: shape(type_name, found, style))

    def _session_view(self, text: str) -> SessionView:
        world = self._service.world
        session: Session = self._found("CloudFailoverSession", text, world.known_session)
        return world.view(session)

    def _plan(self, text: str) -> Plan:
        plan: Plan = self._found("CloudFailoverPlan", text, self._service.world.plan)
        return plan

    def _found(self, type_name: str, text: str, find: Callable[[str], Any]) -> Any:
        """What ``find`` gives for the GUID ``text``. Raises ApiError, as the switches say, if that is none or nothing."""
        behaviour = self._service.behaviour
        unknown = f"There is no {type_name} with id [{text}]"
        try:
            guid = str(uuid.UUID(text))
        except ValueError:
            raise ApiError(behaviour.malformed_id, unknown) from None
        found = find(guid)
        if found is None:
            raise ApiError(behaviour.unknown_id, unknown)
        return found

    def _check_role(self, request: Request, resource: str) -> None:
        if not request.scope[LOGON].user.may_use(resource):
            raise _forbidden()

    def _check_query_role(self, request: Request, type_name: str) -> None:
        user = request.scope[LOGON].user
        refused = self._service.behaviour.role_query == "refused"
        resource = _RESOURCES.get(type_name.casefold())
        if not user.administrates and (refused or (resource is not None and not user.may_use(resource))):
            raise _forbidden()

    def _wants_entity(self, request: Request) -> bool:
        # Other words (query's "Entities" among them) count as no format at all [assumed].
        wanted = _parameters(request).get("format", "").casefold() == "entity"
        return wanted and not self._service.behaviour.ignore_format

    def _reply(
        self, request: Request, build: Callable[[Any], Element], status: int = 200, query_order: bool = False
    ) -> Response:
        style = self._service.style(request.scope, query_order)
        media_type, body = to_bytes(build(style), style)
        return Response(body, status, {"Content-Type": media_type})


def _parameters(request: Request) -> dict[str, str]:
    """Query parameters by lower-case name; the first of several counts."""
    parameters: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        parameters.setdefault(name.casefold(), value)
    return parameters


def _route(path: str, endpoint: Any, *methods: str) -> Route:
    route = Route(path, endpoint, methods=methods)
    route.methods = set(methods)  # without the HEAD that Starlette adds: the API does not offer it
    return route


def make_app(service: Service) -> ASGIApp:
    """The ASGI application: /api with everything in front of it, /emulator for control, nothing elsewhere."""
    handlers = Handlers(service)

    async def on_api_error(request: Request, error: Any) -> Response:
        return _error_response(service, request, error)

    async def on_http_error(request: Request, error: Any) -> Response:
        found = ApiError(error.status_code, error.detail, dict(error.headers or {}))
        return _error_response(service, request, found)

    api: ASGIApp = Starlette(
        routes=[
            _route("/api", handlers.root, "GET"),
            _route("/api/sessionMngr", handlers.log_on, "POST"),
            _route("/api/logonSessions", handlers.logons, "GET"),
            _route("/api/logonSessions/{id}", handlers.logon, "GET", "DELETE"),
            _route("/api/cloud", handlers.cloud, "GET"),
            _route("/api/cloud/failoverSessions", handlers.sessions, "GET"),
            _route("/api/cloud/failoverSessions/{id}", handlers.session, "GET"),
            _route("/api/cloud/cloudFailoverPlans", handlers.plans, "GET"),
            _route("/api/cloud/cloudFailoverPlans/{id}", handlers.plan, "GET", "POST"),
            _route("/api/cloud/cloudFailoverPlans/{id}/includes", handlers.plan_includes, "GET"),
            _route("/api/cloud/vmReplicaPoints", handlers.points, "GET"),
            _route("/api/cloud/vmReplicaPoints/{id}", handlers.point, "GET"),
            _route("/api/backupServers", handlers.servers, "GET"),
            _route("/api/backupServers/{id}", handlers.server, "GET", "POST"),
            _route("/api/systemSessions", handlers.system_sessions, "GET"),
            _route("/api/systemSessions/{id}", handlers.system_session, "GET"),
            _route("/api/tasks", handlers.tasks, "GET"),
            _route("/api/tasks/{id}", handlers.task, "GET", "DELETE"),
            _route("/api/query", handlers.query, "GET"),
        ],
        exception_handlers={ApiError: on_api_error, HTTPException: on_http_error},
    )
    api = Recorder(FaultMiddleware(Gate(api, service), service), service)
    control: ASGIApp = Starlette(routes=control_routes(service))

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        below_api = scope["path"].casefold() == "/api" or scope["path"].casefold().startswith("/api/")
        limit = service.behaviour.dead_after_idle
        if below_api and limit is not None and scope[IDLE] > limit:
            scope[TRANSPORT].abort()  # it never gets here
            return
        try:
            await (api if below_api else control)(scope, receive, send)
        except Exception:
            traceback.print_exc()  # a mistake in the emulator must not look like an emulated fault
            raise

    return dispatch
