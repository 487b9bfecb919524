# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Thirteen months of each plan: what its runs were, and in which months runs may have been that nobody saw."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from .evidence import blind_times

MONTHS = 13
NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

MARKS = {
    "p": "test passed",
    "n": "test did not pass",
    "f": "real failover passed",
    "x": "real failover did not pass",
    "u": "run of unknown kind, or not finished",
}
"""What a run was, by the id of its mark on the page."""


class Cell(NamedTuple):
    """A month of a plan.

    :ivar marks: keys of :data:`MARKS`, each once.
    :ivar blind: whether runs may have been that nobody saw.
    :ivar text: the same in words.
    """

    marks: Sequence[str]
    blind: bool
    text: str


def months_until(now: str) -> list[str]:
    """The last months as ``2026-11``, with that of ``now``."""
    last = int(now[:4]) * 12 + int(now[5:7]) - 1
    return [f"{number // 12:04d}-{number % 12 + 1:02d}" for number in range(last - MONTHS + 1, last + 1)]


def month_name(month: str) -> str:
    return NAMES[int(month[5:]) - 1]


def blind_months(em: Mapping[str, Any], months: Sequence[str], now: str) -> set[str]:
    """The months in which, for some time, runs may have been without anybody seeing them."""
    times = blind_times(em, now)
    return {month for month in months if any(start[:7] <= month <= end[:7] for start, end in times)}


def mark_of(run: Mapping[str, Any]) -> str | None:
    """The mark of a run; an undo has none, since it belongs to the failover before it."""
    if run["kind"] == "undo":
        return None
    if run["passed"] is None or run["kind"] not in ("test", "failover"):
        return "u"
    return ("nx", "pf")[run["passed"]][run["kind"] == "failover"]


def cells_of(runs: Sequence[Mapping[str, Any]], months: Sequence[str], blind: Collection[str]) -> list[Cell]:
    """One for each month. A run belongs to the month of its end, or of its start where EM gives no end."""
    found: dict[str, set[str]] = {}
    for run in runs:
        mark = mark_of(run)
        if mark:
            found.setdefault((run["end_time"] or run["creation_time"] or "")[:7], set()).add(mark)
    return [_cell([mark for mark in MARKS if mark in found.get(month, ())], month in blind) for month in months]


def _cell(marks: Sequence[str], is_blind: bool) -> Cell:
    words = [MARKS[mark] for mark in marks]
    text = ", ".join([*words, "nobody looked"] if is_blind and words else words)
    return Cell(marks, is_blind, text or ("nobody looked" if is_blind else "no run"))
