# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The chart of a report, and its small bars. Lengths are percents of the width, so that they fit any page without being distorted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ...module_utils._failover.times import format_duration, format_time, parse_time
from .._document.text import display_time
from .record import verdict_of
from .tables import VmRow, count_by_status

_STEPS = (
    *(size * n for size in (1, 60) for n in (1, 2, 5, 10, 15, 30)),
    *(3600 * n for n in (1, 2, 3, 6, 12, 24, 48, 168, 720)),
)


def gauge(figures: Mapping[str, float | None]) -> dict[str, str] | None:
    """How far target and achieved reach on a common scale."""
    target, achieved = figures["target"], figures["achieved"]
    if not target or achieved is None or figures["margin"] is None:
        return None
    whole = max(target, achieved) * 1.04
    return {"target": _percent(target / whole), "achieved": _percent(achieved / whole)}


def shares(vms: Sequence[VmRow]) -> list[dict[str, str]]:
    """The share of the VMs that each status has, one beside the other."""
    found, before = [], 0
    for status, count in count_by_status(vms).items():
        if count:
            found.append({"status": status, "x": _percent(before / len(vms)), "width": _percent(count / len(vms))})
            before += count
    return found


def timeline(record: Mapping[str, Any], vms: Sequence[VmRow]) -> dict[str, Any] | None:
    """What the timeline shows: ``ticks``, ``target``, ``bars``, ``idle`` times, and a ``text``.

    The first bar is that of the session, then comes one for each VM. It is None where EM gives no start. What has not ended
    reaches to the moment of reading, or to the end of the chart. None for the whole chart where nothing has a start.
    """
    verdict, facts = verdict_of(record), [record["session"], *(vm.task for vm in vms)]
    times = [(parse_time(each.get("creation_time")), parse_time(each.get("end_time"))) for each in facts]
    starts = [start for start, dummy in times if start]
    if not starts:
        return None
    zero, unended = min(starts), any(start and not end for start, end in times)
    read = parse_time(record["context"]["queried_at"]) if unended else None
    last = max(time for time in (*starts, *(end for dummy, end in times), read) if time)
    ran = max((last - zero).total_seconds(), 1.0)
    target = verdict["rto"]["target"]
    # A target that is far away is only named: bars should not shrink to dots for it.
    inside = target is not None and target <= 2 * ran
    length = 1.02 * max(ran, target if inside else 0.0)

    def seconds(time: datetime) -> float:
        return (time - zero).total_seconds()

    def span(start: datetime | None, end: datetime | None) -> dict[str, Any] | None:
        if start is None:
            return None
        after = seconds(start)
        width = max((seconds(end) if end else ran) - after, 0.004 * length)  # never too narrow to be seen
        return {"x": _percent(after / length), "width": _percent(width / length), "after": after}

    idle = [(parse_time(gap["from"]), parse_time(gap["to"])) for gap in verdict["idle"]]
    gaps = [(seconds(start), seconds(end)) for start, end in idle if start and end and start < end]
    step = next((step for step in _STEPS if length / step <= 6), length / 6)
    text = [f"The axis starts at {display_time(format_time(zero), record['context']['time_zone'])}."]
    if gaps:
        lost = format_duration(sum(end - start for start, end in gaps))
        text.append(f"Gaps in the top bar: for {lost} no VM was being processed.")
    if target is not None:
        where = "is the dashed line" if inside else f"lies outside, at {format_duration(target)}"
        text.append(f"The target of the run (RTO) {where}.")
    if unended:
        text.append("Bars without an end run to the last known time.")
    ticks = [step * n for n in range(int(length // step) + 1)]
    return {
        "ticks": [{"x": _percent(tick / length), "label": format_duration(tick)} for tick in ticks],
        "target": {"x": _percent(target / length), "seconds": target} if inside else None,
        "bars": [span(start, end) for start, end in times],
        "idle": [{"x": _percent(start / length), "width": _percent((end - start) / length)} for start, end in gaps],
        "text": " ".join(text),
    }


def _percent(share: float) -> str:
    return f"{min(max(share, 0), 1) * 100:.3f}"
