# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A history as failover_history_info returns it: one plan that is ready, and what tests change in it. Days count before NOW."""

from __future__ import annotations

from datetime import datetime, timedelta

from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._readiness.status import readiness

EM = "em.example.com"
ZERO = datetime(2026, 11, 28, 20)
SERVER = {"id": "8fff3b8e-c3f1-4ef5-aecc-561f07bf9982", "name": "vbr01"}
POLICY = {"match": "*", "test_every": "90d", "grace": "10d", "warn_before": "14d"}


def ago(days, **more):
    """A time of the facts, so many days before now."""
    when = ZERO - timedelta(days=days) + timedelta(**more)
    return when.isoformat(timespec="microseconds") + "Z"


NOW = ago(0)


def task(name, result="Success", finished=True, point_age=3600, point_id=None):
    """``point_age``: how old the restore point was when the run of :func:`run` started, in seconds; None if unknown."""
    return {"vm_name": name, "result": result, "finished": finished, "point_age": point_age, "point_id": point_id}


def run(days, *tasks, kind="test", result="Success", duration=600.0, finished=True, **more):
    """A session that ended so many days ago. Tasks are those of :func:`task`, or names of VMs that came up."""
    start = ago(days, seconds=-(duration or 600.0))
    return {
        "id": f"run-{days}",
        "em_name": EM,
        "name": "Plan",
        "backup_server": SERVER,
        "finished": finished,
        "result": result,
        "failure_message": None,
        "duration": duration,
        "creation_time": start,
        "end_time": ago(days) if finished else None,
        "kind": kind,
        "kind_basis": "recorded",
        "verdict": None,
        "run": None,
        "tasks": [
            {
                "vm_name": item["vm_name"],
                "finished": item["finished"],
                "result": item["result"],
                "replica_point": {
                    "id": item["point_id"] or f"point-{item['vm_name']}",
                    "creation_time": None
                    if item["point_age"] is None
                    else ago(days, seconds=-(duration or 600.0) - item["point_age"]),
                },
            }
            for item in (one if isinstance(one, dict) else task(one) for one in tasks)
        ],
        **more,
    }


def vms(*names):
    """VMs in this order; a pair has an order of its own."""
    pairs = [name if isinstance(name, tuple) else (name, number) for number, name in enumerate(names)]
    return [{"id": f"vm-{name}", "name": name, "order": order} for name, order in pairs]


def plan(*names, versions=None, **more):
    """``versions``: by the number of days since they were seen first, the names of VMs. By default, one from long ago."""
    seen = {400: names} if versions is None else versions
    return {
        "em_name": EM,
        "id": "11111111-d045-4493-9869-0a970e08f6f9",
        "name": "Plan",
        "tenant": {"id": "t-1", "name": "Acme"},
        "backup_server": SERVER,
        "deleted": False,
        "vms": vms(*names),
        "versions": [{"seen_at": ago(days), "digest": "d", "vms": vms(*those)} for days, those in sorted(seen.items())],
        **more,
    }


def look(days=0.01, copy=0.02, missing=(), **more):
    return {
        "em_name": EM,
        "seen_at": ago(days),
        "collected_at": None if copy is None else ago(copy),
        "missing": list(missing),
        **more,
    }


def point(name, state="Failover", **more):
    return {"em_name": EM, "id": f"point-{name}", "vm_name": name, "backup_server": SERVER, "state": state, **more}


def history(*runs, plans=None, looks=None, **more):
    """By default, a plan with the VMs db and web, and a look a moment ago."""
    return {
        "failover_sessions": list(runs),
        "failover_plans": [plan("db", "web")] if plans is None else plans,
        "looks": [look()] if looks is None else looks,
        "gaps": [],
        "notes": [],
        "points": [],
        **more,
    }


def note(kind, **more):
    return {"em_name": EM, "type": kind, "by": "J. Doe", "text": "Why", "seen_at": ago(5), **more}


def judged(facts, now=NOW, policies=None, **policy):
    """The only plan, by :data:`POLICY` with these changes. None takes a key away."""
    found = readiness(facts, {"plans": [{**POLICY, **policy}] if policies is None else policies}, now)
    (only,) = found["plans"]
    return only


def codes(facts, **more):
    return [item["code"] for item in judged(facts, **more)["reasons"]]
