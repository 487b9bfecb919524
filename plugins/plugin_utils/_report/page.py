# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: it can change in any release.

"""The report on one run of a failover plan: facts -> record -> JSON, CSV, HTML page and manifest, as texts.

Nothing here reads a clock, a file or the environment, so the same facts give the same bytes on every machine.

The record is all that the report knows. Its SHA-256 is part of the files' names: other facts make other files, so that no
report is ever overwritten by another one. The manifest lists the SHA-256 of each file, in the format of ``sha256sum``, and
of each earlier manifest that no other one lists yet. That is the chain.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.client import VERSION
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import OptionError
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.redaction import truncate
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.facts import Fact
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.times import (
    format_duration,
    format_time,
    parse_time,
)
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._verdict.evaluate import SESSION_SOURCES
from jinja2 import Environment, StrictUndefined, Undefined
from markupsafe import Markup

RECORD_FORMAT = 1
"""Stands in every record. To be raised when the record changes its shape."""

ACTIONS = {"start": "Failover", "test": "Test of the failover plan", "undo": "Undo of a failover"}
"""What was asked of the plan, in the words of the module ``failover_plan``, and as the page says it."""

CONTEXT = ("action", "change_id", "operator", "points_seen_at", "queried_at", "session_source", "undo", "url")
"""What the job knows and EM does not. Each is a text or None, but for ``undo``, see :func:`_undo`."""

POINT_STATES = ("Failover", "Failback", "PermanentFailover")
"""The states of a replica point, in EM's words, in which its VM is not at rest. ``Ready`` is at rest; no other word says anything."""

NEXT_STEPS = (
    "Next: fix the cause, then retry the plan in Veeam's console, which repeats the failed VMs only (the REST API of Enterprise Manager cannot "
    "retry). What a second start does with VMs that are up is not documented. An undo takes the VMs that are up out of failover, too."
)
"""What can be done about a failover in which VMs did not come up."""

PLAN = ("id", "name", "tenant", "backup_server", "vms")
"""What is kept of a plan. Its commands are left out, since scripts are called with passwords at times."""

LONGEST_SHOWN = 240
"""So many characters of a name are shown on the page. JSON and CSV have all."""

_MANIFEST = re.compile(r"(?:\d{8}T\d{6}Z|undated)-[a-z0-9-]+-[0-9a-f]{8}\.sha256")
_ENTRY = re.compile(r"([0-9a-f]{64})  (\S+)")

# What does not print, or changes how its neighbours print: control characters, marks of direction, characters without width,
# halves of surrogate pairs. Given as ranges, since the tables of Python differ between versions.
_ODD = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\ufffe\uffff\U000e0000-\U000e007f]"
)

_FOLDER = Path(__file__).parent
_TICKS = [1, 2, 5, 10, 15, 30]
_STEPS = [
    *_TICKS,
    *(60 * n for n in _TICKS),
    *(3600 * n for n in (1, 2, 3, 6, 12)),
    *(86400 * n for n in (1, 2, 7, 30)),
]


