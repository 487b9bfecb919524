# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""Durations of times.py, as sentences show them."""

from __future__ import annotations

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.times import format_duration, parse_duration
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.module_utils._verdict.verdict_facts import QUICK
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.04, "0 s"),
        (0.05001, "0.1 s"),
        (0.4, "0.4 s"),
        (4.5, "4.5 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (10.4, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (80, "1 min 20 s"),
        (900.0, "15 min"),
        (1092, "18 min 12 s"),
        (3599.7, "1 h"),
        (3605, "1 h 5 s"),
        (5400, "1 h 30 min"),
        (102600, "1 d 4 h 30 min"),
        (604800, "7 d"),
        (-192, "-3 min 12 s"),
        (-0.001, "0 s"),
        (None, "unknown"),
        (float("nan"), "unknown"),
        (float("inf"), "unknown"),
    ],
)
def test_duration_text(seconds, text):
    assert format_duration(seconds) == text


def test_duration_text_with_digits():
    assert format_duration(900.4, 1) == "15 min 0.4 s"
    assert format_duration(900.0, 3) == "15 min"
    assert format_duration(59.9999, 3) == "1 min"
    assert format_duration(0.000001, 6) == "0.000001 s"


@QUICK
@given(st.integers(0, 10**7))
def test_duration_text_can_be_read_back(seconds):
    text = format_duration(seconds)
    assert seconds == 0 or parse_duration(text.replace("min", "m")) == seconds
