# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables: VMs, targets, and the VMs as CSV."""

from __future__ import annotations

import csv
import io
import re

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.plugin_utils._report.tables import COLUMNS
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.plugin_utils._report.reports import (
    BAD,
    CASES,
    EMPTY,
    GOOD,
    NASTY,
    RUNNING,
    SEEN,
    Page,
    at,
    judge,
    make,
    page,
    plan,
    seen,
    session,
    task,
    texts,
)


@pytest.mark.parametrize(("case", "word"), [("bad", "Not attempted"), ("running", "Not started yet")])
def test_vms_of_the_plan_without_a_task(case, word):
    missing = {"bad": "db01", "running": "web02"}[case]
    for verdict in (CASES[case][1], None):
        text = Page(page(CASES[case][0], verdict, CASES[case][2])).text
        assert word in text
        assert missing in text
        assert ("Not attempted" in text) == (case == "bad")


def test_a_plan_of_another_name_is_not_used():
    html = page(BAD, None, plan("other01", name="Another plan"))
    assert "other01" not in html
    assert "so it was not used" in html


def targets(facts, **wanted):
    return targets_of(page(facts, judge(facts, **wanted)))


def targets_of(html):
    """The table of targets: for each the word in its last column."""
    table = html.split('<h2 id="targets">')[1].split("</table>")[0]
    rows = re.findall(r"<th [^>]*rowheader[^>]*>(.*?)</th>(.*?)</tr>", table)
    return {name: re.search("(Met|Not met|Not judged)</bdi>", cells)[1] for name, cells in rows}


def test_each_target_is_met_or_missed():
    wanted = {"rto": "15m", "vm_rto": {"dc*": "5m", "web01": "6m"}, "rpo": "4h", "point_utc_offset": "Z"}
    wanted.update(
        required_vms=["dc01", "db01"], max_failed=1, allow_warnings=False, plan=plan("web01", "dc01", "web02")
    )
    assert targets(BAD, **wanted) == {
        "Recovery time of the run (RTO)": "Met",
        "Age of the oldest restore point (RPO)": "Met",
        "Recovery times of VMs": "Not met",
        "Failed VMs": "Met",
        "VMs with warnings": "Not met",
        "Required VMs": "Not met",
        "VMs of the plan": "Not met",
    }
    assert targets(BAD, rto="15m", rpo="1h") == {
        "Recovery time of the run (RTO)": "Not met",
        "Age of the oldest restore point (RPO)": "Not judged",  # the names of the points have no time zone
        "Failed VMs": "Not met",
    }
    assert set(targets(GOOD, rto="15m", vm_rto={"*": "10m"}, required_vms="dc01").values()) == {"Met"}


def test_a_reason_about_several_vms_marks_each_of_them():
    """Such a reason names no VM, and must not be taken for one about the run."""

    def marks(facts, of_plan=None, **wanted):
        table = page(facts, judge(facts, **wanted), of_plan).split('<h2 id="vms">')[1].split("</table>")[0]
        return re.findall(
            "(Met|R.O not met|R.O not judged|No target|Required VM not up|Did not pass|Not judged)</bdi>", table
        )

    same = session(*(task(name, 1.0, 500.0) for name in ("dc01", "web01", "web02")))
    assert len(judge(same, vm_rto={"*": "5m"}, rpo="4h")["reasons"]) == 2
    assert marks(same, vm_rto={"*": "5m"}) == ["RTO not met"] * 3
    assert marks(same, rpo="4h") == ["RPO not judged"] * 3  # the names of the points have no time zone
    assert targets(same, rto="15m", vm_rto={"*": "5m"}, rpo="4h") == {
        "Recovery time of the run (RTO)": "Met",
        "Recovery times of VMs": "Not met",
        "Age of the oldest restore point (RPO)": "Not judged",
        "Failed VMs": "Met",
    }
    timeless = session(*(task(name, 1.0, 500.0) for name in ("dc01", "web01")))
    for vm in timeless["tasks"]:
        vm["end_time"] = None
    assert targets(timeless, rto="15m", vm_rto={"*": "5m"})["Recovery time of the run (RTO)"] == "Met"
    assert targets(timeless, rto="15m", vm_rto={"*": "5m"})["Recovery times of VMs"] == "Not judged"