def make(
    session: Any,
    verdict: Any = None,
    plan: Any = None,
    context: Mapping[str, Any] | None = None,
    manifests: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The files of the report.

    :arg session: one element of ``failover_sessions``.
    :arg verdict: result of the filter ``failover_verdict``, or None: then the page says that nobody has judged the run.
    :arg plan: one element of ``failover_plans``, or None.
    :arg context: any of :data:`CONTEXT`.
    :arg manifests: text of each file ``*.sha256`` in the folder where the files will be, by its name.
    :returns: ``name`` (what all the files' names begin with), ``files`` (list of ``kind``, ``name``, ``content`` and
        ``sha256``, in the order in which to write them, the manifest last) and ``previous_manifests`` (list of ``name``
        and ``sha256``).
    :raises OptionError: something given cannot be used.
    """
    if manifests is not None and not isinstance(manifests, Mapping):
        raise OptionError("manifests", _kind(manifests), "Give the text of each manifest by the name of its file.")
    record = _record(session, verdict, plan, context or {})
    vms = _vms(record)
    record["after_run"] = _after_run(record, vms)
    name = _name(record)
    previous = chain_ends(manifests or {}, f"{name}.sha256")
    record["previous_manifests"] = previous
    files = [
        _file("html", name, _page(record, name, vms)),
        _file("json", name, canonical_json(record)),
        _file("csv", name, _csv(record, vms)),
    ]
    lines = [f"{item['sha256']}  {item['name']}\n" for item in [*previous, *files]]
    files.append(_file("sha256", name, "".join(lines)))
    return {"name": name, "files": files, "previous_manifests": previous}


def _file(kind: str, name: str, content: str) -> dict[str, str]:
    return {"kind": kind, "name": f"{name}.{kind}", "content": content, "sha256": _sha256(content)}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# The record


def _record(session: Any, verdict: Any, plan: Any, context: Mapping[str, Any]) -> dict[str, Any]:
    """All that the report knows, as plain JSON types."""
    if not isinstance(session, Mapping) or not session.get("id") or "state" not in session:
        shown = "a dictionary without id and state" if isinstance(session, Mapping) else _kind(session)
        raise OptionError("session", shown, "Give one session, an element of failover_sessions.")
    for option, value, accepted in (
        ("verdict", verdict, "Give the result of the filter failover_verdict, or null if there is none."),
        ("plan", plan, "Give one plan, an element of failover_plans, or null if there is none."),
    ):
        if value is not None and not isinstance(value, Mapping):
            raise OptionError(option, _kind(value), accepted)
    known: dict[str, Any] = {
        option: _text_or_none(option, context.get(option)) for option in CONTEXT if option != "undo"
    }
    known["undo"] = _undo(context.get("undo"))
    if known["action"] is not None and known["action"] not in ACTIONS:
        raise OptionError("action", known["action"], f"Give one of {', '.join(ACTIONS)}, or leave it out.")
    for option in ("queried_at", "points_seen_at"):
        if known[option] is not None and parse_time(known[option]) is None:
            raise OptionError(option, known[option], "Give the time as failover_session_info returns it.")
    if known["session_source"] not in (None, *SESSION_SOURCES):
        accepted = f"Give one of {', '.join(SESSION_SOURCES)}, as failover_plan returns it, or leave it out."
        raise OptionError("session_source", known["session_source"], accepted)
    known["url"] = _without_user(known["url"])
    record: dict[str, Any] = {
        "format": RECORD_FORMAT,
        "generator": f"dr_runbook.veeam_em {VERSION}",
        "context": known,
        "session": _plain("session", session),
        "verdict": _plain("verdict", verdict or None),
        "plan": _plain("plan", {key: plan.get(key) for key in PLAN} if plan else None),
    }
    _check_verdict(record["session"], record["verdict"] or {}, known["session_source"])
    return record


def _check_verdict(session: Mapping[str, Any], verdict: Mapping[str, Any], session_source: str | None) -> None:
    """
    :raises OptionError: the verdict is of another session, or of this one at another time, or calls a run passed that
        cannot have.
    """
    judged = verdict.get("session")
    for key in ("id", "state", "result"):
        if isinstance(judged, dict) and key in judged and judged[key] != session.get(key):
            own = f"It is of another session, or of an earlier reading: this one has {key} {session.get(key)!r}."
            raise OptionError("verdict", {key: judged[key]}, f"{own} Judge the session that you report.")
    if verdict.get("passed") is True and session.get("finished") is not True:
        raise OptionError(
            "verdict", "passed", "The session had not finished, so it cannot have passed. Judge it again."
        )
    if verdict.get("passed") is True and session_source == "inferred":
        accepted = "The session is only inferred, so it cannot have passed. Judge it with session_source='inferred'."
        raise OptionError("verdict", "passed", accepted)


def _kind(value: Any) -> str:
    """What a value is, for a sentence: it may be large, or hold secrets."""
    if isinstance(value, Undefined):
        return "an undefined variable"
    kinds = (str, "a text"), (Mapping, "a dictionary"), (Sequence, "a list"), ((int, float), "a number")
    return next((name for kind, name in kinds if isinstance(value, kind)), type(value).__name__)


def _text_or_none(option: str, value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, (str, int, float)):
        return str(value)
    raise OptionError(option, _kind(value), "Give a text, or leave it out.")


def _undo(value: Any) -> dict[str, Any] | None:
    """What became of the undo: ``done``, ``needed`` (None is not known) and ``message`` (a text or None). None if nobody knows."""
    if value is None or value == "" or value == {}:
        return None
    known = isinstance(value, Mapping) and not set(value) - {"done", "needed", "message"}
    if not known or not isinstance(value.get("done"), bool) or not isinstance(value.get("needed"), (bool, type(None))):
        accepted = (
            "Give a dictionary with done (true or false), needed (true, false or null) and message; or leave it out."
        )
        raise OptionError("undo", _kind(value), accepted)
    message = _text_or_none("undo", value.get("message"))
    return {"done": value["done"], "needed": value.get("needed"), "message": message}


def _without_user(url: str | None) -> str | None:
    """The URL without a user name and password that may stand before its host."""
    if url is None or "@" not in url:
        return url
    try:
        parts = urlsplit(url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
    except ValueError:
        return url.rpartition("@")[2]


def _plain(option: str, value: Any) -> Any:
    """The value as plain JSON types: ansible-core has types of its own, some of which are filled in only when read."""
    if isinstance(value, Mapping):
        return {str(key): _plain(option, item) for key, item in value.items()}
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [_plain(option, item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and abs(value) < float("inf"):  # which "not a number" is not
        return float(value)
    raise OptionError(
        option, _kind(value), "It can hold texts, numbers, true, false, null, lists and dictionaries only."
    )


def canonical_json(value: Any) -> str:
    """Sorted keys, two spaces, UTF-8, newline at the end. What does not print is escaped, for who reads it in a terminal."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=2)
    return _ODD.sub(lambda odd: json.dumps(odd.group())[1:-1], text) + "\n"


# Names and the chain


def _name(record: Mapping[str, Any]) -> str:
    """``<start of the run>-<plan>-<first 8 digits of the record's SHA-256>``. It sorts by time."""
    began = _time(record["session"], "creation_time")
    when = began.strftime("%Y%m%dT%H%M%SZ") if began else "undated"
    ascii_only = unicodedata.normalize("NFKD", str(record["session"].get("name"))).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_only.lower())[:40].strip("-") or "plan"
    return f"{when}-{slug}-{_sha256(canonical_json(record))[:8]}"


