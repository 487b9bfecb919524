# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules: what speaks against a run, and what readers of the verdict should know besides.

Each ``check_*`` adds reasons to the session and its VMs, and notes to the session. Each code is explained in
docs/verdict.md.
"""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from .._api.redaction import describe
from .._failover.facts import RESULTS, STATES, same_backup_server
from .._failover.times import distinct_durations, format_duration
from .evidence import CLOCK_TOLERANCE, Evidence, Reason, SessionEvidence, VmEvidence, list_names, seconds_between
from .targets import Targets, text_of

REASONS = {
    "session_inferred": "Enterprise Manager did not link its task to this session. "
    "It is the only new session of the plan, and may belong to somebody else.",
    "not_finished": "{who} [has|have] not finished{in_state}.",
    "unknown_state": "{who} [has|have] {state}.",
    "unknown_result": "{who} [has|have] the unknown result {result}.",
    "no_result": "{who} [has|have] stopped without a result.",
    "failed": "{who} failed{because}.",
    "warning": "{who} ended with a warning{because}.",
    "too_many_failed": "{failed}; {most} allowed to.{messages}",
    "success_with_failed_vms": "The failover ended with Success, but {failed} failed.",
    "warning_with_only_failed_vms": "The failover ended with a warning, but every VM failed.",
    "failed_without_failed_vms": "The failover failed, but none of its VMs did.",
    "failed_without_tasks": "The failover failed, and Enterprise Manager lists no VMs, so which of them failed is unknown.",
    "stopped_with_running_vms": "The failover has stopped, but Enterprise Manager last listed {running} as not finished.",
    "outcome_unknown": "How {who} ended is unknown: [it|they] had not finished when Enterprise Manager last listed [it|them], at {at}.",
    "contradicting_times": "{vm} {problem}.",
    "rto_missed": "{who} took {took}, target {limit}.",
    "rto_unknown": "{who} cannot be compared with [its|their] {limit} target: Enterprise Manager gives no usable {missing}.",
    "rpo_missed": "The restore [point of {who} was|points of {who} were] {age} old when the failover started, target {limit}.",
    "rpo_unknown": "The RPO of {who} cannot be checked: ",
    "no_tasks": "Enterprise Manager lists no VMs for this session, so {targets} cannot be judged.",
    "pattern_unmatched": "No VM of the session{as_listed} matches {pattern} in vm_rto.",
    "required_missing": "{who} [is|are] required, but the session does not list [it|them]{as_listed}.",
    "required_not_successful": "[Required VM {who}|{count} required VMs ({names})] {what}.",
    "plan_mismatch": "The plan given is not that of the session: {other}. The session was not judged by it.",
    "plan_without_vms": "The plan lists no VMs, so whether all were attempted is unknown.",
    "not_attempted": "{who} [is|are] in the plan, but the session does not list [it|them]{as_listed}.",
    "order_violated": "{vm} (order {order}) was started {early} before {other} (order {lower}).",
    "order_unknown": "The start time of {who} is unknown, so [its|their] boot order cannot be checked.",
}
"""Codes of reasons, and the template of each, see :class:`Reason`."""

_FOLLOWS_FROM = {
    "required_not_successful": ("failed",),
    "rto_missed": ("failed", "required_not_successful"),
    "rpo_missed": ("failed", "required_not_successful"),
    "rpo_unknown": ("failed", "required_not_successful"),
}


def add_reason(
    of: Evidence, code: str, target: Any = None, achieved: Any = None, template: str = "", **values: str | int | None
) -> None:
    """Add a reason against a session or a VM.

    :arg template: instead of that of the code. Words of the server only go into ``values``.
    """
    texts = tuple((name, str(value)) for name, value in values.items())
    of.reasons.append(Reason(of.name, code, target, achieved, template or REASONS[code], texts))


def is_implied(of: Evidence, code: str) -> bool:
    """Whether a reason only follows from another, which says that the VM or the session failed."""
    if code == "failed":
        return of.name is not None or of.has_reason("too_many_failed")
    return of.failed and of.has_reason(*_FOLLOWS_FROM.get(code, ()))


def add_note(session: SessionEvidence, code: str, text: str, vm: str | None = None) -> None:
    session.notes.append({"code": code, "vm": vm, "text": text})


def check_state_and_result(of: Evidence, targets: Targets) -> None:
    """State and result of a session or a VM, each by itself."""
    if of.end_unseen:
        # If the session is a success, so is each of its VMs, by EM's own word.
        if of.session.result != "Success":
            add_reason(of, "outcome_unknown", "Success", of.state, at=of.session.kept_at)
        return
    if of.state not in STATES:
        state = "no state" if of.state is None else f"the unknown state {describe(of.state)}"
        add_reason(of, "unknown_state", "Stopped", of.state, state=state)
    if not of.finished:
        in_state = f" (state {of.state})" if of.state in STATES else ""
        add_reason(of, "not_finished", "Stopped", of.state, in_state=in_state)
    if of.result not in RESULTS:
        add_reason(of, "unknown_result", None, of.result, result=describe(of.result))
    elif of.finished and of.result == "None":
        add_reason(of, "no_result", None, of.result)
    elif of.finished and of.result == "Warning" and not targets.allow_warnings:
        add_reason(of, "warning", "Success", of.result, because=_because(of))


def _because(of: Evidence) -> str:
    return f": {of.failure_message}" if of.failure_message else ""


def check_times(session: SessionEvidence) -> None:
    """Times that cannot all be true."""
    for each in (session, *session.vms):
        for gap, tolerance, problem in (
            (seconds_between(each.end, each.start), 0, "ended {} before it started, by Enterprise Manager's times"),
            (seconds_between(each.start, session.start), CLOCK_TOLERANCE, "was started {} before the failover"),
            (seconds_between(session.end, each.end), CLOCK_TOLERANCE, "ended {} after the failover"),
        ):
            if gap is not None and gap > tolerance:
                add_reason(each, "contradicting_times", vm=each.who, problem=problem.format(format_duration(gap)))


def is_excused(session: SessionEvidence, targets: Targets) -> bool:
    """Whether the session may fail, because no more of its VMs failed than are allowed to."""
    return 0 < sum(vm.failed for vm in session.vms) <= targets.max_failed


def check_failures(session: SessionEvidence, targets: Targets) -> None:
    """Failed VMs against the number that may fail, and warnings that are allowed."""
    failed, allowed = [vm for vm in session.vms if vm.failed], targets.max_failed
    too_many = len(failed) > allowed
    if session.failed and not is_excused(session, targets):
        add_reason(session, "failed", "Success", session.result, because=_because(session))
    if too_many:
        most = f"at most {allowed} {'is' if allowed == 1 else 'are'}" if allowed else "none is"
        text = f"{len(failed)} VM{'s' * (len(failed) > 1)} failed ({_names(failed)})"
        add_reason(session, "too_many_failed", allowed, len(failed), failed=text, most=most, messages=_messages(failed))
        for vm in failed:
            add_reason(vm, "failed", "Success", vm.result, because=_because(vm))
    elif failed:
        add_note(session, "failed_allowed", f"{_names(failed)} failed, which the targets allow.")
    warned = [each for each in (session, *session.vms) if each.finished and each.result == "Warning"]
    if warned and targets.allow_warnings:
        who = session.who if session in warned else _names(warned)
        add_note(session, "warning_allowed", f"{who} ended with a warning, which the targets allow.")


def _names(vms: Sequence[Evidence]) -> str:
    return list_names([vm.name or "" for vm in vms])


def _messages(failed: Sequence[VmEvidence]) -> str:
    """EM's words on each of the first VMs, once if it says the same of all."""
    messages = [vm.failure_message for vm in failed]
    if messages[0] and len(set(messages)) == 1:
        return f" Enterprise Manager says: {messages[0]}."
    return "".join(f" {vm.who}: {message}." for vm, message in list(zip(failed, messages))[:5] if message)


