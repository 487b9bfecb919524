# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables of a report: the VMs, the targets, and the VMs as CSV."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...module_utils._failover.facts import FAILED_OVER
from ...module_utils._failover.times import format_duration, parse_time
from ...module_utils._verdict.evidence import SessionEvidence
from .._document.table import csv_of
from .._document.text import count_of
from .record import NO_FIGURES, verdict_of

COLUMNS = (
    "session_id", "plan", "vm", "order", "attempted", "state", "result", "start", "end", "duration_seconds",
    "started_after_seconds", "rto_seconds", "rto_target_seconds", "rpo_seconds", "rpo_target_seconds", "passed",
    "restore_point", "restore_point_created", "restore_point_state", "in_failover", "in_failover_known_by", "failure_message",
)  # fmt: skip
"""Of the CSV."""


@dataclass
class VmRow:
    """A VM in the tables.

    :ivar task: empty if the session does not list the VM.
    :ivar attempted: None where EM names no VM at all, so that only the plan is known.
    :ivar status: how it ended, as a class of its look, and ``word`` in words.
    :ivar passed: from the verdict, as are ``rto``, ``rpo`` (see :data:`NO_FIGURES`) and the ``reasons`` against it (codes).
    :ivar in_failover: whether it is after the run; None is not known.
    """

    name: str
    task: Mapping[str, Any]
    attempted: bool | None
    status: str
    word: str
    passed: bool | None = None
    rto: Mapping[str, Any] = field(default_factory=lambda: NO_FIGURES)
    rpo: Mapping[str, Any] = field(default_factory=lambda: NO_FIGURES)
    started_after: float | None = None
    order: int | None = None
    required: bool = False
    critical: bool = False
    reasons: Sequence[str] = ()
    point_state: str | None = None
    in_failover: bool | None = None
    in_failover_known_by: str | None = None

    @property
    def point(self) -> Mapping[str, Any]:
        return self.task.get("replica_point") or {}

    def targets(self) -> list[tuple[bool | None, str]]:
        """Its own targets that it missed, else one word for all: each with whether it was met."""
        missed: list[tuple[bool | None, str]] = []
        for name, figures in (("RTO", self.rto), ("RPO", self.rpo)):
            missed += [(False, f"{name} not met")] if figures.get("status") == "missed" else []
            missed += [(None, f"{name} not judged")] if figures.get("status") == "not_judged" else []
        if any(code.startswith("required") for code in self.reasons):
            missed.append((False, "Required VM not up"))
        if missed or self.passed is None:
            return missed or [(None, "Not judged")]
        has_target = self.required or self.rto["target"] is not None or self.rpo["target"] is not None
        return [(False, "Did not pass") if not self.passed else (True, "Met") if has_target else (None, "No target")]


def vm_rows(record: Mapping[str, Any]) -> list[VmRow]:
    """One for each VM, in the order in which they were started, and then those that were not attempted."""
    session, plan, verdict = record["session"], record["plan"] or {}, verdict_of(record)
    tasks = [vm.facts for vm in SessionEvidence(session, session.get("tasks") or []).vms]
    finished = session.get("finished") is True
    rows = [VmRow(task.get("vm_name") or "", task, True, *outcome(task)) for task in tasks]
    orders = {vm.get("name") or "": vm.get("order") for vm in plan.get("vms") or []}
    missing = verdict["not_attempted"]
    if not missing and plan.get("name") == session.get("name"):
        missing = _not_attempted(plan, [vm.name for vm in rows])
    word = "Not known" if not tasks else "Not attempted" if finished else "Not started yet"
    rows += [VmRow(name, {}, False if tasks else None, "none", word) for name in missing]
    judged, not_passed = defaultdict(list), {found["name"] for found in verdict["vms"] if found["reasons"]}
    for found in verdict["vms"]:
        judged[found["name"] or ""].append(found)
    required = set(verdict["targets"].get("required_vms") or [] if tasks and finished else [])
    required -= {task.get("vm_name") for task in tasks}
    start = parse_time(session.get("creation_time"))
    for vm in rows:
        found = judged[vm.name].pop(0) if judged[vm.name] else {}
        vars(vm).update({key: value for key, value in found.items() if key in vars(vm) and value is not None})
        if not vm.attempted:
            against = (("not_attempted", verdict["not_attempted"]), ("required_missing", required))
            vm.reasons = [code for code, names in against if vm.name in names]
            vm.passed = False if vm.name and (vm.reasons or vm.name in not_passed) else None
        vm.order = orders.get(vm.name) if vm.order is None else vm.order
        started, created = parse_time(vm.task.get("creation_time")), parse_time(vm.point.get("creation_time"))
        if vm.started_after is None and start and started and started >= start:
            vm.started_after = (started - start).total_seconds()
        # Where a target was set, the verdict has the last word on the age.
        if vm.rpo["achieved"] is None and vm.rpo["target"] is None and start and created and start >= created:
            vm.rpo = {**NO_FIGURES, "achieved": (start - created).total_seconds()}
        # A state of which nobody knows when it was seen counts as not read.
        vm.point_state = vm.point.get("state") or None if record["context"]["points_seen_at"] else None
        vm.in_failover, vm.in_failover_known_by = _in_failover(record, vm)
    return rows