def test_vms_that_are_missing_are_marked_though_one_reason_names_them():
    of_plan = plan("dc01", "web01", "db01", "db02")
    for word, wanted in (
        ("Did not pass", {"plan": of_plan}),
        ("Required VM not up", {"required_vms": ["db01", "db02"]}),
    ):
        verdict = judge(GOOD, **wanted)
        assert [reason["vm"] for reason in verdict["reasons"]] == [None]
        html = page(GOOD, verdict, of_plan)
        rows = re.findall(r"<tr[^>]*>.*?</tr>", html.split('<h2 id="vms">')[1].split("</table>")[0], re.DOTALL)
        marked = [name for name in ("dc01", "web01", "db01", "db02") for row in rows if name in row and word in row]
        assert marked == ["db01", "db02"]
    assert "0 of 2 came up" in page(GOOD, judge(GOOD, required_vms=["db01", "db02"]))


def test_a_failed_vm_misses_what_was_wanted_of_it_though_that_is_one_reason():
    wanted = {"rto": "15m", "vm_rto": {"web02": "5m"}, "required_vms": ["dc01", "web02"]}
    assert len(judge(BAD, **wanted)["reasons"]) == 1
    assert set(targets(BAD, **wanted).values()) == {"Not met"}
    html = page(BAD, judge(BAD, **wanted))
    assert "1 of 2 came up" in html and ">not achieved</td>" in html


def test_a_failed_vm_whose_restore_point_was_young_enough_has_met_its_rpo():
    def words(**wanted):
        facts = seen(BAD, "Failover", "Failover", "Ready")
        table = page(facts, judge(facts, **wanted)).split('<h2 id="vms">')[1].split("</table>")[0]
        cells = next(row for row in table.split("<tr") if "web02" in row).split("<td")
        return Page(f"<p>{cells[-2].partition('>')[2].partition('</td>')[0]}</p>").text, Page(
            f"<p>{cells[-1].partition('>')[2].partition('</td>')[0]}</p>"
        ).text

    assert words(rpo="2h") == ("1 h target 2 h", "Did not pass")
    assert words(rpo="2h", rto="15m", vm_rto={"web*": "5m"}) == ("1 h target 2 h", "RTO not met")
    assert words(rpo="30m") == ("1 h target 30 min", "RPO not met")
    assert (
        words(rpo="30m", vm_rto={"web*": "5m"}, required_vms=["web02"])[1]
        == "RTO not met RPO not met Required VM not up"
    )
    facts = seen(BAD, "Failover", "Failover", "Ready")
    assert targets_of(page(facts, judge(facts, rpo="2h")))["Age of the oldest restore point (RPO)"] == "Met"


def test_a_required_vm_that_came_up_is_not_marked_for_another_of_its_name():
    made = texts(make(GOOD, judge(GOOD, required_vms=["dc01"]), plan("dc01", "dc01", "web01")))
    rows = list(csv.DictReader(io.StringIO(made["csv"])))
    assert [(row["vm"], row["passed"]) for row in rows] == [("dc01", "yes"), ("web01", "yes"), ("dc01", "")]


def test_required_vms_that_the_session_does_not_list_yet_are_not_up():
    html = page(RUNNING, judge(RUNNING, required_vms=["dc01", "db01"]))
    assert "1 of 2 came up" in html


@pytest.mark.parametrize(
    ("vm_rto", "shown", "word"),
    [
        ({"sql*": "5m"}, "no VM fits 1 of 1 name", "Not judged"),
        ({"sql*": "5m", "dc*": "5m"}, "1 of 1 in time, no VM fits 1 of 2 names", "Not judged"),
        ({"*": "5m"}, "1 of 2 in time", "Not met"),
    ],
)
def test_a_pattern_that_matches_no_vm_is_reported(vm_rto, shown, word):
    html = page(GOOD, judge(GOOD, vm_rto=vm_rto))
    assert f">{shown}</td>" in html
    assert targets(GOOD, vm_rto=vm_rto)["Recovery times of VMs"] == word


