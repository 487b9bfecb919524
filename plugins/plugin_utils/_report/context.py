# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the job and people know of a run and EM does not, checked. Nothing is filled in: what nobody gave is null or an empty list."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from ...module_utils._api.errors import OptionError
from ...module_utils._api.options import check_text
from ...module_utils._failover.facts import SESSION_SOURCES
from ...module_utils._failover.times import format_time, parse_time, parse_zoned_time
from ...module_utils._history.kind import KIND_OF_ACTION
from .._document.image import image_text

KINDS = {"test": "Test of the failover plan", "failover": "Failover", "undo": "Undo of a failover"}
"""The kinds of runs, and how the page calls them."""

WORDS = {
    "action": tuple(KIND_OF_ACTION),
    "kind": (*KINDS, "unknown"),
    "kind_basis": ("recorded", "inferred", "none"),
    "session_source": SESSION_SOURCES,
}
"""The options that take one of a few words. ``kind`` and ``kind_basis`` are those of the history."""

DATES = ("next_test", "retest")
TIMES = ("points_seen_at", "queried_at")
TEXTS = (
    *WORDS,
    *DATES,
    *TIMES,
    "approved_by",
    "change_id",
    "classification",
    "operator",
    "operator_source",
    "plan_description",
    "time_zone",
    "url",
)

ITEMS = {
    "checks": ("check", "vm", "passed", "message", "by"),
    "details": ("label", "value"),
    "findings": ("finding", "severity", "action", "owner", "due", "by", "retested_by"),
    "participants": ("name", "role"),
}
"""The lists of dictionaries: their keys, of which the first is required."""

_OF_NOTES = {"overdue", "plan", "seen_at", "session_id", "text", "type"}
"""What findings of the history and of readiness have besides. ``text`` is the finding, the rest is not reported."""

PREVIOUS = (
    "session_id",
    "kind",
    "creation_time",
    "end_time",
    "duration",
    "result",
    "passed",
    "rpo",
    "vms_up",
    "vms_total",
)
"""What is kept of the run before this one."""

CONTEXT = (*TEXTS, *ITEMS, "logo", "previous", "undo")

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def make_context(given: Mapping[str, Any], session: Mapping[str, Any]) -> dict[str, Any]:
    """All of :data:`CONTEXT`. What comes out can be given again, and comes out the same.

    :arg given: plain JSON types by option.
    :arg session: the one that is reported.
    :raises OptionError: something cannot be used.
    """
    context: dict[str, Any] = {option: _text(option, given.get(option)) for option in TEXTS}
    for option, words in WORDS.items():
        if context[option] not in (None, *words):
            raise OptionError(option, context[option], f"Give one of {', '.join(words)}, or leave it out.")
    for option in TIMES:
        if context[option] is not None and parse_time(context[option]) is None:
            raise OptionError(option, context[option], "Give the time as failover_session_info returns it.")
    context.update({option: date_or_time(option, context[option]) for option in DATES})
    if context["url"]:
        context["url"] = re.sub(r"(?s)^(\w+://)?.*@", r"\1", context["url"])  # no user name and password
    _check_time_zone(context["time_zone"])
    context.update({option: _items(option, given.get(option)) for option in ITEMS})
    context["logo"] = image_text("logo", _text("logo", given.get("logo")))
    context["previous"] = _previous(given.get("previous"), session)
    context["undo"] = _undo(given.get("undo"))
    _settle_kind(context)
    return context


def _settle_kind(context: dict[str, Any]) -> None:
    """``kind`` from ``action`` where it was not given, and ``action`` from ``kind`` where that was recorded."""
    action, kind = context["action"], None if context["kind"] == "unknown" else context["kind"]
    if action and kind not in (None, KIND_OF_ACTION[action]):
        raise OptionError("kind", kind, f"The action was {action}. Check which of the two is right.")
    if kind and context["kind_basis"] == "recorded":
        context["action"] = next(name for name, its_kind in KIND_OF_ACTION.items() if its_kind == kind)


def kind_of(context: Mapping[str, Any]) -> dict[str, str | None]:
    """The kind of the run (None is unknown), and a sentence on how that is known."""
    action, kind, basis = context["action"], context["kind"], context["kind_basis"]
    kind = kind if kind in KINDS else KIND_OF_ACTION.get(action or "")
    if kind is None:
        return {"kind": None, "basis": "It is not recorded whether this was a test or a failover."}
    if basis == "recorded":
        text = "Recorded in the history by the run itself, or noted there by a person."
    elif basis == "inferred":
        text = "Inferred from the states of the restore points afterwards."
    elif action is None:
        text = "How this is known is not recorded."
    else:
        link = {
            "task": "and Enterprise Manager's task links to this session",
            "inferred": "but it is only inferred that this session belongs to that request",
        }.get(context["session_source"] or "", "as stated by the job that created this report")
        text = f"Requested by the job, {link}." if context["session_source"] else f"Requested, {link}."
    return {"kind": kind, "basis": text}


