# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When the policy of readiness asks for the next test, judged as the filter failover_readiness judges the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...module_utils._failover.times import format_time
from ...module_utils._readiness.policy import policy_of, read_policies
from ...module_utils._readiness.runs import Run, due_after

_FACTS = ("state", "result", "failure_message", "creation_time", "end_time", "duration", "finished")


def next_test(
    session: Mapping[str, Any], verdict: Any, plan: Mapping[str, Any], kind: str | None, policy: Any
) -> str | None:
    """The end of the run plus ``test_every``. None if the run did not pass, is no test or failover, or no interval is set.

    :arg policy: as failover_readiness takes it.
    :raises OptionError: the policy cannot be used.
    """
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
    return format_time(due_after(Run(known, found), found))
