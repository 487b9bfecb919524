# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is in failover after the run: a row, sentences, and each VM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...module_utils._api.redaction import truncate
from ...module_utils._failover.facts import FAILED_OVER
from ...module_utils._verdict.evidence import MAX_NAMES, list_names
from .._document.text import count_of, display_time
from .tables import VmRow

NEXT_STEPS = (
    "Next: fix the cause, then retry the plan in Veeam's console, which repeats the failed VMs only (the REST API of Enterprise Manager cannot "
    "retry). What a second start does with VMs that are up is not documented. An undo takes the VMs that are up out of failover, too."
)
"""What can be done about a failover in which VMs did not come up."""


def after_run(record: Mapping[str, Any], rows: Sequence[VmRow]) -> dict[str, Any]:
    """``word`` and ``text`` say it, ``label`` is what the row with the word is called. ``clean`` is true if the run was undone
    or has left nothing, false if VMs are in failover, None if that is not known.
    """
    context, session = record["context"], record["session"]
    undo, action, seen = context["undo"], context["action"], _points_seen(context)
    vms = [vm for vm in rows if vm.attempted or vm.in_failover is not None]
    up, label, next_steps = [vm for vm in vms if vm.in_failover], "Clean-up", None
    clean: bool | None = False if up else None if not vms or any(vm.in_failover is None for vm in vms) else True
    if undo and undo["done"]:
        label = {"test": "Test undone", "start": "Failover undone"}.get(action, "Undone")
        how = f", {display_time(undo['at'], context['time_zone'])}" if undo["at"] else ""
        how += f", by {undo['by']}" if undo["by"] else ""
        clean, word, text = True, f"Yes{how}", _sentences(f"{label}: Yes{how}", undo["message"])
    elif action == "start":
        word = {True: "Nothing in failover", False: f"{count_of(len(up), 'VM')} in failover", None: "Not known"}[clean]
        text = _after_failover(record, vms)
        went_wrong = session.get("result") not in ("Success", "Warning") or any(vm.in_failover is False for vm in vms)
        next_steps = NEXT_STEPS if went_wrong and session.get("finished") is True else None
    elif up:
        why = undo["message"] if undo else "It is not recorded whether an undo was tried"
        word, text = "Still in failover", _sentences(f"Still in failover: {_names(up)}; points seen at {seen}", why)
    else:
        unknown = _why_unknown(record, vms)
        clean, word = (None, "Not known") if unknown else (True, "Nothing in failover")
        what = {"test": "A test leaves nothing in failover"}.get(action, "Nothing is in failover")
        what = "No VM of this session is in failover" if context["session_source"] == "inferred" else what
        text = f"{what}; points seen Ready at {seen}"
        text = f"It is not known whether VMs are still in failover: {unknown}" if unknown else text
        # Where no undo was needed, the message says so once more.
        text = _sentences(text, undo["message"] if undo and undo["needed"] is not False else None)
    fields = ("name", "point_state", "in_failover", "in_failover_known_by")
    of_vms = [{field: getattr(vm, field) for field in fields} for vm in vms]
    return {"label": label, "word": word, "text": text, "clean": clean, "next_steps": next_steps, "vms": of_vms}


def _points_seen(context: Mapping[str, Any]) -> str:
    return display_time(context["points_seen_at"], context["time_zone"])


def _sentences(*texts: str | None) -> str:
    """The texts as sentences, one after the other."""
    stripped = (text.strip() for text in texts if text)
    return " ".join(text if text.endswith((".", "!", "?")) else f"{text}." for text in stripped if text)


def _names(vms: Sequence[VmRow]) -> str:
    """VMs in a sentence, with the state of a point that is not just ``Failover``. The table below it has all of them."""
    states = [f" ({vm.point_state})" if vm.point_state in FAILED_OVER[1:] else "" for vm in vms]
    names = [f"{truncate(vm.name, 80) or 'a VM without a name'}{state}" for vm, state in zip(vms, states)]
    return list_names(names, MAX_NAMES)


def _after_failover(record: Mapping[str, Any], vms: Sequence[VmRow]) -> str:
    """Which VMs are up in failover, which are not, and from what that is known."""
    context = record["context"]
    undo, texts = context["undo"], []
    for state, title in ((True, "Up in failover"), (False, "Not up"), (None, "Not known")):
        members = [vm for vm in vms if vm.in_failover is state]
        texts += [f"{title}: {_names(members)}"] if members else []
    if not vms:
        texts.append("It is not known which VMs are up in failover: Enterprise Manager lists no VM of this run")
    known_by = {vm.in_failover_known_by for vm in vms}
    if "replica_point" in known_by:
        texts.append(f"By the states of their restore points, seen at {_points_seen(context)}")
    if "result" in known_by:
        whose = "Of the others this" if "replica_point" in known_by else "This"
        texts.append(
            f"{whose} is known from the results of the run only, and not from the states of their restore points"
        )
    late = [vm for vm in vms if vm.point_state == "Ready" and vm.status in ("success", "warning")]
    if late and context["session_source"] != "inferred":
        texts.append(
            f"{_names(late)} came up in this run, but the restore point is Ready: "
            "it was undone or failed back since, or Enterprise Manager's copy is old"
        )
    still = "The VMs are still failed over; no" if any(vm.in_failover for vm in vms) else "No"
    not_undone = (
        undo["message"] or f"{still} undo was requested"
        if undo
        else "It is not recorded whether the failover was undone"
    )
    return _sentences(*texts, not_undone)


def _why_unknown(record: Mapping[str, Any], vms: Sequence[VmRow]) -> str | None:
    """Why it is not known that nothing is in failover. None if it is known."""
    if record["session"].get("finished") is not True:
        return "the run had not finished when it was read"
    if not vms:
        return "Enterprise Manager lists no VM of this run"
    if not record["context"]["points_seen_at"]:
        return "the restore points were not read"
    unknown = [vm for vm in vms if vm.in_failover is None]
    if unknown:
        points = "point" if len(unknown) == 1 else "points"
        return f"Enterprise Manager gives no state for the {points} of {_names(unknown)}"
    return None
