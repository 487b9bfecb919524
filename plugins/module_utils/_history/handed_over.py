# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a runbook hands over for the history, checked: its runs, verdicts, and notes of persons. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from .._api.errors import OptionError
from .._api.options import check_text
from .._failover.criteria import guid_of_session
from .._failover.facts import SESSION_SOURCES
from .._failover.times import format_time, parse_time, parse_zoned_time
from .bodies import COMMANDS
from .kind import KIND_OF_ACTION, RUN_KINDS
from .records import NewRecord, canonical, subject_of

NOTE_TYPES = {
    "approval": (),
    "finding": ("severity", "action", "owner", "due"),
    "waiver": ("until",),
    "comment": (),
    "kind": ("kind",),
}
"""What each type of note needs besides ``by`` and ``text``."""
_DATE = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])", re.ASCII)
_SESSION = "Give the id of the session as GUID, as URN or as Href."


def handed_over(em_name: str, at: str, option: Callable[[str], Any]) -> list[NewRecord]:
    """The records of the options ``runs``, ``verdicts`` and ``notes`` of failover_history.

    :arg option: gives the value of the option with that name, a list of dictionaries or None.
    :raises OptionError: names the item.
    """
    records: list[NewRecord] = []
    for name, kind, check in (("runs", "run", _run), ("verdicts", "verdict", _verdict), ("notes", "note", _note)):
        for place, item in enumerate(option(name) or ()):
            path = f"{name}[{place}]"
            try:
                canonical(item)
            except ValueError:
                raise OptionError(
                    path, item, "It has a number that is NaN or infinite; JSON has no such number."
                ) from None
            subject, body = check(path, item)
            record = NewRecord(kind, subject_of(em_name, subject), at, body)
            if record not in records:
                records.append(record)
    return records


def _run(path: str, run: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    guid = _session_id(path, run.get("session_id"))
    if run.get("action") not in tuple(KIND_OF_ACTION):  # a dictionary cannot be searched for a list
        accepted = "Give start, test or undo, as failover_plan returns it."
        raise OptionError(f"{path}[action]", run.get("action"), accepted)
    if run.get("session_source") not in (None, *SESSION_SOURCES):
        accepted = "Give task or inferred, as failover_plan returns it, or null."
        raise OptionError(f"{path}[session_source]", run["session_source"], accepted)
    if not isinstance(run.get("undo"), (Mapping, type(None))):
        raise OptionError(f"{path}[undo]", run["undo"], "Give a dictionary with done, needed and message, or null.")
    return guid, _without_commands({**run, "session_id": guid})


def _verdict(path: str, verdict: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    session = verdict.get("session")
    guid = _session_id(f"{path}[session]", session.get("id") if isinstance(session, Mapping) else None, "id")
    if not isinstance(verdict.get("passed"), bool):
        raise OptionError(f"{path}[passed]", verdict.get("passed"), "Give what the filter failover_verdict returns.")
    reasons = verdict.get("reasons")
    if reasons is not None and not (isinstance(reasons, list) and all(isinstance(item, Mapping) for item in reasons)):
        raise OptionError(f"{path}[reasons]", reasons, "Give what the filter failover_verdict returns.")
    return guid, _without_commands(verdict)


def _note(path: str, note: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    body = {name: value for name, value in note.items() if value is not None}
    if body.get("type") not in tuple(NOTE_TYPES):
        raise OptionError(f"{path}[type]", body.get("type"), f"Give one of {', '.join(NOTE_TYPES)}.")
    needed = NOTE_TYPES[body["type"]]
    for name in ("by", "text", *needed):
        if not isinstance(body.get(name), str) or not body[name].strip():
            accepted = f"Give a text; a note of type {body['type']} needs {', '.join(('by', 'text', *needed))}."
            raise OptionError(f"{path}[{name}]", body.get(name), accepted)
    unknown = sorted(set(body) - {"type", "session_id", "plan", "by", "text", *needed})
    if unknown:
        raise OptionError(f"{path}[{unknown[0]}]", body[unknown[0]], f"A note of type {body['type']} has no such key.")
    if ("plan" in body) == ("session_id" in body):
        accepted = "Give either session_id, or plan (its id or its name): a note is about a run or about a plan."
        raise OptionError(f"{path}[session_id]", body.get("session_id"), accepted)
    if body["type"] == "kind" and (body["kind"] not in RUN_KINDS or "session_id" not in body):
        accepted = f"A note of type kind is about a session (session_id), with {', '.join(RUN_KINDS)} as kind."
        raise OptionError(f"{path}[kind]", body["kind"], accepted)
    for name in {"until", "due"} & set(body):
        body[name] = _date_or_time(f"{path}[{name}]", body[name])
    if "plan" in body:
        check_text(f"{path}[plan]", body["plan"])
        if not body["plan"].strip():
            raise OptionError(f"{path}[plan]", body["plan"], "Give the id or the name of the plan.")
        return quote(body["plan"], safe=" "), body  # a name may have the character that ends the EM in a subject
    body["session_id"] = _session_id(path, body["session_id"])
    return body["session_id"], body


def _session_id(path: str, value: Any, name: str = "session_id") -> str:
    guid = guid_of_session(value)
    if guid is None:
        raise OptionError(f"{path}[{name}]", value, _SESSION)
    return guid


def _date_or_time(path: str, value: str) -> str:
    """A date as it is, a time as facts have it."""
    if _DATE.fullmatch(value) and parse_time(f"{value}T00:00Z"):
        return value
    when = format_time(parse_zoned_time(value))
    if when is None:
        raise OptionError(path, value, "Give a date ('2027-03-31') or a time with zone ('2027-03-31T12:00:00Z').")
    return when


def _without_commands(value: Any) -> Any:
    """Commands of plans may contain secrets."""
    if isinstance(value, Mapping):
        return {name: _without_commands(item) for name, item in value.items() if name not in COMMANDS}
    return [_without_commands(item) for item in value] if isinstance(value, list) else value
