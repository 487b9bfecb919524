# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""History, policy and time -> how ready each plan is, worst first. It reads nothing but its arguments, not even the clock.

One rule stands above all others: what is not known does not make a plan ready. docs/readiness.md has every rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from .._api.errors import OptionError
from .._failover.facts import FAILED_OVER
from .._failover.times import format_duration, format_time, parse_time, parse_zoned_time
from .._history.bodies import LISTED
from .drift import drift_between, names_of, vms_at
from .evidence import Evidence, PlanEvidence
from .notes import findings_of, waiver_of
from .policy import NO_POLICY, PlanPolicy, policy_of, read_policies
from .runs import COUNTED, Run, last_successes, moment, reason, runs_of
from .trend import trend_of

STATUSES: dict[str, tuple[str, ...]] = {
    "failed": ("not_passed", "retest_due", "retest_overdue"),
    "never_tested": ("never_tested",),
    "overdue": ("overdue",),
    "in_failover": ("in_failover",),
    "changed": ("vm_added", "vm_removed", "vm_reordered"),
    "partial": ("vm_not_exercised", "vm_overdue"),
    "due": ("due",),
    "no_policy": ("no_policy", "no_interval"),
    "unproven": (
        "only_undo",
        "run_not_finished",
        "kind_unknown",
        "plan_unknown",
        "plan_without_vms",
        "no_vms_listed",
        "gap",
        "no_look",
        "look_old",
        "copy_age_unknown",
        "copy_stale",
        "plans_unread",
        "failover_unknown",
    ),
    "ready": (),
}
"""The statuses, worst first, each with the codes of the reasons that lead to it."""

MAX_COPY_AGE = timedelta(hours=24)
"""An older copy of EM at the newest look proves nothing about now."""
MAX_CLOCK_DIFFERENCE = timedelta(hours=24)
"""Sessions later than this after ``now`` are refused, and looks are left out."""


def latest_time(now: datetime) -> str:
    """What is later than this was recorded while EM's clock was ahead."""
    return str(format_time(now + MAX_CLOCK_DIFFERENCE))


def readiness(history: Any, policy: Any, now: Any) -> dict[str, Any]:
    """Judge the plans of a history.

    :arg history: see RETURN of failover_history_info; at least its ``failover_sessions`` and ``failover_plans``.
    :arg policy: see :func:`read_policies`.
    :arg now: a time with zone, as text.
    :returns: see RETURN of the filter failover_readiness; plain data that JSON can hold.
    :raises OptionError: one of them cannot be used.
    """
    policies = read_policies(policy)
    when = parse_zoned_time(now.strip()) if isinstance(now, str) else None
    if when is None:
        accepted = "Give a time with zone, such as '2026-11-28T20:00:00Z' or now(utc=true, fmt='%Y-%m-%dT%H:%M:%SZ')."
        raise OptionError("now", now, accepted)
    until = latest_time(when)
    evidence = Evidence(history, until)
    latest = evidence.latest()
    if latest > until:
        raise OptionError("now", now, f"The history is from later: it has something of {latest}.")
    plans = [_Judgement(of_plan, policies, when).facts() for of_plan in evidence.by_plan()]
    ranks = {status: rank for rank, status in enumerate(STATUSES)}
    plans.sort(key=lambda plan: (ranks[plan["status"]], plan["next_due"] or "", plan["name"] or "", str(plan["id"])))
    summary = {status: sum(plan["status"] == status for plan in plans) for status in STATUSES}
    waived = sum(plan["waived"] is not None and plan["status"] != "ready" for plan in plans)
    return {"now": format_time(when), "plans": plans, "summary": {**summary, "waived": waived}}


