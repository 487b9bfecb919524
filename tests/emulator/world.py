# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the emulated server knows: backup servers, cloud failover sessions with their tasks, cloud failover plans.

Sessions are immutable and tell beforehand what will happen ("this task starts 4 s after its session and fails 20 s
later"). How one looks at a moment is worked out from that and the clock by :func:`view`; nothing has to run in the
background. Further entity kinds (tenants, replicas) belong here as further dictionaries of ``World``.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from .clock import Clock, parse_time
from .points import Points

FIRST_TASK_SECONDS = 4.0  # [doc] in the samples tasks begin 4 to 5 s after their session
TASK_STARTING_SECONDS = 1.0
STOPPING_SECONDS = 2.0
DEFAULT_TASK_SECONDS = 20.0
EMPTY_SESSION_SECONDS = 80.0  # the duration in the documented sample
DEFAULT_TENANT = "Acme"
PLAN_ACTIONS = ("start", "test", "undo")


@dataclass(frozen=True, slots=True)
class BackupServer:
    """A Veeam Backup & Replication server connected to Enterprise Manager."""

    id: str
    name: str
    memo: None = field(default=None, compare=False, repr=False)  # nothing about it is kept; see ``shapes``


@dataclass(frozen=True, slots=True)
class ReplicaPoint:
    """The restore point of a replica that a task uses; ``name`` is ``vm@date time``."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Task:
    """One VM of a session, as planned.

    :param start_offset: seconds from the session's creation to the task's.
    :param duration: seconds, None never ends.
    :param result: the result it will end with.
    :param replica_point: None leaves the link out.
    :param raw: properties served verbatim, None leaves one out.
    :param starting: seconds that it is Starting.
    """

    vm_name: str
    result: str = "Success"
    failure_message: str | None = None
    start_offset: float = FIRST_TASK_SECONDS
    duration: float | None = DEFAULT_TASK_SECONDS
    replica_point: ReplicaPoint | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)
    starting: float = TASK_STARTING_SECONDS


@dataclass(frozen=True, slots=True)
class Session:
    """One run of a cloud failover plan, as planned (docs/evidence.md, "The cloud failover session").

    :param end_time: when it will have stopped, None never.
    :param result: the result it will end with.
    :param state: a fixed state, whatever the clock says; None lets it move.
    :param raw: properties served and queried verbatim, None leaves one out.
    :param documented: always listed, however old.
    :param listed_from: lists and queries leave it out before; by its id it is found at once.
    :param result_lag: so many seconds after its end its result is still None.
    :param memo: what was worked out for good; see :func:`view` and ``shapes``.
    """

    id: str
    name: str
    backup_server: BackupServer
    creation_time: datetime
    end_time: datetime | None
    result: str
    failure_message: str | None = None
    tasks: tuple[Task, ...] = ()
    state: str | None = None
    job_type: str = "FailoverPlan"
    raw: Mapping[str, Any] = field(default_factory=dict)
    documented: bool = False
    listed_from: datetime | None = None
    result_lag: float = 0
    memo: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Tenant:
    """A customer of the service provider, known by one backup server."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class PlanVm:
    """A VM of a plan. ``order`` counts from 0; a name or order of None is left out.

    :param duration: seconds that its failover takes; None lets the seed decide.
    :param delay: it begins at the earliest so many seconds after the VM before it in order [doc: set in the plan].
    :param result: the result that its failover ends with, and what it then says: None for a usual text.
    """

    id: str
    name: str | None
    order: int | None
    duration: float | None = None
    result: str = "Success"
    failure_message: str | None = None
    delay: float = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """A cloud failover plan (docs/evidence.md, "Cloud failover plans"). It has no state.

    :param vms: in the order in which they are served, whatever their ``order``.
    :param pre_command: path of a script, None if there is none; so is ``post_command``.
    :param raw: properties served and queried verbatim, None leaves one out.
    :param actions: what it has links for; the others are refused with 403.
    :param refuse: by action, how it is refused: a status, or the message of the task that fails.
    :param memo: text rendered once; see ``shapes``.
    """

    id: str
    name: str
    backup_server: BackupServer
    tenant: Tenant
    vms: tuple[PlanVm, ...] = ()
    description: str | None = None
    pre_command: str | None = None
    post_command: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)
    actions: tuple[str, ...] = PLAN_ACTIONS
    refuse: Mapping[str, int | str] = field(default_factory=dict)
    memo: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    def served(self, name: str, value: Any) -> Any:
        """The property as clients get it: the raw override, or else ``value``."""
        return self.raw.get(name, value)


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task at one moment."""

    task: Task
    creation_time: datetime
    end_time: datetime | None
    state: str
    result: str
    progress: int
    failure_message: str | None


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session at one moment; ``settled`` ones will never look different."""

    session: Session
    state: str
    result: str
    progress: int
    end_time: datetime | None
    failure_message: str | None
    moment: datetime
    settled: bool = False

    def served(self, name: str, value: Any) -> Any:
        """The property as clients get it: the session's raw override, or else ``value``."""
        return self.session.raw.get(name, value)

    @property
    def memo(self) -> dict[Any, Any] | None:
        """Keeps what was worked out for good; None while the session can change."""
        return self.session.memo if self.settled else None

    @property
    def tasks(self) -> list[TaskView]:
        """The tasks that have begun by this moment."""
        return _task_views(self.session, self.moment, self.state == "Stopped")