def chain_ends(manifests: Mapping[str, str], own: str) -> list[dict[str, str]]:
    """The manifests that the manifest ``own`` has to list, sorted by name, each with ``name`` and ``sha256``.

    They are those that no other one lists. Mostly that is one. Where two reports were made at the same moment there are
    two, and the next report ties them together again. A report that is there already keeps what it has listed.
    """
    listed = {name: _listed(text) for name, text in sorted(manifests.items()) if _MANIFEST.fullmatch(name)}
    if own in listed:
        return listed[own]
    covered = {item["name"] for items in listed.values() for item in items}
    return [{"name": name, "sha256": _sha256(manifests[name])} for name in listed if name not in covered]


def _listed(manifest: str) -> list[dict[str, str]]:
    """The earlier manifests that this one lists."""
    entries = (_ENTRY.fullmatch(line) for line in manifest.split("\n"))
    found = [{"name": entry[2], "sha256": entry[1]} for entry in entries if entry]
    return [item for item in found if _MANIFEST.fullmatch(item["name"])]


# VMs


def _vms(record: Mapping[str, Any]) -> list[Fact]:
    """One for each VM, in the order in which work on them began, and then those that were not attempted.

    Each is a task (empty where there is none) with its ``name``, its ``order`` in the plan, ``status`` and ``word`` (how it
    ended), ``attempted`` (None where EM names no VM at all, so that only the plan is known), its restore point, whether it is in
    failover, and what the verdict says.
    """
    session, verdict, plan = record["session"], record["verdict"] or {}, record["plan"] or {}
    began = _time(session, "creation_time")
    planned = [(_text(vm, "name"), _number(vm.get("order"))) for vm in _items(plan, "vms")]
    orders = dict(planned)
    spoken_of = {name for dummy, name in _against_vms(record)}
    judged: dict[str, list[Fact]] = {}
    for vm in _items(verdict, "vms"):
        judged.setdefault(_text(vm, "name"), []).append(vm)

    def entry(name: str, task: Fact, status: str, word: str, attempted: bool | None) -> Fact:
        own = judged[name].pop(0) if judged.get(name) else {}
        found, begun = _judged(own), _time(task, "creation_time")
        if found["started_after"] is None and began and begun and begun >= began:
            found["started_after"] = (begun - began).total_seconds()
        if found["passed"] is None and name and name in spoken_of:
            found["passed"] = False
        order = _number(own.get("order")) if own.get("order") is not None else orders.get(name)
        of_plan = {"name": name, "order": order, "attempted": attempted, "status": status, "word": word, "task": task}
        point = _point(task)
        taken, age = _time(point, "creation_time"), found["rpo"]
        # Where a target was set, the verdict has the last word on the age.
        if age["achieved"] is None and age["target"] is None and began and taken and began >= taken:
            age["achieved"] = (began - taken).total_seconds()
        vm = {**of_plan, "point": point.get("name"), "point_created": point.get("creation_time"), **found}
        return {**vm, "point_state": _point_state(record, point), **_in_failover(record, vm, point)}

    tasks = sorted(_items(session, "tasks"), key=_sort_key)
    vms = [entry(_text(task, "vm_name"), task, *_status(task), True) for task in tasks]
    given = verdict.get("not_attempted")
    missing = [str(name) for name in given] if isinstance(given, list) else []
    if not missing and plan.get("name") == session.get("name"):
        left = Counter(vm["name"] for vm in vms)
        for name, dummy in sorted(planned, key=lambda vm: (vm[1] is None, vm[1] or 0, vm[0])):
            missing += [] if left[name] else [name]
            left[name] -= left[name] > 0
    if not tasks:
        return vms + [entry(name, {}, "none", "Not known", None) for name in missing]
    word = "Not attempted" if session.get("finished") is True else "Not begun yet"
    return vms + [entry(name, {}, "none", word, False) for name in missing]


def _against_vms(record: Mapping[str, Any]) -> set[tuple[str, str]]:
    """The code of each reason against a VM, with the name of the VM. One reason may be about several VMs, and names no VM then."""
    session, verdict = record["session"], record["verdict"] or {}
    found = {(_text(reason, "code"), _text(reason, "vm")) for reason in _items(verdict, "reasons") if reason.get("vm")}
    for vm in _items(verdict, "vms"):
        codes = vm.get("reasons")
        found |= {(str(code), _text(vm, "name")) for code in codes} if isinstance(codes, list) else set()
    missing = verdict.get("not_attempted")
    found |= {("not_attempted", str(name)) for name in missing} if isinstance(missing, list) else set()
    targets = verdict.get("targets")
    required = targets.get("required_vms") if isinstance(targets, dict) else None
    listed = {_text(task, "vm_name") for task in _items(session, "tasks")}
    if isinstance(required, list) and listed and session.get("finished") is True:
        found |= {("required_missing", str(name)) for name in required if str(name) not in listed}
    return found


