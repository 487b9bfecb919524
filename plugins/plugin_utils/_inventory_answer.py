# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an inventory is made of: the sessions and plans, from EM or from the history."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypedDict

from ansible.errors import AnsibleParserError

from ..module_utils._api.errors import EmPermissionError
from ..module_utils._connection import client_from_options
from ..module_utils._failover.criteria import SessionCriteria
from ..module_utils._failover.data_age import DataAgeReader, max_age
from ..module_utils._failover.facts import Plan, Session, merge_tasks
from ..module_utils._failover.plans import PlanReader
from ..module_utils._failover.sessions import SessionReader
from ..module_utils._history.options import name_of_em, open_history
from ..module_utils._history.reader import HistoryReader, open_instead_of_em
from ._hosts import list_some, needs_plan

WITHOUT_PLANS = "Without that role, vm_source: tasks takes only the VMs that sessions list, and reads no plans."

Option = Callable[[str], Any]
Warn = Callable[[str], Any]


class Answer(TypedDict):
    """What EM answered, as it goes into the cache. ``plans`` are those that are needed, or None if the user may not read them.

    ``collected`` is when EM's data was collected, in seconds by this machine's clock; None where its age was not read.
    """

    sessions: list[Session]
    plans: list[Plan] | None
    collected: float | None


def read_em(option: Option, criteria: SessionCriteria, warn: Warn) -> Answer:
    """The sessions and plans that EM shows now.

    :arg option: gives the value of the option of the inventory with that name.
    :raises AnsibleParserError: a session that was requested by id is unknown, or plans that all need may not be read.
    """
    limit = max_age(option("max_data_age"))
    with client_from_options(option, warn) as client:
        age = DataAgeReader(client).read(limit) if limit else None
        collected = time.time() - age["seconds"] if age else None
        sessions = _read_sessions(SessionReader(client), criteria, f"on {client.base_url}", warn)
        meant = PlanReader(client).similar_names(criteria.names) if criteria.names and not sessions else ""
        if meant:
            warn(f"No cloud failover session on {client.base_url} has the name that is wanted. {meant}")
        if option("vm_source") == "history":
            sessions = _with_recorded_vms(option, sessions, criteria, warn)
        plans = _read_plans(option, PlanReader(client), sessions)
    return {"sessions": sessions, "plans": plans, "collected": collected}


def read_history(option: Option, criteria: SessionCriteria, warn: Warn) -> Answer:
    """As :func:`read_em`, from the history; EM is not contacted."""
    with open_instead_of_em(option, warn) as reader:
        sessions = _read_sessions(reader, criteria, f"in the history {reader.location}", warn)
        return {"sessions": sessions, "plans": _read_plans(option, reader, sessions), "collected": None}


def _read_sessions(
    reader: SessionReader | HistoryReader, criteria: SessionCriteria, where: str, warn: Warn
) -> list[Session]:
    result = reader.list_sessions(criteria)
    if result.missing_ids:
        raise AnsibleParserError(
            f"No cloud failover session with the id {list_some(result.missing_ids)} {where}. Check the id. "
            "Enterprise Manager forgets sessions after some time."
        )
    excluded = set(criteria.ids or ()) - {session["id"] for session in result.sessions}
    if excluded:
        warn(
            f"Sessions requested by id but excluded by another criterion: {list_some(excluded)}. They give no hosts. "
            "latest_per_plan is on by default; set it to false to keep them."
        )
    return result.sessions


def _with_recorded_vms(option: Option, sessions: list[Session], criteria: SessionCriteria, warn: Warn) -> list[Session]:
    """The sessions, with the VMs that the history has of those that list none."""
    without = tuple(session["id"] for session in sessions if not session["tasks"])
    if not without:
        return sessions
    em_names = list(filter(None, option("em_name") or ())) or [name_of_em(None, option("url"))]
    with open_history(option, read_only=True) as store:
        result = HistoryReader(store, em_names, warn).list_sessions(SessionCriteria(criteria.now, ids=without))
    recorded: dict[str, Any] = {session["id"]: session for session in result.sessions}
    return [
        merge_tasks(session, found, found["seen_at"]) if (found := recorded.get(session["id"])) else session
        for session in sessions
    ]


def _read_plans(option: Option, reader: PlanReader | HistoryReader, sessions: list[Session]) -> list[Plan] | None:
    """The plans that the sessions need, or None if the user may not read plans and other sessions list their VMs."""
    needing = [session for session in sessions if needs_plan(session, option("vm_source"))]
    names = {session["name"] for session in needing if session["name"]}
    try:
        return reader.plans_named(names) if names else []
    except EmPermissionError as exc:
        if len(needing) == len(sessions):
            raise AnsibleParserError(f"{exc} {WITHOUT_PLANS}") from None
        return None
