# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTML page of a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...module_utils._api.redaction import truncate
from ...module_utils._failover.times import distinct_durations, format_duration
from .._document.html import render_page
from .._document.text import count_of, display_time
from .chart import gauge, shares, timeline
from .record import ACTIONS, verdict_of
from .tables import VmRow, count_by_status, outcome, target_rows

MAX_NAME = 240
"""Characters of a name that are shown on the page. JSON and CSV have all."""

_FOLDER = Path(__file__).parent


def page_html(record: Mapping[str, Any], name: str, vms: Sequence[VmRow]) -> str:
    filters: dict[str, Callable[..., Any]] = {
        "span": format_duration, "when": display_time, "margin": margin, "short": _short, "count": count_of,
    }  # fmt: skip
    values = {
        "name": name,
        "record": record,
        "verdict": verdict_of(record),
        "action": ACTIONS.get(record["context"]["action"]),
        "vms": vms,
        "session_status": outcome(record["session"]),
        "targets": target_rows(record, vms),
        "counts": count_by_status(vms),
        "words": Counter(vm.word for vm in vms if vm.status != "success"),
        "gauge": gauge(verdict_of(record)["rto"]),
        "shares": shares(vms),
        "chart": timeline(record, vms),
    }
    return render_page(_FOLDER, filters, values)


def margin(seconds: float) -> str:
    """What is left of a target, or by how much it was missed, with as many digits as it takes to see that."""
    text, dummy = distinct_durations(abs(seconds), 0)
    return f"{text} too long" if seconds < 0 else f"{text} to spare"


def _short(text: object, length: int = MAX_NAME) -> str:
    return truncate(str(text), length)
