# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kinds of reasons, their sentences, and how those of several VMs become one. Each code is explained in docs/codes.md.

The sentences are for people who do not know the options. What names an option is a hint, for the operator.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from .._api.redaction import truncate
from .evidence import MAX_NAMES, Evidence, Reason, SessionEvidence, list_names


class Kind(NamedTuple):
    """What a kind of reason says.

    :ivar sentence: template, see :class:`Reason`.
    :ivar of_several: how the sentence on several VMs starts if what it says of them differs.
    :ivar hint: what the operator can do about it.
    """

    sentence: str
    of_several: str = ""
    hint: str = ""


_IN_CONSOLE = "Check the session in the console of the backup server."

REASONS = {
    "session_inferred": Kind(
        "Enterprise Manager did not link its task to this session. "
        "It is the only new session of the plan, and may belong to somebody else.",
        hint="Check in the console of the backup server who started it.",
    ),
    "not_finished": Kind(
        "{who} [has|have] not finished{in_state}.",
        "{count} VMs have not finished",
        "Judge it again when it has finished.",
    ),
    "unknown_state": Kind("{who} [has|have] {state}.", "{count} VMs have no known state", _IN_CONSOLE),
    "unknown_result": Kind(
        "{who} [has|have] the unknown result {result}.", "{count} VMs have unknown results", _IN_CONSOLE
    ),
    "no_result": Kind(
        "{who} [has|have] stopped without a result.",
        hint="Read the session again in some minutes: Enterprise Manager's copy may lag behind.",
    ),
    "failed": Kind("{who} failed{because}."),
    "warning": Kind("{who} ended with a warning{because}.", "{count} VMs ended with a warning"),
    "too_many_failed": Kind("{count} VM[|s] failed ({names}); {most} allowed to.{messages}"),
    "success_with_failed_vms": Kind("The run ended with Success, but {names} failed.", hint=_IN_CONSOLE),
    "warning_with_only_failed_vms": Kind("The run ended with a warning, but every VM failed.", hint=_IN_CONSOLE),
    "failed_without_failed_vms": Kind("The run failed, but none of its VMs did.{says}", hint=_IN_CONSOLE),
    "failed_without_tasks": Kind(
        "The run failed, and Enterprise Manager lists no VMs, so which of them failed is unknown.{says}",
        hint=_IN_CONSOLE,
    ),
    "stopped_with_running_vms": Kind(
        "The run has stopped, but Enterprise Manager last listed {names} as not finished.",
        hint="Read the session again in some minutes: Enterprise Manager's copy may lag behind.",
    ),
    "outcome_unknown": Kind(
        "How {who} ended is unknown: [it|they] had not finished when Enterprise Manager last listed [it|them], at {at}.",
        hint=_IN_CONSOLE,
    ),
    "contradicting_times": Kind("{vm} {problem}.", "The times of {count} VMs contradict each other"),
    "rto_missed": Kind("{who} took {took}, target {limit}.", "{count} VMs missed their recovery time targets (RTO)"),
    "rto_unknown": Kind(
        "{who} cannot be compared with [its|their] {limit} target: Enterprise Manager gives no usable times.",
        "{count} VMs cannot be compared with their recovery time targets (RTO), since their times are not known",
    ),
    "rpo_missed": Kind(
        "The restore [point of {who} was|points of {who} were] {age} old when the run started, target {limit}.",
        "The restore points of {count} VMs were too old when the run started, target {limit}",
    ),
    "rpo_unknown": Kind("The RPO of {who} cannot be checked: {problem}.", "The RPO of {count} VMs cannot be checked"),
    "no_tasks": Kind(
        "Enterprise Manager lists no VMs for this session, so {targets} cannot be judged.",
        hint="Wait for the end of the next run with failover_plan or failover_session_wait, which keep the list of VMs.",
    ),
    "pattern_unmatched": Kind(
        "No VM of the session{as_listed} matches {pattern}, which has a recovery time target (RTO).",
        hint="Correct vm_rto.",
    ),
    "required_missing": Kind(
        "{who} [is|are] required, but the session does not list [it|them]{as_listed}.",
        hint="Correct required_vms, or add the VM to the plan.",
    ),
    "required_not_successful": Kind("[Required VM {who}|{count} required VMs ({names})] {what}."),
    "plan_mismatch": Kind(
        "The plan given is not that of the session: {other}. The session was not judged by it.",
        hint="Give the plan of this session as plan.",
    ),
    "plan_without_vms": Kind("The plan lists no VMs, so whether all were attempted is unknown."),
    "not_attempted": Kind(
        "{who} [is|are] in the plan, but the session does not list [it|them]{as_listed}.",
        "{count} VMs of the plan are not in the session, or not as often{as_listed}",
    ),
    "order_violated": Kind("{vm} (order {order}) was started {what}.", "{count} VMs were started too early"),
    "order_unknown": Kind("The start time of {who} is unknown, so [its|their] boot order cannot be checked."),
    "run_problem": Kind("{text}"),
    "drill_problem": Kind("{text}"),
    "step_not_passed": Kind("{text}"),
}
"""Codes of reasons, and what each says."""

