# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What auditors look for, field by field: filled where it was given, else "not recorded". Nothing is made up."""

from __future__ import annotations

import hashlib
import json
import re

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.bodies import plan_body
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.records import canonical
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.plugin_utils._report.reports import (
    BAD,
    CASES,
    FULL,
    GOOD,
    NASTY,
    PNG,
    Page,
    judge,
    make,
    page,
    plan,
    session,
    task,
    texts,
)

WHOLE_PLAN = {
    **plan("dc01", "web01"),
    "uid": "urn:veeam:CloudFailoverPlan:0a6c5b0e-1111-4222-8333-944444444444",
    "description": "Web shop",
    "post_command": {"enabled": False, "command": None},
    "actions": ["start", "test"],
}
VERSION = hashlib.sha256(canonical(plan_body(WHOLE_PLAN)).encode()).hexdigest()

# Each field: what stands before it, what was given, and what stands there if it was not.
FIELDS = [
    ("Report id", "20260302T080006Z-abc-company-failover-plan-", "20260302T080006Z-abc-company-failover-plan-"),
    ("Session", "475420ee-d045-4493-9869-0a970e08f6f9", "475420ee-d045-4493-9869-0a970e08f6f9"),
    ("Scope and approval Plan", "ABC Company Failover Plan", "ABC Company Failover Plan"),
    ("Version of the plan", VERSION[:16], "not recorded"),
    ("Virtual machines in scope", "2: dc01, web01", "2: dc01, web01"),
    ("Description of the plan", "Web shop of ABC", "not recorded"),
    ("Tenant", "ABC Company", "not recorded"),
    ("Backup server", "172.17.53.48", "172.17.53.48"),
    ("Kind of run", "Test of the failover plan Recorded in the history by the run itself, or noted there by a person.",
     "not recorded It is not recorded whether this was a test or a failover."),
    ("Start", "2026-03-02 08:00:06 UTC (09:00:06 +01:00)", "2026-03-02 08:00:06 UTC"),
    ("End", "2026-03-02 08:10:06 UTC (09:10:06 +01:00)", "2026-03-02 08:10:06 UTC"),
    ("Duration", "10 min", "10 min"),
    ("Test undone", "Yes, 2026-03-02 08:15:00 UTC (09:15:00 +01:00), by Ada Lovelace", None),
    ("Clean-up", None, "Not known"),
    ("Operator", "Ada Lovelace AWX user", "not recorded"),
    ("Approved by", "Katherine Johnson", "not recorded"),
    ("Change", "CHG0042317", "not recorded"),
    ("Participants", "Grace Hopper ( Observer ), Alan Turing", "not recorded"),
    ("Type of exercise", "Functional test", "not recorded"),
    ("Scenario", "Loss of the data center in Leeds", "not recorded"),
    ("Objective", "Web shop up within 15 minutes", "not recorded"),
    ("Isolation and impact", "Test network only", "not recorded"),
    ("Comment of the tester", "Went well Room 4.12", "not recorded"),
    ("Application checks", "Virtual machine Check Outcome Message Checked by web01 Log on as a customer Passed 200 in 0.4 s Grace Hopper "
     "all Orders of today are there Passed not recorded Grace Hopper", "Not recorded"),
    ("Findings:", None, "not recorded"),
    ("Severity Finding Action Owner Due", "high web02 has too little memory Add a host Ada Lovelace 2026-12-15", None),
    ("Deviations from the targets:", "none found by the verdict", "not judged"),
    ("Retest", "2026-04-01 12:00:00 UTC (14:00:00 +02:00) As given.", "not recorded"),
    ("Next test", "2026-06-01 As given.", "not recorded"),
    ("Comparison with the run before", "What Run before This run Change", "Not recorded"),
    ("Sign-off As Name Date Signature", "Tester Owner of the plan Approver", "Tester Owner of the plan Approver"),
]  # fmt: skip


@pytest.mark.parametrize(("label", "given", "otherwise"), FIELDS)
def test_each_field_is_filled_or_not_recorded(label, given, otherwise):
    facts, verdict, dummy = CASES["good"]
    full, bare = (Page(html).text for html in (page(facts, verdict, WHOLE_PLAN, **FULL), page(facts)))
    assert (f"{label} {given}" in full) if given else (f" {label} " not in full)
    assert (f"{label} {otherwise}" in bare) if otherwise else (f" {label} " not in bare)


def test_the_version_of_the_plan_is_that_of_the_history():
    def version(of_plan):
        return json.loads(texts(make(GOOD, None, of_plan))["json"])["plan_version"]

    assert version(WHOLE_PLAN) == VERSION
    assert version({**WHOLE_PLAN, "description": "Another"}) != VERSION
    # Commands may be secret, and the actions are those that this user is offered.
    assert version({**WHOLE_PLAN, "pre_command": {"enabled": False, "command": None}, "actions": []}) == VERSION
    assert version({key: WHOLE_PLAN[key] for key in ("id", "name", "vms")}) is None
    assert VERSION in Page(page(GOOD, None, WHOLE_PLAN)).text


def test_a_plan_of_another_name_is_not_used():
    text = Page(page(GOOD, None, {**WHOLE_PLAN, "name": "Other"})).text
    assert "Its name is not that of this run, so it was not used." in text
    for label in ("Description of the plan", "Version of the plan", "Tenant"):
        assert f"{label} not recorded" in text