def check_contradictions(session: SessionEvidence) -> None:
    """The result of a session that has finished against the states and results of its VMs."""
    if not session.finished:
        return
    vms, failed = session.vms, [vm for vm in session.vms if vm.failed]
    running = [vm for vm in vms if not vm.finished]
    if session.kept_at:
        text = f"Enterprise Manager no longer lists the VMs. They are judged as it listed them at {session.kept_at}"
        add_note(session, "tasks_kept", text + (f"; {_names(running)} had not finished then." if running else "."))
    elif running:
        add_reason(session, "stopped_with_running_vms", 0, len(running), running=_names(running))
    if session.result == "Success" and failed:
        add_reason(session, "success_with_failed_vms", 0, len(failed), failed=_names(failed))
    if session.result == "Warning" and failed and len(failed) == len(vms):
        add_reason(session, "warning_with_only_failed_vms", 0, len(failed))
    if session.failed and vms and not failed and not (session.kept_at and running):
        add_reason(session, "failed_without_failed_vms")
    if session.failed and not vms:
        add_reason(session, "failed_without_tasks")


def check_rto(of: Evidence, target: float | None, excused: bool = False) -> None:
    """The time from the start of the session on, for the session or a VM. Nothing is achieved by what did not come up.

    :arg excused: whether it may fail.
    """
    if target is None:
        return
    achieved, limit = of.recovery_time(excused), format_duration(target)
    if of.end_unseen:
        # It ended with the session at the latest.
        longest = of.session.duration
        if of.session.result == "Success" and (longest is None or longest > target):
            text = "{who} had not finished when last listed, at {at}, so [its|their] {limit} target cannot be judged."
            add_reason(of, "rto_unknown", target, template=text, at=of.session.kept_at, limit=limit)
    elif achieved is not None and achieved > target:
        took, limit = distinct_durations(achieved, target)
        since = "" if of.name is None else " from the start of the failover"
        add_reason(of, "rto_missed", target, achieved, took=took + since, limit=limit)
    elif achieved is None and of.failed:
        text = "{who} failed and so missed [its|their] {limit} target."
        add_reason(of, "rto_missed", target, template=text, limit=limit)
    elif achieved is None and of.finished:
        missing = "times" if of.came_up else "result"
        add_reason(of, "rto_unknown", target, limit=limit, missing=missing)