PROBLEMS = ("run_problem", "drill_problem", "step_not_passed")
"""The reasons that a runbook adds: they are not in the facts of the session."""

_FOLLOWS_FROM = {
    "required_not_successful": ("failed",),
    "rto_missed": ("failed", "required_not_successful"),
    "rpo_missed": ("failed", "required_not_successful"),
    "rpo_unknown": ("failed", "required_not_successful"),
}


def add_reason(
    of: Evidence,
    code: str,
    target: Any = None,
    achieved: Any = None,
    *,
    template: str = "",
    detail: str = "",
    hint: str = "",
    about: Sequence[Evidence] = (),
    **values: str | int | None,
) -> None:
    """Add a reason against a session or a VM.

    :arg template: instead of that of the code. Words of the server only go into ``values`` and ``detail``.
    """
    kind, names = REASONS[code], tuple(vm.name or "" for vm in about)
    texts = tuple((name, str(value)) for name, value in values.items())
    of.reasons.append(
        Reason(of.name, code, target, achieved, template or kind.sentence, texts, detail, hint or kind.hint, names)
    )


def fold(run: SessionEvidence, most: int = MAX_NAMES) -> list[dict[str, Any]]:
    """The reasons as plain data, those of the session first. Those of one kind against several VMs are one, in the place
    of the first: a hundred sentences would bury the one that matters.

    :arg most: how many VMs a sentence names.
    """
    groups: dict[object, list[Reason]] = {}
    for each in (run, *run.vms):
        for reason in each.reasons:
            if not _is_implied(each, reason.code):
                groups.setdefault(reason.code if reason.vm is not None else len(groups), []).append(reason)
    return [_as_one(reasons, most) for reasons in groups.values()]


def _as_one(reasons: Sequence[Reason], most: int) -> dict[str, Any]:
    first = reasons[0]
    names = [reason.vm for reason in reasons if reason.vm is not None] or list(first.about)
    same = all(reason[1:] == first[1:] for reason in reasons)
    one_sentence = len(reasons) == 1 or (same and "{who}" in first.template)

    def if_same(field: str) -> Any:
        value = getattr(first, field)
        return value if all(getattr(reason, field) == value for reason in reasons) else None

    return {
        "code": first.code,
        "vm": names[0] if len(reasons) == 1 and first.vm is not None else None,
        "vms": names,
        "target": if_same("target"),
        "achieved": if_same("achieved"),
        "text": first.text(names, most) if one_sentence else _of_several(reasons, most),
        "hint": " ".join(dict.fromkeys(reason.hint for reason in reasons if reason.hint)) or None,
    }


def _of_several(reasons: Sequence[Reason], most: int) -> str:
    """One sentence on several VMs that differ: who, and in brackets what is particular to them. The worst first."""
    by_detail: dict[str, list[str]] = {}
    for reason in sorted(reasons, key=_severity):
        by_detail.setdefault(truncate(reason.detail, 100), []).append(reason.vm or "")
    parts, left = [], most
    for detail, names in by_detail.items():
        if left > 0:
            parts.append(list_names(names[:left], left) + (f" ({detail})" if detail else ""))
        left -= len(names)
    more = f" and {-left} more" if left < 0 else ""
    start = REASONS[reasons[0].code].of_several.format(count=len(reasons), **dict(reasons[0].values))
    return f"{start}: {'; '.join(parts)}{more}."


def _severity(reason: Reason) -> float:
    """By how much a target was missed, as a number that is lower the worse it is. What failed has no figure, and is worst."""
    if reason.code not in ("rto_missed", "rpo_missed"):
        return 0
    return -math.inf if reason.achieved is None else reason.target - reason.achieved


def _is_implied(of: Evidence, code: str) -> bool:
    """Whether a reason only follows from another, which says that the VM or the session failed, or has no result."""
    if code == "failed":
        others = ("too_many_failed", "failed_without_failed_vms", "failed_without_tasks")
        return of.name is not None or of.has_reason(*others)
    if code == "required_not_successful" and of.has_reason("warning"):
        return True
    if code == "rto_unknown" and of.has_reason("no_result", "unknown_result"):
        return True
    return of.failed and of.has_reason(*_FOLLOWS_FROM.get(code, ()))
