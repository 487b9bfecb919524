# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: it can change in any release.

"""Session facts and targets -> a verdict. It reads nothing but its arguments, not even the clock.

One rule stands above all others: what is not known does not pass. Where a target needs evidence that the facts do not
hold, that is a reason against the run. Each rule and each code of a reason is explained in docs/verdict.md.
"""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from .._api.redaction import single_line, truncate
from .._failover.facts import RESULTS, STATES, Fact
from .._failover.times import format_duration, format_time, parse_duration, parse_time

TARGETS = ("rto", "vm_rto", "rpo", "required_vms", "max_failed", "allow_warnings", "plan", "point_utc_offset")

SESSION_SOURCES = ("task", "inferred")
"""How it is known that a session is that of a run, in the words of the module failover_plan."""

REASONS = (
    "session_inferred",
    "not_finished",
    "unknown_state",
    "unknown_result",
    "no_result",
    "failed",
    "warning",
    "too_many_failed",
    "success_with_failed_vms",
    "warning_with_only_failed_vms",
    "failed_without_failed_vms",
    "failed_without_tasks",
    "stopped_with_running_vms",
    "outcome_unknown",
    "contradicting_times",
    "rto_missed",
    "rto_unknown",
    "rpo_missed",
    "rpo_unknown",
    "no_tasks",
    "pattern_unmatched",
    "required_missing",
    "required_not_successful",
    "plan_mismatch",
    "plan_without_vms",
    "not_attempted",
    "order_violated",
    "order_unknown",
)
"""Codes of reasons."""

NOTES = ("failed_allowed", "warning_allowed", "point_utc_offset", "tasks_kept", "no_tasks", "not_in_plan", "no_targets")
"""Codes of notes."""

SLACK = 1.0
"""So many seconds two records of EM may be apart before their order means something; shorter gaps are not idle."""

MOST_NAMES = 10
"""Maximum number of VMs that a reason names; the verdict's ``vms`` have all."""

_OFFSET = re.compile(r"(?:Z|UTC)|([+-])(\d\d):?(\d\d)", re.IGNORECASE | re.ASCII)
_POINT_TIME = re.compile(r".*@(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)\s*", re.ASCII | re.DOTALL)
_WILDCARD = re.compile(r"\[[^\]]+\]|[*?]")
_NEEDED = ("id", "name", "state", "result", "creation_time", "end_time")


class VerdictError(ValueError):
    """What was given is no session, or a target cannot be used; ``str()`` is the sentence for the user."""


# Durations


def _compared(achieved: float, target: float) -> tuple[str, str]:
    """Both durations with as many digits as it takes to see that they differ."""
    texts = format_duration(achieved), format_duration(target)
    for digits in (1, 3, 6):
        if texts[0] != texts[1]:
            break
        texts = format_duration(achieved, digits), format_duration(target, digits)
    return texts


def seconds_of(name: str, value: Any) -> float:
    """The seconds that a target means: a number, or a text such as ``900``, ``15m``, ``1h30m``, ``2d``.

    :arg name: of the target, for the error.
    :raises VerdictError: it is no duration, or none longer than 0.
    """
    seconds = parse_duration(value)
    if seconds is None:
        raise _refused(name, value, "Give seconds, or a text with units such as '90s', '15m', '1h30m' or '2d'.")
    return seconds


# Targets


@dataclass(frozen=True)
class Targets:
    """What the run is judged by, checked. Durations are seconds, None is "no such target"."""

    rto: float | None = None
    vm_rto: Mapping[str, float] = field(default_factory=dict)
    rpo: float | None = None
    required_vms: tuple[str, ...] = ()
    max_failed: int = 0
    allow_warnings: bool = True
    plan: Mapping[str, Any] | None = None
    point_utc_offset: str | None = None

    @classmethod
    def from_options(cls, given: Mapping[str, Any]) -> Targets:
        """Check the targets, by their names. None is as good as not given.

        :raises VerdictError: there is no such target, or its value cannot be used.
        """
        for name in given:
            if name not in TARGETS:
                raise VerdictError(f"There is no target {_repr(name)}. Targets are: {', '.join(TARGETS)}.")
        set_ones = {name: value for name, value in given.items() if value is not None}
        checks: dict[str, Callable[[str, Any], Any]] = {
            "rto": seconds_of,
            "vm_rto": _vm_rto,
            "rpo": seconds_of,
            "required_vms": _required_vms,
            "max_failed": _max_failed,
            "allow_warnings": _allow_warnings,
            "plan": _plan,
            "point_utc_offset": _point_utc_offset,
        }
        checked: dict[str, Any] = {name: checks[name](name, value) for name, value in set_ones.items()}
        return cls(**checked)

    def rto_of(self, vm_name: str) -> float | None:
        """The RTO of a VM: that of its name, else that of the pattern with the most characters that are no wildcards,
        else, of several such patterns, the shortest RTO."""
        if vm_name in self.vm_rto:
            return self.vm_rto[vm_name]
        fitting = [
            (-len(_WILDCARD.sub("", pattern)), target)
            for pattern, target in self.vm_rto.items()
            if fnmatch.fnmatchcase(vm_name, pattern)
        ]
        return min(fitting)[1] if fitting else None

    def shown(self) -> Fact:
        """The targets as plain data, for the verdict."""
        plan = None if self.plan is None else {key: _text(self.plan.get(key)) for key in ("id", "name")}
        return {
            "rto": self.rto,
            "vm_rto": dict(self.vm_rto),
            "rpo": self.rpo,
            "required_vms": list(self.required_vms),
            "max_failed": self.max_failed,
            "allow_warnings": self.allow_warnings,
            "plan": plan,
            "point_utc_offset": self.point_utc_offset,
        }


