# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Control over HTTP, outside the API and without a token, for playbooks and other programs: /emulator/..."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .service import Service


def control_routes(service: Service) -> list[Route]:
    """The routes; all take and give JSON. A refused value gives 400 with ``{"error": text}``."""

    async def counters(request: Request) -> Any:
        return service.counters.as_dict()

    async def requests(request: Request) -> Any:
        return [record.as_dict() for record in list(service.requests)]

    async def reset(request: Request) -> Any:
        service.reset(**(await _body(request)))

    async def add_faults(request: Request) -> Any:
        given = await _body(request)
        for fault in given if isinstance(given, list) else [given]:
            service.faults.add(**fault)

    async def clear_faults(request: Request) -> Any:
        service.faults.clear()

    async def add_session(request: Request) -> Any:
        return {"id": service.world.add_session(**(await _body(request))).id}

    async def add_plan(request: Request) -> Any:
        return {"id": service.world.add_plan(**(await _body(request))).id}

    async def change_plan(request: Request) -> Any:
        service.world.change_plan(request.path_params["id"].lower(), **(await _body(request)))

    async def behaviour(request: Request) -> Any:
        for name, value in (await _body(request)).items():
            setattr(service.behaviour, name, value)

    async def clock(request: Request) -> Any:
        given = await _body(request)
        if not given or set(given) - {"advance", "rate"}:
            raise ValueError(f"the clock takes advance and rate, not {sorted(given)}")
        service.clock.advance(float(given.get("advance", 0)))
        if "rate" in given:
            service.clock.rate = float(given["rate"])

    async def runs(request: Request) -> Any:
        return [run.as_dict() for run in service.runs]

    async def run_by_others(request: Request) -> Any:
        service.run_by_others(**(await _body(request)))

    async def add_job(request: Request) -> Any:
        return {"id": service.collecting.add(**(await _body(request))).id}

    async def clear_jobs(request: Request) -> Any:
        service.collecting.clear()

    async def outage(request: Request) -> Any:
        service.outage(**(await _body(request)))

    async def restart(request: Request) -> Any:
        service.restart(**(await _body(request)))

    async def expire(request: Request) -> Any:
        service.expire_logons()

    def route(path: str, method: str, handler: Any) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                answer = await handler(request)
            except (ValueError, TypeError, AttributeError, KeyError) as error:
                return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 400)
            return Response(status_code=204) if answer is None else JSONResponse(answer)

        return Route(path, endpoint, methods=[method])

    return [
        route("/emulator/counters", "GET", counters),
        route("/emulator/requests", "GET", requests),
        route("/emulator/reset", "POST", reset),
        route("/emulator/faults", "POST", add_faults),
        route("/emulator/faults", "DELETE", clear_faults),
        route("/emulator/sessions", "POST", add_session),
        route("/emulator/plans", "POST", add_plan),
        route("/emulator/plans/{id}", "POST", change_plan),
        route("/emulator/runs", "GET", runs),
        route("/emulator/runs", "POST", run_by_others),
        route("/emulator/jobs", "POST", add_job),
        route("/emulator/jobs", "DELETE", clear_jobs),
        route("/emulator/behaviour", "POST", behaviour),
        route("/emulator/clock", "POST", clock),
        route("/emulator/outage", "POST", outage),
        route("/emulator/restart", "POST", restart),
        route("/emulator/logons", "DELETE", expire),
    ]


async def _body(request: Request) -> Any:
    return json.loads(await request.body() or b"{}")
