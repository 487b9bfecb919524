# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The dates of the next test and of the retest: as people gave them, else as the record has them, else by the policy of readiness."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...module_utils._failover.times import format_duration, format_time
from ...module_utils._readiness.policy import policy_of, read_policies
from ...module_utils._readiness.runs import Run
from .._document.shape import check_shape
from .context import DATES, date_or_time

_FACTS = ("state", "result", "failure_message", "creation_time", "end_time", "duration", "finished")


def dates_of(
    session: Mapping[str, Any],
    verdict: Any,
    plan: Mapping[str, Any],
    kind: str | None,
    policy: Any,
    recorded: Any,
    given: Mapping[str, Any],
) -> dict[str, dict[str, str | None]]:
    """``next_test`` and ``retest``, each with ``date`` and a sentence on its ``basis``. Both are None if nothing is known.

    :arg policy: as failover_readiness takes it, or None. The run is judged as that filter judges it.
    :arg recorded: both, from the record of this report, which does not have the policy. None if it is a new one.
    :arg given: what people said.
    :raises OptionError: the policy or what was recorded cannot be used.
    """
    dates = _recorded(recorded) if recorded else dict.fromkeys(DATES, _date(None))
    run = _judged(session, verdict, plan, kind, policy) if policy and not recorded else None
    if run:
        if run.next_due:
            every = format_duration(run.policy.test_every)
            dates["next_test"] = _date(
                format_time(run.next_due), f"By the policy, which asks for a test every {every}."
            )
        if run.retest_due:
            within = format_duration(run.policy.retest_within)
            text = f"By the policy, which asks for a retest within {within}. By it, this run did not pass."
            dates["retest"] = _date(format_time(run.retest_due), text)
        elif run.passed and run.policy.retest_within:
            dates["retest"] = _date(None, "The policy asks for none. By it, this run passed.")
    return {name: _date(given[name], "As given.") if given[name] else known for name, known in dates.items()}


def _date(date: str | None, basis: str | None = None) -> dict[str, str | None]:
    return {"date": date, "basis": basis}


def _recorded(dates: Any) -> dict[str, dict[str, str | None]]:
    accepted = "Give next_test and retest as the report's JSON has them, each with date and basis."
    check_shape("dates", dates, dict.fromkeys(DATES, {"date?": str, "basis?": str}), accepted)
    return {
        name: _date(date_or_time(f"dates[{name}][date]", dates[name].get("date")), dates[name].get("basis"))
        for name in DATES
    }


def _judged(
    session: Mapping[str, Any], verdict: Any, plan: Mapping[str, Any], kind: str | None, policy: Any
) -> Run | None:
    """The run, as the policy that fits its plan judges it, or None if none fits."""
    policies = read_policies(policy)
    its_plan = plan if plan.get("name") == session.get("name") else {}
    found = policy_of(
        {"backup_server": session.get("backup_server"), **its_plan, "name": session.get("name")}, policies
    )
    if found is None:
        return None
    known = {
        **dict.fromkeys(_FACTS),
        **session,
        "kind": kind,
        "verdict": verdict,
        "tasks": [
            {**dict.fromkeys((*_FACTS, "vm_name", "replica_point")), **task} for task in session.get("tasks") or ()
        ],
    }
    return Run(known, found)
