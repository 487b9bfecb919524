# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The timeline."""

from __future__ import annotations

import re

import pytest
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.plugin_utils._report.reports import (
    GOOD,
    RUNNING,
    at,
    judge,
    page,
    session,
    task,
)


def bars(html):
    """Begin and end of each VM's bar, in percent."""
    chart = html[html.index('<table class="chart"') :].split("</table>")[0]
    found = re.findall(r'<rect class="fill" x="([\d.]+)%" y="25%" width="([\d.]+)%"', chart)
    return [(float(x), float(x) + float(width)) for x, width in found]


def test_bars_are_where_the_times_are():
    (first_begin, first_end), (second_begin, second_end) = bars(page(GOOD))
    scale = 100 / (600.0 * 1.02)
    assert first_begin == pytest.approx(4.5 * scale, abs=0.01)
    assert first_end == pytest.approx(130 * scale, abs=0.01)
    assert second_begin == pytest.approx(131 * scale, abs=0.01)
    assert second_end == pytest.approx(590 * scale, abs=0.01)


def test_what_has_not_ended_reaches_to_the_moment_of_reading():
    ends = [end for dummy, end in bars(page(RUNNING, queried_at=at(260)))]
    assert ends == [pytest.approx(130 / 260 / 1.02 * 100, abs=0.01), pytest.approx(100 / 1.02, abs=0.01)]


def test_bars_stay_inside_of_the_chart(report):
    if 'class="chart"' in report["html"]:
        assert all(0 <= begin < end <= 100.5 for begin, end in bars(report["html"]))


def test_the_target_is_drawn_where_it_can_be():
    assert "RTO 15 min</text>" in page(GOOD, judge(GOOD, rto="15m"))
    far = page(GOOD, judge(GOOD, rto="5h"))
    assert "RTO 5 h</text>" not in far
    assert "lies outside, at 5 h" in far


def test_times_without_a_run_are_said_to_be_missing():
    assert "there is no timeline" in page(session(task("a", None, None), begin=None))