def test_a_vm_without_a_target_meets_none():
    def words(**wanted):
        table = page(GOOD, judge(GOOD, **wanted)).split('<h2 id="vms">')[1].split("</table>")[0]
        return re.findall(
            "(Met|R.O not met|R.O not judged|No target|Required VM not up|Did not pass|Not judged)</bdi>", table
        )

    assert words(rto="15m") == ["No target", "No target"]
    assert words(vm_rto={"dc01": "5m"}) == ["Met", "No target"]
    assert words(vm_rto={"dc01": "1m"}, required_vms=["web01"]) == ["RTO not met", "Met"]
    assert words(rpo="4h", point_utc_offset="Z") == ["Met", "Met"]


def test_what_is_not_known_meets_no_target():
    assert set(targets(RUNNING, rto="15m", vm_rto={"*": "10m"}).values()) == {"Not judged"}
    assert targets(EMPTY, rto="15m") == {"Recovery time of the run (RTO)": "Met", "Failed VMs": "Not judged"}


def ages(made):
    rows = list(csv.DictReader(io.StringIO(made["csv"])))
    return [(row["rpo_seconds"], row["restore_point_created"]) for row in rows]


def test_the_age_of_a_restore_point_is_shown_where_it_is_known():
    facts = seen(GOOD, "Ready", "Ready")
    made = texts(make(facts, None, None, {"points_seen_at": SEEN}))
    assert ages(made) == [("3600.0", at(-3600))] * 2
    assert Page(made["html"]).text.count("1 h") == 2
    assert "Restore point age (RPO)" in made["html"]
    assert "Restore point age (RPO)" not in page(GOOD)
    # A point from after the start of the run has none.
    facts["tasks"][0]["replica_point"]["creation_time"] = at(1)
    assert ages(texts(make(facts)))[0][0] == ""


def test_a_verdict_that_does_not_know_the_age_is_not_overruled():
    facts = seen(GOOD, "Ready", "Ready")
    verdict = judge(facts, rpo="4h")
    for vm in verdict["vms"]:
        vm["rpo"].update(achieved=None, margin=None)
    assert ages(texts(make(facts, verdict)))[0][0] == ""


def test_two_vms_of_one_name_keep_their_own_verdict():
    facts = session(task("a", 2.0, 500.0), task("a", 1.0, 50.0))
    made = texts(make(facts, judge(facts, vm_rto={"a": "1m"})))
    rows = list(csv.DictReader(io.StringIO(made["csv"])))
    assert [(row["rto_seconds"], row["passed"]) for row in rows] == [("50.0", "yes"), ("500.0", "no")]


def test_csv_has_a_line_for_each_vm(report):
    lines = report["csv"].split("\r\n")
    assert lines.pop() == ""
    assert not [line for line in lines if "\n" in line or "\r" in line]
    rows = list(csv.reader(io.StringIO(report["csv"]), strict=True))
    assert len(rows) == len(lines)
    assert all(re.fullmatch(r'"([^"]|"")*"(,"([^"]|"")*")*', line) for line in lines)
    assert rows[0] == list(COLUMNS)
    assert {len(row) for row in rows} == {len(COLUMNS)}


def test_csv_without_a_verdict():
    facts = {**GOOD, "tasks": GOOD["tasks"][::-1]}
    rows = list(csv.DictReader(io.StringIO(texts(make(facts))["csv"])))
    shown = [(row["vm"], row["started_after_seconds"], row["duration_seconds"], row["passed"]) for row in rows]
    assert shown == [("dc01", "4.5", "125.5", ""), ("web01", "131.0", "459.0", "")]


def test_csv_runs_no_formula():
    rows = list(csv.DictReader(io.StringIO(texts(make(*CASES["hostile"]))["csv"])))
    assert len(rows) == len(NASTY)
    for row in rows:
        for cell in row.values():
            assert not cell.strip().startswith(("=", "+", "-", "@")), cell
    assert '\'=HYPERLINK("http://example.com";"x")' in [row["vm"] for row in rows]
    assert "[U+0009]vm[U+000D][U+000A]vm" in [row["vm"] for row in rows]


def test_csv_of_vms_that_were_not_attempted():
    rows = list(csv.DictReader(io.StringIO(texts(make(*CASES["bad"]))["csv"])))
    assert [(row["vm"], row["attempted"], row["passed"]) for row in rows] == [
        ("dc01", "yes", "yes"),
        ("web01", "yes", "yes"),
        ("web02", "yes", "no"),
        ("db01", "no", "no"),
    ]
