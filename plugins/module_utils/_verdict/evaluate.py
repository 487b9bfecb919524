# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Session facts and targets -> a verdict. It reads nothing but its arguments, not even the clock.

One rule stands above all others: what is not known does not pass. Where a target needs evidence that the facts do not
hold, that is a reason against the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._api.errors import OptionError
from .._failover.facts import SESSION_SOURCES
from .._failover.times import format_time
from . import rules
from .evidence import CLOCK_TOLERANCE, Evidence, VmEvidence, seconds_between, session_evidence
from .reasons import add_reason, fold
from .status import compare, compare_rto, overall, rpo_of_run, status_by_target
from .targets import Targets, text_of
from .wording import MAX_NAMES, markdown, summary


def evaluate(
    session: Any, targets: Mapping[str, Any], session_source: Any = None, problems: Any = None
) -> dict[str, Any]:
    """Judge a session by targets.

    :arg session: its facts, see RETURN of failover_session_info.
    :arg targets: values by names, see :data:`TARGETS`.
    :arg session_source: one of :data:`SESSION_SOURCES`, or None if nobody asks whose session it is.
    :arg problems: what else speaks against the run, see :func:`rules.add_problems`.
    :returns: see RETURN of the filter failover_verdict; plain data that JSON can hold. The order of the session's tasks
        makes no difference.
    :raises OptionError: the session, a target or the source of the session cannot be used.
    """
    wanted = Targets.from_options(targets)
    run = session_evidence(session)
    if session_source == "inferred":
        # It may be a run of somebody else, however well it went.
        add_reason(run, "session_inferred", "task", "inferred")
    elif session_source not in (None, "", *SESSION_SOURCES):
        raise OptionError(
            "session_source", session_source, "Give task or inferred, as failover_plan returns it, or null."
        )

    excused = rules.is_excused(run, wanted)
    for each in (run, *run.vms):
        rules.check_state_and_result(each, wanted)
    rules.check_times(run)
    rules.check_failures(run, wanted)
    rules.check_contradictions(run, wanted)
    rules.check_rto(run, wanted.rto, excused)
    rules.check_vms_listed(run, wanted)
    rules.check_required(run, wanted)
    orders = rules.check_plan(run, wanted)
    for vm in run.vms:
        rules.check_rto(vm, wanted.rto_of(vm.name))
    rules.check_rpo(run, wanted)

    critical = run.critical_vm()
    missing = [reason for reason in run.reasons if reason.code == "not_attempted"]
    vms = [_vm_verdict(vm, wanted, orders, vm is critical) for vm in run.vms]
    rto, rpo = compare_rto(run, wanted.rto, excused), rpo_of_run(run, wanted, vms)
    statuses = status_by_target(run, wanted, rto, rpo, vms)
    rules.add_problems(run, problems)
    reasons = fold(run)
    if not reasons and overall(statuses) == "none":
        rules.add_note(run, "no_targets", "No RTO or RPO target was set.")
    verdict = {
        "passed": not reasons,
        "target_status": overall(statuses),
        "status_by_target": statuses,
        "reasons": reasons,
        "notes": run.notes,
        "session": {
            **{name: text_of(session.get(name)) for name in ("id", "name")},
            **_outcome(run),
            "tasks_kept_at": text_of(session.get("tasks_kept_at")),
        },
        "targets": wanted.as_facts(),
        "rto": rto,
        "rpo": rpo,
        "vms": vms,
        "critical_vm": critical.name if critical else None,
        "idle": run.idle(),
        "not_attempted": [reason.vm for reason in missing for dummy in range(reason.target - reason.achieved)],
    }
    short = {**verdict, "reasons": fold(run, MAX_NAMES)}
    return {**verdict, "summary": summary(short), "markdown": markdown(short)}


def _vm_verdict(
    vm: VmEvidence, targets: Targets, orders: Mapping[str, int | None] | None, critical: bool
) -> dict[str, Any]:
    """What the verdict says of a VM."""
    taken, age, *dummy = vm.point_age(targets.point_utc_offset)
    point = {key: text_of(vm.point.get(key)) for key in ("id", "name")}
    after = seconds_between(vm.session.start, vm.start)
    return {
        "name": vm.name,
        "passed": None if vm.end_unseen and not vm.reasons else not vm.reasons and not vm.failed,
        **_outcome(vm),
        # Within the tolerance, a VM that seems to have started before the session was started with it.
        "started_after": None if after is None or after < -CLOCK_TOLERANCE else max(after, 0.0),
        "rto": compare_rto(vm, targets.rto_of(vm.name)),
        "rpo": compare(targets.rpo, age),
        "replica_point": {**point, "time": format_time(taken)},
        "required": vm.name in targets.required_vms,
        "critical": critical,
        "reasons": list(dict.fromkeys(reason.code for reason in vm.reasons)),
        "in_plan": None if orders is None else vm.name in orders,
        "order": None if orders is None else orders.get(vm.name),
    }


def _outcome(of: Evidence) -> dict[str, Any]:
    """What the facts say of a session or VM, in the verdict."""
    return {
        "state": of.state,
        "result": of.result if of.name is not None else text_of(of.facts.get("result")),
        "failure_message": text_of(of.facts.get("failure_message")),
        "creation_time": format_time(of.start),
        "end_time": format_time(of.end),
        "duration": of.duration,
    }
