# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long the last runs of a kind took, and whether it gets worse."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from .runs import Run, rpo_of

MAX_RUNS = 12
"""Runs of a kind that are listed."""
COMPARED = 5
"""Runs before the newest that it is compared with."""
REGRESSION, MIN_REGRESSION = 1.25, 60.0
"""A regression takes this many times as long as the median, and this many seconds more."""
MIN_MARGIN = 0.2
"""The part of the target that should be left."""


def trend_of(kind: str, runs: Sequence[Run], target: float | None) -> dict[str, Any]:
    """The times of the runs of one kind that count and ended well, newest first. What cannot be known yet is None.

    :arg runs: newest first.
    """
    known = [run for run in runs if run.counts and run.kind == kind and run.session["duration"] is not None]
    timed = [run for run in known if run.session["result"] in ("Success", "Warning")][:MAX_RUNS]
    times = [run.session["duration"] for run in timed]
    before = median(times[1 : 1 + COMPARED]) if len(times) > COMPARED else None
    longer = before is not None and times[0] > REGRESSION * before and times[0] - before > MIN_REGRESSION
    return {
        "runs": [
            {
                "session_id": run.session["id"],
                "end_time": run.session["end_time"],
                "duration": run.session["duration"],
                "rpo": rpo_of(run.session),
            }
            for run in timed
        ],
        "median": before,
        "regression": None if before is None else longer,
        "shrinking": (target - times[0]) / target < MIN_MARGIN if target and times else None,
    }
