# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is reported: checks what was given and makes the record of it, as plain JSON types.

The record is all that the report knows. Nothing in this folder reads a clock, a server or the environment, so the same
facts give the same bytes on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ...module_utils._api.client import VERSION
from ...module_utils._api.errors import OptionError
from ...module_utils._failover.facts import Plan
from ...module_utils._history.bodies import COMMANDS, plan_body
from ...module_utils._history.records import canonical
from ...module_utils._history.records import sha256 as digest_of
from .._document.shape import check_shape
from .._plain import plain
from .context import CONTEXT, kind_of, make_context
from .dates import dates_of

RECORD_FORMAT = 2
"""Part of every record. To be raised when the record changes its shape, as is the name of docs/schema/failover_report-2.json."""

PLAN = tuple(key for key in Plan.__annotations__ if key not in (*COMMANDS, "actions"))
"""What is kept of a plan, as in the history. Its commands are left out, since some of them contain passwords."""

_FACTS = ("verdict", "plan", "policy", "dates")
NO_FIGURES = {"target": None, "achieved": None, "margin": None}
_NO_VERDICT: dict[str, Any] = {
    "passed": None, "reasons": [], "notes": [], "targets": {}, "rto": NO_FIGURES, "rpo": NO_FIGURES, "vms": [], "idle": [],
    "not_attempted": [], "status_by_target": {},
}  # fmt: skip

_NUMBER, _TEXT, _NUMBER_OR_NULL = (int, float), (str, type(None)), (int, float, type(None))
_FIGURES = dict.fromkeys(NO_FIGURES, _NUMBER_OR_NULL)
_RUN = {
    "state?": str, "result?": str, "failure_message?": str, "creation_time?": str, "end_time?": str, "duration?": _NUMBER,
}  # fmt: skip
_POINT = {"id?": str, "name?": str, "creation_time?": str, "state?": str}
_SHAPES: dict[str, dict[str, Any]] = {
    "session": {**_RUN, "backup_server?": {}, "tasks?": [{**_RUN, "vm_name?": str, "replica_point?": _POINT}]},
    "verdict": {
        "session?": {}, "reasons": [{"code?": str}], "notes": [{"code": _TEXT}], "rto": _FIGURES, "rpo": _FIGURES,
        "targets": {"vm_rto?": {}, "required_vms?": [str]}, "idle": [{"from": _TEXT, "to": _TEXT}], "not_attempted": [str],
        "status_by_target": {},
        "vms": [{"name": _TEXT, "reasons": [str], "rto": _FIGURES, "rpo": _FIGURES, "started_after?": _NUMBER}],
    },
    "plan": {"name?": str, "description?": str, "tenant?": {}, "backup_server?": {}, "vms?": [{"name?": str, "order?": _NUMBER}]},
}  # fmt: skip
"""What the report uses of what is given: lists of one kind of item, keys of dictionaries, types. A key with ``?`` may be
missing or null."""


def make_record(session: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """
    :arg options: ``verdict``, ``plan``, ``policy``, ``dates`` and any of :data:`CONTEXT`.
    :raises OptionError: something given cannot be used.
    """
    session = plain("session", session)
    given = {option: plain(option, options.get(option)) for option in (*_FACTS, *CONTEXT)}
    verdict, plan, policy, dates = map(given.pop, _FACTS)
    if not isinstance(session, dict) or not session.get("id") or "state" not in session:
        raise OptionError("session", session, "Give one session, an element of failover_sessions, with id and state.")
    _check_type("verdict", verdict, dict, "the result of the filter failover_verdict")
    _check_type("plan", plan, dict, "one plan, an element of failover_plans")
    check_shape("session", session, _SHAPES["session"], "Give the session as failover_session_info returns it.")
    check_shape(
        "verdict",
        {**_NO_VERDICT, **(verdict or {})},
        _SHAPES["verdict"],
        "Give the result of failover_verdict as it is returned.",
    )
    check_shape("plan", plan or {}, _SHAPES["plan"], "Give the plan as failover_plan_info returns it.")
    context = make_context(given, session)
    _check_verdict(session, verdict or {}, context["session_source"])
    kind = kind_of(context)
    return {
        "format": RECORD_FORMAT,
        "generator": f"dr_runbook.veeam_em {VERSION}",
        "context": context,
        "session": session,
        "verdict": verdict or None,
        "kind": kind,
        **dates_of(session, verdict, plan or {}, kind["kind"], policy, dates, context),
        "plan": {key: plan[key] for key in PLAN if key in plan} if plan else None,
        "plan_version": _plan_version(plan or {}),
    }


def _plan_version(plan: Mapping[str, Any]) -> str | None:
    """The digest of the plan's facts, as the history records it. None if they are not whole."""
    if not all(key in plan for key in PLAN):
        return None
    return digest_of(canonical(plan_body(cast(Plan, {key: plan[key] for key in PLAN}))))


def verdict_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict, with nothing in the parts that it lacks, or that there are without a verdict."""
    return {**_NO_VERDICT, **(record["verdict"] or {})}


def _check_type(option: str, value: Any, types: Any, accepted: str) -> None:
    if value is not None and not isinstance(value, types):
        raise OptionError(option, value, f"Give {accepted}, or null if there is none.")


def _check_verdict(session: Mapping[str, Any], verdict: Mapping[str, Any], session_source: str | None) -> None:
    """
    :raises OptionError: the verdict is of another session, or of this one at another time, or calls a run passed that
        cannot have.
    """
    of_session = verdict.get("session") or {}
    for key in ("id", "state", "result"):
        if key in of_session and of_session[key] != session.get(key):
            own = f"It is of another session, or of an earlier reading: this one has {key} {session.get(key)!r}."
            raise OptionError("verdict", f"{key} {of_session[key]}", f"{own} Judge the session that you report.")
    passed, cannot = verdict.get("passed") is True, "so it cannot have passed. Judge it"
    if passed and session.get("finished") is not True:
        raise OptionError("verdict", "passed", f"The session had not finished, {cannot} again.")
    if passed and session_source == "inferred":
        raise OptionError(
            "verdict", "passed", f"The session is only inferred, {cannot} with session_source='inferred'."
        )