def _point(task: Mapping[str, Any]) -> Fact:
    """The replica point that a VM used, as the facts have it. Empty if there is none."""
    point = task.get("replica_point")
    return point if isinstance(point, dict) else {}


def _point_state(record: Mapping[str, Any], point: Mapping[str, Any]) -> str | None:
    """EM's word for the state of a point. One of which nobody knows when it was seen counts as not read."""
    return _text(point, "state") or None if record["context"]["points_seen_at"] else None


def _in_failover(record: Mapping[str, Any], vm: Mapping[str, Any], point: Mapping[str, Any]) -> Fact:
    """Whether a VM is in failover after the run (None is not known), and what that is known by.

    EM says it in the state of the replica point only. Of a failover, the result of the VM says what was reached at least
    when the run ended, unless it is not known whose run it was. A test or an undo can end well in either state.
    """
    context, session = record["context"], record["session"]
    state, task = _point_state(record, point), vm["task"]

    def known(in_failover: bool | None, by: str | None = None) -> Fact:
        return {"in_failover": in_failover, "in_failover_known_by": by}

    if context["undo"] and context["undo"]["done"]:
        return known(False, "undo")
    if state in POINT_STATES:
        return known(True, "replica_point")
    if state == "Ready":
        came_up = context["action"] == "start" and task.get("result") in ("Success", "Warning")
        # A VM that came up was undone or failed back since, or EM's copy is older than the failover.
        return known(None) if came_up or session.get("finished") is not True else known(False, "replica_point")
    if context["action"] == "start" and context["session_source"] != "inferred":
        if vm["attempted"] is False:
            return known(False, "result") if session.get("finished") is True else known(None)
        if task.get("finished") is True and task.get("result") in ("Success", "Warning", "Failed"):
            return known(task["result"] != "Failed", "result")
    return known(None)


def _sort_key(task: Mapping[str, Any]) -> tuple[str, ...]:
    """By start, and then by all else that tells two VMs of one name apart, as the verdict has it. A missing time is late."""
    point = task.get("replica_point")
    points = (_text(point, "id"), _text(point, "name")) if isinstance(point, dict) else ("", "")
    words = (_text(task, key) for key in ("state", "result", "failure_message"))
    return (
        _text(task, "creation_time") or "~",
        _text(task, "vm_name"),
        *points,
        _text(task, "end_time") or "~",
        *words,
    )


def _items(holder: Mapping[str, Any], key: str) -> list[Fact]:
    """The dictionaries in the list of that name."""
    value = holder.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(fact: Mapping[str, Any], key: str) -> str:
    value = fact.get(key)
    return "" if value is None else str(value)


def _status(fact: Mapping[str, Any]) -> tuple[str, str]:
    """How a session or task stands: a class for its look, and the words for it. Only a success looks like one."""
    if fact.get("finished") is not True:
        return "running", f"Running ({fact.get('state') or 'state not known'})"
    result = _text(fact, "result")
    if fact.get("succeeded") is True and result == "Success":
        return "success", result
    if result in ("Warning", "Failed"):
        return result.lower(), result
    return "other", "No result" if result in ("", "None") else f"Result {result}"


def _judged(vm: Mapping[str, Any]) -> Fact:
    """What a verdict says of one VM, with None for what it leaves out."""
    passed = vm.get("passed")
    return {
        "rto": _figures(vm.get("rto")),
        "rpo": _figures(vm.get("rpo")),
        "started_after": _number(vm.get("started_after")),
        "passed": passed if isinstance(passed, bool) else None,
        "required": vm.get("required") is True,
        "critical": vm.get("critical") is True,
    }


def _figures(value: Any) -> dict[str, float | None]:
    """``target``, ``achieved`` and ``margin`` in seconds; a bare number is what was achieved."""
    given = value if isinstance(value, dict) else {"achieved": value}
    found = {key: _number(given.get(key)) for key in ("target", "achieved", "margin")}
    if found["margin"] is None and found["target"] is not None and found["achieved"] is not None:
        found["margin"] = found["target"] - found["achieved"]
    return found


def _number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


# What is left after the run