def _text(option: str, value: Any) -> str | None:
    if value is not None:
        check_text(option, value)
    return None if value is None or not str(value).strip() else str(value)


def date_or_time(option: str, value: str | None) -> str | None:
    """A date as it is, a time as facts have it."""
    if value is None:
        return None
    when = format_time(parse_zoned_time(value))
    if when is None and _DATE.fullmatch(value):
        try:
            when = date.fromisoformat(value).isoformat()
        except ValueError:
            when = None
    if when is None:
        raise OptionError(option, value, "Give a date ('2027-03-31') or a time with zone ('2027-03-31T12:00:00Z').")
    return when


def _check_time_zone(name: str | None) -> None:
    if name is None:
        return
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # not a name, a folder of the database, not in it
        accepted = "There is no such time zone. Give its IANA name, for example Europe/Berlin."
        if not available_timezones():
            accepted = "The machine that runs Ansible has no time zone database. Install its package tzdata."
        raise OptionError("time_zone", name, accepted) from None


def _items(option: str, value: Any) -> list[dict[str, Any]]:
    required, *others = keys = ITEMS[option]
    accepted = f"Give a list of dictionaries with {required} (required), {', '.join(others)}."
    if value in (None, "", [], {}):
        return []
    if not isinstance(value, list):
        raise OptionError(option, value, accepted)
    items = []
    for place, item in enumerate(value):
        path = f"{option}[{place}]"
        if option == "participants" and isinstance(item, str):
            item = {"name": item}
        if not isinstance(item, Mapping):
            raise OptionError(path, item, accepted)
        unknown = set(item) - set(keys)
        if option == "findings":
            item = {**item, "finding": item.get("finding") or item.get("text")}
            unknown -= _OF_NOTES
        if unknown:
            raise OptionError(f"{path}[{min(unknown)}]", item[min(unknown)], f"There is no such key. {accepted}")
        found: dict[str, Any] = {key: _text(f"{path}[{key}]", item.get(key)) for key in keys if key != "passed"}
        if found[required] is None:
            raise OptionError(f"{path}[{required}]", item.get(required), accepted)
        if "passed" in keys:
            found["passed"] = _true_or_false(f"{path}[passed]", item.get("passed"))
        items.append(found)
    return items


def _true_or_false(path: str, value: Any) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise OptionError(path, value, "Give true, false, or null if it is not known.")
    return value


def _previous(value: Any, session: Mapping[str, Any]) -> dict[str, Any] | None:
    """The run before this one: an element of ``failover_sessions`` of the history, of ``runs`` of readiness, or :data:`PREVIOUS`."""
    if value in (None, "", [], {}):
        return None
    accepted = "Give a session as failover_history_info returns it, or a run as failover_readiness does."
    if not isinstance(value, Mapping) or not (value.get("session_id") or value.get("id")):
        raise OptionError("previous", value, accepted)
    verdict, counts = _part(value, "verdict"), _part(value, "task_summary")
    others = {
        "session_id": value.get("id"), "passed": verdict.get("passed"), "rpo": _part(verdict, "rpo").get("achieved"),
        "vms_up": counts.get("success"), "vms_total": counts.get("total"),
    }  # fmt: skip
    run = {key: value.get(key, others.get(key)) for key in PREVIOUS}
    for key in ("session_id", "kind", "creation_time", "end_time", "result"):
        run[key] = _text(f"previous[{key}]", run[key])
    for key in ("duration", "rpo", "vms_up", "vms_total"):
        if isinstance(run[key], bool) or not isinstance(run[key], (int, float, type(None))):
            raise OptionError(f"previous[{key}]", run[key], accepted)
    run["passed"] = _true_or_false("previous[passed]", run["passed"])
    run["vms_total"] = run["vms_total"] or None  # EM listed no VM: nothing is known of them
    run["vms_up"] = run["vms_up"] if run["vms_total"] else None
    began, start = parse_time(run["end_time"] or run["creation_time"]), parse_time(session.get("creation_time"))
    if run["session_id"] == session["id"] or (began and start and began > start):
        raise OptionError("previous", run["session_id"], "It is not a run before the one that is reported.")
    return run


def _part(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    part = value.get(key)
    return part if isinstance(part, Mapping) else {}


def _undo(value: Any) -> dict[str, Any] | None:
    """The result of the undo: ``done``, ``needed`` (None is not known), ``message``, and ``at`` and ``by``. None if nobody knows."""
    if value in (None, "", [], {}):
        return None
    accepted = "Give a dictionary with done (true or false), needed (true, false or null), message, at and by."
    if not isinstance(value, Mapping):
        raise OptionError("undo", value, accepted)
    texts = {key: _text("undo", value.get(key)) for key in ("message", "at", "by")}
    undo = {"done": None, "needed": None, **value, **texts}
    if len(undo) > 5 or undo["done"] not in (True, False) or undo["needed"] not in (True, False, None):
        raise OptionError("undo", value, accepted)
    if undo["at"] and parse_time(undo["at"]) is None:
        raise OptionError("undo[at]", undo["at"], "Give the time as failover_session_info returns it.")
    return undo
