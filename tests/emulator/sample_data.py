# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sessions and plans to start with: the documented ones, and as many generated ones as wanted."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta, timezone

from .world import BackupServer, Plan, ReplicaPoint, Session, Task, Tenant, plan_vms, planned_seconds, tenant_of

DOCUMENTED_SERVER = BackupServer("8fff3b8e-c3f1-4ef5-aecc-561f07bf9982", "172.17.53.48")
SERVERS = (
    BackupServer("55555555-1111-4222-8333-444444444444", "sp-vbr1.example.net"),
    BackupServer("55555555-2222-4222-8333-444444444444", "sp-vbr2.example.net"),
)
DRILL_PLAN_NAME = "ABC Company DR drill"
SMALL_PLAN_NAME = "ABC Company small site"
PLAN_NAMES = (
    "Acme full site",
    "Acme web tier",
    "Borealis DR plan",
    "Contoso databases",
    "Harbour Logistics full site",
    'R&D "\u03a9" <Plan> 50%',
    "O'Brien; Sons, (Ltd)",
    "Plan with  two spaces",
    "plan-\u00fcn\u00efcode-\u65e5\u672c",
)
_TENANTS = {  # who owns the plans; invented, as their names are
    "Acme full site": "Acme",
    "Acme web tier": "Acme",
    "Borealis DR plan": "Borealis",
    "Contoso databases": "Contoso",
    "Harbour Logistics full site": "Harbour Logistics",
    'R&D "\u03a9" <Plan> 50%': "Contoso",
    "O'Brien; Sons, (Ltd)": "O'Brien & Sons",
    "Plan with  two spaces": "Borealis",
    "plan-\u00fcn\u00efcode-\u65e5\u672c": "\u00dcn\u00efcode \u65e5\u672c",
}
_VM_ROLES = ("db", "web", "app", "files", "mail", "dc", "erp", "proxy", "print", "backup", "queue", "cache")
_FAILURES = (
    "Failed to power on replica VM: insufficient memory on host esx{n:02d}",
    "Failed to connect to host esx{n:02d}.example.net: the operation has timed out",
    "Replica VM {vm} is locked by another session",
    "No restore point of {vm} is available for failover",
    "Network mapping failed: network 'Tenant VLAN {n}' was not found on host esx{n:02d}",
)
_WARNING = "Guest of {vm} did not report an IP address within 300 seconds"
_SPREAD = timedelta(days=20)
_LONGEST_SECONDS = 400.0  # no generated task takes longer


def documented_sessions() -> Iterator[Session]:
    """The five sessions of the reference pages, in their order.

    Only the first has an entity in the documents. Names, ids and server of the other four are documented; their times
    and results are invented (all in 2015, no two alike).
    """
    rows = (
        ("475420ee-d045-4493-9869-0a970e08f6f9", "ABC Company Failover Plan", (12, 7, 17, 38, 16), 80, "Success"),
        # Invented from here on: times and results.
        ("10c5b348-dcbb-4d50-8b37-0e0fb4daf0ef", "ABC Company Cloud Failover Plan", (12, 4, 9, 12, 41), 95, "Success"),
        ("030015e0-8f8f-469a-93e1-10b680b46887", "UCM Company Full SIte Failover", (11, 23, 14, 5, 2), 312, "Warning"),
        ("15db3c3b-b561-4115-a3e3-24a7bfc50c35", "ABC Company Failover Plan", (11, 20, 8, 30, 55), 61, "Failed"),
        ("77becc1b-d82e-46c8-93e7-2b59f6d31192", "ABC Company Failover Plan", (11, 19, 16, 47, 9), 77, "Success"),
    )
    for session_id, name, (month, day, hour, minute, second), seconds, result in rows:
        created = datetime(2015, month, day, hour, minute, second, tzinfo=timezone.utc)
        yield Session(
            id=session_id,
            name=name,
            backup_server=DOCUMENTED_SERVER,
            creation_time=created,
            end_time=created + timedelta(seconds=seconds),
            result=result,
            documented=True,
        )