def _not_attempted(plan: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """The VMs of the plan that the session does not list, in the plan's order. A name may be several VMs."""
    left, missing = Counter(names), []
    planned = [(vm.get("order"), vm.get("name") or "") for vm in plan.get("vms") or []]
    for dummy, name in sorted(planned, key=lambda vm: (vm[0] is None, vm[0] or 0, vm[1])):
        left[name] -= 1
        missing += [name] if left[name] < 0 else []
    return missing


def outcome(facts: Mapping[str, Any]) -> tuple[str, str]:
    """How a session or VM ended: the class of its look, and words. Only a success looks like one."""
    if facts.get("finished") is not True:
        return "running", f"Running ({facts.get('state') or 'state not known'})"
    result = facts.get("result") or ""
    if facts.get("succeeded") is True and result == "Success":
        return "success", result
    if result in ("Warning", "Failed"):
        return result.lower(), result
    return "other", "No result" if result in ("", "None") else f"Result {result}"


def count_by_status(vms: Iterable[VmRow]) -> dict[str, int]:
    """How many VMs have each status."""
    counts = dict.fromkeys(("success", "warning", "failed", "running", "other", "none"), 0)
    for vm in vms:
        counts[vm.status] += 1
    return counts


def _in_failover(record: Mapping[str, Any], vm: VmRow) -> tuple[bool | None, str | None]:
    """Whether a VM is in failover after the run (None is not known), and by what that is known.

    EM says it in the state of the replica point only. Of a failover, the result of the VM says what was reached at least
    when the run ended, unless it is not known whose run it was. A test or an undo can end well in either state.
    """
    context, finished, result = record["context"], record["session"].get("finished") is True, vm.task.get("result")
    came_up, is_start = result in ("Success", "Warning"), context["action"] == "start"
    if context["undo"] and context["undo"]["done"]:
        return False, "undo"
    if vm.point_state in FAILED_OVER:
        return True, "replica_point"
    if vm.point_state == "Ready":
        # A VM that came up was undone or failed back since, or EM's copy is older than the failover.
        return (None, None) if is_start and came_up or not finished else (False, "replica_point")
    if is_start and context["session_source"] != "inferred":
        if vm.attempted is False and finished:
            return False, "result"
        if vm.task.get("finished") is True and (came_up or result == "Failed"):
            return came_up, "result"
    return None, None


# The targets


_MET = {"met": True, "missed": False}


def target_rows(record: Mapping[str, Any], vms: Sequence[VmRow]) -> list[dict[str, Any]]:
    """The targets of the run: ``name``, ``wanted``, ``achieved``, ``margin`` (seconds, None where it has none) and ``met``.

    ``met`` is the verdict's word, None where that was not judged.
    """
    verdict, session, is_test = verdict_of(record), record["session"], record["kind"]["kind"] == "test"
    wanted, statuses, counts = verdict["targets"], verdict["status_by_target"], count_by_status(vms)
    rows: list[dict[str, Any]] = []

    def row(target: str, name: str, text: str, achieved: str, margin: float | None = None) -> None:
        met = _MET.get(statuses.get(target) or "")
        rows.append({"name": name, "wanted": text, "achieved": achieved, "margin": margin, "met": met})

    def of_vms(text: object) -> str:
        return str(text) if session.get("tasks") else "unknown"

    names = {
        "rto": "Time of the test, against the RTO" if is_test else "Recovery time of the run (RTO)",
        "rpo": "Age of the oldest restore point (RPO)",
    }
    for target, name in names.items():
        figures = verdict[target]
        if figures["target"] is not None:
            failed = figures["achieved"] is None and statuses.get(target) == "missed"
            achieved = "not achieved" if failed else format_duration(figures["achieved"])
            row(target, name, format_duration(figures["target"]), achieved, figures["margin"])
    if wanted.get("vm_rto"):
        of_those = [vm.rto for vm in vms if vm.rto["target"] is not None]
        in_time = sum(figures.get("status") == "met" for figures in of_those)
        unmatched = sum(reason.get("code") == "pattern_unmatched" for reason in verdict["reasons"])
        parts = [f"{in_time} of {len(of_those)} in time"] if of_those else []
        parts += [f"no VM fits {unmatched} of {count_of(len(wanted['vm_rto']), 'name')}"] if unmatched else []
        name = "Test times of VMs" if is_test else "Recovery times of VMs"
        row("vm_rto", name, "see each VM", ", ".join(parts) or "unknown")
    if wanted.get("max_failed") is not None:
        row("max_failed", "Failed VMs", f"{wanted['max_failed']} at most", of_vms(counts["failed"]))
    if wanted.get("allow_warnings") is False:
        row("allow_warnings", "VMs with warnings", "none", of_vms(counts["warning"]))
    if wanted.get("required_vms"):
        required = set(wanted["required_vms"])
        not_up = {vm.name for vm in vms if any(code.startswith("required") for code in vm.reasons)}
        up = f"{len(required & {vm.name for vm in vms if vm.attempted} - not_up)} of {len(required)} came up"
        row("required_vms", "Required VMs", ", ".join(wanted["required_vms"]), of_vms(up))
    if wanted.get("plan"):
        word = next((vm.word for vm in vms if vm.status == "none"), "Not attempted").lower()
        row("plan", "VMs of the plan", "all, in its order", f"{counts['none']} {word}")
    return rows


# CSV


def csv_text(record: Mapping[str, Any], vms: Iterable[VmRow]) -> str:
    """One line of :data:`COLUMNS` for each VM."""
    return csv_of(COLUMNS, (_csv_row(record["session"], vm) for vm in vms))


def _csv_row(session: Mapping[str, Any], vm: VmRow) -> list[Any]:
    return [
        *(session["id"], session.get("name"), vm.name, vm.order, vm.attempted),
        *(vm.task.get(key) for key in ("state", "result", "creation_time", "end_time", "duration")),
        *(vm.started_after, vm.rto["achieved"], vm.rto["target"], vm.rpo["achieved"], vm.rpo["target"], vm.passed),
        *(vm.point.get("name"), vm.point.get("creation_time"), vm.point_state),
        *(vm.in_failover, vm.in_failover_known_by, vm.task.get("failure_message")),
    ]
