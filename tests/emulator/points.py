# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restore points of the VMs of plans, and which of them are in failover (docs/evidence.md).

Each VM of a plan has a point every four hours, of the last seven days; the newest is 25 minutes old when the emulator
starts, so that the time of day makes no difference. They are worked out from plan and clock, and nothing has to run in
the background. What is kept is only which points a failover has taken into use.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from .clock import Clock

if TYPE_CHECKING:
    from .world import BackupServer, Plan, PlanVm

INTERVAL = timedelta(hours=4)
KEPT = 42
_APART = timedelta(seconds=95)  # the VMs of a plan are replicated one after the other
_AGE = timedelta(minutes=25)


@dataclass(frozen=True, slots=True)
class Point:
    """A restore point of a replica at one moment.

    :param state: ``Ready`` or ``Failover``.
    """

    id: str
    vm_name: str
    creation_time: datetime
    replica_id: str
    backup_server: BackupServer
    state: str = "Ready"
    memo: Any = None  # it can change: nothing about it is kept; see ``shapes``

    @property
    def name(self) -> str:
        """``vm@date time``, without a zone [seen]; here the time is UTC."""
        return f"{self.vm_name}@{self.creation_time:%Y-%m-%d %H:%M:%S}"


@dataclass
class _Use:
    """A point that a failover, whose session is ``session_id``, uses from ``begin`` until ``end`` (None: until an undo).

    :param shown_from: since when clients see it, whose view is a copy that may be late; the same for ``shown_until``.
    """

    point: Point
    plan_id: str
    session_id: str
    begin: datetime
    shown_from: datetime
    end: datetime | None = None
    shown_until: datetime | None = None


class Points:
    """The restore points of all plans. Safe from any thread.

    :param seen_at: as of when clients see them.
    """

    def __init__(
        self, plans: Callable[[], tuple[Plan, ...]], clock: Clock, seen_at: Callable[[], datetime] | None = None
    ) -> None:
        self._plans = plans
        self._seen_at = seen_at or clock.now
        self._first = clock.now().replace(microsecond=0) - _AGE
        self._uses: list[_Use] = []
        self._lock = threading.RLock()

    def history(self, plan: Plan, vm: PlanVm, at: datetime) -> list[Point]:
        """The points of a VM at a moment, newest first."""
        begin = self._first + _APART * (plan.vms.index(vm) % 10)
        newest = (at - begin) // INTERVAL
        key = "points", vm.id
        kept = plan.memo.get(key)
        if kept is None or kept[0] != newest:
            replica = uuid.uuid5(uuid.UUID(plan.id), f"replica {vm.id}")
            points = [
                Point(
                    str(uuid.uuid5(replica, str(n))),
                    vm.name or vm.id,
                    begin + INTERVAL * n,
                    str(replica),
                    plan.backup_server,
                )
                for n in range(newest, newest - KEPT, -1)
            ]
            kept = plan.memo[key] = (newest, points)
        return kept[1]

    def before(self, plan: Plan, vm: PlanVm, at: datetime, moment: datetime | None) -> Point | None:
        """The newest point that a VM has at ``at``, of those before ``moment`` if that is given; None if there is none."""
        return next((p for p in self.history(plan, vm, at) if moment is None or p.creation_time < moment), None)

    def all(self) -> list[Point]:
        """All points with their states: those of the plans, and older ones that a failover uses."""
        now = self._seen_at()
        found = {point.id: point for plan in self._plans() for vm in plan.vms for point in self.history(plan, vm, now)}
        with self._lock:
            for use in self._uses:
                if use.shown_from <= now and (use.shown_until is None or now < use.shown_until):
                    found[use.point.id] = replace(use.point, state="Failover")
        return list(found.values())

    def use(
        self, point: Point, plan: Plan, session_id: str, begin: datetime, shown_from: datetime | None = None
    ) -> None:
        """Let a point be in failover from ``begin`` until :meth:`free`; clients do not see it before ``shown_from``."""
        with self._lock:
            self._uses.append(_Use(point, plan.id, session_id, begin, max(begin, shown_from or begin)))

    def in_failover(self, plan: Plan, at: datetime) -> list[str]:
        """The sessions of this plan whose failover has not been undone, be it one that is just beginning."""
        with self._lock:
            open_uses = [use for use in self._uses if use.plan_id == plan.id and (use.end is None or at < use.end)]
        return list(dict.fromkeys(use.session_id for use in open_uses))

    def free(self, plan: Plan, end: datetime, shown_from: datetime | None = None) -> None:
        """Let all points of this plan be ready again from ``end``; clients do not see it before ``shown_from``."""
        with self._lock:
            for use in self._uses:
                if use.plan_id == plan.id and (use.end is None or use.end > end):
                    use.end, use.shown_until = end, max(end, shown_from or end)

    def clear(self) -> None:
        """Forget all failovers."""
        with self._lock:
            self._uses.clear()
