# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sessions, tasks and plans as the facts have them, and what holds for each verdict."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import datetime, timedelta

from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._verdict.evaluate import evaluate
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._verdict.reasons import REASONS
from hypothesis import settings

ZERO = datetime(2026, 3, 2, 8)
NOTES = (
    "failed_allowed",
    "warning_allowed",
    "success_with_failed_vms",
    "warning_with_only_failed_vms",
    "point_utc_offset",
    "tasks_kept",
    "no_tasks",
    "not_in_plan",
    "no_targets",
)
FAILURES = (
    "failed",
    "too_many_failed",
    "success_with_failed_vms",
    "warning_with_only_failed_vms",
    "required_not_successful",
)
"""The reasons that say of a VM that it failed; so does rto_missed."""
EARLY = "2026-03-02 05:00:00"  # three hours before
KEPT = {"tasks_kept_at": "2026-03-02T08:01:35.250000Z"}
QUICK = settings(max_examples=2 * settings().max_examples)


def at(seconds):
    """A time of the facts, so many seconds after the session was created."""
    return None if seconds is None else (ZERO + timedelta(seconds=seconds)).isoformat(timespec="microseconds") + "Z"


def task(
    vm_name="vm",
    start=10,
    end=70,
    result="Success",
    state="Stopped",
    message=None,
    point="",
    point_id=None,
    created=None,
):
    """``created`` is when the restore point was created, in seconds after the session, or as text."""
    creation_time = created if isinstance(created, str) else at(created)
    name = f"{vm_name or ''}@{EARLY}" if point == "" else point
    return {
        "vm_name": vm_name,
        "state": state,
        "result": result,
        "failure_message": message,
        "creation_time": at(start),
        "end_time": at(end) if state == "Stopped" else None,
        "replica_point": None
        if name is None
        else {"id": point_id, "name": name, "creation_time": creation_time, "state": None},
    }


def working(name, start=10):
    return task(name, start, state="Working", result="None")


def session(*tasks, start=0, end=100, result="Success", state="Stopped", message=None, **more):
    return {
        "id": "475420ee-d045-4493-9869-0a970e08f6f9",
        "name": "Plan",
        "state": state,
        "result": result,
        "failure_message": message,
        "creation_time": at(start),
        "end_time": at(end) if state == "Stopped" else None,
        "backup_server": {"id": "55555555-1111-4222-8333-444444444444", "name": "vbr"},
        "tasks": list(tasks),
        **more,
    }


def plan(*vms, **more):
    """VMs are (name, order)."""
    return {
        "id": "p",
        "name": "Plan",
        "vms": [{"id": str(n), "name": name, "order": order} for n, (name, order) in enumerate(vms)],
        "backup_server": {"id": "55555555-1111-4222-8333-444444444444", "name": "vbr"},
        **more,
    }


def judged(facts, **targets):
    verdict = evaluate(facts, targets)
    check(verdict, facts)
    return verdict


def codes(facts, **targets):
    """The codes of the reasons, each with its VM where it is about one."""
    reasons = judged(facts, **targets)["reasons"]
    return [reason["code"] if reason["vm"] is None else (reason["code"], reason["vm"]) for reason in reasons]


def texts(facts, **targets):
    return [reason["text"] for reason in judged(facts, **targets)["reasons"]]


def check(verdict, facts):
    """What holds for every verdict."""
    assert json.loads(json.dumps(verdict, allow_nan=False)) == verdict
    assert verdict["passed"] == (verdict["reasons"] == [])
    vms = verdict["vms"]
    assert len(vms) == len(facts["tasks"] or [])
    for reason in verdict["reasons"]:
        assert set(reason) == {"code", "vm", "vms", "target", "achieved", "text", "hint"}
        assert reason["code"] in REASONS
        assert re.fullmatch(r".+\.", reason["text"]) and "None" not in reason["text"]
        check_text(reason["text"])
        assert reason["hint"] is None or re.fullmatch(r"[A-Z].+\.", reason["hint"])
    for note in verdict["notes"]:
        assert set(note) == {"code", "vm", "vms", "text"} and note["code"] in NOTES
        check_text(note["text"])
    for item in (*verdict["reasons"], *verdict["notes"]):
        assert item["vm"] is None or item["vms"] == [item["vm"]]
        assert set(item["vms"]) <= {vm["name"] for vm in vms} | set(verdict["not_attempted"]) | set(
            verdict["targets"]["required_vms"]
        )
    # Reasons of one kind are one; only patterns are named one by one.
    kinds = [
        (reason["code"], bool(reason["vms"])) for reason in verdict["reasons"] if reason["code"] != "pattern_unmatched"
    ]
    assert len(kinds) == len(set(kinds))
    check_failures(verdict)
    check_status(verdict)
    check_words(verdict)
    for measured in (verdict["rto"], verdict["rpo"], *(vm[key] for vm in vms for key in ("rto", "rpo"))):
        target, achieved, margin = measured["target"], measured["achieved"], measured["margin"]
        assert achieved is None or achieved >= 0
        assert (margin is None) == (target is None or achieved is None)
        status = measured["status"]
        assert (status == "none") == (target is None)
        # While the run goes on, there may be VMs with older restore points.
        may_change = measured is verdict["rpo"] and verdict["session"]["state"] != "Stopped"
        expected = "missed" if margin is not None and margin < 0 else "not_judged" if may_change else "met"
        assert margin is None or status == expected
        assert margin is None or (margin < 0) == (achieved > target)
    if verdict["passed"]:
        assert verdict["session"]["state"] == "Stopped"
        assert [verdict["session"]["result"]] in (["Success"], ["Warning"], ["Failed"])
        unseen = [vm for vm in vms if vm["passed"] is None]
        assert not unseen or (verdict["session"]["result"] == "Success" and verdict["session"]["tasks_kept_at"])
        beaten = [vm for vm in vms if vm["passed"] is False]
        assert len(beaten) <= verdict["targets"]["max_failed"]
        assert {vm["result"] for vm in beaten} <= {"Failed"}
        assert verdict["session"]["result"] != "Failed" or beaten
        for measured in (verdict["rto"], verdict["rpo"], *(vm["rpo"] for vm in vms)):
            assert measured["target"] is None or measured["margin"] >= 0
        for vm in vms:
            longest = verdict["session"]["duration"] if vm in unseen else vm["rto"]["achieved"]
            assert vm["rto"]["target"] is None or longest <= vm["rto"]["target"]
        passed = {vm["name"] for vm in vms if vm["passed"] is not False}
        assert passed >= set(verdict["targets"]["required_vms"])
        assert not verdict["not_attempted"]
    listed = {reason["code"] for reason in verdict["reasons"]}
    for vm in vms:
        assert vm["state"] == "Stopped" or not vm["passed"]
        assert vm["passed"] is not False or vm["reasons"] or vm["result"] == "Failed"
        assert not vm["reasons"] or vm["passed"] is False
        # What is not listed of a VM follows from its failure, which is.
        implied = set(vm["reasons"]) - listed
        assert not implied or (
            (vm["result"] == "Failed" and listed & {"too_many_failed", "required_not_successful"})
            or (implied == {"required_not_successful"} and "warning" in listed)
            or (implied == {"rto_unknown"} and listed & {"no_result", "unknown_result"})
        )
        assert vm["rto"]["achieved"] is None or vm["result"] in ("Success", "Warning")
    assert sum(vm["critical"] for vm in vms) == (verdict["critical_vm"] is not None)
    check_idle(verdict)