def _after_run(record: Mapping[str, Any], vms: Sequence[Fact]) -> Fact:
    """The row and the sentence on what is still in failover, and each VM with it.

    ``word`` is for the row that is called ``label``. ``clean`` is true if the run was undone or has left nothing, false if
    VMs are in failover, None if that is not known.
    """
    context = record["context"]
    undo, action = context["undo"], context["action"]
    named = [vm for vm in vms if vm["attempted"] or vm["in_failover"] is not None]
    up = [vm for vm in named if vm["in_failover"] is True]
    label, next_steps = "Clean-up", None
    if undo and undo["done"]:
        label = {"test": "Test undone", "start": "Failover undone"}.get(action, "Undone")
        clean: bool | None = True
        word, text = "Yes", _sentences(f"{label}: Yes", undo["message"])
    elif action == "start":
        clean = False if up else None if not named or any(vm["in_failover"] is None for vm in named) else True
        word = {True: "Nothing in failover", False: f"{_counted(len(up), 'VM')} in failover", None: "Not known"}[clean]
        text = _after_failover(record, named)
        left = [vm for vm in named if vm["in_failover"] is False]
        went_wrong = left or record["session"].get("result") not in ("Success", "Warning")
        next_steps = NEXT_STEPS if went_wrong and record["session"].get("finished") is True else None
    elif up:
        clean, word = False, "Still in failover"
        why = undo["message"] if undo else "Whether an undo was tried is not recorded."
        text = _sentences(f"Still in failover: {_names(up)}; points seen at {when(context['points_seen_at'])}", why)
    else:
        unknown = _why_unknown(record, named)
        clean, word = None if unknown else True, "Not known" if unknown else "Nothing in failover"
        what = "A test leaves nothing in failover" if action == "test" else "Nothing is in failover"
        if context["session_source"] == "inferred":
            what = "No VM of this session is in failover"
        text = f"{what}; points seen Ready at {when(context['points_seen_at'])}"
        if unknown:
            text = f"It is not known whether VMs are still in failover: {unknown}"
        # Where no undo was needed, the message says so once more.
        text = _sentences(text, undo["message"] if undo and undo["needed"] is not False else None)
    shown = ("name", "point_state", "in_failover", "in_failover_known_by")
    return {
        "label": label,
        "word": word,
        "text": text,
        "clean": clean,
        "next_steps": next_steps,
        "vms": [{key: vm[key] for key in shown} for vm in named],
    }


def _after_is_news(record: Mapping[str, Any]) -> bool:
    """Whether readers have to be told at once what is left after the run: all of a failover, of a test what it should not leave."""
    context = record["context"]
    if context["undo"] and context["undo"]["done"]:
        return False
    return context["action"] == "start" or (context["action"] == "test" and record["after_run"]["clean"] is not True)


def _sentences(*texts: str | None) -> str:
    """The texts as sentences, one after the other."""
    stripped = (text.strip() for text in texts if text)
    return " ".join(text if text.endswith((".", "!", "?")) else f"{text}." for text in stripped if text)


def _names(vms: Sequence[Fact], most: int = 10) -> str:
    """VMs in a sentence, with the state of a point that is not just ``Failover``. The table below it has all of them."""
    shown = []
    for vm in vms[:most]:
        state = vm["point_state"] if vm["point_state"] in POINT_STATES[1:] else None
        name = truncate(vm["name"], 80) or "a VM without a name"
        shown.append(f"{name} ({state})" if state else name)
    return ", ".join(shown) + (f" and {len(vms) - most} more" if len(vms) > most else "")


def _after_failover(record: Mapping[str, Any], named: Sequence[Fact]) -> str:
    """Which VMs are up in failover, which are not, and from what that is known."""
    context = record["context"]
    undo, seen = context["undo"], context["points_seen_at"]
    groups = ((True, "Up in failover"), (False, "Not up"), (None, "Not known"))
    members = [(title, [vm for vm in named if vm["in_failover"] is state]) for state, title in groups]
    texts: list[str | None] = [f"{title}: {_names(vms)}" for title, vms in members if vms]
    if not named:
        texts.append("It is not known which VMs are up in failover: Enterprise Manager lists no VM of this run")
    by = {vm["in_failover_known_by"] for vm in named}
    if "replica_point" in by:
        texts.append(f"By the states of their restore points, seen at {when(seen)}")
    if "result" in by:
        whose = "Of the others this" if "replica_point" in by else "This"
        texts.append(
            f"{whose} is known from the results of the run only, and not from the states of their restore points"
        )
    late = [vm for vm in named if vm["point_state"] == "Ready" and vm["status"] in ("success", "warning")]
    if late and context["session_source"] != "inferred":
        texts.append(
            f"{_names(late)} came up in this run, but the restore point is Ready: "
            "it was undone or failed back since, or Enterprise Manager's copy is old"
        )
    if undo is None:
        texts.append("Whether the failover was undone is not recorded")
    else:
        still = "The VMs are still failed over; no" if members[0][1] else "No"
        texts.append(undo["message"] or f"{still} undo was requested")
    return _sentences(*texts)


def _why_unknown(record: Mapping[str, Any], named: Sequence[Fact]) -> str | None:
    """Why it is not known that nothing is in failover. None if it is known."""
    if record["session"].get("finished") is not True:
        return "the run had not finished when it was read"
    if not named:
        return "Enterprise Manager lists no VM of this run"
    if not record["context"]["points_seen_at"]:
        return "the restore points were not read"
    unknown = [vm for vm in named if vm["in_failover"] is None]
    if not unknown:
        return None
    return (
        f"Enterprise Manager gives no state for the {'point' if len(unknown) == 1 else 'points'} of {_names(unknown)}"
    )


# CSV

