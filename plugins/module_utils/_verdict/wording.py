# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A verdict in one line, and as a short Markdown text for a chat or a ticket."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from .._api.redaction import single_line, truncate
from .._failover.times import distinct_durations, format_duration, parse_time

MAX_REASONS = 5
"""Maximum number of reasons in the Markdown text."""
MAX_NAMES = 3
"""Maximum number of VMs that a sentence names here."""
MAX_TEXT = 400
"""Maximum number of characters of each sentence."""

_NO_TARGET = "No RTO or RPO target was set."
_ABBREVIATIONS = {"rto": "RTO", "vm_rto": "RTO of VMs", "rpo": "RPO"}

_SPECIAL = re.compile(r"([\\`*_\[\]{}|~$<>&@#!%^])(?=(\w)?)")
_REFERENCES = "@#!%^~$&"
"""What makes a word after it a mention or a reference in GitHub, GitLab or a chat."""
_HOST_DOT = re.compile(r"\.(?=\w*[^\W\d])|(?<=www)\.", re.IGNORECASE)
_BLOCK = re.compile(r"^(\d*)([#+=.)-])")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
_NOTHING = "&#8203;"
"""A character without width, written so that it can be seen. It ends a mention or an address before it starts."""


def escape_markdown(text: str) -> str:
    """The text on one line, as Markdown that shows it and does nothing else: no link, mention, HTML, image or code."""
    text = _HOST_DOT.sub(r"\\.", _SPECIAL.sub(_escaped, single_line(text)).replace("://", f":{_NOTHING}//"))
    return _BLOCK.sub(r"\1\\\2", text)


def _escaped(match: re.Match[str]) -> str:
    char, word = match[1], match[2]
    escaped = _ENTITIES.get(char, char if char in "@#!%" else f"\\{char}")
    return escaped + (_NOTHING if char == "@" or (word and char in _REFERENCES) else "")


def summary(verdict: Mapping[str, Any]) -> str:
    """Whether the run passed, and either its figures or the first reason."""
    title, reasons = f"Run of plan {_plan_name(verdict)}", verdict["reasons"]
    if reasons:
        count = f", for {len(reasons)} reasons" if len(reasons) > 1 else ""
        more = f" ({len(reasons) - 1} more)" if len(reasons) > 1 else ""
        return f"{title} did not pass{count}: {truncate(reasons[0]['text'], MAX_TEXT)}{more}"
    return f"{title} passed. {_figures(verdict)}"


def markdown(verdict: Mapping[str, Any]) -> str:
    """The verdict, its first reasons and its figures."""
    passed, reasons = verdict["passed"], verdict["reasons"]
    start = parse_time(verdict["session"]["creation_time"])
    when = f", run of {start:%Y-%m-%d %H:%M:%S} UTC" if start else ""
    lines = [f"**{'Passed' if passed else 'Did not pass'}:** {escape_markdown(_plan_name(verdict))}{when}", ""]
    lines += [f"- {escape_markdown(truncate(reason['text'], MAX_TEXT))}" for reason in reasons[:MAX_REASONS]]
    more = len(reasons) - MAX_REASONS
    if more > 0:
        lines.append(f"- {more} more reason{'s' if more > 1 else ''}")
    lines += [""] if reasons else []
    return "\n".join([*lines, _figures(verdict)])


def _plan_name(verdict: Mapping[str, Any]) -> str:
    return truncate(single_line(verdict["session"]["name"] or ""), 100) or "without a name"


def _figures(verdict: Mapping[str, Any]) -> str:
    """How many VMs came up, and what became of the targets."""
    counts = Counter(_outcome(vm) for vm in verdict["vms"])
    counts["not attempted"] = len(verdict["not_attempted"])
    words = ("came up", "failed", "not known", "not attempted")
    vms = ", ".join(f"{counts[word]} {word}" for word in words if counts[word])
    parts = [_NO_TARGET] if verdict["target_status"] == "none" else []
    parts.append(f"VMs: {vms}." if vms else "No VMs are listed.")
    for name, word in _ABBREVIATIONS.items():
        status = verdict["status_by_target"][name]
        if status != "none":
            parts.append(f"{word} {status.replace('_', ' ')}{_achieved(verdict.get(name))}.")
    duration = verdict["session"]["duration"]
    if duration is not None and verdict["rto"]["margin"] is None:
        parts.append(f"It took {format_duration(duration)}.")
    return " ".join(parts)


def _outcome(vm: Mapping[str, Any]) -> str:
    if vm["state"] != "Stopped":
        return "not known"
    return {"Success": "came up", "Warning": "came up", "Failed": "failed"}.get(vm["result"], "not known")


def _achieved(figures: Mapping[str, Any] | None) -> str:
    if figures is None:
        return ""
    if figures["achieved"] is None:
        return f" (target {format_duration(figures['target'])})"
    achieved, target = distinct_durations(figures["achieved"], figures["target"])
    return f" ({achieved}, target {target})"
