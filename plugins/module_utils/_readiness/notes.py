# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What persons have noted about a plan and its runs: findings, with the run that was the retest, and waivers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from .._failover.times import parse_time
from .runs import Run

_COPIED = ("session_id", "by", "text", "severity", "action", "owner", "due", "seen_at")


def _ended(text: str | None, now: datetime) -> bool:
    """Whether a date or time is past: a date when its day has ended, in UTC. One that cannot be read is."""
    when = parse_time(text) or parse_time(f"{text}T00:00Z")
    return when is None or now >= when + timedelta(days=0 if parse_time(text) else 1)


def findings_of(notes: Sequence[Mapping[str, Any]], runs: Sequence[Run], now: datetime) -> list[dict[str, Any]]:
    """The findings, each with the first run that passed after it as ``retested_by``, and whether it is ``overdue``.

    :arg notes: of this plan, oldest first.
    :arg runs: newest first.
    """
    ends = {run.session["id"]: run.end for run in runs}
    findings = []
    for note in notes:
        if note["type"] == "finding":
            since = ends.get(note.get("session_id")) or parse_time(note.get("seen_at"))
            later = [
                (run.end, run.session["id"]) for run in runs if run.passed and since and run.end and run.end > since
            ]
            retest = min(later)[1] if later else None
            overdue = retest is None and _ended(note.get("due"), now)
            copied = {name: note.get(name) for name in _COPIED}
            findings.append({**copied, "retested_by": retest, "overdue": overdue})
    return findings


def waiver_of(notes: Sequence[Mapping[str, Any]], now: datetime) -> dict[str, Any] | None:
    """The waiver that was recorded last, unless it has ended. An older one does not count even if it would last longer:
    notes cannot be edited, so the newest is the correction. Its time says nothing, since EM's clock may have been ahead."""
    newest = next((note for note in reversed(notes) if note["type"] == "waiver"), None)
    if newest is None or _ended(newest.get("until"), now):
        return None
    return {"until": newest["until"], "by": newest.get("by"), "reason": newest.get("text")}
