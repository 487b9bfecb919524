# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How ready plans are, as a textfile of Prometheus. What is unknown has no sample: a 0 would be taken for a value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timezone
from typing import Any

from ..module_utils._api.errors import OptionError
from ..module_utils._failover.times import parse_time
from ..module_utils._readiness.runs import COUNTED
from ..module_utils._readiness.status import STATUSES, latest_time
from ._document.shape import check_shape

HELP = {
    "veeam_em_failover_plan_info": "The names of a cloud failover plan, its tenant and its backup server. Always 1.",
    "veeam_em_failover_plan_ready": "Whether the status of the plan is ready or due. What is not proven is not ready.",
    "veeam_em_failover_plan_status": "The status of the plan: 1 for the one it has, 0 for all others.",
    "veeam_em_failover_plan_in_failover": "Whether VMs of the plan are in failover now.",
    "veeam_em_failover_plan_waived": "Whether somebody has accepted the status of the plan until a date.",
    "veeam_em_failover_plan_last_pass_timestamp_seconds": "When the newest run of this kind that passed ended.",
    "veeam_em_failover_plan_test_due_timestamp_seconds": "When the next run must have passed, without grace.",
    "veeam_em_failover_plan_vms": "Number of VMs in the plan that came up in a test or failover, or in none.",
    "veeam_em_failover_plan_last_duration_seconds": "How long the newest run of this kind took, of those that ended well with a known time.",
    "veeam_em_failover_plan_rto_target_seconds": "Maximum time of a run by the policy (RTO).",
    "veeam_em_data_collected_timestamp_seconds": "When Enterprise Manager had collected what it showed at the newest look.",
    "veeam_em_history_last_look_timestamp_seconds": "When Enterprise Manager was looked at last.",
    "veeam_em_history_chain_intact": "Whether all records of the history are as they were recorded.",
}
"""The metrics, all gauges, with what each says."""

_READINESS = {"now": str, "plans": [{"name?": str, "status": str, "runs": list}]}

Labels = dict[str, str]
Sample = tuple[str, Labels, Any]

_ESCAPES = {"\\": r"\\", '"': r"\"", "\n": r"\n"}
# What no terminal or dashboard should get from a name: control characters, marks of direction, halves of surrogate pairs.
_UNPRINTABLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def textfile(readiness: Any, history: Any) -> str:
    """The metrics in the text format 0.0.4, sorted, without time stamps. The same input gives the same text.

    :arg readiness: what the filter failover_readiness returns.
    :arg history: what that was judged from.
    :raises OptionError: one of them is something else.
    """
    accepted = "Give what failover_readiness returns."
    check_shape("readiness", readiness, _READINESS, accepted)
    now = parse_time(readiness["now"])
    if now is None:
        raise OptionError("readiness.now", readiness["now"], accepted)
    check_shape("history", history, {"looks": [{"seen_at": str}]}, "Give what failover_history_info returns.")
    by_id: dict[tuple[str, str], Mapping[str, Any]] = {}
    for plan in readiness["plans"]:  # worst first; two plans of one id would make the whole file invalid
        by_id.setdefault(_id_of(plan), plan)
    lines: dict[str, list[str]] = {name: [] for name in HELP}
    for (em_name, plan_id), plan in sorted(by_id.items(), key=lambda pair: pair[0]):
        for name, labels, value in _of_plan(plan):
            if value is not None:
                lines[name].append(_line(name, {"em": em_name, "plan_id": plan_id, **labels}, value))
    for name, labels, value in _of_looks(history, latest_time(now)):
        if value is not None:
            lines[name].append(_line(name, labels, value))
    return "".join(
        f"# HELP {name} {HELP[name]}\n# TYPE {name} gauge\n{''.join(those)}" for name, those in lines.items() if those
    )


def _id_of(plan: Mapping[str, Any]) -> tuple[str, str]:
    """EM and id. A plan that was never read has none, so its name stands for it, with its backup server."""
    server = _name(plan, "backup_server") or (plan.get("backup_server") or {}).get("id") or ""
    return str(plan.get("em_name") or ""), str(plan.get("id") or f"name:{plan['name'] or ''}@{server}")


def _of_plan(plan: Mapping[str, Any]) -> Iterator[Sample]:
    prefix = "veeam_em_failover_plan"
    names = {
        "plan": str(plan["name"] or ""),
        "tenant": _name(plan, "tenant"),
        "backup_server": _name(plan, "backup_server"),
    }
    yield f"{prefix}_info", names, 1
    yield f"{prefix}_ready", {}, plan["status"] in ("ready", "due")
    for status in STATUSES:
        yield f"{prefix}_status", {"status": status}, plan["status"] == status
    yield f"{prefix}_in_failover", {}, plan.get("in_failover")
    yield f"{prefix}_waived", {}, plan.get("waived") is not None
    for kind in COUNTED:
        ends = [run["end_time"] or "" for run in plan["runs"] if run["kind"] == kind and run["passed"]]
        yield f"{prefix}_last_pass_timestamp_seconds", {"kind": kind}, _timestamp(max(ends, default=None))
        timed = ((plan.get("trend") or {}).get(kind) or {}).get("runs")
        yield f"{prefix}_last_duration_seconds", {"kind": kind}, timed[0]["duration"] if timed else None
    yield f"{prefix}_test_due_timestamp_seconds", {}, _timestamp(plan.get("next_due"))
    vms = plan.get("vms") or ()
    exercised = sum(vm["last_success"] is not None for vm in vms)
    for coverage, number in (("exercised", exercised), ("not_exercised", len(vms) - exercised)):
        yield f"{prefix}_vms", {"coverage": coverage}, number if vms else None
    yield f"{prefix}_rto_target_seconds", {}, (plan.get("policy") or {}).get("rto")


def _of_looks(history: Mapping[str, Any], until: str) -> Iterator[Sample]:
    newest: dict[str, Mapping[str, Any]] = {}
    for look in sorted(history["looks"], key=lambda look: str(look["seen_at"])):
        if look["seen_at"] <= until:
            newest[str(look.get("em_name") or "")] = look
    for em_name, look in sorted(newest.items()):
        yield "veeam_em_data_collected_timestamp_seconds", {"em": em_name}, _timestamp(look.get("collected_at"))
        yield "veeam_em_history_last_look_timestamp_seconds", {"em": em_name}, _timestamp(look["seen_at"])
    yield "veeam_em_history_chain_intact", {}, history.get("verified")


def _name(plan: Mapping[str, Any], reference: str) -> str:
    return str((plan.get(reference) or {}).get("name") or "")


def _timestamp(text: str | None) -> float | None:
    when = parse_time(text)
    return when.replace(tzinfo=timezone.utc).timestamp() if when else None


def _line(name: str, labels: Labels, value: float) -> str:
    shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    number = float(value)
    return f"{name}{f'{{{shown}}}' if shown else ''} {int(number) if number.is_integer() else number!r}\n"


def _escaped(text: str) -> str:
    printable = _UNPRINTABLE.sub("\ufffd", text)
    return re.sub(r'[\\"\n]', lambda match: _ESCAPES[match[0]], printable)
