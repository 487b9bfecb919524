# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The emulated server without its network: everything requests read and change, and what tests look at."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from .actions import ACTIONS, PlanActions, Run
from .behaviour import Behaviour
from .clock import Clock
from .collecting import Collecting
from .errors import error_body
from .faults import Faults
from .logons import DEFAULT_USERS, IDLE_SECONDS, Logons, User
from .query import QueryService
from .render import Style
from .sample_data import documented_plans, documented_sessions, drill_plans, generated_plans, generated_sessions
from .world import Plan, SessionView, World


@dataclass
class RequestRecord:
    """One request as it came in.

    :param path: percent-decoded.
    :param query: the raw query string, without ``?``.
    :param headers: by lower-case name.
    :param runs: how many actions on plans the server's log held when it came in.
    :param status: of the reply, None while there is none (or when the connection was dropped).
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    runs: int = 0
    status: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON, without what belongs to the client's secrets."""
        secret = ("authorization", "cookie", "x-restsvcsessionid")
        headers = {name: "***" if name in secret else value for name, value in self.headers.items()}
        return {
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "headers": headers,
            "status": self.status,
        }


class Counters:
    """What has been counted since the start or the last reset; readable as attributes or by ``counters["name"]``.

    ``requests`` (all below /api), ``max_in_flight`` (of them at once), ``logons``, ``logoffs``, ``live_logons``,
    ``max_live_logons``, ``bytes_sent`` (reply bodies) and ``routes`` (requests by ``"METHOD /route"``, ids as ``{id}``).
    """

    NAMES = (
        "requests",
        "max_in_flight",
        "logons",
        "logoffs",
        "live_logons",
        "max_live_logons",
        "bytes_sent",
        "routes",
    )

    def __init__(self, logons: Logons) -> None:
        self._logons = logons
        self.in_flight = 0
        self.resets = 0  # a reply to a request from before a reset does not count after it
        self.reset()

    def reset(self) -> None:
        """Back to zero."""
        self.resets += 1
        self.requests = self.logons = self.logoffs = self.max_live_logons = self.bytes_sent = 0
        self.max_in_flight = self.in_flight
        self.routes: Counter[str] = Counter()

    @property
    def live_logons(self) -> int:
        """Logons that live at this moment."""
        return len(self._logons.live())

    def __getitem__(self, name: str) -> Any:
        if name not in self.NAMES:
            raise KeyError(name)
        return getattr(self, name)

    def as_dict(self) -> dict[str, Any]:
        """All counters."""
        return {name: dict(self.routes) if name == "routes" else self[name] for name in self.NAMES}


@dataclass
class Settings:
    """What a server is started with; see ``Emulator``."""

    sessions: int = 40
    tasks: int = 3
    seed: int = 1
    running: int | None = None
    em_version: int = 12
    latency_ms: float = 0
    idle_seconds: float = IDLE_SECONDS
    behaviour: Behaviour = field(default_factory=Behaviour)
    users: Iterable[User] | None = None
    documented: bool = True
    now: datetime | None = None
    faults: Iterable[dict[str, Any]] = ()
    clock_rate: float = 1.0
    drill: bool = False


@dataclass(frozen=True, order=True)
class _Planned:
    """A run by others that is to come."""

    moment: datetime
    number: int
    plan_id: str
    action: str
    list_delay: float


OUTAGES = ("refuse", "drop", "503")


