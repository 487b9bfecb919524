# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTML page of a portfolio."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from ...module_utils._api.redaction import truncate
from ...module_utils._failover.times import format_duration, parse_time
from .._document.html import render_page
from .._document.text import count_of
from . import tables
from .chart import bars
from .months import MARKS, blind_months, cells_of, mark_of, month_name, months_until

MAX_NAME = 120
"""Characters of a name that are shown on the page. JSON and CSV have all."""
MAX_RUNS = 12
"""Runs of a plan that are listed on the page; JSON has all."""
MAX_VMS = 20
"""VMs of a plan that are named in one place on the page; CSV and JSON have all."""
MAX_PAGE = 3_000_000
"""Bytes of the page. If it had more, details are left out, from the best plan on; JSON has all."""
MAX_NEXT = 3
"""Plans that are named as the next to test."""

_FOLDER = Path(__file__).parent


def page_html(record: Mapping[str, Any], name: str) -> str:
    page = _page(record, name, len(record["plans"]))
    data = page.encode()
    if len(data) <= MAX_PAGE:
        return page
    starts = [found.start() for found in re.finditer(b"<article ", data)]
    after = len(data) - data.rindex(b"</article>")
    fitting = [number for number, start in enumerate(starts) if start + after <= MAX_PAGE]
    return _page(record, name, max(fitting, default=0))


def _page(record: Mapping[str, Any], name: str, detailed: int) -> str:
    """
    :arg detailed: number of plans with details, worst first.
    """
    now, plans, evidence = record["now"], record["plans"], record["evidence"]
    when = cast(datetime, parse_time(now))  # the record refuses any other
    months = months_until(now)
    blind = [blind_months(em, months, now) for em in evidence["ems"]]
    rows = []
    for number, plan in enumerate(plans, 1):
        row = {"number": number, **_row(plan, when)}
        row["months"] = cells_of(plan["runs"], months, blind[plan["em"]])
        row["marks"] = [mark_of(run) for run in plan["runs"][:MAX_RUNS]]
        rows.append(row)
    filters: dict[str, Callable[..., Any]] = {
        "span": format_duration,
        "minute": tables.minute,
        "day": tables.day,
        "short": _short,
        "count": count_of,
        "month": month_name,
    }
    values = {
        "name": name,
        "record": record,
        "evidence": evidence,
        "rows": rows,
        "with_goal": any(each["bars"] and each["bars"]["target"] for row in rows for each in row["times"]),
        "groups": [(*group, sum(record["summary"][status] for status in group[-1])) for group in tables.GROUPS],
        "words": tables.WORDS,
        "counted_as": tables.COUNTED_AS,
        "following": [row for row in rows if tables.is_next(row["plan"])][:MAX_NEXT],
        "unknown": [row for row in rows if row["plan"]["status"] == "unproven" and not row["plan"]["waived"]],
        "max_next": MAX_NEXT,
        "to_test": sum(plan["status"] in tables.TO_TEST and not plan["waived"] for plan in plans),
        "months": months,
        "marks": MARKS,
        "ages": [tables.distance(em["collected_at"], when) for em in evidence["ems"]],
        "ends": sorted(time for plan in plans for run in plan["runs"] if (time := run["end_time"] or run["creation_time"])),
        "max_runs": MAX_RUNS,
        "max_vms": MAX_VMS,
        "detailed": detailed,
    }  # fmt: skip
    margins = {"top-left": record["classification"], "bottom-left": name}
    return render_page(_FOLDER, filters, values, margins, paper="A4 landscape")


def _row(plan: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """A plan in the tables, with what the template cannot compute itself."""
    target = (plan["policy"] or {}).get("rto")
    runs = {run["session_id"]: run for run in plan["runs"]}
    passed = plan["last_passed"] or {}
    trends = [(kind, plan["trend"][kind]) for kind in ("test", "failover") if plan["trend"][kind]["runs"]]
    return {
        "plan": plan,
        "why": tables.why(plan),
        "advice": tables.advice(plan, now),
        "passed": tables.distance(passed.get("end_time"), now),
        "inferred": runs.get(passed.get("session_id"), {}).get("kind_basis") == "inferred",
        "due": tables.due_words(plan, now),
        "never": tables.never_up(plan),
        "down": tables.never_up(plan, attempted=True),
        "absent": tables.never_up(plan, attempted=False),
        "changes": tables.changes(plan["drift"]),
        "times": [
            {
                "kind": kind,
                "last": tables.last_time(trend),
                "bars": bars(trend, target),
                "passed": runs.get(trend["runs"][0]["session_id"], {}).get("passed"),
                **trend,
            }
            for kind, trend in trends
        ],
        "rpo": tables.newest_rpo(plan),
    }


def _short(text: object, length: int = MAX_NAME) -> str:
    return truncate(str(text), length)
