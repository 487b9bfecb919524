# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the facts show of a session and of each of its VMs, and the reasons found against them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from .._api.errors import OptionError
from .._api.redaction import single_line, some_of, truncate
from .._failover.times import format_time, parse_time
from .targets import is_list_of, text_of

CLOCK_TOLERANCE = 1.0
"""Seconds that two records of EM may differ before their order means something; shorter gaps are not idle."""

MAX_NAMES = 10
"""Maximum number of VMs that a reason names; the verdict's ``vms`` have all."""

_CHOICE = re.compile(r"\[([^|\]]*)\|([^\]]*)\]")
_NEEDED = ("id", "name", "state", "result", "creation_time", "end_time")
_POINT_TIME = re.compile(r".*@(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)\s*", re.ASCII | re.DOTALL)


class Reason(NamedTuple):
    """Something against the run.

    :ivar vm: name of the VM, None for the session.
    :ivar template: the sentence for one VM and for several: ``[is|are]`` is a choice between the two, ``{who}`` the
        run, the VM, or the number and names of the VMs, ``{names}`` and ``{count}`` these alone.
    :ivar values: what else is put into the sentence. Only here are words of the server, which may contain anything.
    :ivar detail: what is particular to this VM, in a sentence about several that differ.
    :ivar hint: what the operator can do about it. It may name options, which auditors do not know.
    :ivar about: the VMs that a reason against the session is about.
    """

    vm: str | None
    code: str
    target: Any
    achieved: Any
    template: str
    values: tuple[tuple[str, str], ...]
    detail: str = ""
    hint: str = ""
    about: tuple[str, ...] = ()

    def text(self, vm_names: Sequence[str], most: int = MAX_NAMES) -> str:
        """The sentence on all VMs of which it is true, naming at most so many; on the session if there is none."""
        names, several = list_names(vm_names, most), len(vm_names) > 1
        who = f"{len(vm_names)} VMs ({names})" if several else names or "The run"
        chosen = _CHOICE.sub(lambda match: match[1 + several], self.template)
        return chosen.format(who=who, names=names, count=len(vm_names), **dict(self.values))


class Evidence:
    """What the facts show of a session or a VM.

    :ivar session: that of the VM; of a session, itself.
    :ivar name: of the VM, None for the session.
    :ivar reasons: those found against it.
    """

    name: str | None = None

    def __init__(self, facts: Mapping[str, Any], session: SessionEvidence) -> None:
        self.facts = facts
        self.session = session
        self.state = text_of(facts.get("state"))
        self.result = text_of(facts.get("result")) or "None"
        self.finished = self.state == "Stopped"
        self.start = parse_time(text_of(facts.get("creation_time")))
        self.end = parse_time(text_of(facts.get("end_time"))) if self.finished else None
        self.came_up = self.finished and self.result in ("Success", "Warning")
        self.reasons: list[Reason] = []

    @property
    def failed(self) -> bool:
        return self.finished and self.result == "Failed"

    @property
    def who(self) -> str:
        """What a sentence calls it."""
        return "The run" if self.name is None else list_names([self.name])

    @property
    def failure_message(self) -> str:
        """EM's own words on what went wrong, without the last full stop."""
        return truncate(single_line(text_of(self.facts.get("failure_message")) or ""), 300).rstrip(".")

    @property
    def duration(self) -> float | None:
        seconds = seconds_between(self.start, self.end)
        return seconds if seconds is not None and seconds >= 0 else None

    @property
    def end_unseen(self) -> bool:
        """Whether it had not finished when EM listed it for the last time, so that its outcome was never seen."""
        return self.session.kept_at is not None and not self.finished

    def has_reason(self, *codes: str) -> bool:
        return any(reason.code in codes for reason in self.reasons)

    def recovery_time(self, excused: bool = False) -> float | None:
        """Seconds from the start of the session to the end, if it came up and its times can be true.

        :arg excused: whether it may fail.
        """
        seconds = seconds_between(self.session.start, self.end)
        counts = (self.came_up or (self.failed and excused)) and not self.has_reason("contradicting_times")
        return seconds if counts and seconds is not None and seconds >= 0 else None