def view(session: Session, now: datetime) -> SessionView:
    """How the session looks at ``now``: Starting, Working, Stopping, Stopped (docs/evidence.md, "The cloud failover session")."""
    over = session.end_time is not None and now >= session.end_time
    if over and session.state is None and now < _settles(session, now):
        return SessionView(session, "Stopped", "None", 100, session.end_time, None, now)
    if session.state == "Stopped" or (over and session.state is None):
        settled = session.memo.get("settled")
        if settled is None:
            settled = session.memo["settled"] = SessionView(
                session, "Stopped", session.result, 100, session.end_time, session.failure_message, now, True
            )
        return settled
    tasks = _task_views(session, now, False)
    done = sum(task.state == "Stopped" for task in tasks)
    if session.state is not None:
        state = session.state
    elif session.end_time is not None and now >= session.end_time - timedelta(seconds=STOPPING_SECONDS):
        state = "Stopping"
    else:
        state = "Working" if tasks or _elapsed(session, now) >= FIRST_TASK_SECONDS else "Starting"
    progress = 100 * done // len(session.tasks) if session.tasks else 0
    return SessionView(session, state, "None", min(progress, 99), None, None, now)


def _settles(session: Session, now: datetime) -> datetime:
    """When the session will not change any more; a moment after ``now`` if that is not known."""
    if session.end_time is None:
        return now + timedelta(seconds=1)
    return session.end_time + timedelta(seconds=session.result_lag)


def _elapsed(session: Session, now: datetime) -> float:
    return (now - session.creation_time).total_seconds()


def _task_views(session: Session, now: datetime, stopped: bool) -> list[TaskView]:
    elapsed = _elapsed(session, now)
    views = []
    for task in session.tasks:
        begin = session.creation_time + timedelta(seconds=task.start_offset)
        end = None if task.duration is None else begin + timedelta(seconds=task.duration)
        if stopped and session.end_time is not None:
            # A session that ended early, or was told to be Stopped, takes its tasks with it.
            begin = min(begin, session.end_time)
            end = session.end_time if end is None else min(end, session.end_time)
        if not stopped and elapsed < task.start_offset:
            continue
        if end is not None and (stopped or now >= end):
            views.append(TaskView(task, begin, end, "Stopped", task.result, 100, task.failure_message))
        else:
            age = elapsed - task.start_offset
            state = "Starting" if age < task.starting else "Working"
            progress = min(99, int(100 * age / task.duration)) if task.duration else 0
            views.append(TaskView(task, begin, None, state, "None", progress, None))
    return views


def planned_seconds(tasks: Iterable[Task]) -> float | None:
    """How long a session with these tasks takes, None for ever."""
    tasks = tuple(tasks)
    if not tasks:
        return EMPTY_SESSION_SECONDS
    ends = [None if task.duration is None else task.start_offset + task.duration for task in tasks]
    known = [end for end in ends if end is not None]
    return max(known) + STOPPING_SECONDS if len(known) == len(ends) else None


