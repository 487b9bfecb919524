# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables of a portfolio: what page and CSV say of each plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from ...module_utils._failover.times import parse_time
from .._document.table import csv_of
from .._document.text import count_of

WORDS = {
    "failed": "Failed",
    "never_tested": "Never tested",
    "overdue": "Overdue",
    "in_failover": "In failover",
    "changed": "Changed",
    "partial": "Partly tested",
    "due": "Due",
    "no_policy": "No policy",
    "unproven": "Unproven",
    "ready": "Ready",
}
"""The statuses for people."""

GROUPS = (
    ("ready", "Ready", "passed in time, and nothing has changed", ("ready",)),
    ("due", "Due", "passed and still in date; the next test is due", ("due",)),
    ("overdue", "Overdue or never tested", "no run passed in time", ("overdue", "never_tested")),
    ("failed", "Failed", "the newest run did not pass", ("failed",)),
    ("unproven", "Unproven", "not tested as it is now, or something is not known",
     ("in_failover", "changed", "partial", "no_policy", "unproven")),
)  # fmt: skip
"""The five numbers, each with a name, words, and the statuses that it counts."""

COUNTED_AS = {
    **{status: word.lower() for status, word in WORDS.items()},
    "no_policy": "without a policy",
    "unproven": "with something unknown",
}
"""The statuses behind a number."""

TO_TEST = ("failed", "never_tested", "overdue", "changed", "partial", "due")
"""The statuses that a test can turn."""

_ADVICE = {
    "failed": "Fix the cause, then test it again.",
    "never_tested": "Test it for the first time.",
    "overdue": "Test it now.",
    "in_failover": "Finish or undo the failover, then test it.",
    "changed": "Test it as it is now.",
    "partial": "Test it so that each of its VMs comes up.",
    "no_policy": "Set in the policy how often it is to be tested.",
    "ready": "",
}
_RECORD = "Collect and record again, with a user that may read all."
_UNPROVEN = {
    "kind_unknown": "Or test it again.",
    "run_not_finished": "Record again when the run has finished.",
    **dict.fromkeys(("only_undo", "no_vms_listed", "gap"), "Test it again: the past cannot be found out."),
    **dict.fromkeys(("no_look", "look_old", "copy_age_unknown", "copy_stale", "plans_unread"), _RECORD),
    **dict.fromkeys(("plan_unknown", "failover_unknown"), _RECORD),
    "plan_without_vms": "Look at the plan in the console.",
}


def advice(plan: Mapping[str, Any], now: datetime) -> str:
    """What to do about the status of a plan; nothing while somebody has accepted it."""
    status = plan["status"]
    if plan["waived"]:
        return ""
    if status != "in_failover" and status != "ready" and plan["in_failover"]:
        return "It is in failover: finish or undo that first."
    if status == "due":
        due = parse_time(plan["next_due"])
        return f"Test it by {minute(plan['next_due'])}." if due and now <= due else "Test it now."
    if status == "unproven":
        codes = [item.get("code") for item in plan["reasons"]]
        return next((_UNPROVEN[code] for code in codes if code in _UNPROVEN), "Find out what is not known.")
    return _ADVICE[status]


def is_next(plan: Mapping[str, Any]) -> bool:
    """Whether to test a plan next: a test can turn its status now, and nobody has accepted that."""
    return plan["status"] in TO_TEST and not plan["waived"] and not plan["in_failover"]


def why(plan: Mapping[str, Any]) -> str:
    """One sentence why a plan has its status; of a run that did not pass also why not."""
    texts = [item["text"] for item in plan["reasons"] if item.get("text")]
    if plan["status"] == "failed":
        return " ".join(texts[:2])
    return texts[0] if texts else "Passed in time, and nothing has changed since."


def minute(value: str | None) -> str:
    """A time in a table: ``2026-11-22 03:12``."""
    time = parse_time(value)
    return f"{time:%Y-%m-%d %H:%M}" if time else "not known"


def day(value: str | None) -> str:
    return minute(value).partition(" ")[0] if parse_time(value) else "not known"


