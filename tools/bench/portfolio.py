# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Readiness and its page, as templates ask for them, without EM: portfolio.py PLANS VMS RUNS

Makes up a history of PLANS plans, each with VMS VMs and RUNS runs, judges it and makes the files five times.
Prints JSON: seconds of processor time for each judgement, the same for each set of files, bytes of the page.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template

COLLECTIONS = Path(__file__).resolve().parents[2] / ".ansible" / "collections"
JUDGE = "history | dr_runbook.veeam_em.failover_readiness(policy, now=now)"
PAGE = "(readiness | dr_runbook.veeam_em.failover_portfolio(history)).files[0].content"
NOW = datetime(2026, 11, 28, 20)
EM = "em.example.com"
SERVER = {"id": "00000001-d045-4493-9869-0a970e08f6f9", "name": "sp-vbr1.example.net"}
POLICY = {"plans": [{"match": "*", "test_every": "90d", "grace": "10d", "rto": "30m", "rpo": "4h"}]}


def at(days: float, seconds: float = 0) -> str:
    return (NOW - timedelta(days=days, seconds=seconds)).isoformat(timespec="microseconds") + "Z"


def session(plan: int, place: int, vms: list[str]) -> dict[str, Any]:
    """The newest run of each plan is some days old, each other one a week more; some fail."""
    days, failed = place * 7 + plan % 90, (plan + place) % 11 == 0
    point, ended = at(days, 4000), at(days)
    return {
        "id": f"{plan:08d}-{place:04d}-4493-9869-0a970e08f6f9",
        "em_name": EM,
        "seen_at": ended,
        "name": f"Failover Plan {plan:04d}",
        "backup_server": SERVER,
        "kind": "failover" if place % 13 == 12 else "test",
        "kind_basis": "recorded",
        "verdict": None,
        "run": None,
        "finished": True,
        "result": "Failed" if failed else "Success",
        "failure_message": "The VM did not start" if failed else None,
        "duration": 900.0 + plan * place % 300,
        "creation_time": at(days, 900 + plan * place % 300),
        "end_time": ended,
        "tasks": [
            {
                "vm_name": vm,
                "finished": True,
                "result": "Failed" if failed and number == 0 else "Success",
                "replica_point": {"id": vm, "creation_time": point},
            }
            for number, vm in enumerate(vms)
        ],
    }


def history(plans: int, vms: int, runs: int) -> dict[str, Any]:
    names = [[f"cust{plan:04d}-vm{number:02d}" for number in range(vms)] for plan in range(plans)]
    listed = [
        {
            "em_name": EM,
            "id": f"{plan:08d}-d045-4493-9869-0a970e08f6f9",
            "name": f"Failover Plan {plan:04d}",
            "tenant": {"id": None, "name": f"Customer {plan % 50}"},
            "backup_server": SERVER,
            "deleted": False,
            "vms": [{"id": name, "name": name, "order": order} for order, name in enumerate(names[plan])],
        }
        for plan in range(plans)
    ]
    for plan in listed:
        plan["versions"] = [{"seen_at": at(500), "digest": "", "vms": plan["vms"]}]
    return {
        "failover_sessions": [session(plan, place, names[plan]) for plan in range(plans) for place in range(runs)],
        "failover_plans": listed,
        "looks": [{"em_name": EM, "seen_at": at(0.01), "collected_at": at(0.02), "missing": []}],
        "gaps": [],
        "notes": [],
        "points": [],
        "head": {"sequence": 1, "hash": "0" * 64},
    }


def timed(expression: str, **variables: Any) -> tuple[Any, float]:
    """The value of an expression, and the seconds of processor time it took."""
    templar = Templar(loader=DataLoader(), variables=variables)
    start = time.process_time()
    value = templar.template(trust_as_template(f"{{{{ {expression} }}}}"))
    return value, time.process_time() - start


def main(plans: int, vms: int, runs: int) -> None:
    init_plugin_loader([str(COLLECTIONS)])
    known = {"history": history(plans, vms, runs), "policy": POLICY, "now": at(0)}
    found, _seconds = timed(JUDGE, **known)
    judged, made = [], []
    for _round in range(5):
        # Not all of it, since a template that gives back all of it takes longer for that than for all else.
        _summary, seconds = timed(f"({JUDGE}).summary", **known)
        judged.append(seconds)
        page, seconds = timed(PAGE, readiness=found, **known)
        made.append(seconds)
    if len(found["plans"]) != plans:
        sys.exit(f"Judged {len(found['plans'])} plans")
    figures = {"plans": plans, "vms": vms, "runs": runs, "judged": judged, "made": made}
    print(json.dumps({**figures, "page": len(page.encode())}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
