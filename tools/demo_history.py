# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make up a year of seven cloud failover plans as a history: demo_history.py STORE [--now TIME]

The emulator goes through the year in seconds. Somebody tests its plans, fails one over, adds a VM; and each week, and after
each run, the history is recorded as the module failover_history does it. It ends ten minutes before TIME, by default now.
playbooks/vars/demo_readiness.yml is the policy for these plans. The Makefile sets the path for the imports.
"""

from __future__ import annotations

import argparse
import sys
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.client import EnterpriseManager
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.criteria import SessionCriteria
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.errors import HistoryError
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.handed_over import handed_over
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.recorder import Recorder
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.store import open_store
from emulator import Emulator

EM_NAME = "em.example.com"
WEEK = 7
ERP, WEB, DATABASES, BRANCH, PORTAL, SITE, OFFICE = (
    "Acme ERP",
    "Acme web shop",
    "Borealis databases",
    "Contoso branch office",
    "Globex portal",
    "Harbour Logistics full site",
    "Initech head office",
)
VMS: dict[str, dict[str, int]] = {
    ERP: {"erp-dc01": 180, "erp-db": 900, "erp-app01": 420, "erp-app02": 440},
    WEB: {"web-db": 300, "web-shop01": 150, "web-shop02": 160},
    DATABASES: {"sql01": 600, "sql02": 660},
    BRANCH: {"branch-dc": 200, "branch-files": 380},
    PORTAL: {"portal-db": 420, "portal-app": 240, "portal-print": 90},
    SITE: {"hl-dc01": 170, "hl-sql": 840, "hl-files": 360, "hl-mail": 520, "hl-erp": 700},
    OFFICE: {"ini-dc": 190, "ini-files": 410, "ini-mail": 560},
}
"""The VMs of each plan in their start order, with the seconds that a test takes."""
TENANTS = {name: name.split(" ", 1)[0] for name in VMS} | {SITE: "Harbour Logistics"}


@dataclass(frozen=True)
class Event:
    """What happens so many days before the end of the history.

    :param action: ``test``, ``start`` or ``undo``; None for a change of the plan, or for nothing but a look.
    :param slower: by what the usual time of each VM is multiplied.
    :param failing: the VM that fails, with what EM says then.
    :param without: a VM that EM does not attempt.
    :param added: a VM that is added to the plan.
    :param by: who runs it through Ansible; None in Veeam's console, where nobody records it.
    """

    days: int
    plan: str = ""
    action: str | None = None
    slower: float = 1
    failing: tuple[str, str] | None = None
    without: str | None = None
    added: str | None = None
    by: str | None = None
    notes: tuple[dict[str, Any], ...] = ()


def finding(text: str, action: str, owner: str, due: int, severity: str = "high") -> dict[str, Any]:
    return {
        "type": "finding",
        "by": "J. Doe",
        "text": text,
        "severity": severity,
        "action": action,
        "owner": owner,
        "due": due,
    }


EVENTS = [
    # Ready: tested every quarter, each time a little slower, and failed over once.
    *(
        Event(days, OFFICE, "test", slower=slower, by="M. Keller")
        for days, slower in ((345, 1), (258, 1.05), (166, 1.1), (74, 1.15), (21, 1.2))
    ),
    Event(203, OFFICE, "start", slower=1.8, by="M. Keller"),
    Event(202, OFFICE, "undo", by="M. Keller"),
    # Due: the test of this quarter has to be made in the next days.
    *(Event(days, WEB, "test", by="J. Doe") for days in (352, 262, 171, 82)),
    # Partial: the print server has never been in a test, because its replica failed each time.
    *(Event(days, PORTAL, "test", without="portal-print") for days in (300, 215, 130, 44)),
    # Changed: a mail server came after the last test.
    *(Event(days, SITE, "test", by="J. Doe") for days in (330, 240, 149, 58)),
    Event(16, SITE, added="hl-mail"),
    # Overdue: nobody has tested it since the spring.
    *(Event(days, DATABASES, "test") for days in (338, 249)),
    # Never tested: it came in the autumn, and somebody has accepted that until it goes live.
    Event(
        48,
        BRANCH,
        notes=(
            {"type": "waiver", "plan": BRANCH, "by": "R. Ortiz", "text": "Not live before the move.", "until": -20},
        ),
    ),
    # Failed: monthly tests, the last of which failed, as one did in the spring.
    *(Event(days, ERP, "test", by="J. Doe") for days in (340, 310, 280, 250, 220, 160, 130, 100, 70, 40)),
    Event(
        190,
        ERP,
        "test",
        failing=("erp-app02", "The operating system did not start in time"),
        by="J. Doe",
        notes=(finding("erp-app02 did not start in time.", "Give it more memory.", "Platform team", 170, "medium"),),
    ),
    Event(
        9,
        ERP,
        "test",
        failing=("erp-db", "Restore point is corrupted"),
        by="J. Doe",
        notes=(finding("The replica of erp-db is corrupted.", "Seed the replica again.", "Storage team", -12),),
    ),
    *(Event(days) for days in range(52 * WEEK, 0, -2 * WEEK)),
]


class Year:
    """The emulator and the history that is made of it.

    :param now: the end of the year.
    """

    def __init__(self, em: Emulator, store: Any, now: datetime) -> None:
        self.em, self.store, self.now = em, store, now
        self.ids: dict[str, str] = {}

    def make(self) -> None:
        """Let everything happen, in the order of time."""
        for event in sorted(EVENTS, key=lambda event: (-event.days, event.plan)):
            day = self.now - timedelta(days=event.days)
            self.until(day.replace(hour=1 + event.days % 5, minute=event.days * 7 % 60, second=0, microsecond=0))
            if event.plan and event.plan not in self.ids:
                self.add(event.plan)
            self.record(event, self.run(event) if event.action else None)
        self.until(self.now - timedelta(minutes=10))
        self.record(Event(0), None)

    def until(self, moment: datetime) -> None:
        self.em.clock.advance(max(0, (moment - self.em.clock.now()).total_seconds()))

    def vms(self, name: str, **changes: Any) -> list[dict[str, Any]]:
        """The VMs of a plan as the emulator takes them."""
        return [
            {"name": vm, "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{name}/{vm}")), "order": order, "duration": seconds}
            for order, (vm, seconds) in enumerate(VMS[name].items())
        ]

    def add(self, name: str) -> None:
        """A plan without the VMs that are added to it later."""
        later = {event.added for event in EVENTS}
        vms = [vm for vm in self.vms(name) if vm["name"] not in later]
        plan = self.em.world.add_plan(
            name, vms, TENANTS[name], id=str(uuid.uuid5(uuid.NAMESPACE_URL, name)), description="Made up"
        )
        self.ids[name] = plan.id

    def run(self, event: Event) -> str | None:
        """Run a plan as the event says, and wait for an hour; returns the id of the session."""
        world, plan_id = self.em.world, self.ids[event.plan]
        vms = world.plan(plan_id).vms
        messages = dict([event.failing]) if event.failing else {}
        as_run = [
            replace(
                vm,
                duration=round(vm.duration * (event.slower + event.days % 13 / 200)),
                result="Failed" if vm.name in messages else "Success",
                failure_message=messages.get(vm.name),
            )
            for vm in vms
            if vm.name != event.without
        ]
        world.change_plan(plan_id, vms=as_run)
        self.em.run_by_others(plan_id, event.action)
        world.change_plan(plan_id, vms=vms)
        self.em.clock.advance(3600)
        return self.em.runs[-1].session_id

    def record(self, event: Event, session_id: str | None) -> None:
        """A look, with what the event hands over."""
        if event.added:
            self.em.world.change_plan(self.ids[event.plan], vms=self.vms(event.plan))
        run = {
            "session_id": session_id,
            "action": event.action,
            "session_source": "task",
            "plan": event.plan,
            "operator": event.by,
        }
        given = {
            "runs": [run] if session_id and event.by else [],
            "notes": [self.note(note, session_id) for note in event.notes],
        }
        self.em.collecting.add(creation_time=self.em.clock.now() - timedelta(minutes=5))
        recorder = Recorder(self.store, EM_NAME)
        with EnterpriseManager(self.em.url, "admin", "Passw0rd!", warn=lambda text: None) as client:
            look = recorder.look(client, SessionCriteria.from_options({"page_size": 100}.get))
        recorder.append([*look.records, *handed_over(EM_NAME, look.at, given.get)])

    def note(self, note: Mapping[str, Any], session_id: str | None) -> dict[str, Any]:
        """A note with dates instead of days before the end."""
        dates = {key: f"{self.now - timedelta(days=note[key]):%Y-%m-%d}" for key in ("due", "until") if key in note}
        about = {"session_id": session_id} if session_id else {}
        return {**note, **dates, **about}


def make(store: str, now: datetime) -> None:
    """Make the history; it must not be there yet."""
    with ExitStack() as stack:
        em = stack.enter_context(
            Emulator(sessions=0, documented=False, now=now - timedelta(days=53 * WEEK), clock_rate=0)
        )
        em.behaviour.collect_interval = None  # each look has a collection of its own, five minutes before
        em.collecting.clear()
        Year(em, stack.enter_context(open_store(store, create=True)), now).make()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store")
    parser.add_argument("--now", type=datetime.fromisoformat, default=datetime.now(timezone.utc))
    options = parser.parse_args()
    try:
        make(options.store, options.now)
    except HistoryError as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