def check_failures(verdict):
    """One reason for each VM that failed, unless that is allowed, and one for a session that failed."""
    names = Counter(vm["name"] for vm in verdict["vms"])
    for vm in verdict["vms"]:
        if vm["state"] == "Stopped" and vm["result"] == "Failed" and names[vm["name"]] == 1:
            about = [reason for reason in verdict["reasons"] if vm["name"] in reason["vms"]]
            about = [reason["code"] for reason in about if reason["code"] in (*FAILURES, "rto_missed")]
            allowed = [note for note in verdict["notes"] if note["code"] == "failed_allowed"]
            assert len(about) == 1 or (allowed and not about), (vm["name"], about)
    of_session = ("failed", "too_many_failed", "failed_without_failed_vms", "failed_without_tasks")
    assert sum(reason["code"] in of_session for reason in verdict["reasons"]) < 2


OPTIONS = re.compile(
    r"point_utc_offset|vm_rto|required_vms|max_failed|allow_warnings|session_source|replica_points|tasks_kept|failover_\w+"
)


def check_text(text):
    """Auditors do not know options."""
    assert not OPTIONS.search(text), text


def check_status(verdict):
    """What is missed speaks against the run, and so does what cannot be judged. Nothing is met that is not known."""
    statuses = verdict["status_by_target"]
    assert set(statuses) == {"rto", "vm_rto", "rpo", "required_vms", "max_failed", "allow_warnings", "plan"}
    assert set(statuses.values()) <= {"none", "met", "missed", "not_judged"}
    timed = {statuses[name] for name in ("rto", "vm_rto", "rpo")}
    order = ("missed", "not_judged", "met", "none")
    assert verdict["target_status"] == min(timed, key=order.index)
    assert (statuses["rto"], statuses["rpo"]) == (verdict["rto"]["status"], verdict["rpo"]["status"])
    if verdict["passed"]:
        assert timed <= {"none", "met"}
        assert "missed" not in statuses.values() and statuses["required_vms"] != "not_judged" != statuses["plan"]
    if verdict["session"]["state"] != "Stopped":
        assert statuses["rto"] in ("none", "not_judged")
    for vm in verdict["vms"]:
        assert vm["rto"]["status"] != "missed" or vm["result"] == "Failed" or vm["rto"]["margin"] < 0
        assert vm["rpo"]["status"] != "missed" or vm["rpo"]["margin"] < 0
    without = [note["code"] for note in verdict["notes"]].count("no_targets")
    assert without == (verdict["passed"] and verdict["target_status"] == "none")


def check_words(verdict):
    summary, markdown = verdict["summary"], verdict["markdown"]
    assert summary.isprintable() and len(summary) < 600
    assert ("did not pass" in summary) == (not verdict["passed"])
    assert all(line.isprintable() for line in markdown.split("\n")) and len(markdown.split("\n")) <= 10
    assert markdown.startswith("**Passed:** " if verdict["passed"] else "**Did not pass:** ")
    assert ("No RTO or RPO target was set." in markdown) == (verdict["target_status"] == "none")
    assert not re.search(r"@\w|[<]|://|(?<!\\)[`\[\]]", markdown), markdown


def check_idle(verdict):
    ends = [verdict["session"]["creation_time"] or ""]
    for gap in verdict["idle"]:
        assert gap["from"] >= ends[-1] and gap["to"] > gap["from"]
        assert verdict["session"]["end_time"] is None or gap["to"] <= verdict["session"]["end_time"]
        length = datetime.fromisoformat(gap["to"][:-1]) - datetime.fromisoformat(gap["from"][:-1])
        assert gap["duration"] == length.total_seconds() >= 1
        for vm in verdict["vms"]:
            times = sorted([vm["creation_time"] or "", vm["end_time"] or "9"])
            assert times[1] <= gap["from"] or times[0] >= gap["to"]
        ends.append(gap["to"])