def test_details_keep_their_order_after_the_rows_that_are_always_there():
    details = [{"label": label} for label in ("Room", "SCENARIO", "Weather", "scenario")]
    html = page(GOOD, details=[{**item, "value": f"Value {number}"} for number, item in enumerate(details)])
    table = Page(html.split('<h2 id="scope">')[1].split("<table")[1].split("</table>")[0].partition(">")[2]).text
    assert table == (
        "The exercise As given Type of exercise not recorded Scenario Value 1 Scenario Value 3 Objective not recorded "
        "Isolation and impact not recorded Comment of the tester not recorded Room Value 0 Weather Value 2"
    )


def look(html):
    return html.split('<section class="verdict ')[1].split('"')[0]


@pytest.mark.parametrize(
    ("wanted", "checks", "expected"),
    [
        ({"rto": "15m"}, [True], "passed"),
        ({"rto": "15m"}, [], "passed"),
        ({"required_vms": ["dc01"]}, [True], "untimed"),
        ({}, [], "untimed"),
        ({"rto": "15m"}, [True, False], "unchecked"),
        ({"rto": "15m"}, [None], "unchecked"),
        ({"rto": "1m"}, [True], "failed"),
        (None, [True], "unjudged"),
    ],
)
def test_green_is_for_what_met_a_target_and_failed_no_check(wanted, checks, expected):
    verdict = None if wanted is None else judge(GOOD, **wanted)
    html = page(GOOD, verdict, checks=[{"check": f"Check {number}", "passed": ok} for number, ok in enumerate(checks)])
    assert look(html) == expected
    assert ("1 of 2 application checks did not pass." in Page(html).text) == (False in checks)
    assert ("The outcome of 1 of 1 application check is not known." in Page(html).text) == (None in checks)


def test_the_time_zone_stands_beside_utc_everywhere():
    late = session(task("dc01", 4.5, 130.0))
    text = Page(page(late, judge(late, rto="15m"), time_zone="Asia/Tokyo", queried_at="2026-03-02T20:00:00Z")).text
    assert "2026-03-02 08:00:06 UTC (17:00:06 +09:00)" in text
    assert "2026-03-02 20:00:00 UTC (2026-03-03 05:00:00 +09:00)" in text
    assert "All times are UTC, with the time in the zone Asia/Tokyo in brackets." in text
    assert not re.search(r"\d UTC(?! \()", text)


def test_the_logo_is_embedded_as_an_image_only():
    svg = "PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIG9ubG9hZD0iYWxlcnQoMSkiLz4="
    for logo, kind in ((PNG, "png"), (svg, "svg+xml")):
        parsed = Page(page(GOOD, logo=logo))
        assert parsed.named("img") == [("img", {"class": "logo", "alt": "", "src": f"data:image/{kind};base64,{logo}"})]
        policy = next(attrs["content"] for dummy, attrs in parsed.named("meta") if "http-equiv" in attrs)
        assert policy.endswith("; img-src data:") and policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "img-src" not in page(GOOD)


def test_each_printed_page_has_the_report_id_the_classification_and_its_number():
    html = page(GOOD, classification='Secret "</style><script>x\\')
    style = html.split("<style>")[1].split("</style>")[0]
    name = make(GOOD, None, None, {"classification": 'Secret "</style><script>x\\'})["name"]
    rule = style.split("@page {")[1]
    assert f'@bottom-left {{ content: "Report {name}";' in rule
    assert '@bottom-right { content: "Page " counter(page) " of " counter(pages);' in rule
    assert '@top-right { content: "Secret \\22 \\3c \\2f style\\3e \\3c script\\3e x\\5c ";' in rule
    assert not Page(html).named("script")
    assert "@top-right" not in page(GOOD)


def test_no_names_of_options_are_on_the_page():
    facts, verdict, of_plan = CASES["bad"]
    text = Page(page(facts, judge(BAD, rto="1m", rpo="1h", vm_rto={"*": "5m"}, plan=of_plan), of_plan, **FULL)).text
    for word in (
        "point_utc_offset",
        "allow_warnings",
        "max_failed",
        "failover_",
        "session_source",
        "points_seen_at",
        "_",
    ):
        assert word not in text.replace("dr_runbook.veeam_em", ""), word


def test_texts_of_people_stay_text():
    hostile = "".join(NASTY[:4])
    context = {
        **{key: hostile for key in ("approved_by", "change_id", "classification", "operator", "plan_description")},
        "checks": [
            {"vm": name, "check": name, "message": name, "by": name, "passed": False}
            for name in NASTY
            if name and "\ud800" not in name
        ],
        "details": [{"label": name, "value": name} for name in NASTY if name.strip() and "\ud800" not in name],
        "findings": [{"finding": hostile, "severity": hostile, "action": hostile, "owner": hostile, "due": hostile}],
        "participants": [hostile],
        "undo": {"done": True, "message": hostile, "by": hostile},
    }
    made = texts(make(*CASES["hostile"], context))
    parsed = Page(made["html"])
    assert not parsed.named("script", "img", "b", "a")
    assert parsed.text.count("<script>alert(1)</script>") > 20
    assert "uid=" not in made["html"]
    for name in ("html", "json", "csv", "junit"):
        assert not set(map(chr, [*range(9), *range(11, 13), *range(14, 32), 0x202E, 0x2066])) & set(made[name])
