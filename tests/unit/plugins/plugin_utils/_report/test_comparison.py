# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The run beside the one before it."""

from __future__ import annotations

import re

from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.plugin_utils._report.reports import (
    CASES,
    FULL,
    GOOD,
    Page,
    judge,
    page,
)

PREVIOUS = FULL["previous"]


def rows(facts, verdict=None, **context):
    table = page(facts, verdict, **context).split('<h2 id="before">')[1].split("<tbody")[1].split("</table>")[0]
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in table.split("<tr ")[1:]]
    return {name: [Page(f"<p>{cell}</p>").text for cell in others] for name, *others in cells}


def test_a_run_is_compared_with_the_one_before():
    facts, verdict, dummy = CASES["good"]
    found = rows(facts, verdict, action="test", previous=PREVIOUS)
    assert found == {
        "Start": ["2025-12-01 08:00:00 UTC", "2026-03-02 08:00:06 UTC", ""],
        "End": ["2025-12-01 08:12:00 UTC", "2026-03-02 08:10:06 UTC", ""],
        "Kind": ["Test of the failover plan", "Test of the failover plan", ""],
        "Verdict": ["Passed", "Passed", ""],
        "Result in Enterprise Manager": ["Success", "Success", ""],
        "VMs that succeeded": ["2 of 2", "2 of 2", ""],
        "Duration": ["12 min", "10 min", "2 min less"],
        "Age of the oldest restore point (RPO)": ["2 h", "1 h", "1 h less"],
    }


def test_durations_of_different_kinds_are_not_compared():
    for context in ({"action": "start"}, {}):
        change = rows(GOOD, **context, previous=PREVIOUS)["Duration"][2]
        assert change == "not compared: the runs are not known to be of the same kind"


def test_what_is_not_known_of_a_run_is_not_recorded():
    found = rows(GOOD, judge(GOOD), previous={"session_id": "x", "passed": False})
    assert found["Verdict"] == ["Did not pass", "Passed", ""]
    assert {cells[0] for name, cells in found.items() if name != "Verdict"} == {"not recorded"}
    assert found["Duration"] == [
        "not recorded",
        "10 min",
        "not compared: the runs are not known to be of the same kind",
    ]
    assert rows(GOOD, previous={"session_id": "x"})["Verdict"] == ["Not judged", "Not judged", ""]