def documented_plans() -> Iterator[Plan]:
    """A plan for each plan name of the documented sessions.

    Ids, names, server and tenants of the first two, and the VMs of the first, are documented (pages
    get_cloudfailoverplans and cloudfailoverplans_id).
    """
    abc = Tenant("b25f5f1d-a3c3-45ed-af23-9ef31a94dac7", "ABC Company")
    ucm = Tenant("4e507777-8349-4683-9336-5fd1ecc27ea6", "UCM Company")
    documented_vms = (
        {"id": "231a6e3e-09e6-4641-9322-40898fcb966a", "name": "srv38"},
        {"id": "096a7d0a-c92a-4da4-9302-4416b2fe929f", "name": "srv40"},
    )
    rows = (
        ("e7ca6822-a87f-443d-8aae-8005970543bf", "ABC Company Failover Plan", abc, documented_vms),
        # Invented: the VMs of this one, and id, tenant and VMs of the last.
        (
            "08d5bbf5-619b-4bb9-ba51-95f4678544f4",
            "UCM Company Full SIte Failover",
            ucm,
            ("ucm-dc01", "ucm-sql01", "ucm-web01"),
        ),
        (
            "c1d0f9a4-6a0f-4c7e-9b0e-2f6d2f3f7f10",
            "ABC Company Cloud Failover Plan",
            abc,
            ("filesrv03", "dbsrv01"),
        ),
    )
    for plan_id, name, tenant, vms in rows:
        yield Plan(
            id=plan_id,
            name=name,
            backup_server=DOCUMENTED_SERVER,
            tenant=tenant,
            vms=plan_vms(plan_id, vms),
            description=f"Plan of {tenant.name}",
        )


def drill_plans() -> Iterator[Plan]:
    """Two plans to try out, a larger and a small one. Everything about them is invented.

    VMs of one order begin shortly one after the other, those of the next when all before them are done, by the delays.
    A run of the larger one takes about four minutes, of the small one half a minute.
    """
    rows = (  # name, order, delay, duration
        ("abc-dc01", 0, 0, 50.0),
        ("abc-sql01", 1, 50, 90.0),
        ("abc-sql02", 1, 2, 80.0),
        ("abc-app01", 2, 88, 45.0),
        ("abc-app02", 2, 2, 50.0),
        ("abc-mail01", 3, 50, 30.0),
        ("abc-web01", 4, 30, 24.0),
        ("abc-web02", 4, 2, 26.0),
    )
    small = (("abc-fs01", 0, 0, 20.0), ("abc-rds01", 1, 4, 18.0))
    for plan_id, name, description, vms in (
        ("d0d0d0d0-5555-4222-8333-444444444444", DRILL_PLAN_NAME, "Yearly DR drill of ABC Company", rows),
        ("d0d0d0d0-6666-4222-8333-444444444444", SMALL_PLAN_NAME, "Branch office of ABC Company", small),
    ):
        keys = ("name", "order", "delay", "duration")
        yield Plan(
            id=plan_id,
            name=name,
            backup_server=DOCUMENTED_SERVER,
            tenant=Tenant("b25f5f1d-a3c3-45ed-af23-9ef31a94dac7", "ABC Company"),
            vms=plan_vms(plan_id, [dict(zip(keys, row, strict=True)) for row in vms]),
            description=description,
        )


def generated_plans(sessions: Iterable[Session]) -> Iterator[Plan]:
    """A plan for each plan name and backup server among the sessions, with the VMs of its newest session.

    Nothing is drawn by lot: a plan has the same id in every world.
    """
    newest: dict[tuple[str, BackupServer], Session] = {}
    for session in sessions:
        key = session.name, session.backup_server
        if key not in newest or newest[key].creation_time < session.creation_time:
            newest[key] = session
    for (name, server), session in newest.items():
        tenant = tenant_of(_TENANTS[name], server)
        plan_id = str(uuid.uuid5(uuid.UUID(server.id), name))
        scripts = name == "Acme full site"
        yield Plan(
            id=plan_id,
            name=name,
            backup_server=server,
            tenant=tenant,
            vms=plan_vms(plan_id, dict.fromkeys(task.vm_name for task in session.tasks)),
            description=None if tenant.name == "Borealis" else f"Plan of {tenant.name}",
            pre_command=r"C:\scripts\pre-failover.bat" if scripts else None,
            post_command=r"C:\scripts\post-failover.bat" if scripts else None,
        )


