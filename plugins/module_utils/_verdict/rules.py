# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules: what speaks against a run, and what readers of the verdict should know besides.

Each ``check_*`` adds reasons to the session and its VMs, and notes to the session.
"""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from .._api.errors import OptionError
from .._api.redaction import describe, single_line
from .._failover.facts import RESULTS, STATES, same_backup_server
from .._failover.times import distinct_durations, format_duration
from .evidence import CLOCK_TOLERANCE, Evidence, Reason, SessionEvidence, VmEvidence, list_names, seconds_between
from .reasons import PROBLEMS, REASONS, add_reason
from .targets import Targets, is_list_of, text_of


def add_note(session: SessionEvidence, code: str, text: str, about: Sequence[Evidence] = ()) -> None:
    names = [vm.name or "" for vm in about]
    session.notes.append({"code": code, "vm": names[0] if len(names) == 1 else None, "vms": names, "text": text})


def add_problems(session: SessionEvidence, problems: Any) -> None:
    """What a runbook found besides the facts of the session: texts, or dictionaries with ``code`` and ``text``.

    :raises OptionError: they are something else.
    """
    accepted = f"Give a list of sentences, or of dictionaries with code ({', '.join(PROBLEMS)}) and text."
    if problems is not None and not is_list_of((str, Mapping), problems):
        raise OptionError("problems", problems, accepted)
    for given in problems or ():
        problem = {"code": PROBLEMS[0], "text": given} if isinstance(given, str) else given
        code, text = text_of(problem.get("code")), problem.get("text")
        if code not in PROBLEMS or not isinstance(text, str) or not text.strip():
            raise OptionError("problems", text if code in PROBLEMS else code, accepted)
        add_reason(session, code, text=single_line(text))


def check_state_and_result(of: Evidence, targets: Targets) -> None:
    """State and result of a session or a VM, each by itself."""
    if of.end_unseen:
        # If the session is a success, so is each of its VMs, by EM's own word.
        if of.session.result != "Success":
            add_reason(of, "outcome_unknown", "Success", of.state, at=of.session.kept_at)
        return
    if of.state not in STATES:
        state = "no state" if of.state is None else f"the unknown state {describe(of.state)}"
        add_reason(of, "unknown_state", "Stopped", of.state, state=state, detail=state)
    if not of.finished:
        in_state = f"state {of.state}" if of.state in STATES else ""
        add_reason(
            of, "not_finished", "Stopped", of.state, in_state=f" ({in_state})" if in_state else "", detail=in_state
        )
    if of.result not in RESULTS:
        add_reason(of, "unknown_result", None, of.result, result=describe(of.result), detail=describe(of.result))
    elif of.finished and of.result == "None":
        add_reason(of, "no_result", None, of.result)
    elif of.finished and of.result == "Warning" and not targets.allow_warnings:
        add_reason(of, "warning", "Success", of.result, because=_because(of), detail=of.failure_message)


def _because(of: Evidence) -> str:
    return f": {of.failure_message}" if of.failure_message else ""


def check_times(session: SessionEvidence) -> None:
    """Times that cannot all be true."""
    for each in (session, *session.vms):
        problems = [
            problem.format(format_duration(gap))
            for gap, tolerance, problem in (
                (seconds_between(each.end, each.start), 0, "ended {} before it started, by Enterprise Manager's times"),
                (seconds_between(each.start, session.start), CLOCK_TOLERANCE, "was started {} before the run"),
                (seconds_between(session.end, each.end), CLOCK_TOLERANCE, "ended {} after the run"),
            )
            if gap is not None and gap > tolerance
        ]
        if problems:
            problem = " and ".join(problems)
            add_reason(each, "contradicting_times", vm=each.who, problem=problem, detail=problem)


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
        messages = _messages(failed)
        add_reason(session, "too_many_failed", allowed, len(failed), about=failed, most=most, messages=messages)
        for vm in failed:
            add_reason(vm, "failed", "Success", vm.result, because=_because(vm))
    elif failed:
        add_note(session, "failed_allowed", f"{_names(failed)} failed, which the targets allow.", failed)
    warned = [each for each in (session, *session.vms) if each.finished and each.result == "Warning"]
    if warned and targets.allow_warnings:
        who = session.who if session in warned else _names(warned)
        about = [vm for vm in warned if vm is not session]
        add_note(session, "warning_allowed", f"{who} ended with a warning, which the targets allow.", about)


def _names(vms: Sequence[Evidence]) -> str:
    return list_names([vm.name or "" for vm in vms])


def _messages(failed: Sequence[VmEvidence]) -> str:
    """EM's words on each of the first VMs, once if it says the same of all."""
    messages = [vm.failure_message for vm in failed]
    if messages[0] and len(set(messages)) == 1:
        return f" Enterprise Manager says: {messages[0]}."
    return "".join(f" {vm.who}: {message}." for vm, message in list(zip(failed, messages))[:5] if message)