class Service:
    """State and bookkeeping of one emulated Enterprise Manager."""

    def __init__(self, settings: Settings) -> None:
        if settings.em_version not in (12, 13):
            raise ValueError("em_version is 12 or 13")
        self._settings = settings
        self._initial_faults = list(settings.faults)
        self.em_version = settings.em_version
        self.latency_ms = settings.latency_ms
        self.clock = Clock(settings.now, settings.clock_rate)
        # An own copy: the caller's object stays the picture of the start, for reset().
        self.behaviour = replace(settings.behaviour)
        self._initial_behaviour = replace(settings.behaviour)
        self.collecting = Collecting(self.clock, self.behaviour)
        digits = 3 if settings.em_version < 13 else 6
        self._world = World(self.clock, digits, self.collecting.copied_at, self._kept_since)
        self.logons = Logons(self.clock, settings.users or DEFAULT_USERS, settings.idle_seconds)
        self.query = QueryService(self._world, self.behaviour, settings.em_version)
        self.plan_actions = PlanActions(self._world, self.behaviour, settings.seed)
        self.faults = Faults()
        self.counters = Counters(self.logons)
        self.requests: list[RequestRecord] = []
        self._outage: tuple[str, float] = ("", 0.0)
        self._to_come: list[_Planned] = []
        self._to_come_count = 0
        self._lock = threading.RLock()
        self._fill(settings.sessions, settings.tasks)
        for fault in self._initial_faults:
            self.faults.add(**fault)

    @property
    def world(self) -> World:
        """The entities, with everything that has come to pass by now."""
        self.catch_up()
        return self._world

    @property
    def runs(self) -> list[Run]:
        """The server's log of actions on plans, oldest first: by the API and by others, the refused ones too."""
        self.catch_up()
        return list(self.plan_actions.runs)

    def run_by_others(self, plan: Plan | str, action: str = "start", delay: float = 0, list_delay: float = 0) -> None:
        """Let somebody start, test or undo a plan elsewhere, as in Veeam's console: without logon, request and task.

        :param plan: the plan, its id or its name.
        :param delay: so many seconds of the emulator's clock from now.
        :param list_delay: seconds until lists and queries show its session, and points their state, whatever the switch says.
        :raises ValueError: for an unknown action, a plan that is not there or not the only one, and a delay below 0.
        """
        if action not in ACTIONS:
            raise ValueError(f"action is one of {ACTIONS}, not {action!r}")
        if delay < 0 or list_delay < 0:
            raise ValueError("a delay cannot be below 0")
        wanted = plan.id if isinstance(plan, Plan) else plan
        found = [p for p in self.world.plans if wanted == p.name or wanted.lower() == p.id]
        if len(found) != 1:
            raise ValueError(f"there are {len(found)} plans {wanted}, not one")
        with self._lock:
            self._to_come_count += 1
            moment = self.clock.now() + timedelta(seconds=delay)
            self._to_come.append(_Planned(moment, self._to_come_count, found[0].id, action, list_delay))
            self.catch_up()

    def catch_up(self) -> None:
        """Carry out what others have done by now, each at its own moment; called whenever anything looks.

        A plan that was removed in the meantime is not run.
        """
        with self._lock:
            now = self.clock.now()
            due = sorted(planned for planned in self._to_come if planned.moment <= now)
            for planned in due:
                self._to_come.remove(planned)
                plan = self._world.plan(planned.plan_id)
                if plan is not None:
                    self.plan_actions.act_elsewhere(plan, planned.action, planned.moment, planned.list_delay)

    def expire_logons(self) -> None:
        """Forget all tokens at once."""
        self.logons.expire_all()

    def outage(self, seconds: float, kind: str = "503") -> None:
        """Be away for so many seconds of real time, from now on; 0 ends an outage.

        :param kind: ``503``: an error reply to every request below /api. ``drop``: connections to it are broken.
            ``refuse``: nothing listens on the port, so that nothing can end it early. Raises ValueError for others.
        """
        if kind not in OUTAGES:
            raise ValueError(f"kind is one of {OUTAGES}, not {kind!r}")
        if kind == "refuse":
            self._stop_listening(float(seconds))
        else:
            self._outage = (kind, time.monotonic() + float(seconds))

    def outage_now(self) -> str | None:
        """The kind of outage at this moment, or None."""
        kind, end = self._outage
        return kind if time.monotonic() < end else None

    def restart(self, seconds: float = 0, kind: str = "refuse") -> None:
        """As if the service were started again: all logons and tasks are forgotten, the data and the clock stay.

        Failovers go on: they run on the backup servers. For :meth:`outage` see there.
        """
        self.expire_logons()
        if seconds:
            self.outage(seconds, kind)

    def _stop_listening(self, seconds: float) -> None:
        raise ValueError("there is no network here")

    def reset(self, sessions: int | None = None, tasks: int | None = None) -> None:
        """Counters, logs, faults, behaviour, logons, latency and clock back to the start; an outage with 503 ends.

        What others were to do is forgotten.

        The data stay, unless ``sessions`` or ``tasks`` is given: then they are made anew with these numbers.
        """
        settings = self._settings
        self.logons.expire_all()
        self.logons.idle_seconds = settings.idle_seconds
        self.latency_ms = settings.latency_ms
        self._outage = ("", 0.0)
        with self._lock:
            self._to_come.clear()
            self.plan_actions.runs.clear()
        self.clock.reset()
        self.world.touch()
        self.behaviour.copy_from(self._initial_behaviour)
        self.collecting.reset()
        self.faults.clear()
        for fault in self._initial_faults:
            self.faults.add(**fault)
        if sessions is not None or tasks is not None:
            self.world.clear()
            self._fill(settings.sessions if sessions is None else sessions, settings.tasks if tasks is None else tasks)
        self.requests.clear()
        self.counters.reset()

    def style(self, scope: Mapping[str, Any], query_order: bool = False) -> Style:
        """How to write the reply to a request: its Accept header, the version, the switches."""
        accept = b",".join(value for name, value in scope["headers"] if name == b"accept")
        behaviour = self.behaviour
        return Style(
            json=b"application/json" in accept.lower(),  # [seen] anywhere in the header
            version=self.em_version,
            href_base=behaviour.href_base,
            finished_tasks=behaviour.finished_tasks,
            plan_vms=behaviour.plan_vms,
            plan_references=behaviour.plan_references,
            point_times=behaviour.point_times,
            system_result=behaviour.system_result,
            empty_containers=behaviour.empty_containers,
            xml_prefix=behaviour.xml_prefix,
            indent=behaviour.indent,
            bom=behaviour.bom,
            query_order=query_order,
        )

    def error_body(
        self, scope: Mapping[str, Any], status: int, message: str | None, kind: str | None
    ) -> tuple[str, bytes]:
        """Content type and body of an error reply; without message and kind the usual ones."""
        message = HTTPStatus(status).phrase if message is None else message
        return error_body(kind or self.behaviour.error_body, self.style(scope), status, message)

    def collection(self) -> list[SessionView]:
        """What the collection of sessions lists now: the last 30 days [doc], and always the documented ones."""
        views = self.world.views()
        if self.behaviour.collection_days is None:
            return views
        oldest = self.clock.now() - timedelta(days=self.behaviour.collection_days)
        return [v for v in views if v.session.documented or v.session.creation_time >= oldest]

    def _kept_since(self) -> datetime | None:
        weeks = self.behaviour.retention_weeks
        return None if weeks is None else self.clock.now() - timedelta(weeks=weeks)

    def appear(self, name: str, old: bool) -> None:
        """Let a session come into being, created now, or as the oldest of all."""
        created = self.clock.now()
        if old:
            created = min((s.creation_time for s in self.world.sessions), default=created) - timedelta(hours=1)
        self.world.add_session(name=name, creation_time=created)

    def _fill(self, sessions: int, tasks: int) -> None:
        settings = self._settings
        if settings.documented:
            self.world.add(documented_sessions())
            self.world.add_plans(documented_plans())
        if settings.drill:
            self.world.add_plans(drill_plans())
        generated = list(
            generated_sessions(
                sessions, tasks, settings.seed, self.clock.now(), self.world.rounded, running=settings.running
            )
        )
        self.world.add(generated)
        self.world.add_plans(generated_plans(generated))