def check_vms_listed(session: SessionEvidence, targets: Targets) -> None:
    """VMs must be listed where a target is about VMs. What is missing is only reported once the session has finished."""
    if not session.finished:
        return
    if session.vms:
        names, as_listed = {vm.name for vm in session.vms}, _as_listed(session)
        for pattern, target in sorted(targets.vm_rto.items()):
            if pattern not in names and not any(fnmatch.fnmatchcase(name, pattern) for name in names):
                add_reason(session, "pattern_unmatched", target, pattern=describe(pattern), as_listed=as_listed)
        return
    needed = [name for name in ("vm_rto", "rpo", "required_vms", "plan") if getattr(targets, name)]
    if session.result == "Warning":
        needed.append("max_failed")  # a warning may stand for failed VMs, and a success for none
    if needed:
        add_reason(session, "no_tasks", targets=", ".join(needed))
    else:
        add_note(session, "no_tasks", "Enterprise Manager lists no VMs; only the session as a whole is judged.")


def _as_listed(session: SessionEvidence) -> str:
    """What a sentence adds where the VMs are those of an earlier list."""
    return f" (as listed at {session.kept_at})" if session.kept_at else ""


def check_required(session: SessionEvidence, targets: Targets) -> None:
    """The VMs that must be there and successful."""
    for vm in session.vms:
        # Where its end was not seen, the session's result stands for it, or that is a reason already.
        if vm.name not in targets.required_vms or vm.end_unseen:
            continue
        if not vm.came_up or (vm.result == "Warning" and not targets.allow_warnings):
            what = (
                "ended with a warning" if vm.came_up else "did not come up" if vm.finished else "did not come up so far"
            )
            add_reason(vm, "required_not_successful", "Success", vm.result if vm.finished else vm.state, what=what)
    if session.vms and session.finished:
        for name in sorted(set(targets.required_vms) - {vm.name for vm in session.vms}):
            add_reason(_missing_vm(session, name), "required_missing", "Success", as_listed=_as_listed(session))


def _missing_vm(session: SessionEvidence, name: str) -> VmEvidence:
    """A VM that the session does not list. What is found against it is with the reasons against the session."""
    vm = VmEvidence({"vm_name": name}, session)
    vm.reasons = session.reasons
    return vm


