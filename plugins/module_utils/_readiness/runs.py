# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runs of a plan: which count, which passed, and why others did not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from .._api.redaction import single_line, truncate
from .._failover.times import distinct_durations, format_duration, parse_time
from .._verdict.evidence import MAX_NAMES, list_names
from .policy import PlanPolicy

COUNTED = ("test", "failover")
"""The kinds of runs that count."""


def reason(code: str, text: str, vm_names: Collection[str] = (), **values: Any) -> dict[str, Any]:
    """A reason as plain data, one for several VMs: ``{who}`` names them, ``{s}`` and such are for one or several."""
    names, several = list(vm_names), len(vm_names) > 1
    who = list_names(names, MAX_NAMES)
    words = {"who": f"{len(names)} VMs ({who})" if several else who, "is": "is", "has": "has", "s": "", "its": "its"}
    words.update({"is": "are", "has": "have", "s": "s", "its": "their"} if several else {})
    return {"code": code, "vm": names[0] if len(names) == 1 else None, "text": text.format(**words, **values)}


def moment(when: datetime | None) -> str:
    """A time in a sentence."""
    return f"{when:%Y-%m-%d %H:%M} UTC" if when else "an unknown time"


class Run:
    """One session of a plan.

    :ivar policy: that it is judged by.
    :ivar kind: ``test``, ``failover``, ``undo`` or ``unknown``.
    :ivar end: its end, or where EM does not say that, its start, which is earlier.
    :ivar counts: whether it is a test or failover that has finished.
    :ivar reasons: why it did not pass, if it counts.
    :ivar passed: None if it does not count.
    """

    def __init__(self, session: Mapping[str, Any], policy: PlanPolicy) -> None:
        self.session = session
        self.policy = policy
        self.kind = session.get("kind") or "unknown"
        self.end = parse_time(session["end_time"] or session["creation_time"])
        self.finished = session["finished"] is True
        self.counts = self.kind in COUNTED and self.finished and self.end is not None
        self.reasons = _why_not_passed(session, policy) if self.counts else []
        self.passed = not self.reasons if self.counts else None

    def facts(self) -> dict[str, Any]:
        """Few: there are tens of thousands, and the history has the others."""
        end = self.session["end_time"]
        return {"session_id": self.session["id"], "kind": self.kind, "end_time": end, "passed": self.passed}

    @property
    def title(self) -> str:
        """What a sentence calls it."""
        noun = self.kind if self.kind in COUNTED else "run"
        return f"{noun} of {moment(parse_time(self.session['creation_time']))}"

    @property
    def next_due(self) -> datetime | None:
        """When the next run has to have passed. None if this one did not pass, or no interval is set."""
        every = self.policy.test_every
        return self.end + timedelta(seconds=every) if self.passed and self.end and every else None

    @property
    def retest_due(self) -> datetime | None:
        """When its retest has to have passed. None if it does not count or has passed, or no time is set for that."""
        within = self.policy.retest_within
        return self.end + timedelta(seconds=within) if self.passed is False and self.end and within else None


def runs_of(sessions: Iterable[Mapping[str, Any]], policy: PlanPolicy) -> list[Run]:
    """The runs, newest first. One without a start may be the newest, so it is taken for that."""
    newest_first = sorted(
        sessions, key=lambda session: (session["creation_time"] or "unknown", session["id"]), reverse=True
    )
    return [Run(session, policy) for session in newest_first]


def came_up(facts: Mapping[str, Any], policy: PlanPolicy) -> bool:
    """Whether a session or VM has ended well."""
    return facts["finished"] is True and facts["result"] in ("Success", "Warning")[: 1 + policy.allow_warnings]


def vms_up(vm_names: Collection[str], tasks: Sequence[Mapping[str, Any]], policy: PlanPolicy) -> Counter[str]:
    """How many VMs of each of these names came up. Of names of which one did not, none: which one it was is unknown."""
    of_names = [task for task in tasks if (task["vm_name"] or "") in vm_names]
    down = {task["vm_name"] or "" for task in of_names if not came_up(task, policy)}
    return Counter(name for task in of_names if (name := task["vm_name"] or "") not in down)