class _Judgement:
    """One plan, judged."""

    def __init__(self, evidence: PlanEvidence, policies: Sequence[PlanPolicy], now: datetime) -> None:
        self.evidence = evidence
        self.plan = plan = evidence.plan
        self.now = now
        self.given_policy = policy_of(plan, policies)
        self.policy = self.given_policy or NO_POLICY
        self.runs = runs_of(evidence.sessions, self.policy)
        counted = [run for run in self.runs if run.counts]
        self.newest = counted[0] if counted else None
        self.passed = next((run for run in counted if run.passed), None)
        later = self.runs[: self.runs.index(self.newest)] if self.newest else self.runs
        self.later = [run for run in later if run.kind != "undo"]
        self.undone = self.newest is not None and _is_undone(self.newest, later)
        self.vms = list(plan["vms"] or ())
        self.vms_then = vms_at(self.passed, plan.get("versions") or ()) if self.passed else []
        self.drift = drift_between(self.vms_then, self.vms) if self.vms and self.vms_then else None
        self.successes = last_successes(names_of(self.vms), counted, self.policy)
        self.in_failover, self.failed_over = self.failover_state()
        self.next_due = self.passed.next_due if self.passed else None
        self.retest_due = self.newest.retest_due if self.newest else None

    def facts(self) -> dict[str, Any]:
        reasons = [*self.from_runs(), *self.from_plan(), *self.from_policy(), *self.unproven()]
        codes = {item["code"] for item in reasons}
        return {
            **{key: self.plan.get(key) for key in ("em_name", "id", "name", "tenant", "backup_server")},
            "status": next((status for status, those in STATUSES.items() if codes & set(those)), "ready"),
            "reasons": reasons,
            "waived": waiver_of(self.evidence.notes, self.now),
            "in_failover": self.in_failover,
            "next_due": format_time(self.next_due),
            "retest_due": format_time(self.retest_due),
            "last_passed": self.passed.facts() if self.passed else None,
            "policy": self.given_policy and {**vars(self.policy), "critical_vms": list(self.policy.critical_vms)},
            "vms": [self.vm_facts(name) for name in names_of(self.vms)],
            "drift": self.drift,
            "trend": {kind: trend_of(kind, self.runs, self.policy.rto) for kind in COUNTED},
            "findings": findings_of(self.evidence.notes, self.runs, self.now),
            "runs": [run.facts() for run in self.runs],
        }

    def vm_facts(self, name: str) -> dict[str, Any]:
        run = self.successes.get(name)
        last = {"last_success": format_time(run.end), "session_id": run.session["id"], "kind": run.kind} if run else {}
        return {"name": name, "last_success": None, "session_id": None, "kind": None, **last}

    def failover_state(self) -> tuple[bool | None, list[str]]:
        """Whether VMs of the plan are in failover now, or None if that is unknown, and the names of those that are."""
        points = self.evidence.points
        failed_over = sorted({str(point["vm_name"]) for point in points if point["state"] in FAILED_OVER})
        if failed_over:
            return True, failed_over
        newest = self.runs[0].session if self.runs else {}
        since = max(newest.get("creation_time") or "", newest.get("end_time") or "")
        look = self.evidence.look or {}
        copy = look.get("collected_at")
        if not points and copy and copy >= since and "points" not in (look.get("missing") or ()):
            return False, []
        if self.newest is None or self.later or self.newest.kind == "test":
            return None, []
        return (False if self.undone else True if self.newest.passed else None), []

    def from_runs(self) -> Iterator[dict[str, Any]]:
        if self.newest and not self.newest.passed:
            yield reason("not_passed", "The {run} did not pass.", run=self.newest.title)
            yield from self.newest.reasons
        if self.retest_due and self.now <= self.retest_due:
            yield reason("retest_due", "Its retest is due by {due}.", due=moment(self.retest_due))
        elif self.retest_due:
            yield reason("retest_overdue", "Its retest was due by {due}.", due=moment(self.retest_due))
        if not self.runs:
            yield reason("never_tested", "The history has no run of this plan.")
        grace = timedelta(seconds=self.policy.grace)
        if self.passed and self.next_due and self.now > self.next_due + grace:
            text = "The last run that passed is the {run}. The next was due by {due}."
            yield reason("overdue", text, run=self.passed.title, due=self.due_by(self.next_due))
        if self.in_failover:
            if self.failed_over:
                yield reason("in_failover", "{who} {is} in failover.", self.failed_over)
            elif self.newest:
                text = "After the {run}, neither an undo nor VMs at rest were seen."
                yield reason("in_failover", text, run=self.newest.title)

    def from_plan(self) -> Iterator[dict[str, Any]]:
        if self.passed is None:
            return
        drift: Mapping[str, Any] = self.drift or {}
        for code, key, text in (
            ("vm_added", "added", "{who} {has} been added since the {run}, the last that passed."),
            ("vm_removed", "removed", "{who} {has} been removed since the {run}, the last that passed."),
            ("vm_reordered", "reordered", "{who} changed {its} place in the start order since the {run}."),
        ):
            if drift.get(key):
                yield reason(code, text, drift[key], run=self.passed.title)
        then = [name for name in names_of(self.vms) if name not in drift.get("added", ())]
        never = [name for name in then if name not in self.successes]
        if never:
            yield reason("vm_not_exercised", "{who} {has} not come up in any test or failover in the history.", never)
        every, grace = self.policy.test_every, self.policy.grace
        if every:
            since = self.now - timedelta(seconds=every + grace)
            old = [name for name in then if name in self.successes and (self.successes[name].end or since) < since]
            if old and self.passed.end and self.passed.end >= since:
                text = "{who} did not come up in any test or failover since {since}."
                yield reason("vm_overdue", text, old, since=moment(since))

    def from_policy(self) -> Iterator[dict[str, Any]]:
        policy = self.policy
        if self.next_due:
            warned, latest = (timedelta(seconds=seconds) for seconds in (-policy.warn_before, policy.grace))
            if self.next_due + warned <= self.now <= self.next_due + latest:
                is_ = "is" if self.now <= self.next_due else "was"
                yield reason("due", "The next test {is_} due by {due}.", is_=is_, due=self.due_by(self.next_due))
        if self.given_policy is None:
            yield reason("no_policy", "No policy says how often this plan is to be tested.")
        elif policy.test_every is None:
            yield reason("no_interval", "The policy of this plan does not say how often it is to be tested.")

    def due_by(self, due: datetime) -> str:
        """The due time in a sentence, with the end of the grace."""
        if not self.policy.grace:
            return f"{moment(due)}; overdue after that"
        latest, grace = due + timedelta(seconds=self.policy.grace), format_duration(self.policy.grace)
        return f"{moment(due)}; overdue after {moment(latest)} (grace of {grace} included)"

    def unproven(self) -> Iterator[dict[str, Any]]:
        if self.later:
            run = self.later[0]
            if run.finished:
                text = "Whether the {run} was a test or a failover is unknown. Note its kind in the history."
                if run.session.get("of_several"):
                    text = "The {run} may be of another plan with the same name. Rename one of them, then test again."
                yield reason("kind_unknown", text, run=run.title)
            else:
                yield reason("run_not_finished", "The {run} was not finished when it was seen last.", run=run.title)
        elif self.runs and self.newest is None:
            yield reason("only_undo", "The history has no test or failover of this plan, only an undo.")
        if self.plan["vms"] is None:
            yield reason("plan_unknown", "The VMs of the plan are unknown: the history has no record of the plan.")
        elif not self.vms:
            yield reason("plan_without_vms", "Enterprise Manager lists no VMs of the plan.")
        if self.passed and not self.passed.session["tasks"]:
            yield reason("no_vms_listed", "Enterprise Manager listed no VMs of the {run}.", run=self.passed.title)
        end = format_time(self.passed.end) if self.passed else None
        gaps = [gap for gap in self.evidence.gaps if end and gap["to"] > end]
        if gaps:
            text = "Nobody looked at Enterprise Manager from {start} to {end}, so runs may be missing."
            times = {key: moment(parse_time(gaps[-1][name])) for key, name in (("start", "from"), ("end", "to"))}
            yield reason("gap", text, **times)
        yield from self.from_look()

    def from_look(self) -> Iterator[dict[str, Any]]:
        look = self.evidence.look
        if look is None:
            yield reason("no_look", "When Enterprise Manager was looked at last is unknown.")
            return
        seen, copy = parse_time(look["seen_at"]), parse_time(look.get("collected_at"))
        if seen is None or self.now - seen > LISTED:
            text = "Nobody has looked at Enterprise Manager since {seen}, so runs may be missing."
            yield reason("look_old", text, seen=moment(seen))
        elif copy is None:
            text = "How old the data of Enterprise Manager was at the newest look, at {seen}, is unknown."
            yield reason("copy_age_unknown", text, seen=moment(seen))
        elif seen - copy > MAX_COPY_AGE:
            text = "At the newest look, at {seen}, Enterprise Manager showed data of {copy}."
            yield reason("copy_stale", text, seen=moment(seen), copy=moment(copy))
        if "plans" in (look.get("missing") or ()):
            yield reason("plans_unread", "The plan could not be read at the newest look, so it may have changed.")
        if self.in_failover is None and self.runs:
            yield reason("failover_unknown", "Whether VMs of the plan are in failover now is unknown.")


def _is_undone(run: Run, later: Sequence[Run]) -> bool:
    """Whether an undo of this run was seen: our own, or a session that is known to be one."""
    own = (run.session.get("run") or {}).get("undo") or {}
    undos = [each for each in later if each.kind == "undo" and each.finished]
    return own.get("done") is True or any(undo.session["result"] in ("Success", "Warning") for undo in undos)
