# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a tenant's page says of a plan: nothing that others have written, and no name but those of its own plans and VMs.

Messages of Enterprise Manager name hosts of the provider, and notes of its people name anything, so neither is there. Runs of two
plans with the same name cannot be told apart, so names of VMs that the plan never had are left out, too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ...module_utils._failover.times import parse_time
from ...module_utils._readiness.runs import reason
from ...module_utils._readiness.status import STATUSES

LEFT_OUT = "VM that is not named here"
_CODES = {code for those in STATUSES.values() for code in those}
_REMOVED = "{who} {has} been removed since the last run that passed."
_RUN_TEXTS = {
    "critical_vm": "A critical VM did not come up.",
    "failed": "It failed.",
    "failed_without_failed_vms": "It failed.",
    "failed_without_tasks": "It failed.",
    "no_result": "Enterprise Manager gives no usable result for it.",
    "not_attempted": "A VM of the plan was not attempted.",
    "order_violated": "VMs did not start in the order of the plan.",
    "required_missing": "A required VM did not come up.",
    "required_not_successful": "A required VM did not come up.",
    "rpo_missed": "A restore point was older than the target.",
    "rpo_unknown": "The age of its restore points (RPO) cannot be checked.",
    "rto_missed": "It took longer than the target.",
    "rto_unknown": "How long it took is unknown.",
    "warning": "It ended with a warning, which is not allowed.",
}
_FAILED_VMS = ("vm_failed", "too_many_failed")
_OTHER = ("other", "Something else kept it from passing.")
_SEVERITIES = ("low", "medium", "high", "critical")
_POLICY = ("test_every", "grace", "warn_before", "retest_within", "rto", "rpo", "allow_warnings")


def without_others(
    plan: Mapping[str, Any], sessions: Mapping[Any, Mapping[str, Any]], history: Mapping[str, Any]
) -> dict[str, Any]:
    """The plan of the record for its tenant.

    :arg sessions: by EM and id.
    """
    own = {vm["name"] for vm in plan["vms"]}
    for each in history["failover_plans"]:
        if each.get("em_name") == plan["em_name"] and each["id"] == plan["id"]:
            own |= {vm.get("name") for version in each.get("versions") or () for vm in version.get("vms") or ()}
    newest: Mapping[str, Any] = next((run for run in plan["runs"] if run["passed"] is not None), {})
    session = sessions.get((plan["em_name"], newest.get("session_id"))) or {}
    failed = {task.get("vm_name") for task in session.get("tasks") or () if task.get("result") == "Failed"}
    drift, policy = plan["drift"], plan["policy"]
    return {
        **plan,
        "em_name": None,
        "backup_server": None,
        "reasons": list(_reasons(plan, own, sorted(map(str, failed & own)))),
        "waived": plan["waived"] and {"until": _date(plan["waived"].get("until")), "by": None, "reason": None},
        "policy": policy and {
            **{name: policy.get(name) for name in _POLICY},
            "critical_vms": [name for name in policy.get("critical_vms") or () if name in own],
        },
        "drift": drift and {**drift, "removed": [name if name in own else LEFT_OUT for name in drift["removed"]]},
        "findings": [_finding(finding) for finding in plan["findings"]],
    }  # fmt: skip


def _reasons(plan: Mapping[str, Any], own: Collection[Any], failed: list[str]) -> Any:
    """The reasons, with those of a run in words that hold for any run."""
    seen = set()
    for item in plan["reasons"]:
        code = item.get("code")
        if code == "vm_removed" and plan["drift"]:
            removed = [name if name in own else LEFT_OUT for name in plan["drift"]["removed"]]
            item = reason(code, _REMOVED, removed)
        elif code == "in_failover":
            item = reason(code, "VMs of the plan are in failover, as far as is known.")
        elif code not in _CODES:
            if code in _FAILED_VMS or (code == "failed" and failed):
                item = reason(code, "{who} failed.", failed) if failed else reason(code, "VMs failed.")
            else:
                code, text = (code, _RUN_TEXTS[code]) if code in _RUN_TEXTS else _OTHER
                item = reason(code, text)
        if item["text"] not in seen:
            seen.add(item["text"])
            yield {name: item.get(name) for name in ("code", "vm", "text")}


def _finding(finding: Mapping[str, Any]) -> dict[str, Any]:
    """Its dates, and how severe it is. Its texts are the provider's own."""
    severity = str(finding.get("severity") or "").lower()
    return {
        **dict.fromkeys(("text", "by", "action", "owner")),
        "severity": severity if severity in _SEVERITIES else None,
        "due": _date(finding.get("due")),
        **{name: finding.get(name) for name in ("session_id", "seen_at", "retested_by", "overdue")},
    }


def _date(text: Any) -> str | None:
    """A date or time, and nothing else."""
    return text if isinstance(text, str) and (parse_time(text) or parse_time(f"{text}T00:00Z")) else None