def _vm_rto(name: str, value: Any) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise _refused(name, value, "Give a dictionary of VM names or patterns with durations, such as {'db*': '15m'}.")
    for pattern in value:
        if not isinstance(pattern, str) or not pattern:
            raise _refused(name, pattern, "Its keys are names of VMs or patterns such as 'db*', as texts.")
    return {str(pattern): seconds_of(f"{name}[{_repr(pattern)}]", target) for pattern, target in value.items()}


def _required_vms(name: str, value: Any) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, Sequence) or not all(isinstance(item, str) and item for item in values):
        raise _refused(name, value, "Give a list of names of VMs, as texts.")
    return tuple(sorted({str(item) for item in values}))


def _max_failed(name: str, value: Any) -> int:
    number = int(value) if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value, re.ASCII) else value
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise _refused(name, value, "Give a whole number, 0 or more.")
    return int(number)


def _allow_warnings(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _refused(name, value, "Give true or false.")
    return value


def _plan(name: str, value: Any) -> Mapping[str, Any]:
    accepted = "Give one element of the failover_plans that failover_plan_info returns."
    if not isinstance(value, Mapping) or "name" not in value or "vms" not in value:
        raise _refused(name, value, accepted)
    vms = value["vms"] or []
    if not isinstance(vms, Sequence) or not all(isinstance(vm, Mapping) for vm in vms):
        raise _refused(f"{name}.vms", vms, accepted)
    return value


def _point_utc_offset(name: str, value: Any) -> str:
    match = _OFFSET.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or (match[1] and (int(match[2]) > 14 or int(match[3]) > 59)):
        raise _refused(name, value, "Give an offset from UTC, in quotes, such as '+01:00', '-05:30' or 'Z'.")
    return f"{match[1]}{match[2]}:{match[3]}" if match[1] else "+00:00"


def _refused(name: str, value: Any, accepted: str) -> VerdictError:
    return VerdictError(f"{name}: {_repr(value)} cannot be used. {accepted}")


def _repr(value: Any) -> str:
    """A value in a sentence. Lists and dictionaries, which may be large, are only called what they are."""
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "a dictionary"
    if isinstance(value, str):
        return truncate(repr(str(value)), 80)
    if isinstance(value, Sequence):
        return f"a list of {len(value)}"
    return truncate(single_line(repr(value)), 80)


# Reasons


@dataclass
class _Reason:
    """Something against the run.

    :ivar vm: name of the VM, None for the session.
    :ivar many: the sentence for several VMs of which the same is true, from their number and their names.
    :ivar told: whether it is a reason of its own. If not, another one says it already, such as that the VM failed.
    """

    code: str
    vm: str | None
    target: Any
    achieved: Any
    text: str
    many: Callable[[int, str], str] | None
    told: bool

    def same_as(self) -> tuple[str, ...] | None:
        """What is equal in reasons that can be one, or None if this one must stay alone."""
        if self.vm is None or self.many is None:
            return None
        return self.code, repr(self.target), repr(self.achieved), self.many(0, "")


def _folded(reasons: Sequence[_Reason]) -> list[Fact]:
    """The reasons as plain data, in their order. Equal ones are one, in the place of the first: eight equal sentences would
    bury the ninth."""
    groups: dict[object, list[_Reason]] = {}
    for number, reason in enumerate(reasons):
        if reason.told:
            groups.setdefault(reason.same_as() or number, []).append(reason)
    return [_as_one(group) for group in groups.values()]


def _as_one(group: Sequence[_Reason]) -> Fact:
    first = group[0]
    vm, text = first.vm, first.text
    if first.many is not None and len(group) > 1:
        vm, text = None, first.many(len(group), _listed([reason.vm or "" for reason in group], MOST_NAMES))
    return {"code": first.code, "vm": vm, "target": first.target, "achieved": first.achieved, "text": text}


def _of_all(rest: str, which: str = "") -> Callable[[int, str], str]:
    """Sentences such as "3 VMs (a, b, c) have not finished."."""
    return lambda count, names: f"{count} {which}VMs ({names}) {rest}."


# Facts


@dataclass
class _Run:
    """What a session and the task of a VM have in common, and for a task what has been found out about it.

    :ivar subject: how a sentence calls it.
    :ivar vm: name of the VM, None for the session.
    :ivar kept_at: when EM listed the VMs for the last time, as a sentence calls it, if these are such VMs of a session that
        has finished since. Else None.
    :ivar reasons: those about this run.
    :ivar in_conflict: whether its times cannot all be true.
    :ivar failure_told: whether there is a reason that says that it failed, so that what follows from that is none.
    """

    fact: Mapping[str, Any]
    subject: str
    vm: str | None = None
    kept_at: str | None = None
    reasons: list[_Reason] = field(default_factory=list)
    in_conflict: bool = False
    failure_told: bool = False

    def __post_init__(self) -> None:
        self.state = _text(self.fact.get("state"))
        self.result = _text(self.fact.get("result")) or "None"
        self.finished = self.state == "Stopped"
        self.start = parse_time(_text(self.fact.get("creation_time")))
        self.end = parse_time(_text(self.fact.get("end_time"))) if self.finished else None
        self.failed = self.finished and self.result == "Failed"
        self.came_up = self.finished and self.result in ("Success", "Warning")

    @property
    def end_unseen(self) -> bool:
        """Whether it had not finished when EM listed it for the last time, so that its outcome was never seen."""
        return self.kept_at is not None and not self.finished

    @property
    def duration(self) -> float | None:
        seconds = _seconds(self.start, self.end)
        return seconds if seconds is not None and seconds >= 0 else None

    def against(
        self,
        code: str,
        text: str,
        target: Any = None,
        achieved: Any = None,
        missing_vm: str | None = None,
        many: Callable[[int, str], str] | None = None,
        told: bool = True,
    ) -> None:
        """
        :arg missing_vm: name of a VM that the session does not list, so that there is no run for it.
        :arg many: see :class:`_Reason`.
        :arg told: likewise.
        """
        vm = self.vm if missing_vm is None else missing_vm
        self.reasons.append(_Reason(code, vm, target, achieved, text, many, told))

    def point(self) -> tuple[str | None, str | None]:
        """Id and name of the restore point."""
        point = self.fact.get("replica_point")
        point = point if isinstance(point, Mapping) else {}
        return _text(point.get("id")), _text(point.get("name"))

    def sort_key(self) -> tuple[Any, ...]:
        """By start, then by all else that tells two VMs apart, so that the order of the tasks does not matter."""
        known = (self.end is None, self.end or datetime.min, self.state or "", self.result)
        message = _text(self.fact.get("failure_message")) or ""
        points = tuple(part or "" for part in self.point())
        return (self.start is None, self.start or datetime.min, self.vm, *points, *known, message)


def _text(value: Any) -> str | None:
    """Text of a fact: a plain string, or None."""
    return None if value is None else str(value)


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else (end - start).total_seconds()


def _called(vm_name: str) -> str:
    """A VM in a sentence."""
    return truncate(single_line(vm_name), 100) or "unnamed VM"


def _listed(names: Sequence[str], most: int = 5) -> str:
    shown = [_called(name) for name in names[:most]]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")


def _session_run(session: Any) -> tuple[_Run, list[_Run]]:
    """The session and its VMs in order.

    :raises VerdictError: it is not the facts of one session.
    """
    accepted = "Give the facts of one session, as failover_session_info returns them in failover_sessions."
    if isinstance(session, Mapping):
        for name, which in (("failover_session", "its"), ("failover_sessions", "one of its")):
            if name in session:
                raise VerdictError(f"session: the result of a module cannot be judged. Give {which} {name}.")
        missing = [name for name in _NEEDED if name not in session]
        if missing:
            raise VerdictError(f"session: a dictionary without {missing[0]} cannot be judged. {accepted}")
        tasks = session.get("tasks") or []
        if isinstance(tasks, Sequence) and all(isinstance(task, Mapping) for task in tasks):
            names = [_text(task.get("vm_name")) or "" for task in tasks]
            run = _Run(session, "The failover")
            run.kept_at = _kept_at(run) if tasks else None
            vms = [_Run(task, _called(name), name, run.kept_at) for task, name in zip(tasks, names)]
            return run, sorted(vms, key=_Run.sort_key)
        raise VerdictError(f"session: tasks that are no list of dictionaries cannot be judged. {accepted}")
    if isinstance(session, Sequence) and not isinstance(session, str):
        many = "Take one of them, judge each with the filter map, or use a loop."
        raise VerdictError(f"session: {_repr(session)} cannot be judged, only one session at a time. {many}")
    raise VerdictError(f"session: {_repr(session)} cannot be judged. {accepted}")


def _kept_at(run: _Run) -> str | None:
    """EM may drop the list of VMs at the end; who has waited for that then keeps the last one (``tasks_kept_at``)."""
    kept_at = _text(run.fact.get("tasks_kept_at"))
    if kept_at is None or not run.finished:
        return None
    when = parse_time(kept_at)
    return f"{when:%Y-%m-%d %H:%M:%S} UTC" if when else truncate(single_line(kept_at), 40)


# The verdict


def judge(session: Any, targets: Mapping[str, Any], session_source: Any = None) -> Fact:
    """Judge a session by targets.

    :arg session: its facts, see RETURN of failover_session_info.
    :arg targets: values by names, see :data:`TARGETS`.
    :arg session_source: one of :data:`SESSION_SOURCES`, or None if nobody asks whose session it is.
    :returns: see RETURN of the filter failover_verdict; plain data that JSON can hold. The order of the session's tasks
        makes no difference.
    :raises VerdictError: the session, a target or the source of the session cannot be used.
    """
    wanted = Targets.from_options(targets)
    run, vms = _session_run(session)
    _judge_source(run, session_source)
    failed = [vm for vm in vms if vm.failed]
    excused = 0 < len(failed) <= wanted.max_failed
    notes: list[Fact] = []

    for each in (run, *vms):
        if each.end_unseen:
            _judge_unseen(run, each)
        else:
            _judge_words(each, wanted)
    _judge_times(run, vms)
    _judge_failures(run, vms, failed, excused, wanted, notes)
    took = run.duration if run.came_up or (run.failed and excused) else None
    _judge_rto(run, took, wanted.rto, run)
    _judge_evidence(run, vms, wanted, notes)
    _judge_required(run, vms, wanted)
    orders, not_attempted = _judge_plan(run, vms, wanted, notes)
    if wanted.rpo is not None and wanted.point_utc_offset is not None and not all(map(_point_created, vms)):
        text = f"The times in the names of restore points are read with offset {wanted.point_utc_offset} from UTC, as given."
        _note(notes, "point_utc_offset", text)
    critical = _critical(run, vms)
    shown = [_judge_vm(run, vm, wanted, orders, critical) for vm in vms]

    reasons = _folded([reason for each in (run, *vms) for reason in each.reasons])
    if not reasons and wanted.rto is None and wanted.rpo is None and not wanted.vm_rto:
        _note(notes, "no_targets", "No RTO or RPO target was set.")
    ages = [entry["rpo"]["achieved"] for entry in shown]
    oldest = max(ages) if ages and None not in ages else None
    return {
        "passed": not reasons,
        "reasons": reasons,
        "notes": notes,
        "session": {
            **{name: _text(session.get(name)) for name in ("id", "name", "state", "result", "failure_message")},
            "creation_time": format_time(run.start),
            "end_time": format_time(run.end),
            "duration": run.duration,
            "tasks_kept_at": _text(session.get("tasks_kept_at")),
        },
        "targets": wanted.shown(),
        "rto": _measured(wanted.rto, took),
        "rpo": _measured(wanted.rpo, oldest),
        "vms": shown,
        "critical_vm": critical.vm if critical else None,
        "idle": _idle(run, vms),
        "not_attempted": not_attempted,
    }


def _judge_source(run: _Run, session_source: Any) -> None:
    """A session that is only inferred to be ours may be a run of somebody else, however well it went."""
    if session_source in (None, ""):
        return
    if not isinstance(session_source, str) or session_source not in SESSION_SOURCES:
        raise _refused("session_source", session_source, "Give task or inferred, as failover_plan returns it, or null.")
    if session_source == "inferred":
        text = (
            "Enterprise Manager did not link its task to this session. "
            "It is the only new session of the plan, and may belong to somebody else."
        )
        run.against("session_inferred", text, "task", "inferred")


def _measured(target: float | None, achieved: float | None) -> Fact:
    margin = None if target is None or achieved is None else round(target - achieved, 6)
    return {"target": target, "achieved": achieved, "margin": margin}


def _note(notes: list[Fact], code: str, text: str, vm: str | None = None) -> None:
    notes.append({"code": code, "vm": vm, "text": text})


def _judge_words(run: _Run, wanted: Targets) -> None:
    """State and result of a session or a VM, each by itself."""
    if run.state not in STATES:
        said = "no state" if run.state is None else f"the unknown state {_repr(run.state)}"
        run.against("unknown_state", f"{run.subject} has {said}.", "Stopped", run.state, many=_of_all(f"have {said}"))
    if not run.finished:
        text = f"{run.subject} has not finished{_in_state(run)}."
        many = _of_all(f"have not finished{_in_state(run, 'their')}")
        run.against("not_finished", text, "Stopped", run.state, many=many)
    if run.result not in RESULTS:
        said = f"the unknown result {_repr(run.result)}"
        run.against("unknown_result", f"{run.subject} has {said}.", None, run.result, many=_of_all(f"have {said}"))
    elif run.finished and run.result == "None":
        said = "stopped without a result"
        run.against("no_result", f"{run.subject} has {said}.", None, run.result, many=_of_all(f"have {said}"))
    elif run.finished and run.result == "Warning" and not wanted.allow_warnings:
        said = f"ended with a warning{_because(run)}"
        run.against("warning", f"{run.subject} {said}.", "Success", run.result, many=_of_all(said))


def _judge_unseen(run: _Run, vm: _Run) -> None:
    """A VM whose outcome was never seen: if the session is a success, so is each of its VMs, by EM's own word."""
    if run.result == "Success":
        return

    def how(vms: str, they: str) -> str:
        seen = f"when Enterprise Manager last listed {'them' if they == 'they' else 'it'}, at {vm.kept_at}"
        return f"How {vms} ended is unknown: {seen}, {they} had not finished."

    def many(count: int, names: str) -> str:
        return how(f"{count} VMs ({names})", "they")

    vm.against("outcome_unknown", how(vm.subject, "it"), "Success", vm.state, many=many)


def _in_state(run: _Run, whose: str = "its") -> str:
    return f" ({whose} state is {run.state})" if run.state in STATES else ""


def _because(run: _Run) -> str:
    message = _message(run)
    return f": {message}" if message else ""


def _message(run: _Run) -> str:
    """EM's own words on what went wrong, without the last full stop."""
    return truncate(single_line(_text(run.fact.get("failure_message")) or ""), 300).rstrip(".")


def _judge_times(run: _Run, vms: list[_Run]) -> None:
    """Times that cannot all be true."""

    def conflict(of: _Run, text: str) -> None:
        of.in_conflict = True
        of.against("contradicting_times", text)

    for each in (run, *vms):
        own = _seconds(each.start, each.end)
        if own is not None and own < 0:
            text = f"{each.subject} ended {format_duration(-own)} before it began, by Enterprise Manager's times."
            conflict(each, text)
    for vm in vms:
        early, late = _seconds(vm.start, run.start), _seconds(run.end, vm.end)
        if early is not None and early > SLACK:
            conflict(vm, f"{vm.subject} was started {format_duration(early)} before the failover.")
        if late is not None and late > SLACK:
            conflict(vm, f"{vm.subject} ended {format_duration(late)} after the failover.")


def _judge_failures(
    run: _Run, vms: list[_Run], failed: list[_Run], excused: bool, wanted: Targets, notes: list[Fact]
) -> None:
    """Failed VMs against the number that may fail, and against the result of the session."""
    names = [vm.vm or "" for vm in failed]
    too_many = len(failed) > wanted.max_failed
    if run.failed and not excused:
        # A session that failed because its VMs did is no reason beside them.
        run.against("failed", f"{run.subject} failed{_because(run)}.", "Success", run.result, told=not too_many)
        run.failure_told = True
    if too_many:
        run.against("too_many_failed", _failures(failed, wanted.max_failed), wanted.max_failed, len(failed))
        for vm in failed:
            vm.against("failed", f"{vm.subject} failed{_because(vm)}.", "Success", vm.result, told=False)
            vm.failure_told = True
    elif failed:
        _note(notes, "failed_allowed", f"{_listed(names)} failed, which the targets allow.")
    warned = [each for each in (run, *vms) if each.finished and each.result == "Warning"]
    if warned and wanted.allow_warnings:
        shown = "The failover" if warned[0] is run else _listed([vm.vm or "" for vm in warned])
        _note(notes, "warning_allowed", f"{shown} ended with a warning, which the targets allow.")
    if not run.finished:
        return
    running = [vm.vm or "" for vm in vms if not vm.finished]
    if run.kept_at:
        text = f"Enterprise Manager no longer lists the VMs. They are judged as it listed them at {run.kept_at}"
        text += f"; {_listed(running)} had not finished then." if running else "."
        _note(notes, "tasks_kept", text)
    elif running:
        text = f"The failover has stopped, but by Enterprise Manager's last word {_listed(running)} had not finished."
        run.against("stopped_with_running_vms", text, 0, len(running))
    if run.result == "Success" and failed:
        text = f"The failover is called a success, but {_listed(names)} failed."
        run.against("success_with_failed_vms", text, 0, len(failed))
    if run.result == "Warning" and failed and len(failed) == len(vms):
        text = "The failover is said to have ended with a warning, but every VM failed."
        run.against("warning_with_only_failed_vms", text, 0, len(failed))
    if run.failed and vms and not failed and not (run.kept_at and running):
        run.against("failed_without_failed_vms", "The failover failed, but none of its VMs is said to have failed.")
    if run.failed and not vms:
        text = "The failover failed, and Enterprise Manager lists none of its VMs: which of them failed is unknown."
        run.against("failed_without_tasks", text)


def _failures(failed: Sequence[_Run], allowed: int) -> str:
    """The one reason for all VMs that failed, with EM's words on each of the first."""
    many = len(failed) > 1
    most = f"at most {allowed} {'is' if allowed == 1 else 'are'}" if allowed else "none is"
    text = f"{len(failed)} VM{'s' * many} failed ({_listed([vm.vm or '' for vm in failed])}); {most} allowed to."
    said = [_message(vm) for vm in failed]
    if said[0] and len(set(said)) == 1:
        return f"{text} Enterprise Manager says: {said[0]}."
    return text + "".join(f" {vm.subject}: {message}." for vm, message in list(zip(failed, said))[:5] if message)


def _judge_rto(run: _Run, achieved: float | None, target: float | None, session: _Run) -> None:
    """The time from the start of the session on, for the session or a VM. Nothing is achieved by what did not come up."""
    if target is None:
        return
    if run.end_unseen:
        # It ended with the session at the latest.
        if session.result == "Success" and (session.duration is None or session.duration > target):
            said = "had not finished when Enterprise Manager last listed"
            text = f"{run.subject} {said} it, at {run.kept_at}, so its target of {format_duration(target)} cannot be judged."
            many = f"{said} them, at {run.kept_at}, so their target of {format_duration(target)} cannot be judged"
            run.against("rto_unknown", text, target, many=_of_all(many))
        return
    if achieved is not None and achieved > target:
        texts = _compared(achieved, target)
        since = "" if run.vm is None else " from the start of the failover"
        said = f"took {texts[0]}{since}, target {texts[1]}"
        run.against("rto_missed", f"{run.subject} {said}.", target, achieved, many=_of_all(said))
    elif achieved is None and run.failed:
        text = f"{run.subject} failed and so missed its {format_duration(target)} target."
        many = f"failed and so missed their {format_duration(target)} target"
        run.against("rto_missed", text, target, many=_of_all(many), told=not run.failure_told)
    elif achieved is None and run.finished:
        missing = "no usable result for"
        if run.came_up:
            missing = "no times, or times that cannot be true, for"
        said = f"target of {format_duration(target)}: Enterprise Manager gives {missing}"
        text = f"{run.subject} cannot be compared with its {said} it."
        run.against("rto_unknown", text, target, many=_of_all(f"cannot be compared with their {said} them"))


def _judge_evidence(run: _Run, vms: list[_Run], wanted: Targets, notes: list[Fact]) -> None:
    """VMs must be listed where a target is about VMs. What is missing is only told once the session has finished."""
    if not run.finished:
        return
    if not vms:
        about_vms = {name: getattr(wanted, name) for name in ("vm_rto", "rpo", "required_vms", "plan")}
        needed = [name for name, target in about_vms.items() if target]
        if run.result == "Warning":
            needed.append("max_failed")  # a warning may stand for failed VMs, and a success for none
        if needed:
            text = f"Enterprise Manager lists no VMs for this session, so {', '.join(needed)} cannot be judged."
            run.against("no_tasks", text)
        else:
            text = "Enterprise Manager lists no VMs for this session; only the session as a whole is judged."
            _note(notes, "no_tasks", text)
        return
    for pattern in sorted(wanted.vm_rto):
        if not any(vm.vm == pattern or fnmatch.fnmatchcase(vm.vm or "", pattern) for vm in vms):
            text = f"No VM of the session{_as_listed(run)} fits {_repr(pattern)} in vm_rto."
            run.against("pattern_unmatched", text, wanted.vm_rto[pattern])


def _as_listed(run: _Run) -> str:
    return f" (as listed at {run.kept_at})" if run.kept_at else ""


def _judge_required(run: _Run, vms: list[_Run], wanted: Targets) -> None:
    for vm in vms:
        # Where its end was not seen, the session's result stands for it, or that is a reason already.
        if vm.vm not in wanted.required_vms or vm.end_unseen:
            continue
        if not vm.came_up or (vm.result == "Warning" and not wanted.allow_warnings):
            said = vm.result if vm.finished else vm.state
            what = "ended with a warning" if vm.came_up else "did not come up" if vm.finished else "{} not come up"
            text = f"Required VM {vm.subject} {what.format('has')}."
            many = _of_all(what.format("have"), "required ")
            vm.against("required_not_successful", text, "Success", said, many=many, told=not vm.failure_told)
            vm.failure_told = vm.failure_told or vm.failed
    if vms and run.finished:
        for name in sorted(set(wanted.required_vms) - {vm.vm for vm in vms}):
            text = f"{_called(name)} is required, but the session does not list it{_as_listed(run)}."
            many = _of_all(f"are required, but the session does not list them{_as_listed(run)}")
            run.against("required_missing", text, "Success", missing_vm=name, many=many)


def _judge_plan(
    run: _Run, vms: list[_Run], wanted: Targets, notes: list[Fact]
) -> tuple[dict[str, int | None] | None, list[str]]:
    """The VMs and the order of the plan.

    :returns: the order of each VM of the plan by name, None where the plan gives none or several; or None without a
        plan, or with the plan of another session. And the names of the VMs that were not attempted.
    """
    plan = wanted.plan
    if plan is None:
        return None, []
    other = _other_plan(run.fact, plan)
    if other:
        run.against("plan_mismatch", f"The plan given is not that of the session: {other}. It is not judged by it.")
        return None, []
    entries = [(_text(vm.get("name")) or "", vm.get("order")) for vm in plan["vms"] or []]
    if not entries:
        run.against("plan_without_vms", "The plan lists no VMs, so it cannot be told whether all were attempted.")
    orders: dict[str, int | None] = {}
    for name, order in entries:
        number = int(order) if isinstance(order, int) and not isinstance(order, bool) else None
        orders[name] = number if orders.get(name, number) == number else None
    for name in sorted({vm.vm or "" for vm in vms} - set(orders)):
        _note(notes, "not_in_plan", f"{_called(name)} is in the session, but not in the plan.", name)
    not_attempted = []
    if run.finished and vms:
        in_plan, in_session = Counter(name for name, dummy in entries), Counter(vm.vm for vm in vms)
        for name in sorted(in_plan, key=lambda name: (orders[name] is None, orders[name] or 0, name)):
            missing = in_plan[name] - in_session[name]
            if missing <= 0:
                continue
            not_attempted += [name] * missing
            said = "in the plan, but the session does not list"
            text = f"{_called(name)} is {said} it{_as_listed(run)}."
            many = f"are {said} them{_as_listed(run)}"
            if in_plan[name] > 1:
                said = (
                    f"{in_plan[name]} times in the plan, but {in_session[name]} times in the session{_as_listed(run)}"
                )
                text, many = f"{_called(name)} is {said}.", f"are {said}"
            run.against("not_attempted", text, in_plan[name], in_session[name], missing_vm=name, many=_of_all(many))
    _judge_order(vms, orders)
    return orders, not_attempted


def _other_plan(session: Mapping[str, Any], plan: Mapping[str, Any]) -> str | None:
    """What shows that a session is not of this plan, or None. They are joined by name and backup server only."""
    names = _text(session.get("name")), _text(plan.get("name"))
    if names[0] != names[1]:
        return f"that is {_repr(names[1])}, the session is of {_repr(names[0])}"
    servers = [fact.get("backup_server") for fact in (session, plan)]
    for key in ("id", "name"):
        values = [_text(server.get(key)) for server in servers if isinstance(server, Mapping)]
        if len(values) == 2 and all(values):
            same = (values[0] or "").lower() == (values[1] or "").lower()
            return None if same else f"it is on backup server {_repr(values[1])}, the session is of {_repr(values[0])}"
    return None


def _judge_order(vms: list[_Run], orders: dict[str, int | None]) -> None:
    """No VM may be begun before one that has a lower order.

    Only starts are compared: VMs are worked on in parallel, so a small one may well end before a large one of lower
    order. Of the VMs with a lower order, the one that was begun last decides.
    """
    ordered = [(order, vm) for vm in vms for order in [orders.get(vm.vm or "")] if order is not None]
    several = len({order for order, dummy in ordered}) > 1
    last: tuple[datetime, int, _Run] | None = None  # of all lower orders
    for order in sorted({order for order, dummy in ordered}):
        equals = [vm for number, vm in ordered if number == order]
        for vm in equals:
            early = _seconds(vm.start, last[0]) if last else None
            if last and early is not None and early > SLACK:
                text = f"{vm.subject} (order {order}) was started {format_duration(early)} before {last[2].subject} (order {last[1]})."
                vm.against("order_violated", text, last[1], order)
            if vm.start is None and several:
                text = f"When {vm.subject} was started is unknown, so its boot order is, too."
                vm.against("order_unknown", text, many=_starts_unknown)
        for vm in equals:
            if vm.start is not None and (last is None or vm.start > last[0]):
                last = (vm.start, order, vm)


def _starts_unknown(count: int, names: str) -> str:
    return f"When {count} VMs ({names}) were started is unknown, so their boot order is, too."


def _judge_vm(
    run: _Run, vm: _Run, wanted: Targets, orders: dict[str, int | None] | None, critical: _Run | None
) -> Fact:
    """What is left to judge of a VM, and all that the verdict says about it."""
    started_after, achieved = _seconds(run.start, vm.start), _seconds(run.start, vm.end)
    target = wanted.rto_of(vm.vm or "")
    if vm.in_conflict or not vm.came_up or achieved is None or achieved < 0:
        achieved = None
    _judge_rto(vm, achieved, target, run)
    taken, age, why = _point_age(run, vm, wanted.point_utc_offset)
    if wanted.rpo is not None:
        _judge_rpo(vm, age, wanted.rpo, why)
    point_id, point_name = vm.point()
    return {
        "name": vm.vm,
        "passed": None if vm.end_unseen and not vm.reasons else not vm.reasons and not vm.failed,
        "state": vm.state,
        "result": vm.result,
        "failure_message": _text(vm.fact.get("failure_message")),
        "creation_time": format_time(vm.start),
        "end_time": format_time(vm.end),
        "duration": vm.duration,
        # Within the slack, a VM that seems to have been begun before the session was begun with it.
        "started_after": None if started_after is None or started_after < -SLACK else max(started_after, 0.0),
        "rto": _measured(target, achieved),
        "rpo": _measured(wanted.rpo, age),
        "replica_point": {"id": point_id, "name": point_name, "time": format_time(taken)},
        "required": vm.vm in wanted.required_vms,
        "critical": vm is critical,
        "reasons": list(dict.fromkeys(reason.code for reason in vm.reasons)),
        "in_plan": None if orders is None else vm.vm in orders,
        "order": None if orders is None else orders.get(vm.vm or ""),
    }


def _judge_rpo(vm: _Run, age: float | None, target: float, why: tuple[str, str]) -> None:
    """The age of the restore point of a VM.

    :arg why: why it is unknown, for one VM and for several.
    """
    told = not vm.failure_told
    if age is None:
        text = f"The RPO of {vm.subject} cannot be checked: {why[0]}"

        def unknown(count: int, names: str) -> str:
            return f"The RPO of {count} VMs cannot be checked ({names}): {why[1]}"

        vm.against("rpo_unknown", text, target, many=unknown, told=told)
    elif age > target:
        texts = _compared(age, target)
        said = f"{texts[0]} old when the failover started, target {texts[1]}."

        def missed(count: int, names: str) -> str:
            return f"The restore points of {count} VMs ({names}) were {said}"

        text = f"The restore point of {vm.subject} was {said}"
        vm.against("rpo_missed", text, target, age, many=missed, told=told)


def _point_created(vm: _Run) -> datetime | None:
    """When the restore point was created, by EM's own word; None where that was not read."""
    point = vm.fact.get("replica_point")
    return parse_time(_text(point.get("creation_time"))) if isinstance(point, Mapping) else None


def _point_age(run: _Run, vm: _Run, utc_offset: str | None) -> tuple[datetime | None, float | None, tuple[str, str]]:
    """When the restore point was created (UTC), how old it was when the session began, and why that is unknown.

    Where EM was not asked for the point, its time stands in its name only, ``vm@2025-11-04 18:01:08``, without a zone
    (docs/evidence.md, "Date and time").
    """
    created = _point_created(vm)
    taken, why = (created, ("", "")) if created else _named_time(vm, utc_offset)
    if taken is None:
        return None, None, why
    age = _seconds(taken, run.start)
    if age is None:
        said = "Enterprise Manager does not say when the failover started."
        return taken, None, (said, said)
    if age >= 0:
        return taken, age, ("", "")
    if created:
        return (
            taken,
            None,
            (
                "its restore point was created after the failover started.",
                "their restore points were created after the failover started.",
            ),
        )
    later = f"read with offset {utc_offset}, {{}} after the start of the failover. Check point_utc_offset."
    one, many = later.format("is"), later.format("are")
    return (
        taken,
        None,
        (f"the time in the restore point's name, {one}", f"the times in the names of their restore points, {many}"),
    )


def _named_time(vm: _Run, utc_offset: str | None) -> tuple[datetime | None, tuple[str, str]]:
    """The time in the name of the restore point as UTC, and why that is unknown."""
    name = vm.point()[1]
    if name is None:
        return None, ("Enterprise Manager names no restore point.", "Enterprise Manager names no restore points.")
    match = _POINT_TIME.fullmatch(name)
    written = parse_time(match[1]) if match else None
    if written is None:
        return None, ("the restore point's name has no time.", "the names of their restore points have no time.")
    if utc_offset is None:
        return None, (
            "the restore point's name has no time zone. Set point_utc_offset.",
            "the names of their restore points have no time zone. Set point_utc_offset.",
        )
    ahead = timedelta(hours=int(utc_offset[1:3]), minutes=int(utc_offset[4:]))
    return (written + ahead if utc_offset[0] == "-" else written - ahead), ("", "")


def _critical(run: _Run, vms: list[_Run]) -> _Run | None:
    """The VM that ended last; None unless the session has finished and the end of every VM is known."""
    if not run.finished or not vms or any(vm.end is None for vm in vms):
        return None
    return max(vms, key=lambda vm: vm.end or datetime.min)


def _idle(run: _Run, vms: list[_Run]) -> list[Fact]:
    """The gaps in which no VM was in work, from the start of the session to its end.

    A VM whose start or end is unknown may have been in work at any time before or after, so that no gap is made up.
    """
    starts = [vm.start for vm in vms if vm.start]
    if not vms or (run.start is None and not starts):
        return []
    begin = run.start or min(starts)
    known = [*starts, *(vm.end for vm in vms if vm.end), begin]
    finish = run.end or max(known)
    worked = sorted(sorted((vm.start or begin, vm.end or max(finish, *known))) for vm in vms)
    gaps = []
    free = begin
    for start, end in [*worked, [finish, finish]]:
        until = min(start, finish)
        if (until - free).total_seconds() >= SLACK:
            gaps.append(
                {"from": format_time(free), "to": format_time(until), "duration": (until - free).total_seconds()}
            )
        free = max(free, end)
    return gaps