def check_plan(session: SessionEvidence, targets: Targets) -> dict[str, int | None] | None:
    """The VMs and the order of the plan.

    :returns: the order of each VM of the plan by name, None where the plan gives none or several; or None without a
        plan, or with the plan of another session.
    """
    plan = targets.plan
    other = _other_plan(session.facts, plan) if plan else None
    if other:
        add_reason(session, "plan_mismatch", other=other)
    if other or plan is None:
        return None
    orders: dict[str, int | None] = {}
    in_plan: Counter[str] = Counter()
    for vm in plan["vms"] or ():
        name, order = text_of(vm.get("name")) or "", vm.get("order")
        number = int(order) if isinstance(order, int) and not isinstance(order, bool) else None
        orders[name] = number if orders.get(name, number) == number else None
        in_plan[name] += 1
    if not orders:
        add_reason(session, "plan_without_vms")
    for name in sorted({vm.name for vm in session.vms} - set(orders)):
        add_note(session, "not_in_plan", f"{list_names([name])} is in the session, but not in the plan.", name)
    if session.finished and session.vms:
        _check_attempted(session, in_plan, orders)
    _check_order(session.vms, orders)
    return orders


def _other_plan(session: Mapping[str, Any], plan: Mapping[str, Any]) -> str | None:
    """What shows that a session is not of this plan, or None. They are joined by name and backup server only."""
    names = text_of(session.get("name")), text_of(plan.get("name"))
    if names[0] != names[1]:
        return f"its name is {describe(names[1])}, the session's is {describe(names[0])}"
    given = [facts.get("backup_server") for facts in (session, plan)]
    servers = [server if isinstance(server, Mapping) else {} for server in given]
    if same_backup_server(*({"backup_server": server} for server in servers)) is not False:
        return None
    key = "id" if all(server.get("id") for server in servers) else "name"
    own, other = (describe(text_of(server.get(key))) for server in servers)
    return f"its backup server is {other}, the session's is {own}"


def _check_attempted(session: SessionEvidence, in_plan: Counter[str], orders: Mapping[str, int | None]) -> None:
    """The VMs of the plan that the session does not list as often as the plan."""
    in_session = Counter(vm.name for vm in session.vms)
    for name in sorted(in_plan - in_session, key=lambda name: (orders[name] is None, orders[name] or 0, name)):
        text, planned, listed = "", in_plan[name], in_session[name]
        if planned > 1:
            text = f"{{who}} [is|are] {planned} times in the plan, but {listed} times in the session{{as_listed}}."
        add_reason(_missing_vm(session, name), "not_attempted", planned, listed, text, as_listed=_as_listed(session))


def _check_order(vms: Sequence[VmEvidence], orders: Mapping[str, int | None]) -> None:
    """No VM may be started before one that has a lower order.

    Only starts are compared: VMs are processed in parallel, so a small one may well end before a large one of lower
    order. Of the VMs with a lower order, the one that was started last decides.
    """
    ordered = sorted((order, number) for number, vm in enumerate(vms) if (order := orders.get(vm.name)) is not None)
    latest: VmEvidence | None = None  # of all lower orders
    for order, group in groupby(ordered, key=lambda one: one[0]):
        same_order = [vms[number] for dummy, number in group]
        for vm in same_order:
            early = seconds_between(vm.start, latest.start) if latest else None
            if latest and early is not None and early > CLOCK_TOLERANCE:
                lower = orders[latest.name]
                values = {"vm": vm.who, "early": format_duration(early), "other": latest.who}
                add_reason(vm, "order_violated", lower, order, order=order, lower=lower, **values)
            if vm.start is None and ordered[0][0] != ordered[-1][0]:
                add_reason(vm, "order_unknown")
        started = [vm for vm in (latest, *same_order) if vm and vm.start]
        latest = max(started, key=lambda vm: vm.start or datetime.min, default=None)


def check_rpo(session: SessionEvidence, targets: Targets) -> None:
    """The age of the restore point of each VM."""
    target, offset = targets.rpo, targets.point_utc_offset
    if target is None:
        return
    for vm in session.vms:
        dummy, age, problem = vm.point_age(offset)
        if age is None:
            add_reason(vm, "rpo_unknown", target, template=REASONS["rpo_unknown"] + problem, offset=offset)
        elif age > target:
            old, limit = distinct_durations(age, target)
            add_reason(vm, "rpo_missed", target, age, age=old, limit=limit)
    if offset is not None and not all(vm.point_created for vm in session.vms):
        add_note(session, "point_utc_offset", f"Times in restore point names are read with UTC offset {offset}.")