class SessionEvidence(Evidence):
    """What the facts show of a session.

    :ivar kept_at: when EM listed the VMs for the last time, as a sentence says it, if it dropped them before the end of
        the session. Whoever waited for the end then kept the last list (``tasks_kept_at``). Else None.
    :ivar vms: its VMs in the order in which they were started.
    :ivar notes: those for the verdict.
    """

    def __init__(self, facts: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(facts, self)
        kept_at = text_of(facts.get("tasks_kept_at")) if tasks and self.finished else None
        when = parse_time(kept_at)
        self.kept_at = f"{when:%Y-%m-%d %H:%M:%S} UTC" if when else kept_at and truncate(single_line(kept_at), 40)
        self.vms = sorted((VmEvidence(task, self) for task in tasks), key=VmEvidence.sort_key)
        self.notes: list[dict[str, Any]] = []

    def critical_vm(self) -> VmEvidence | None:
        """The VM that ended last; None unless the session has finished and the end of every VM is known."""
        ends = [(vm.end, -number) for number, vm in enumerate(self.vms) if vm.end]
        return self.vms[-max(ends)[1]] if self.finished and ends and len(ends) == len(self.vms) else None

    def idle(self) -> list[dict[str, Any]]:
        """The gaps in which no VM was processed, from the start of the session to its end.

        A VM whose start or end is unknown may have been processed at any time before or after, so no gap is made up.
        """
        start = self.start or min((vm.start for vm in self.vms if vm.start), default=None)
        if start is None or not self.vms:
            return []
        end = self.end or max(when for vm in self.vms for when in (vm.start, vm.end, start) if when)
        processed = sorted(sorted((vm.start or start, vm.end or datetime.max)) for vm in self.vms)
        gaps, free_from = [], start
        for vm_start, vm_end in [*processed, [end, end]]:
            until = min(vm_start, end)
            duration = (until - free_from).total_seconds()
            if duration >= CLOCK_TOLERANCE:
                gaps.append({"from": format_time(free_from), "to": format_time(until), "duration": duration})
            free_from = max(free_from, vm_end)
        return gaps


class VmEvidence(Evidence):
    """What the facts show of a VM, which is a task of the session."""

    name: str

    def __init__(self, facts: Mapping[str, Any], session: SessionEvidence) -> None:
        super().__init__(facts, session)
        self.name = text_of(facts.get("vm_name")) or ""
        point = facts.get("replica_point")
        self.point: Mapping[str, Any] = point if isinstance(point, Mapping) else {}

    def sort_key(self) -> tuple[Any, ...]:
        """By start, then by all else that tells two VMs apart, so that the order of the tasks does not matter."""
        point = [text_of(self.point.get(key)) or "" for key in ("id", "name")]
        start, end = ((when is None, when or datetime.min) for when in (self.start, self.end))
        message = text_of(self.facts.get("failure_message")) or ""
        return (start, self.name, *point, end, self.state or "", self.result, message)

    @property
    def point_created(self) -> datetime | None:
        """When EM says that the restore point was created; None where that was not read."""
        return parse_time(text_of(self.point.get("creation_time")))

    def point_age(self, utc_offset: str | None) -> tuple[datetime | None, float | None, str, str]:
        """When the restore point was created (UTC), how old it was when the session started, why that is unknown, as a
        part of a template, and what the operator can do about it.

        Where EM was not asked for the point, there is only the time in its name, such as ``vm@2025-11-04 18:01:08``, without
        a zone (docs/evidence.md, "Date and time").
        """
        created, name = self.point_created, text_of(self.point.get("name"))
        match = _POINT_TIME.fullmatch(name or "")
        written = parse_time(match[1]) if match else None
        taken = created
        if created is None and written and utc_offset:
            taken = written - timedelta(hours=int(utc_offset[:3]), minutes=int(utc_offset[0] + utc_offset[4:]))
        age = seconds_between(taken, self.session.start)
        if age is not None and age >= 0:
            return taken, age, "", ""
        hint = ""
        if taken and age is None:
            problem = "Enterprise Manager does not say when the run started"
        elif created:
            problem = "[its restore point was|their restore points were] created after the run started"
        elif taken:
            problem = "the restore [point is|points are] from after the run started, with UTC offset {offset}"
            hint = "Check point_utc_offset."
        elif name is None:
            problem = "Enterprise Manager names no restore [point|points]"
        else:
            problem = "the [restore point's name has|names of their restore points have] no time"
            if written:
                problem += " zone"
                hint = "Set point_utc_offset, or have the restore points read (role Portal User in Enterprise Manager)."
        return taken, None, problem, hint


def session_evidence(session: Any) -> SessionEvidence:
    """What a session shows.

    :raises OptionError: it is not the facts of one session.
    """
    is_dict, problems = isinstance(session, Mapping), []
    if is_dict:
        problems = [f"It has no {name}. " for name in _NEEDED if name not in session]
        if not is_list_of(Mapping, session.get("tasks") or []):
            problems.append("Its tasks are not a list of dictionaries. ")
    if problems or not is_dict:
        accepted = "Give one session, such as failover_sessions[0] of failover_session_info or failover_session of failover_plan."
        raise OptionError("session", session, "".join(problems[:1]) + accepted)
    return SessionEvidence(session, session.get("tasks") or [])


def seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else (end - start).total_seconds()


def list_names(vm_names: Sequence[str], most: int = MAX_NAMES) -> str:
    """The names of VMs in a sentence."""
    return some_of([truncate(single_line(name), 100) or "unnamed VM" for name in vm_names], most)
