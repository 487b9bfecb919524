# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTML page of a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ...module_utils._api.redaction import truncate
from ...module_utils._failover.times import distinct_durations, format_duration
from ...module_utils._verdict.evidence import list_names
from .._document.html import render_page
from .._document.image import data_uri
from .._document.text import count_of, display_time
from .chart import gauge, shares, timeline
from .comparison import comparison_rows
from .context import KINDS
from .record import verdict_of
from .tables import VmRow, count_by_status, outcome, target_rows

MAX_NAME = 240
"""Characters of a name that are shown on the page. JSON and CSV have all."""

_FOLDER = Path(__file__).parent

STANDARD_DETAILS = ("Type of exercise", "Scenario", "Objective", "Isolation and impact", "Comment of the tester")
"""What auditors ask for and nobody but the tester knows: rows that are there even if nobody filled them in."""

SIGNERS = ("Tester", "Owner of the plan", "Approver")


def page_html(record: Mapping[str, Any], name: str, vms: Sequence[VmRow]) -> str:
    context, verdict, plan = record["context"], verdict_of(record), record["plan"] or {}
    when = partial(display_time, time_zone=context["time_zone"])
    filters: dict[str, Callable[..., Any]] = {
        "span": format_duration, "when": when, "date": partial(_date, when), "margin": margin, "short": _short, "count": count_of,
    }  # fmt: skip
    values = {
        "name": name,
        "record": record,
        "verdict": verdict,
        "kind": KINDS.get(record["kind"]["kind"]),
        "plan": plan if plan.get("name") == record["session"].get("name") else {},
        "details": detail_rows(context["details"]),
        "scope": list_names([vm.name for vm in vms], 8),
        "vms": vms,
        "session_status": outcome(record["session"]),
        "targets": target_rows(record, vms),
        "comparison": comparison_rows(record, vms),
        "counts": count_by_status(vms),
        "words": Counter(vm.word for vm in vms if vm.status != "success"),
        "gauge": gauge(verdict["rto"]),
        "shares": shares(vms),
        "chart": timeline(record, vms),
        "logo": Markup(data_uri(context["logo"])) if context["logo"] else None,
        "signers": SIGNERS,
    }
    margins = {"top-right": _short(context["classification"] or "", 80), "bottom-left": f"Report {name}"}
    return render_page(_FOLDER, filters, values, margins)


def detail_rows(details: Sequence[Mapping[str, str | None]]) -> list[dict[str, str | None]]:
    """The details: first those of :data:`STANDARD_DETAILS`, also where they are not recorded, then the others as given."""
    labels = {label.casefold() for label in STANDARD_DETAILS}
    rows: list[dict[str, str | None]] = []
    for label in STANDARD_DETAILS:
        values = [item["value"] for item in details if (item["label"] or "").casefold() == label.casefold()]
        rows += [{"label": label, "value": value} for value in values or [None]]
    return rows + [dict(item) for item in details if (item["label"] or "").casefold() not in labels]


def _date(when: Callable[[str], str], value: str) -> str:
    """A date as it is, a time for people."""
    return value if len(value) == len("2026-03-02") else when(value)


def margin(seconds: float) -> str:
    """What is left of a target, or by how much it was missed, with as many digits as it takes to see that."""
    text, dummy = distinct_durations(abs(seconds), 0)
    return f"{text} too long" if seconds < 0 else f"{text} to spare"


def _short(text: object, length: int = MAX_NAME) -> str:
    return truncate(str(text), length)