def check_contradictions(session: SessionEvidence, targets: Targets) -> None:
    """The result of a session that has finished against the states and results of its VMs.

    If there is another reason about a VM that failed, that the result does not say so is a note: one reason is enough.
    """
    if not session.finished:
        return
    vms, failed = session.vms, [vm for vm in session.vms if vm.failed]
    running = [vm for vm in vms if not vm.finished]
    if session.kept_at:
        text = f"Enterprise Manager no longer lists the VMs. They are judged as it listed them at {session.kept_at}"
        text += f"; {_names(running)} had not finished then." if running else "."
        add_note(session, "tasks_kept", text, running)
    elif running:
        add_reason(session, "stopped_with_running_vms", 0, len(running), about=running)
    has_reason = len(failed) > targets.max_failed or any(
        vm.name in targets.required_vms or targets.rto_of(vm.name) is not None for vm in failed
    )
    if session.result == "Success" and failed:
        if has_reason:
            add_note(session, "success_with_failed_vms", "The run ended with Success, although VMs failed.", failed)
        else:
            add_reason(session, "success_with_failed_vms", 0, len(failed), about=failed)
    if session.result == "Warning" and failed and len(failed) == len(vms):
        if has_reason:
            text = "The run ended with a warning, although every VM failed."
            add_note(session, "warning_with_only_failed_vms", text, failed)
        else:
            add_reason(session, "warning_with_only_failed_vms", 0, len(failed), about=failed)
    message = session.failure_message
    says = f" Enterprise Manager says: {message}." if message else ""
    if session.failed and vms and not failed and not (session.kept_at and running):
        add_reason(session, "failed_without_failed_vms", says=says)
    if session.failed and not vms:
        add_reason(session, "failed_without_tasks", says=says)


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
            detail = f"target {limit}, end not seen"
            add_reason(of, "rto_unknown", target, template=text, detail=detail, at=of.session.kept_at, limit=limit)
    elif achieved is not None and achieved > target:
        took, limit = distinct_durations(achieved, target)
        since = "" if of.name is None else " from the start of the run"
        detail = f"{took}, target {limit}"
        add_reason(of, "rto_missed", target, achieved, detail=detail, took=took + since, limit=limit)
    elif achieved is None and of.failed and not excused:
        text = "{who} failed and so missed [its|their] {limit} target."
        add_reason(of, "rto_missed", target, template=text, detail=f"failed, target {limit}", limit=limit)
    elif achieved is None and of.finished:
        add_reason(of, "rto_unknown", target, detail=f"target {limit}", limit=limit)


_ABOUT_VMS = {
    "vm_rto": "recovery times of VMs (RTO)",
    "rpo": "ages of restore points (RPO)",
    "required_vms": "required VMs",
    "plan": "VMs of the plan",
}
"""The targets that are about VMs, in words."""


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
    needed = [words for name, words in _ABOUT_VMS.items() if getattr(targets, name)]
    if session.result == "Warning":
        needed.append("failed VMs")  # a warning may stand for failed VMs, and a success for none
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
        # Of what is not known, there is a reason already.
        what = {
            "Failed": "did not come up",
            "Warning": "" if targets.allow_warnings else "ended with a warning",
        }.get(vm.result if vm.finished else "", "")
        if what and vm.name in targets.required_vms:
            add_reason(vm, "required_not_successful", "Success", vm.result, what=what)
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
    extra = sorted((vm for vm in session.vms if vm.name not in orders), key=lambda vm: vm.name)
    if extra:
        who = f"{len(extra)} VMs ({_names(extra)}) are" if len(extra) > 1 else f"{_names(extra)} is"
        add_note(session, "not_in_plan", f"{who} in the session, but not in the plan.", extra)
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
        text, detail, planned, listed = "", "", in_plan[name], in_session[name]
        if planned > 1:
            detail = f"{_times(planned)} in the plan, {_times(listed)} in the session"
            text = f"{{who}} [is|are] {_times(planned)} in the plan, but {_times(listed)} in the session{{as_listed}}."
        missing, as_listed = _missing_vm(session, name), _as_listed(session)
        add_reason(missing, "not_attempted", planned, listed, template=text, detail=detail, as_listed=as_listed)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


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
                what = f"{format_duration(early)} before {latest.who} (order {lower})"
                detail = f"order {order}, {what}"
                add_reason(vm, "order_violated", lower, order, detail=detail, vm=vm.who, order=order, what=what)
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
        dummy, age, problem, hint = vm.point_age(offset)
        if age is None:
            template = REASONS["rpo_unknown"].sentence.replace("{problem}", problem)
            detail = Reason(vm.name, "", None, None, problem, (("offset", str(offset)),)).text([vm.name])
            add_reason(vm, "rpo_unknown", target, template=template, detail=detail, hint=hint, offset=offset)
        elif age > target:
            old, limit = distinct_durations(age, target)
            add_reason(vm, "rpo_missed", target, age, detail=old, age=old, limit=limit)
    if offset is not None and not all(vm.point_created for vm in session.vms):
        add_note(session, "point_utc_offset", f"Times in restore point names are read with UTC offset {offset}.")