COLUMNS = (
    "session_id", "plan", "vm", "order", "attempted", "state", "result", "start", "end", "duration_seconds",
    "started_after_seconds", "rto_seconds", "rto_target_seconds", "rpo_seconds", "rpo_target_seconds", "passed",
    "restore_point", "restore_point_created", "restore_point_state", "in_failover", "in_failover_known_by", "failure_message",
)  # fmt: skip


def _csv(record: Mapping[str, Any], vms: Iterable[Fact]) -> str:
    """A line of :data:`COLUMNS`, and one line for each VM, as RFC 4180 has it.

    Every cell is quoted, so that a semicolon in a name does not cut it where a spreadsheet expects semicolons.
    """
    session = record["session"]
    table = io.StringIO()
    writer = csv.writer(table, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for vm in vms:
        task, rto, rpo = vm["task"], vm["rto"], vm["rpo"]
        row = [session["id"], session.get("name"), vm["name"], vm["order"], vm["attempted"]]
        row += [task.get(key) for key in ("state", "result", "creation_time", "end_time", "duration")]
        row += [vm["started_after"], rto["achieved"], rto["target"], rpo["achieved"], rpo["target"], vm["passed"]]
        row += [vm[key] for key in ("point", "point_created", "point_state", "in_failover", "in_failover_known_by")]
        row += [task.get("failure_message")]
        writer.writerow([_cell(value) for value in row])
    return table.getvalue()


def _cell(value: Any) -> str:
    """The text of a cell. One that a spreadsheet would take for a formula gets an apostrophe before it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = visible(str(value)).replace("\n", "[U+000A]")
    dangerous = isinstance(value, str) and text.lstrip()[:1] in tuple("=+-@\uff1d\uff0b\uff0d\uff20")
    return f"'{text}" if dangerous else text


def _time(fact: Mapping[str, Any], key: str) -> datetime | None:
    value = fact.get(key)
    return parse_time(value) if isinstance(value, str) else None


def _name_of(holder: Mapping[str, Any], key: str) -> Any:
    """The name in a reference such as ``backup_server``, or None."""
    value = holder.get(key)
    return value.get("name") if isinstance(value, dict) else None


# The page


def visible(value: object) -> str:
    """The text, with the code of each character that does not print or that changes how its neighbours do."""
    return _ODD.sub(lambda odd: f"[U+{ord(odd.group()):04X}]", str(value))


def when(value: Any) -> str:
    """A time of the facts for people: ``2015-12-07 17:38:16 UTC``."""
    read = parse_time(value) if isinstance(value, str) else None
    return f"{read:%Y-%m-%d %H:%M:%S} UTC" if read else "not known"


def margin(seconds: float | None) -> str:
    """What is left of a target, or by how much it was missed, with as many digits as it takes to see that."""
    if seconds is None:
        return "not known"
    shown = next(
        (text for text in (format_duration(abs(seconds), digits) for digits in (None, 3, 6)) if text != "0 s"), "0 s"
    )
    return f"{shown} too long" if seconds < 0 else f"{shown} to spare"


def _page(record: Mapping[str, Any], name: str, vms: Sequence[Fact]) -> str:
    """The HTML page. It loads nothing, runs nothing, and forbids both to the browser."""
    style = (_FOLDER / "page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    # Every text goes through visible(), and then is escaped, unless it is markup of this collection.
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=lambda value: value if isinstance(value, Markup) else visible(value),
    )
    environment.filters.update(span=format_duration, when=when, margin=margin, short=_short)
    template = environment.from_string((_FOLDER / "page.html.j2").read_text(encoding="utf-8"))
    session, verdict = record["session"], record["verdict"] or {}
    passed = verdict["passed"] if isinstance(verdict.get("passed"), bool) else None
    reasons, rto = _items(verdict, "reasons"), _figures(verdict.get("rto"))
    return template.render(
        name=name,
        style=Markup(style),
        style_digest=digest,
        record=record,
        session=session,
        session_status=_status(session),
        finished=session.get("finished") is True,
        session_took=_number(session.get("duration")),
        backup_server=_name_of(session, "backup_server"),
        tenant=_name_of(record["plan"] or {}, "tenant"),
        action=ACTIONS.get(record["context"]["action"]),
        after=record["after_run"],
        after_is_news=_after_is_news(record),
        is_test=record["context"]["action"] == "test",
        inferred=record["context"]["session_source"] == "inferred",
        judged=passed is not None,
        look="unjudged" if passed is None else "passed" if passed else "failed",
        verdict_word="Not judged" if passed is None else "Passed" if passed else "Not passed",
        summary=_summary(session, verdict, passed, len(reasons)),
        reasons=reasons,
        # That there was no target for a time is in the summary.
        notes=[note for note in _items(verdict, "notes") if note.get("code") != "no_targets"],
        rto=rto,
        gauge=_gauge(rto),
        targets=_targets(record, vms),
        vms=vms,
        names_vms=any(vm["attempted"] for vm in vms),
        has_age=any(vm["rpo"]["achieved"] is not None for vm in vms),
        has_order=any(vm["order"] is not None for vm in vms),
        failures=[vm for vm in vms if vm["attempted"] and vm["status"] != "success"],
        left_out=[vm for vm in vms if not vm["attempted"]],
        left_out_text=_left_out_text(session, vms),
        counts=_counts(vms),
        count_text=_count_text(vms),
        parts=_parts(vms),
        chart=_chart(record, vms),
        previous=record["previous_manifests"],
    )


def _short(text: object, length: int = LONGEST_SHOWN) -> str:
    return truncate(str(text), length)


def _summary(session: Mapping[str, Any], verdict: Mapping[str, Any], passed: bool | None, against: int) -> str:
    """The sentence under the verdict."""
    if passed is True:
        given = verdict.get("targets")
        timed = isinstance(given, dict) and any(given.get(name) for name in ("rto", "vm_rto", "rpo"))
        return "The run met all its targets." if timed else "The run passed. No RTO or RPO target was set."
    running = "" if session.get("finished") is True else "It had not finished when it was read."
    if passed is False:
        reasons = f"for {_counted(against, 'reason')}" if against else "and the verdict gives no reason"
        return f"{running} The run did not pass, {reasons}{':' if against else '.'}".strip()
    return f"No verdict was given, so this report does not say whether the run passed. {running}".strip()


def _left_out_text(session: Mapping[str, Any], vms: Iterable[Fact]) -> str:
    """The sentence above the VMs of the plan that the session does not name."""
    if not any(vm["attempted"] for vm in vms):
        return "The plan has these VMs. What became of them is not known:"
    if session.get("finished") is not True:
        return "Not begun yet when this was read, though the plan has them:"
    return "Not attempted, though the plan has them:"


def _counted(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def _counts(vms: Iterable[Fact]) -> dict[str, int]:
    """How many VMs have each status."""
    counts = dict.fromkeys(("success", "warning", "failed", "running", "other", "none"), 0)
    for vm in vms:
        counts[vm["status"]] += 1
    return counts


def _targets(record: Mapping[str, Any], vms: Sequence[Fact]) -> list[Fact]:
    """The targets that the run was judged by: ``name``, ``wanted``, ``achieved``, ``margin`` (texts) and ``met``.

    ``met`` is None where that is not known: while the run has not finished, and where there are no VMs to judge.
    """
    verdict, session = record["verdict"] or {}, record["session"]
    given = verdict.get("targets")
    targets = given if isinstance(given, dict) else {}
    rto, rpo = _figures(verdict.get("rto")), _figures(verdict.get("rpo"))
    counts, has_vms = _counts(vms), bool(_items(session, "tasks"))
    reasons = _items(verdict, "reasons")
    against_vms = _against_vms(record)
    against = {_text(reason, "code") for reason in reasons if reason.get("vm") is None}
    against |= {f"vm_{code}" for code, dummy in against_vms}
    finished = session.get("finished") is True
    is_test = record["context"]["action"] == "test"
    rows: list[Fact] = []

    def row(name: str, wanted: str, achieved: str, codes: str, known: bool, left: float | None = None) -> None:
        """
        :arg codes: what the codes of the reasons against it begin with.
        :arg known: whether there is what it takes to say that it was met.
        :arg left: the margin, where the target is a duration.
        """
        missed = any(code.startswith(tuple(codes.split())) for code in against) if left is None else left < 0
        met = False if missed else True if known and finished else None
        shown = "" if left is None else margin(left)
        rows.append({"name": name, "wanted": wanted, "achieved": achieved, "margin": shown, "met": met})

    for name, figures, codes in (
        ("Time of the test, against the RTO" if is_test else "Recovery time of the run (RTO)", rto, "rto"),
        ("Age of the oldest restore point (RPO)", rpo, "rpo vm_rpo"),
    ):
        target, achieved, left = figures["target"], figures["achieved"], figures["margin"]
        if target is not None:
            # That a run which failed has missed its RTO is no reason of its own.
            not_achieved = codes == "rto" and achieved is None and finished and session.get("result") == "Failed"
            against |= {"rto_missed"} if not_achieved else set()
            shown = "not achieved" if not_achieved else format_duration(achieved)
            # A code without a VM may be about several; of a run that has not finished, no time is judged.
            row(name, format_duration(target), shown, codes if finished else "vm_rpo", left is not None, left)
    if targets.get("vm_rto"):
        timed = [vm["rto"]["margin"] for vm in vms if vm["rto"]["target"] is not None]
        in_time = sum(left is not None and left >= 0 for left in timed)
        unmatched = sum(reason.get("code") == "pattern_unmatched" for reason in reasons)
        parts = [f"{in_time} of {len(timed)} in time"] if timed else []
        parts += [f"no VM fits {unmatched} of {_counted(len(targets['vm_rto']), 'name')}"] if unmatched else []
        row(
            "Times of the test of VMs" if is_test else "Recovery times of VMs",
            "see each VM",
            ", ".join(parts) or "unknown",
            "vm_rto pattern_unmatched",
            has_vms,
        )
    if targets.get("max_failed") is not None:
        failed = str(counts["failed"]) if has_vms else "unknown"
        row("Failed VMs", f"{targets['max_failed']} at most", failed, "too_many_failed failed_without_tasks", has_vms)
    if targets.get("allow_warnings") is False:
        warned = str(counts["warning"]) if has_vms else "unknown"
        row("VMs with warnings", "none", warned, "warning vm_warning", has_vms)
    if targets.get("required_vms"):
        required = [str(name) for name in targets["required_vms"]]
        missed = {name for code, name in against_vms if code.startswith("required")}
        up = f"{len(set(required) - missed)} of {len(set(required))} came up" if has_vms else "unknown"
        row("Required VMs", ", ".join(required), up, "required vm_required", has_vms)
    if targets.get("plan"):
        codes = "plan not_attempted vm_not_attempted vm_order"
        word = next((vm["word"] for vm in vms if vm["status"] == "none"), "Not attempted").lower()
        row("VMs of the plan", "all, in its order", f"{counts['none']} {word}", codes, has_vms)
    return rows


def _gauge(rto: Mapping[str, float | None]) -> dict[str, str] | None:
    """How far target and achieved reach on a common scale, in percent."""
    target, achieved = rto["target"], rto["achieved"]
    if not target or achieved is None:
        return None
    whole = max(target, achieved) * 1.04
    return {"target": _percent(target / whole), "achieved": _percent(achieved / whole)}


def _parts(vms: Sequence[Fact]) -> list[dict[str, str]]:
    """The share of the VMs that each status has, one beside the other."""
    parts, at = [], 0.0
    for status, count in _counts(vms).items():
        if count:
            parts.append({"status": status, "x": _percent(at / len(vms)), "width": _percent(count / len(vms))})
            at += count
    return parts


def _count_text(vms: Iterable[Fact]) -> str:
    """``2 Failed, 1 Not attempted``: those that did not succeed."""
    words = Counter(vm["word"] for vm in vms if vm["status"] != "success")
    return ", ".join(f"{count} {word[:1].lower() + word[1:]}" for word, count in words.items()) or "None failed"


def _percent(share: float) -> str:
    return f"{min(max(share, 0), 1) * 100:.3f}"


# The chart. Its lengths are percents of its width, so that it fits any page without being distorted.


def _chart(record: Mapping[str, Any], vms: Sequence[Fact]) -> dict[str, Any] | None:
    """What the timeline shows: ``ticks``, ``target``, ``bars``, ``idle`` times, and a ``text``.

    The first bar is that of the session, then comes one for each VM. It is None where EM gives no start. What has not ended
    reaches to the moment of reading, or to the end of the chart. None for the whole chart where nothing has a start.
    """
    session, verdict, context = record["session"], record["verdict"] or {}, record["context"]
    facts = [session, *(vm["task"] for vm in vms)]
    begins = [_time(fact, "creation_time") for fact in facts]
    ends = [_time(fact, "end_time") for fact in facts]
    known = [time for time in begins if time]
    if not known:
        return None
    zero, read = min(known), parse_time(context["queried_at"])
    open_ones = any(begin and not end for begin, end in zip(begins, ends))
    known += [time for time in (*ends, read if open_ones else None) if time]
    ran = max((max(known) - zero).total_seconds(), 1.0)
    target = _figures(verdict.get("rto"))["target"]
    # A target that is far away is only named: bars should not shrink to dots for it.
    inside = target is not None and target <= 2 * ran
    length = 1.02 * max(ran, target if target is not None and inside else 0.0)

    def since(time: datetime | None) -> float | None:
        return (time - zero).total_seconds() if time else None

    def placed(begin: float | None, end: float | None) -> dict[str, Any] | None:
        if begin is None:
            return None
        width = max((ran if end is None else end) - begin, 0.004 * length)  # never too narrow to be seen
        return {"x": _percent(begin / length), "width": _percent(width / length), "after": begin}

    idle = [(since(_time(item, "from")), since(_time(item, "to"))) for item in _items(verdict, "idle")]
    gaps = [(begin, end) for begin, end in idle if begin is not None and end is not None and begin < end]
    step = next((step for step in _STEPS if length / step <= 6), length / 6)
    text = [f"The axis begins at {when(format_time(zero))}."]
    if gaps:
        lost = format_duration(sum(end - begin for begin, end in gaps))
        text.append(f"Gaps in the top bar: for {lost} no VM was being processed.")
    if target is not None:
        far = " is the dashed line" if inside else f" lies outside, at {format_duration(target)}"
        text.append(f"The target for the run (RTO){far}.")
    if open_ones:
        text.append("What had not ended is drawn up to the last time known.")
    return {
        "ticks": [
            {"x": _percent(n * step / length), "label": format_duration(n * step)}
            for n in range(int(length // step) + 1)
        ],
        "target": {"x": _percent(target / length), "seconds": target} if target is not None and inside else None,
        "bars": [placed(since(begin), since(end)) for begin, end in zip(begins, ends)],
        "idle": [{"x": _percent(begin / length), "width": _percent((end - begin) / length)} for begin, end in gaps],
        "text": " ".join(text),
    }