def combined_result(tasks: Iterable[Task]) -> str:
    """A session's result from its tasks': all failed is Failed, anything short of success is Warning [assumed]."""
    results = {task.result for task in tasks}
    if results <= {"Success"}:
        return "Success"
    return "Failed" if results == {"Failed"} else "Warning"


class World:
    """The entities in memory. Adding, changing and removing is safe from any thread.

    :param digits: fraction digits kept in times: 3 for version 12, 6 for version 13.
    :param copied_at: as of when clients see sessions and points; None: as of now.
    :param kept_since: sessions that were created before are forgotten; None: none is.
    """

    def __init__(
        self,
        clock: Clock,
        digits: int = 6,
        copied_at: Callable[[], datetime | None] = lambda: None,
        kept_since: Callable[[], datetime | None] = lambda: None,
    ) -> None:
        self.clock = clock
        self.digits = digits
        self._copied_at = copied_at
        self._kept_since = kept_since
        self.default_server = BackupServer("55555555-1111-4222-8333-444444444444", "sp-vbr1.example.net")
        self._lock = threading.RLock()
        self._sessions: dict[str, Session] = {}
        self._plans: dict[str, Plan] = {}
        self.points = Points(lambda: self.plans, clock, lambda: copied_at() or clock.now())
        self._version = 0
        self._listed: tuple[int, tuple[Session, ...]] = (-1, ())
        self._open: tuple[int, list[Session]] = (-1, [])

    @property
    def sessions(self) -> tuple[Session, ...]:
        """All sessions in the order in which they were added."""
        with self._lock:
            if self._listed[0] != self._version:
                self._listed = (self._version, tuple(self._sessions.values()))
            return self._listed[1]

    def session(self, session_id: str) -> Session | None:
        """The session with this GUID (any case), or None."""
        return self._sessions.get(session_id.lower())

    def known_session(self, session_id: str) -> Session | None:
        """The session with this GUID (any case), as long as it is not forgotten; a copy does not delay it [assumed]."""
        session = self.session(session_id)
        return session if session is None or self._kept(session, self._kept_since()) else None

    def views(self) -> list[SessionView]:
        """The sessions that are listed, as clients see them."""
        copied, kept_since = self._copied_at(), self._kept_since()
        now = copied or self.clock.now()
        return [
            view(session, now)
            for session in self.sessions
            if _listed(session, now)
            and (copied is None or session.creation_time <= copied)
            and self._kept(session, kept_since)
        ]

    def view(self, session: Session) -> SessionView:
        """How clients see a session that they ask for by its id: at the earliest as it began."""
        return view(session, max(self._copied_at() or self.clock.now(), session.creation_time))

    def as_now(self, seen: SessionView) -> SessionView:
        """A session of an answer as it looks now, as long as what it was selected by is the same."""
        if seen.settled:
            return seen
        now = self.view(seen.session)
        return now if (now.state, now.result) == (seen.state, seen.result) else seen

    @staticmethod
    def _kept(session: Session, since: datetime | None) -> bool:
        return since is None or session.documented or session.creation_time >= since

    def all_views(self, at: datetime) -> list[SessionView]:
        """All sessions as they look at a moment."""
        return [view(session, at) for session in self.sessions]

    @property
    def plans(self) -> tuple[Plan, ...]:
        """All plans in the order in which they were added."""
        with self._lock:
            return tuple(self._plans.values())

    def plan(self, plan_id: str) -> Plan | None:
        """The plan with this GUID (any case), or None."""
        return self._plans.get(plan_id.lower())

    def signature(self) -> Any:
        """A value that stays the same as long as no session and no plan looks different to a query."""
        copied, kept_since = self._copied_at(), self._kept_since()
        kept = None if kept_since is None else sum(self._kept(session, kept_since) for session in self.sessions)
        if copied is not None:
            return self._version, kept, copied
        now = self.clock.now()
        with self._lock:
            if self._open[0] != self._version:
                unsettled = [s for s in self._sessions.values() if _settles(s, now) > now or not _listed(s, now)]
                self._open = (self._version, unsettled)
            return self._version, kept, tuple(_outlook(s, now) for s in self._open[1])

    def add(self, sessions: Iterable[Session]) -> None:
        """Take over ready made sessions."""
        with self._lock:
            self._sessions.update((session.id, session) for session in sessions)
            self._version += 1

    def add_session(
        self,
        name: str = "Acme full site",
        state: str | None = None,
        result: str | None = "Success",
        creation_time: datetime | str | None = None,
        end_time: datetime | str | None = None,
        tasks: Iterable[Mapping[str, Any] | Task] = (),
        backup_server: BackupServer | Mapping[str, str] | str | None = None,
        failure_message: str | None = None,
        id: str | None = None,
        raw: Mapping[str, Any] | None = None,
        job_type: str = "FailoverPlan",
        documented: bool = False,
        listed_from: datetime | str | None = None,
        result_lag: float = 0,
    ) -> Session:
        """Add one session and return it.

        :param state: None: the session moves with the clock. A word fixes it; ``Stopped`` ends it at ``end_time``.
        :param result: the result it ends with; None works it out from the tasks.
        :param creation_time: default now (for a fixed ``Stopped``: early enough to have ended now).
        :param end_time: default when the last task is done, plus 2 s; 80 s without tasks.
        :param tasks: mappings with ``vm_name`` and optionally ``result``, ``failure_message``, ``start_offset`` and
            ``duration`` (seconds, None never ends), ``replica_point`` (mapping with id and name, None for no link) and
            ``raw``. Without ``start_offset`` they are staggered from 4 to 5 s.
        :param backup_server: a BackupServer, a mapping with id and name, or a name.
        :param raw: properties by their wire names, served verbatim; None leaves one out.
        :param listed_from: when lists and queries begin to show it; default at once.
        :param result_lag: so many seconds after its end its result is still None.
        :raises ValueError: for an id that is no GUID or exists, and for unknown task keys.
        """
        session_id = str(uuid.UUID(id)) if id else str(uuid.uuid4())
        with self._lock:
            if session_id in self._sessions:
                raise ValueError(f"a session {session_id} exists already")
        plans = list(tasks)
        offset = {n: FIRST_TASK_SECONDS + n / max(len(plans), 1) for n in range(len(plans))}
        planned = [plan if isinstance(plan, Task) else _task(plan, offset[n]) for n, plan in enumerate(plans)]
        seconds = planned_seconds(planned)
        created = _moment(creation_time)
        ends = _moment(end_time)
        if created is None:
            created = self.clock.now()
            if state == "Stopped":
                created = (ends or created) - timedelta(seconds=seconds or EMPTY_SESSION_SECONDS)
        created = self.rounded(created)
        if ends is None and state in (None, "Stopped"):
            if seconds is None and state == "Stopped":
                seconds = EMPTY_SESSION_SECONDS
            ends = None if seconds is None else created + timedelta(seconds=seconds)
        named = [
            task if isinstance(plan, Task) or "replica_point" in plan else replace(task, replica_point=point)
            for plan, task, point in zip(plans, planned, _points(session_id, planned, created), strict=True)
        ]
        session = Session(
            id=session_id,
            name=name,
            backup_server=self._server(backup_server),
            creation_time=created,
            end_time=None if ends is None else self.rounded(ends),
            result=combined_result(named) if result is None else result,
            failure_message=failure_message,
            tasks=tuple(named),
            state=state,
            job_type=job_type,
            raw=MappingProxyType(dict(raw or {})),
            documented=documented,
            listed_from=_moment(listed_from),
            result_lag=result_lag,
        )
        self.add([session])
        return session

    def change_session(self, session: Session | str, **changes: Any) -> Session:
        """Replace fields of a session (by object or id) and return the new one. Raises KeyError when unknown."""
        with self._lock:
            old = self._sessions[session if isinstance(session, str) else session.id]
            new = replace(old, **changes, memo={})
            self.add([new])
            return new

    def remove_session(self, session: Session | str) -> None:
        """Forget a session (by object or id). Raises KeyError when unknown."""
        with self._lock:
            del self._sessions[session if isinstance(session, str) else session.id]
            self._version += 1

    def add_plans(self, plans: Iterable[Plan]) -> None:
        """Take over ready made plans."""
        with self._lock:
            self._plans.update((plan.id, plan) for plan in plans)
            self._version += 1

    def add_plan(
        self,
        name: str = "Acme full site",
        vms: Iterable[str | Mapping[str, Any] | PlanVm] = (),
        tenant: Tenant | Mapping[str, str] | str | None = None,
        backup_server: BackupServer | Mapping[str, str] | str | None = None,
        id: str | None = None,
        description: str | None = None,
        pre_command: str | None = None,
        post_command: str | None = None,
        raw: Mapping[str, Any] | None = None,
        actions: Iterable[str] = PLAN_ACTIONS,
        refuse: Mapping[str, int | str] | None = None,
    ) -> Plan:
        """Add one plan and return it.

        :param vms: names, or mappings with ``name`` and optionally ``id`` and ``order`` (default: their place from 0),
            and for its failover ``duration`` and ``delay`` (seconds), ``result`` and ``failure_message``.
        :param tenant: a Tenant, a mapping with id and name, or a name: then the tenant of that name on the backup
            server. Tenants of one name on two servers are two.
        :param backup_server: a BackupServer, a mapping with id and name, or a name.
        :param raw: properties by their wire names, served verbatim; None leaves one out.
        :param actions: those of start, test and undo that it has links for; the others are refused with 403.
        :param refuse: how actions are refused, by action: a status (``{"start": 403}``), or the message of the task
            that fails.
        :raises ValueError: for an id that is no GUID or exists, for unknown VM keys and for unknown actions.
        """
        plan_id = str(uuid.UUID(id)) if id else str(uuid.uuid4())
        with self._lock:
            if plan_id in self._plans:
                raise ValueError(f"a plan {plan_id} exists already")
        server = self._server(backup_server)
        plan = Plan(
            id=plan_id,
            name=name,
            backup_server=server,
            tenant=self._tenant(tenant, server),
            vms=plan_vms(plan_id, vms),
            description=description,
            pre_command=pre_command,
            post_command=post_command,
            raw=MappingProxyType(dict(raw or {})),
            actions=_actions(actions),
            refuse=_refusals(refuse),
        )
        self.add_plans([plan])
        return plan

    def change_plan(self, plan: Plan | str, **changes: Any) -> Plan:
        """Replace fields of a plan (by object or id) and return the new one. Raises KeyError when unknown.

        ``vms``, ``tenant``, ``backup_server``, ``actions`` and ``refuse`` are taken as in :meth:`add_plan`.
        """
        with self._lock:
            old = self._plans[plan if isinstance(plan, str) else plan.id]
            if "vms" in changes:
                changes["vms"] = plan_vms(old.id, changes["vms"])
            if "backup_server" in changes:
                changes["backup_server"] = self._server(changes["backup_server"])
            if "tenant" in changes:
                changes["tenant"] = self._tenant(changes["tenant"], changes.get("backup_server", old.backup_server))
            if "actions" in changes:
                changes["actions"] = _actions(changes["actions"])
            if "refuse" in changes:
                changes["refuse"] = _refusals(changes["refuse"])
            new = replace(old, **changes, memo={})
            self.add_plans([new])
            return new

    def remove_plan(self, plan: Plan | str) -> None:
        """Forget a plan (by object or id). Raises KeyError when unknown."""
        with self._lock:
            del self._plans[plan if isinstance(plan, str) else plan.id]
            self._version += 1

    @property
    def servers(self) -> tuple[BackupServer, ...]:
        """The backup servers of all plans and sessions, and the one that they have by default, in this order."""
        found = [item.backup_server for item in (*self.plans, *self.sessions)]
        return tuple(dict.fromkeys([*found, self.default_server]))

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._sessions.clear()
            self._plans.clear()
            self.points.clear()
            self._version += 1

    def touch(self) -> None:
        """Make everything be worked out anew (after the clock went back)."""
        with self._lock:
            self._version += 1

    def rounded(self, moment: datetime) -> datetime:
        """The time cut to the digits this version keeps, so that served, sorted and filtered times are the same."""
        unit = 10 ** (6 - self.digits)
        return moment.replace(microsecond=moment.microsecond // unit * unit)

    def _server(self, given: BackupServer | Mapping[str, str] | str | None) -> BackupServer:
        if given is None:
            return self.default_server
        if isinstance(given, BackupServer):
            return given
        if isinstance(given, str):
            known = {plan.backup_server.name: plan.backup_server for plan in self.plans}
            known.update((session.backup_server.name, session.backup_server) for session in self.sessions)
            known[self.default_server.name] = self.default_server
            return known.get(given) or BackupServer(str(uuid.uuid5(uuid.NAMESPACE_DNS, given)), given)
        return BackupServer(**given)

    def _tenant(self, given: Tenant | Mapping[str, str] | str | None, server: BackupServer) -> Tenant:
        if isinstance(given, Tenant):
            return given
        if given is None or isinstance(given, str):
            name = given or DEFAULT_TENANT
            known = {plan.tenant.name: plan.tenant for plan in self.plans if plan.backup_server == server}
            return known.get(name) or tenant_of(name, server)
        return Tenant(**given)


def _outlook(session: Session, now: datetime) -> tuple[str, str, bool]:
    """What a query can tell of a session that changes by itself."""
    seen = view(session, now)
    return seen.state, seen.result, _listed(session, now)


def _listed(session: Session, now: datetime) -> bool:
    return session.listed_from is None or session.listed_from <= now


def _actions(given: Iterable[str]) -> tuple[str, ...]:
    actions = tuple(given)
    if set(actions) - set(PLAN_ACTIONS):
        raise ValueError(f"actions are some of {PLAN_ACTIONS}, not {actions}")
    return actions


def _refusals(given: Mapping[str, int | str] | None) -> Mapping[str, int | str]:
    _actions(given or ())
    for refusal in (given or {}).values():
        if isinstance(refusal, int):
            HTTPStatus(refusal)
    return MappingProxyType(dict(given or {}))


def tenant_of(name: str, server: BackupServer) -> Tenant:
    """The tenant of this name on this server; the same id each time."""
    return Tenant(str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}@{server.id}")), name)


_VM_KEYS = {f.name for f in fields(PlanVm)}


def plan_vms(plan_id: str, vms: Iterable[str | Mapping[str, Any] | PlanVm]) -> tuple[PlanVm, ...]:
    """VMs from what :meth:`World.add_plan` takes; without ids of their own they get the same ids each time."""
    made = []
    for n, vm in enumerate(vms):
        if not isinstance(vm, PlanVm):
            given = {"name": vm} if isinstance(vm, str) else vm
            unknown = set(given) - _VM_KEYS
            if unknown or "name" not in given:
                raise ValueError(f"a VM needs name and takes {sorted(_VM_KEYS)}, not {sorted(unknown)}")
            vm = PlanVm(**{"id": str(uuid.uuid5(uuid.UUID(plan_id), str(n))), "order": n, **given})
        made.append(vm)
    return tuple(made)


_TASK_KEYS = {f.name for f in fields(Task)}


def _task(plan: Mapping[str, Any], start_offset: float) -> Task:
    unknown = set(plan) - _TASK_KEYS
    if unknown or "vm_name" not in plan:
        raise ValueError(f"a task needs vm_name and takes {sorted(_TASK_KEYS)}, not {sorted(unknown)}")
    values = {"start_offset": start_offset, **plan}
    if isinstance(values.get("replica_point"), Mapping):
        values["replica_point"] = ReplicaPoint(**values["replica_point"])
    return Task(**values)


def _points(session_id: str, tasks: list[Task], created: datetime) -> list[ReplicaPoint]:
    """A replica point for each task, taken three hours before; the same for the same session id."""
    taken = f"{created - timedelta(hours=3):%Y-%m-%d %H:%M:%S}"
    space = uuid.UUID(session_id)
    return [ReplicaPoint(str(uuid.uuid5(space, str(n))), f"{task.vm_name}@{taken}") for n, task in enumerate(tasks)]


def _moment(value: datetime | str | None) -> datetime | None:
    """A datetime as it is, or ISO text; naive ones are UTC."""
    if isinstance(value, datetime):
        return parse_time(value.isoformat())
    return None if value is None else parse_time(value)