def last_successes(vm_names: Iterable[str], runs: Iterable[Run], policy: PlanPolicy) -> Mapping[str, Run]:
    """The newest run in which the VM came up, by its name, also where the run as a whole did not pass.

    Of VMs that share a name, all must have come up in one run.

    :arg runs: those that count, newest first.
    """
    missing, found = Counter(vm_names), {}
    for run in runs:
        if not missing:
            break
        up = vms_up(missing, run.session["tasks"], policy)
        for name in [name for name, number in missing.items() if up[name] >= number]:
            found[name] = run
            del missing[name]
    return found


def _why_not_passed(session: Mapping[str, Any], policy: PlanPolicy) -> list[dict[str, Any]]:
    verdict, tasks = session.get("verdict"), session["tasks"]
    reasons = _of_verdict(verdict) if isinstance(verdict, Mapping) else _of_results(session, policy)
    found = {item["code"] for item in reasons}
    if not reasons or session["result"] in ("Success", "Warning"):  # how long a failure took says nothing
        missed = [*_of_rto(session["duration"], policy.rto), *_of_rpo(session, policy.rpo)]
        reasons += [item for item in missed if item["code"] not in found]
    critical = set(policy.critical_vms)
    down = sorted(critical - set(vms_up(critical, tasks, policy))) if critical else []
    if down:
        listed = "" if tasks else " Enterprise Manager lists no VMs of this run."
        reasons.append(reason("critical_vm", "Critical VM{s} {who} did not come up.{listed}", down, listed=listed))
    return reasons


def _of_verdict(verdict: Mapping[str, Any]) -> list[dict[str, Any]]:
    if verdict.get("passed") is True:
        return []
    names = ("code", "vm", "text")
    return [{name: item.get(name) for name in names} for item in verdict.get("reasons") or ()] or [
        reason("verdict_not_passed", "The verdict recorded for it says so, without a reason.")
    ]


def _of_results(session: Mapping[str, Any], policy: PlanPolicy) -> list[dict[str, Any]]:
    message, result = session.get("failure_message"), session["result"]
    says = f" Enterprise Manager says: {truncate(single_line(str(message)), 300).rstrip('.')}." if message else ""
    failed = sorted({str(task["vm_name"] or "") for task in session["tasks"] if task["result"] == "Failed"})
    reasons = [reason("vm_failed", "{who} failed.{says}", failed, says=says)] if failed else []
    if result == "Failed" and not failed:
        reasons.append(reason("failed", "It failed.{says}", says=says))
    elif result not in ("Success", "Warning", "Failed"):
        reasons.append(reason("no_result", "Enterprise Manager gives no usable result for it."))
    elif result == "Warning" and not policy.allow_warnings:
        reasons.append(reason("warning", "It ended with a warning, which the policy does not allow.{says}", says=says))
    return reasons


def _of_rto(duration: float | None, target: float | None) -> list[dict[str, Any]]:
    if target is None or (duration is not None and duration <= target):
        return []
    if duration is None:
        limit = format_duration(target)
        return [reason("rto_unknown", "How long it took is unknown, target {limit}.", limit=limit)]
    took, limit = distinct_durations(duration, target)
    return [reason("rto_missed", "It took {took}, target {limit}.", took=took, limit=limit)]


def rpo_of(session: Mapping[str, Any]) -> float | None:
    """How old the oldest restore point of the run was when it started. None unless those of all VMs are known."""
    points = [(task["replica_point"] or {}).get("creation_time") or "" for task in session["tasks"]]
    oldest, start = parse_time(min(points, default="")), parse_time(session["creation_time"])
    age = (start - oldest).total_seconds() if start and oldest else -1
    return age if age >= 0 else None


def _of_rpo(session: Mapping[str, Any], target: float | None) -> list[dict[str, Any]]:
    age = rpo_of(session) if target is not None else 0.0
    if age is None:
        return [reason("rpo_unknown", "The age of its restore points (RPO) cannot be checked: not all are known.")]
    if target is None or age <= target:
        return []
    old, limit = distinct_durations(age, target)
    text = "Its oldest restore point was {old} old when it started, target {limit}."
    return [reason("rpo_missed", text, old=old, limit=limit)]
