# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The small charts of a portfolio: the times of the last runs of one kind, as bars against the target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEIGHT, STEP = 16, 6
"""Of a chart, and from bar to bar."""


def bars(trend: Mapping[str, Any], target: float | None) -> dict[str, Any] | None:
    """``width`` and ``path`` of the bars, oldest first, and ``target``, its height. None where there is nothing to compare."""
    times = [run["duration"] for run in reversed(trend["runs"]) if run.get("duration") is not None]
    if len(times) < 2:
        return None
    # A target that is far away would make all bars dots.
    shown = target if target and target <= 3 * max(times) else None
    highest = max(*times, shown or 0) or 1

    def y(seconds: float) -> str:
        return f"{HEIGHT - max(seconds / highest * (HEIGHT - 1), 1):.1f}".rstrip("0").rstrip(".")

    path = "".join(f"M{3 + STEP * place} {HEIGHT}V{y(seconds)}" for place, seconds in enumerate(times))
    return {"width": STEP * len(times), "path": path, "target": y(shown) if shown else None}