def distance(value: str | None, now: datetime) -> str:
    """How far a time is from now, in days, hours or minutes."""
    time = parse_time(value)
    if time is None:
        return ""
    seconds = int(abs((time - now).total_seconds()))
    steps = ((86400, "day"), (3600, "hour"), (60, "minute"))
    size, word = next((step for step in steps if seconds >= step[0]), steps[-1])
    text = count_of(seconds // size, word)
    return f"in {text}" if time >= now else f"{text} ago"


def due_words(plan: Mapping[str, Any], now: datetime) -> str:
    """How far the due date is, whatever the status; what is past it is said, too."""
    due = parse_time(plan["next_due"])
    if due is None:
        return ""
    text, latest = distance(plan["next_due"], now), due + timedelta(seconds=(plan["policy"] or {}).get("grace") or 0)
    if now > latest:
        return f"overdue since {latest:%Y-%m-%d}"
    if now > due:
        return f"{text}, overdue after {latest:%Y-%m-%d}"
    needs_test_now = plan["status"] in ("failed", "changed", "partial") and not plan["waived"]
    return f"{text}; test it sooner" if needs_test_now and not plan["in_failover"] else text


def never_up(plan: Mapping[str, Any], attempted: bool | None = None) -> list[str]:
    """The VMs that never came up in a test or failover; only those that were, or were not, in one of them."""
    never = [vm for vm in plan["vms"] if vm["last_success"] is None and attempted in (None, vm["attempted"])]
    return [vm["name"] or "VM without a name" for vm in never]


def changes(drift: Mapping[str, Sequence[str]] | None) -> str:
    """What has changed since the last run that passed."""
    if drift is None:
        return "not known"
    words = {"added": "added", "removed": "removed", "reordered": "moved"}
    return ", ".join(f"{len(drift[key])} {word}" for key, word in words.items() if drift[key]) or "none"


def newest_rpo(plan: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The newest run for which the age of its oldest restore point is known, as ``rpo``."""
    known = [run for kind in plan["trend"].values() for run in kind["runs"] if run.get("rpo") is not None]
    return max(known, key=lambda run: run["end_time"] or "", default=None)


# CSV

COLUMNS = (
    "plan", "plan_id", "tenant", "enterprise_manager", "backup_server", "status", "why", "all_reasons", "waived_until", "waived_by",
    "in_failover", "last_passed", "last_passed_kind", "next_due", "test_every_seconds", "grace_seconds", "vms", "vms_came_up",
    "vms_never_came_up", "vms_added", "vms_removed", "vms_reordered", "last_test_seconds", "test_regression", "last_failover_seconds",
    "failover_regression", "rto_target_seconds", "last_rpo_seconds", "rpo_target_seconds", "runs", "open_findings",
)  # fmt: skip
VM_COLUMNS = ("plan", "plan_id", "tenant", "vm", "last_success", "session_id", "kind", "attempted")


def plans_csv(record: Mapping[str, Any]) -> str:
    return csv_of(COLUMNS, (_csv_row(plan) for plan in record["plans"]))


def vms_csv(record: Mapping[str, Any]) -> str:
    rows = (
        [*_whose(plan), vm["name"], vm["last_success"], vm.get("session_id"), vm.get("kind"), vm["attempted"]]
        for plan in record["plans"]
        for vm in plan["vms"]
    )
    return csv_of(VM_COLUMNS, rows)


def _whose(plan: Mapping[str, Any]) -> list[Any]:
    return [plan["name"], plan["id"], (plan["tenant"] or {}).get("name")]


def _csv_row(plan: Mapping[str, Any]) -> list[Any]:
    policy, waived, last, trend = plan["policy"] or {}, plan["waived"] or {}, plan["last_passed"] or {}, plan["trend"]
    known, never = bool(plan["vms"]), never_up(plan)
    drift = plan["drift"] or dict.fromkeys(("added", "removed", "reordered"))
    times = [part for kind in ("test", "failover") for part in (last_time(trend[kind]), trend[kind]["regression"])]
    return [
        *(*_whose(plan), plan["em_name"], (plan["backup_server"] or {}).get("name")),
        *(plan["status"], why(plan), " ".join(item.get("text") or "" for item in plan["reasons"])),
        *(waived.get("until"), waived.get("by"), plan["in_failover"]),
        *(last.get("end_time"), last.get("kind"), plan["next_due"], policy.get("test_every"), policy.get("grace")),
        *((len(plan["vms"]), len(plan["vms"]) - len(never), len(never)) if known else (None, None, None)),
        *(None if names is None else len(names) for names in (drift["added"], drift["removed"], drift["reordered"])),
        *(*times, policy.get("rto"), (newest_rpo(plan) or {}).get("rpo"), policy.get("rpo")),
        *(len(plan["runs"]), sum(finding.get("retested_by") is None for finding in plan["findings"])),
    ]


def last_time(trend: Mapping[str, Any]) -> float | None:
    """The time of the newest run of a kind that ended well."""
    return trend["runs"][0]["duration"] if trend["runs"] else None
