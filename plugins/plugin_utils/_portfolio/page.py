# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTML page of a portfolio."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, cast

from ...module_utils._api.redaction import truncate
from ...module_utils._failover.times import format_duration, parse_time
from .._document.html import render_page
from .._document.text import count_of
from .chart import bars
from .months import MARKS, Cell, blind_months, cells_of, mark_of, month_name, months_until
from .tables import (
    COUNTED_AS,
    GROUPS,
    TO_TEST,
    WORDS,
    advice,
    changes,
    day,
    distance,
    due_words,
    last_time,
    minute,
    never_up,
    newest_rpo,
    next_tests,
    why,
)

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


class _Row(NamedTuple):
    """A plan in the tables, with what the template cannot compute itself."""

    plan: Mapping[str, Any]
    why: str
    advice: str
    passed: str
    inferred: bool
    due: str
    never: Sequence[str]
    down: Sequence[str]
    absent: Sequence[str]
    changes: str
    times: Sequence[Mapping[str, Any]]
    rpo: Mapping[str, Any] | None
    months: Sequence[Cell]
    marks: Sequence[str | None]


def page_html(record: Mapping[str, Any], name: str) -> str:
    page = _page(record, name, len(record["plans"]))
    data = page.encode()
    if len(data) <= MAX_PAGE:
        return page
    starts = [found.start() for found in re.finditer(b"<article ", data)]
    fitting = [
        number for number, start in enumerate(starts) if start + len(data) - data.rindex(b"</article>") <= MAX_PAGE
    ]
    return _page(record, name, max(fitting, default=0))


def _page(record: Mapping[str, Any], name: str, detailed: int) -> str:
    """
    :arg detailed: number of plans with details, worst first.
    """
    now, evidence = record["now"], record["evidence"]
    when = cast(datetime, parse_time(now))  # the record refuses any other
    months = months_until(now)
    blind = [blind_months(em, months, now) for em in evidence["ems"]]
    numbers = {id(plan): number for number, plan in enumerate(record["plans"], 1)}

    def row(plan: Mapping[str, Any]) -> _Row:
        target = (plan["policy"] or {}).get("rto")
        runs = {run["session_id"]: run for run in plan["runs"]}
        passed = plan["last_passed"] or {}
        times = [
            {
                "kind": kind,
                "last": last_time(plan["trend"][kind]),
                "bars": bars(plan["trend"][kind], target),
                "passed": runs.get(plan["trend"][kind]["runs"][0]["session_id"], {}).get("passed"),
                **plan["trend"][kind],
            }
            for kind in ("test", "failover")
            if plan["trend"][kind]["runs"]
        ]
        return _Row(
            plan=plan,
            why=why(plan),
            advice=advice(plan, when),
            passed=distance(passed.get("end_time"), when),
            inferred=runs.get(passed.get("session_id"), {}).get("kind_basis") == "inferred",
            due=due_words(plan, when),
            never=never_up(plan),
            down=never_up(plan, attempted=True),
            absent=never_up(plan, attempted=False),
            changes=changes(plan["drift"]),
            times=times,
            rpo=newest_rpo(plan),
            months=cells_of(plan["runs"], months, blind[plan["em"]]),
            marks=[mark_of(run) for run in plan["runs"][:MAX_RUNS]],
        )

    filters: dict[str, Callable[..., Any]] = {
        "span": format_duration,
        "minute": minute,
        "day": day,
        "short": _short,
        "count": count_of,
        "month": month_name,
    }
    rows = [row(plan) for plan in record["plans"]]
    values = {
        "name": name,
        "record": record,
        "evidence": evidence,
        "rows": rows,
        "with_goal": any(each["bars"] and each["bars"]["target"] for row in rows for each in row.times),
        "groups": [(key, word, text, statuses, sum(record["summary"][each] for each in statuses)) for key, word, text, statuses in GROUPS],
        "words": WORDS,
        "counted_as": COUNTED_AS,
        "following": [(numbers[id(plan)], plan, why(plan), advice(plan, when)) for plan in next_tests(record["plans"], MAX_NEXT)],
        "unknown": [(numbers[id(plan)], plan, why(plan), advice(plan, when)) for plan in record["plans"]
                    if plan["status"] == "unproven" and not plan["waived"]],
        "max_next": MAX_NEXT,
        "to_test": sum(plan["status"] in TO_TEST and not plan["waived"] for plan in record["plans"]),
        "months": months,
        "marks": MARKS,
        "ages": [distance(em["collected_at"], when) for em in evidence["ems"]],
        "period": _period(record["plans"]),
        "max_runs": MAX_RUNS,
        "max_vms": MAX_VMS,
        "detailed": detailed,
    }  # fmt: skip
    margins = {"top-left": record["classification"], "bottom-left": name}
    return render_page(_FOLDER, filters, values, margins, paper="A4 landscape")


def _period(plans: Sequence[Mapping[str, Any]]) -> tuple[str, str] | None:
    """The times of the oldest and the newest run."""
    times = [time for plan in plans for run in plan["runs"] if (time := run["end_time"] or run["creation_time"])]
    return (min(times), max(times)) if times else None


def _short(text: object, length: int = MAX_NAME) -> str:
    return truncate(str(text), length)
