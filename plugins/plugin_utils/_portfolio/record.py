# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is on a portfolio page: checks what was given and makes the record of it, as plain JSON types.

The record is all that page and tables know, and what must not be in them is left out here. Nothing in this folder reads a
clock, a server or the environment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ...module_utils._api.client import VERSION
from ...module_utils._api.errors import OptionError
from ...module_utils._api.options import check_text
from ...module_utils._failover.times import parse_time
from ...module_utils._readiness.status import STATUSES, latest_time
from .._document.shape import check_shape
from .._plain import plain
from .evidence import evidence_of
from .privacy import without_others

RECORD_FORMAT = 1
"""Part of every record. To be raised when the record changes its shape."""

OPTIONS = ("title", "tenant", "classification", "with_servers")

_TEXT, _NUMBER, _FLAG = (str, type(None)), (int, float, type(None)), (bool, type(None))
_LAST = {"runs": [{"session_id": _TEXT, "end_time?": str, "duration?": _NUMBER, "rpo?": _NUMBER}]}
_TREND = {**_LAST, "regression": _FLAG, "shrinking": _FLAG}
_PLAN = {
    "em_name?": str, "id?": str, "name?": str, "tenant?": {"name?": str}, "backup_server?": {"name?": str}, "status": str,
    "reasons": [{"code?": str, "vm?": str, "text?": str}], "waived?": {"until?": str, "by?": str, "reason?": str},
    "in_failover": _FLAG, "next_due?": str, "last_passed?": {"end_time?": str, "kind?": str}, "policy?": {},
    "vms": [{"name?": str, "last_success?": str}], "drift?": {name: [str] for name in ("added", "removed", "reordered")},
    "trend": {"test": _TREND, "failover": _TREND}, "findings": [{"text?": str}],
    "runs": [{"session_id": _TEXT, "kind?": str, "end_time?": str, "passed": _FLAG}],
}  # fmt: skip
_HISTORY = {
    "failover_sessions": [{"id": _TEXT}], "failover_plans": [{"id": _TEXT}], "looks?": [{"seen_at": str}],
    "gaps?": [{"from": str, "to": str}], "head?": {},
}  # fmt: skip
"""What is used of what is given."""


def make_record(readiness: Any, history: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """
    :arg options: any of :data:`OPTIONS`.
    :raises OptionError: something given cannot be used.
    """
    given = {option: plain(option, options.get(option)) for option in OPTIONS}
    for option in OPTIONS[:3]:
        if given[option] is not None:
            check_text(option, given[option])
    tenant, shows_servers = given["tenant"] or None, given["with_servers"]
    if not isinstance(shows_servers, (bool, type(None))):
        raise OptionError("with_servers", shows_servers, "Give true or false.")
    if given["tenant"] == "":
        raise OptionError("tenant", "", "Give the name of a tenant, or leave the option out for all plans.")
    accepted = "Give the result of failover_readiness as it is returned."
    readiness = plain("readiness", readiness)
    check_shape("readiness", readiness, {"now": str, "plans": [_PLAN]}, accepted)
    check_shape("history", history, _HISTORY, "Give what failover_history_info returns.")
    plans: list[dict[str, Any]] = readiness["plans"]
    strange = next((plan["status"] for plan in plans if plan["status"] not in STATUSES), None)
    if strange is not None:
        raise OptionError("readiness.plans", strange, accepted)
    now = parse_time(readiness["now"])
    if now is None:
        raise OptionError("readiness.now", readiness["now"], accepted)
    tenants = tenants_of(plans)
    if tenant is not None:
        if tenant not in tenants:
            known = f"Tenants with plans are: {', '.join(tenants)}." if tenants else "No plan has a tenant."
            raise OptionError("tenant", tenant, known)
        plans = [plan for plan in plans if _tenant(plan) == tenant]
    sessions = {(session.get("em_name"), session["id"]): session for session in history["failover_sessions"]}
    is_private = tenant is not None and not shows_servers
    only = None if tenant is None else {plan["em_name"] for plan in plans}
    evidence, places = evidence_of(history, plans, only, is_private, latest_time(now))
    records = []
    for plan in plans:
        runs = _runs(plan, sessions)
        attempted = _attempted(plan, sessions)
        vms = [{**vm, "attempted": vm["name"] in attempted} for vm in plan["vms"]]
        whole = {**plan, "em": places[plan["em_name"]], "runs": runs, "vms": vms}
        records.append(without_others(whole, sessions, history) if is_private else whole)
    counts = Counter(plan["status"] for plan in records)
    waived = sum(plan["waived"] is not None and plan["status"] != "ready" for plan in records)
    return {
        "format": RECORD_FORMAT,
        "generator": f"dr_runbook.veeam_em {VERSION}",
        "title": given["title"] or None,
        "classification": given["classification"] or None,
        "tenant": tenant,
        "now": readiness["now"],
        "summary": {**{status: counts[status] for status in STATUSES}, "waived": waived},
        "evidence": evidence,
        "plans": records,
    }


def tenants_of(plans: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of the tenants that have plans, sorted."""
    return sorted({name for plan in plans if (name := _tenant(plan))})


def _tenant(plan: Mapping[str, Any]) -> str | None:
    return (plan["tenant"] or {}).get("name")


def _attempted(plan: Mapping[str, Any], sessions: Mapping[Any, Mapping[str, Any]]) -> set[Any]:
    """The names of the VMs that were in a run that counts."""
    counted = [sessions.get((plan["em_name"], run["session_id"])) for run in plan["runs"] if run["passed"] is not None]
    return {task.get("vm_name") for session in counted if session for task in session.get("tasks") or ()}


def _runs(plan: Mapping[str, Any], sessions: Mapping[Any, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The runs, with what the history adds: how the kind is known, when the run started, its time, and its RPO if that was computed."""
    ages = {run["session_id"]: run.get("rpo") for kind in plan["trend"].values() for run in kind["runs"]}
    found = []
    for run in plan["runs"]:
        session = sessions.get((plan["em_name"], run["session_id"])) or {}
        more = {name: session.get(name) for name in ("kind_basis", "creation_time", "duration")}
        found.append({**run, **plain("history", more), "rpo": ages.get(run["session_id"])})
    return found
