# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What became of each target: ``none`` (there is no such target), ``met``, ``missed`` or ``not_judged``.

Missed is only what is known to be so. What the facts do not show is not judged, although the run does not pass then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .evidence import Evidence, SessionEvidence, VmEvidence
from .targets import Targets

_WORST_FIRST = ("missed", "not_judged", "met", "none")
TIMES = ("rto", "vm_rto", "rpo")
"""The targets that say how long something may take, or how old it may be."""


def compare(target: float | None, achieved: float | None, otherwise: str = "not_judged") -> dict[str, Any]:
    """A target and what was achieved.

    :arg otherwise: the status where that is not a number.
    """
    margin = None if target is None or achieved is None else round(target - achieved, 6)
    status = otherwise if margin is None else "met" if margin >= 0 else "missed"
    return {"target": target, "achieved": achieved, "margin": margin, "status": "none" if target is None else status}


def compare_rto(of: Evidence, target: float | None, excused: bool = False) -> dict[str, Any]:
    """As :func:`compare`, after :func:`rules.check_rto`. What ended unseen in a session that took no longer has met it."""
    otherwise = "missed" if of.has_reason("rto_missed") else "not_judged"
    if of.end_unseen and of.session.result == "Success" and not of.has_reason("rto_unknown"):
        otherwise = "met"
    return compare(target, of.recovery_time(excused), otherwise)


def rpo_of_run(run: SessionEvidence, targets: Targets, vms: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The age of the oldest restore point, if all ages are known."""
    figures = [vm["rpo"] for vm in vms]
    ages = [each["achieved"] for each in figures]
    oldest = max(ages) if ages and None not in ages else None
    return {**compare(targets.rpo, oldest), "status": _of_all(run, targets.rpo is not None, figures)}


def status_by_target(
    run: SessionEvidence, targets: Targets, rto: Mapping[str, Any], rpo: Mapping[str, Any], vms: list[dict[str, Any]]
) -> dict[str, str]:
    codes = {reason.code for each in (run, *run.vms) for reason in each.reasons}
    timed = [vm["rto"] for vm in vms if vm["rto"]["target"] is not None]
    vm_rto = _of_all(run, bool(targets.vm_rto), timed)
    return {
        "rto": rto["status"],
        "vm_rto": "not_judged" if vm_rto == "met" and "pattern_unmatched" in codes else vm_rto,
        "rpo": rpo["status"],
        "required_vms": _worst(_required(run, name) for name in targets.required_vms),
        "max_failed": _unless("too_many_failed" in codes, run),
        "allow_warnings": "none" if targets.allow_warnings else _unless("warning" in codes, run),
        "plan": _plan(run, targets, codes),
    }


def overall(statuses: Mapping[str, str]) -> str:
    """That of the targets for RTO and RPO together."""
    return _worst(statuses[name] for name in TIMES)


def _worst(statuses: Iterable[str]) -> str:
    return min(statuses, key=_WORST_FIRST.index, default="none")


def _of_all(run: SessionEvidence, is_set: bool, figures: Iterable[Mapping[str, Any]]) -> str:
    """Of a target that applies to each of several VMs. While the run goes on, there may be more of them."""
    if not is_set:
        return "none"
    status = _worst(each["status"] for each in figures)
    return status if status == "missed" or (run.finished and status != "none") else "not_judged"


def _came_up(vm: VmEvidence) -> bool:
    return vm.came_up or (vm.end_unseen and vm.session.result == "Success")


def _unless(missed: bool, run: SessionEvidence) -> str:
    """Missed, or met if EM says how the run and each of its VMs ended."""
    known = run.vms and (run.came_up or run.failed) and all(_came_up(vm) or vm.failed for vm in run.vms)
    return "missed" if missed else "met" if known else "not_judged"


def _required(run: SessionEvidence, name: str) -> str:
    vms = [vm for vm in run.vms if vm.name == name]
    if not vms:
        return "missed" if run.finished and run.vms else "not_judged"
    bad = any(vm.has_reason("required_not_successful") for vm in vms)
    return "missed" if bad else "met" if all(map(_came_up, vms)) else "not_judged"


def _plan(run: SessionEvidence, targets: Targets, codes: set[str]) -> str:
    if targets.plan is None:
        return "none"
    if codes & {"not_attempted", "order_violated"}:
        return "missed"
    unknown = codes & {"plan_mismatch", "plan_without_vms", "order_unknown"}
    return "not_judged" if unknown or not (run.finished and run.vms) else "met"