def generated_sessions(
    count: int,
    tasks: int,
    seed: int,
    now: datetime,
    rounded: Callable[[datetime], datetime],
    running: int | None = None,
) -> Iterator[Session]:
    """``count`` sessions of ``tasks`` tasks each, oldest first; the same for the same seed and ``now``.

    Creation times differ and are spread over the 20 days before ``now``.

    :param rounded: cuts a time to the digits kept.
    :param running: how many of the newest are still running; default 3, in small worlds a quarter.
    """
    rng = random.Random(seed)
    running = min(count, min(3, count // 4) if running is None else running)
    ended = count - running
    # The newest of the ended ones must really have ended; the running ones began within the last half minute or so.
    margin = timedelta(seconds=_LONGEST_SECONDS + 120)
    step = (_SPREAD - margin) / max(ended, 1)
    for n in range(ended):
        created = now - _SPREAD + step * (n + 0.9 * rng.random())
        yield _generated(rng, created, tasks, rounded, whole_second=step > timedelta(seconds=20) and n % 5 == 0)
    for n in range(running):
        created = now - timedelta(seconds=9.0 * (running - n) - 3.0 * rng.random())
        yield _generated(rng, created, tasks, rounded, still_running=True)


def _generated(
    rng: random.Random,
    created: datetime,
    count: int,
    rounded: Callable[[datetime], datetime],
    whole_second: bool = False,
    still_running: bool = False,
) -> Session:
    created = created.replace(microsecond=0) if whole_second else rounded(created)
    name = rng.choice(PLAN_NAMES)
    wanted = rng.choices(("Success", "Warning", "Failed"), (72, 14, 14))[0]
    results = _results(rng, wanted, count)
    taken = f"{created - timedelta(minutes=rng.randrange(20, 600)):%Y-%m-%d %H:%M:%S}"
    client = name.split()[0].lower() if name.isascii() and name.split()[0].isalpha() else f"vm{rng.randrange(100)}"
    tasks = []
    for n, result in enumerate(results):
        vm_name = f"{client}-{_VM_ROLES[n % len(_VM_ROLES)]}{n // len(_VM_ROLES) + 1:02d}"
        lasts = round((180.0 if still_running else 25.0) + 20.0 * rng.random() + min(15.0 * n, 200.0), 2)
        tasks.append(
            Task(
                vm_name,
                result,
                failure_text(rng, result, vm_name),
                round(4.0 + n / count, 2),
                lasts,
                ReplicaPoint(_guid(rng), f"{vm_name}@{taken}"),
            )
        )
    seconds = planned_seconds(tasks)
    return Session(
        id=_guid(rng),
        name=name,
        backup_server=rng.choice(SERVERS),
        creation_time=created,
        end_time=None if seconds is None else rounded(created + timedelta(seconds=seconds)),
        result=wanted,
        failure_message="Failed to process the failover plan" if wanted == "Failed" and rng.random() < 0.5 else None,
        tasks=tuple(tasks),
    )


def _results(rng: random.Random, wanted: str, count: int) -> list[str]:
    """Task results that go with the session's: at least one of its kind."""
    if wanted == "Success" or not count:
        return ["Success"] * count
    results = rng.choices(("Success", "Warning", "Failed"), (60, 20, 20), k=count)
    results[rng.randrange(count)] = wanted
    return results


def failure_text(rng: random.Random, result: str, vm_name: str) -> str | None:
    """What a VM with this result says; None for Success."""
    if result == "Failed":
        return rng.choice(_FAILURES).format(vm=vm_name, n=rng.randrange(1, 20))
    return _WARNING.format(vm=vm_name) if result == "Warning" else None


def _guid(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))
