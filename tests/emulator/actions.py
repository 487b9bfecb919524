# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starting, testing and undoing cloud failover plans (docs/evidence.md, "Actions of plans").

All that will happen is decided when the action comes in; the clock does the rest.
"""

from __future__ import annotations

import heapq
import json
import random
import threading
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any
from xml.etree import ElementTree

from .behaviour import Behaviour
from .clock import parse_time
from .em_tasks import Outcome
from .errors import ApiError
from .render import NAMESPACE
from .sample_data import failure_text
from .world import (
    FIRST_TASK_SECONDS,
    TASK_STARTING_SECONDS,
    Plan,
    PlanVm,
    ReplicaPoint,
    Session,
    Task,
    World,
    combined_result,
)

ACTIONS = ("start", "test", "undo")
SPEC = "CloudFailoverPlanManagementSpec"
_STAGGER_SECONDS = 0.3  # between VMs that begin together
_SHORTEST, _LONGEST = 40.0, 150.0  # seconds for one VM
_OPERATIONS = {  # [doc] a test has no operation of its own
    "start": "StartCloudFailoverPlan",
    "test": "StartCloudFailoverPlan",
    "undo": "UndoCloudFailoverPlan",
}


@dataclass(frozen=True)
class StartSpec:
    """What to start from: ``before`` is None for the newest points, else the newest points before it."""

    before: datetime | None = None


@dataclass(frozen=True)
class Run:
    """An action on a plan in the server's own log: what happened, whoever wanted it and whatever a client was told.

    :param by: ``api``, or ``others``: in Veeam's console, say.
    :param session_id: of the session that it began, None without one.
    :param undone: the ids of the sessions whose failover it ended, for an undo.
    :param refused: why it was not carried out, None if it was.
    """

    action: str
    plan_id: str
    by: str
    moment: datetime
    session_id: str | None = None
    undone: tuple[str, ...] = ()
    refused: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "moment": self.moment.isoformat()}


def parse_spec(body: bytes, as_json: bool) -> StartSpec:
    """Read the body of a start. Raises ApiError 400: for another document, unknown or misplaced elements, bad values.

    With both StartNow and StartDate, StartNow wins if it is true [assumed]. StartNow false alone is refused [assumed].
    """
    values = _json_values(body) if as_json else _xml_values(body)
    start_now = values.get("StartNow")
    if start_now not in (None, "true", "false", "1", "0"):
        raise ApiError(400, f"StartNow: '{start_now}' is not a valid Boolean value")
    if start_now in ("true", "1"):
        return StartSpec()
    if "StartDate" not in values:
        raise ApiError(400, f"{SPEC}: either StartNow or StartDate must be specified")
    try:
        return StartSpec(parse_time(values["StartDate"]))
    except ValueError:
        raise ApiError(400, f"StartDate: '{values['StartDate']}' is not a valid dateTime value") from None


def _xml_values(body: bytes) -> dict[str, str]:
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError:
        raise ApiError(400, "Root element is missing or the request body is not well-formed XML") from None
    if root.tag != f"{{{NAMESPACE}}}{SPEC}":
        raise ApiError(400, f"<{root.tag}> was not expected. Expected is {SPEC} of {NAMESPACE}")
    names = [child.tag for child in root]
    allowed = [f"{{{NAMESPACE}}}{name}" for name in ("StartNow", "StartDate")]
    if names != [name for name in allowed if name in names]:  # [doc] the order of elements counts
        raise ApiError(400, f"{SPEC} has an invalid child element, or its elements are in the wrong order")
    return {child.tag.rpartition("}")[2]: (child.text or "").strip() for child in root}


def _json_values(body: bytes) -> dict[str, str]:
    try:
        given = json.loads(body.decode("utf-8-sig"))
    except ValueError:
        # [seen] what XML gets where JSON is expected
        raise ApiError(400, "Node [root] does not exist.") from None
    if not isinstance(given, dict):
        raise ApiError(400, f"{SPEC} must be a JSON object")
    wanted = {"startnow": "StartNow", "startdate": "StartDate"}
    found = {wanted[key.casefold()]: value for key, value in given.items() if key.casefold() in wanted}
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in found.items()
        if value is not None
    }


class PlanActions:
    """Does what ``?action=`` asks for, or somebody elsewhere. Safe from any thread.

    :param seed: same seed, same time for each VM.
    """

    def __init__(self, world: World, behaviour: Behaviour, seed: int) -> None:
        self._world = world
        self._behaviour = behaviour
        self._seed = seed
        self._lock = threading.RLock()
        self.runs: list[Run] = []

    def act(self, plan: Plan, action: str, spec: StartSpec | None = None) -> Outcome:
        """What a client of the API asks for. Raises the ApiError with which the plan refuses it at once."""
        refusal = 403 if action not in plan.actions else plan.refuse.get(action)
        with self._lock:
            now = self._world.clock.now()
            if isinstance(refusal, int):
                message = f"The operation {_OPERATIONS[action]} is not permitted for the failover plan [{plan.name}]"
                self.runs.append(Run(action, plan.id, "api", now, refused=message))
                raise ApiError(refusal, message)
            return self._carry_out(plan, action, spec or StartSpec(), "api", now, self._behaviour.list_delay)

    def act_elsewhere(self, plan: Plan, action: str, moment: datetime, list_delay: float) -> None:
        """What somebody does who does not use the API, and is not concerned by what the API alone refuses."""
        with self._lock:
            self._carry_out(plan, action, StartSpec(), "others", moment, list_delay)

    def _carry_out(
        self, plan: Plan, action: str, spec: StartSpec, by: str, now: datetime, list_delay: float
    ) -> Outcome:
        refusal = plan.refuse.get(action)
        if isinstance(refusal, str):
            outcome = self._failed(action, refusal)
        elif action == "undo":
            outcome = self._undo(plan, now, list_delay)
        else:
            outcome = self._start(plan, spec, action, now, list_delay)
        refused = None if outcome.success else outcome.message
        self.runs.append(Run(action, plan.id, by, now, outcome.session_id, outcome.undone, refused))
        return outcome

    def _start(self, plan: Plan, spec: StartSpec, action: str, now: datetime, list_delay: float) -> Outcome:
        """Start or test a plan: create its session."""
        if self.running(plan, now) and self._behaviour.second_start == "refuse":
            return self._failed(action, f"Failover plan [{plan.name}] is already running")
        points = self._world.points
        chosen = {vm.id: points.before(plan, vm, now, spec.before) for vm in plan.vms}
        missing = [vm.name or vm.id for vm in plan.vms if chosen[vm.id] is None]
        if missing:  # [assumed] one is enough
            return self._failed(action, f"There is no restore point of {', '.join(missing)} before the specified time")
        found = {vm_id: point for vm_id, point in chosen.items() if point is not None}
        planned = [(found[vm.id], task) for vm, task in self._schedule(plan)]
        tasks = [replace(task, replica_point=ReplicaPoint(point.id, point.name)) for point, task in planned]
        session = self._session(plan, now, tasks, list_delay)
        if action == "start" or self._behaviour.points_after_test == "failover":
            shown_from = now + timedelta(seconds=list_delay)
            for point, task in planned:
                if task.result != "Failed":
                    begin = session.creation_time + timedelta(seconds=task.start_offset)
                    points.use(point, plan, session.id, begin, shown_from)
        linked = self._behaviour.session_link == "served"
        return self._done(action, self._behaviour.task_seconds, session, linked)

    def _undo(self, plan: Plan, now: datetime, list_delay: float) -> Outcome:
        """Undo the failover of a plan: its points are ready again when the task is done."""
        behaviour, world = self._behaviour, self._world
        running = self.running(plan, now)
        if running and behaviour.undo_while_running == "refuse":
            return self._failed("undo", f"Failover plan [{plan.name}] is still running")
        undone = world.points.in_failover(plan, now)
        if not undone and behaviour.undo_of_nothing == "refuse":
            return self._failed("undo", f"There is nothing to undo: failover plan [{plan.name}] is not in failover")
        end = world.rounded(now) + timedelta(seconds=behaviour.undo_seconds)
        for session_id in running:
            session = world.session(session_id)
            if session is not None and (session.end_time is None or session.end_time > end):
                message = "Stopped by an undo of the failover plan"
                world.change_session(session, state=None, end_time=end, result="Failed", failure_message=message)
        world.points.free(plan, end, now + timedelta(seconds=list_delay))
        session = None
        if behaviour.undo_session != "none":
            lasts = max(behaviour.undo_seconds - FIRST_TASK_SECONDS, 1.0)
            tasks = [Task(vm.name or vm.id, duration=lasts) for vm in plan.vms]
            session = self._session(plan, now, tasks, list_delay)
        done = self._done("undo", behaviour.undo_seconds, session, behaviour.undo_session == "linked")
        return replace(done, undone=tuple(dict.fromkeys([*undone, *running])))

    def running(self, plan: Plan, at: datetime) -> list[str]:
        """The ids of this plan's sessions that have not stopped; known by name and server, as clients know them."""
        return [
            view.session.id
            for view in self._world.all_views(at)
            if view.state != "Stopped"
            and view.session.name == plan.name
            and view.session.backup_server == plan.backup_server
        ]

    def _session(self, plan: Plan, now: datetime, tasks: list[Task], list_delay: float) -> Session:
        failed = sum(task.result == "Failed" for task in tasks)
        result = combined_result(tasks)
        if failed and self._behaviour.partial_result == "Failed":
            result = "Failed"
        return self._world.add_session(
            name=plan.name,
            backup_server=plan.backup_server,
            creation_time=now,
            tasks=tasks,
            result=result,
            failure_message=f"{failed} of {len(plan.vms)} VMs failed" if result == "Failed" else None,
            listed_from=now + timedelta(seconds=list_delay) if list_delay else None,
            result_lag=self._behaviour.result_lag_seconds,
        )

    def _schedule(self, plan: Plan) -> list[tuple[PlanVm, Task]]:
        """The VMs with their tasks: by the plan's order, after their delays, as many at once as the switch says."""
        behaviour = self._behaviour
        slots = [FIRST_TASK_SECONDS + _STAGGER_SECONDS * n for n in range(max(1, behaviour.parallel_vms))]
        first_failure: float | None = None
        planned: list[tuple[PlanVm, Task]] = []
        begin = 0.0
        for vm in sorted(plan.vms, key=lambda vm: (vm.order is None, vm.order or 0)):
            begin = max(heapq.heappop(slots), begin + vm.delay if planned else 0)
            if behaviour.stop_on_failure and first_failure is not None and first_failure <= begin:
                break  # the rest is not attempted
            result, message, seconds = self._fate(plan, vm)
            end = round(begin + seconds, 2)
            heapq.heappush(slots, end)
            if result == "Failed":
                first_failure = end if first_failure is None else min(first_failure, end)
            offset = FIRST_TASK_SECONDS if behaviour.waiting_vms == "starting" else round(begin, 2)
            task = Task(
                vm_name=vm.name or vm.id,
                result=result,
                failure_message=message,
                start_offset=offset,
                duration=round(end - offset, 2),
                starting=round(begin - offset, 2) + TASK_STARTING_SECONDS,
            )
            planned.append((vm, task))
        return planned

    def _fate(self, plan: Plan, vm: PlanVm) -> tuple[str, str | None, float]:
        """Result, message and seconds of a VM; the switches come first, then what the plan says."""
        name = (vm.name or vm.id).casefold()
        rng = random.Random(f"{self._seed} {plan.id} {name}")
        seconds = round(rng.uniform(_SHORTEST, _LONGEST), 2) if vm.duration is None else vm.duration
        result = vm.result
        if _named(name, self._behaviour.warning_vms):
            result = "Warning"
        if _named(name, self._behaviour.failing_vms):
            result = "Failed"
        message = failure_text(rng, result, vm.name or vm.id)
        if result != "Success" and vm.failure_message is not None:
            message = vm.failure_message
        return result, message, seconds

    def _failed(self, action: str, message: str) -> Outcome:
        return Outcome(_OPERATIONS[action], False, message, self._behaviour.task_seconds)

    def _done(self, action: str, seconds: float, session: Session | None, linked: bool) -> Outcome:
        done = Outcome(_OPERATIONS[action], True, self._behaviour.task_message, seconds)
        if session is None:
            return done
        return replace(done, session_id=session.id, session_name=session.name, linked=linked)


def _named(name: str, patterns: str) -> bool:
    """Whether a name in small letters fits one of the patterns, which are parted by commas."""
    return any(fnmatchcase(name, pattern.strip().casefold()) for pattern in patterns.split(",") if pattern.strip())
