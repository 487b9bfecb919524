# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The run beside the one before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...module_utils._failover.times import distinct_durations, format_duration
from .._document.text import display_time
from .context import KINDS
from .record import verdict_of
from .tables import VmRow, count_by_status

UNKNOWN = "not recorded"


def comparison_rows(record: Mapping[str, Any], vms: Sequence[VmRow]) -> list[dict[str, str]]:
    """Each with ``name``, ``before``, ``now`` and ``change``. Empty if no run before this one is known."""
    before, session, verdict = record["context"]["previous"], record["session"], verdict_of(record)
    if before is None:
        return []
    zone, kind = record["context"]["time_zone"], record["kind"]["kind"]
    attempted = [vm for vm in vms if vm.attempted]
    up = count_by_status(attempted)
    rows = [
        _row("Start", *(_time(run.get("creation_time"), zone) for run in (before, session))),
        _row("End", *(_time(run.get("end_time"), zone) for run in (before, session))),
        _row("Kind", *(KINDS.get(name or "", UNKNOWN) for name in (before["kind"], kind))),
        _row("Verdict", *(_passed(run["passed"]) for run in (before, verdict))),
        _row("Result in Enterprise Manager", *(_result(run) for run in (before, session))),
        _row(
            "VMs that succeeded", _share(before["vms_up"], before["vms_total"]), _share(up["success"], len(attempted))
        ),
        _figures("Duration", before["duration"], session.get("duration")),
        _figures("Age of the oldest restore point (RPO)", before["rpo"], verdict["rpo"]["achieved"]),
    ]
    if None in (kind, before["kind"]) or kind != before["kind"]:
        # The time of a test includes no switch of networks.
        rows[-2]["change"] = "not compared: the runs are not known to be of the same kind"
    return rows


def _row(name: str, before: str, now: str, change: str = "") -> dict[str, str]:
    return {"name": name, "before": before, "now": now, "change": change}


def _figures(name: str, before: float | None, now: float | None) -> dict[str, str]:
    if before is None or now is None:
        return _row(name, *(UNKNOWN if value is None else format_duration(value) for value in (before, now)))
    more = distinct_durations(abs(now - before), 0)[0]
    change = "no change" if now == before else f"{more} {'more' if now > before else 'less'}"
    return _row(name, *distinct_durations(before, now), change)


def _time(value: str | None, zone: str | None) -> str:
    return display_time(value, zone) if value else UNKNOWN


def _passed(value: bool | None) -> str:
    return "Not judged" if value is None else "Passed" if value else "Did not pass"


def _result(run: Mapping[str, Any]) -> str:
    result = run.get("result")
    return UNKNOWN if result in (None, "", "None") else str(result)


def _share(count: int | None, total: int | None) -> str:
    return f"{count} of {total}" if total and count is not None else UNKNOWN
