# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The JUnit XML, as two programs read it: junitparser, and one that does what GitLab documents."""

from __future__ import annotations

import io
from xml.etree import ElementTree

import pytest
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.plugin_utils._report.reports import (
    CASES,
    CONTEXT,
    FULL,
    GOOD,
    HOSTILE,
    judge,
    make,
    plan,
    session,
    task,
    texts,
)
from junitparser import JUnitXml


def junit(facts, verdict=None, of_plan=None, **context):
    return texts(make(facts, verdict, of_plan, context))["junit"]


def gitlab(text):
    """Each test case as GitLab takes it, see docs.gitlab.com/ci/testing/unit_test_reports: the class, the name, and the first of
    failure, error and skipped, else a success."""
    root = ElementTree.fromstring(text)
    assert root.tag == "testsuites"
    found = {}
    for case in root.iterfind("testsuite/testcase"):
        status = next((tag for tag in ("failure", "error", "skipped") if case.find(tag) is not None), "success")
        key = (case.get("classname"), case.get("name"))
        assert all(key) and key not in found, "GitLab would take the second for the first"
        found[key] = status
    return found


def outcomes(text):
    """The same without the plan in the class."""
    return {(classname.rpartition(".")[2], name): status for (classname, name), status in gitlab(text).items()}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("context", [CONTEXT, {**FULL, "previous": None}], ids=["context", "full"])
def test_two_readers_read_the_same(case, context):
    text = texts(make(*CASES[case], context))["junit"]
    found = gitlab(text)
    suites = JUnitXml.fromroot(ElementTree.parse(io.BytesIO(text.encode())).getroot())
    cases = [each for suite in suites for each in suite]
    assert [(each.classname, each.name) for each in cases] == list(found)
    tags = [type(each.result[0]).__name__.lower() if each.result else "success" for each in cases]
    assert tags == list(found.values())
    counts = [suites.tests, suites.failures, suites.errors, suites.skipped]
    assert counts == [len(tags), *(tags.count(tag) for tag in ("failure", "error", "skipped"))]
    for suite in suites:
        assert suite.tests == len(list(suite))


def test_a_run_that_passed():
    facts, verdict, of_plan = CASES["good"]
    found = outcomes(junit(facts, verdict, of_plan, checks=FULL["checks"]))
    assert set(found.values()) == {"success"}
    assert list(found) == [
        ("Run", "Verdict"),
        ("Targets", "Recovery time of the run (RTO)"),
        ("Targets", "Age of the oldest restore point (RPO)"),
        ("Targets", "Recovery times of VMs"),
        ("Targets", "Failed VMs"),
        ("Virtual machines", "dc01"),
        ("Virtual machines", "web01"),
        ("Application checks", "web01: Log on as a customer"),
        ("Application checks", "Orders of today are there"),
    ]


def test_what_is_not_known_never_counts_as_passed():
    checks = [{"check": "A", "passed": False}, {"check": "B", "passed": None}]
    found = outcomes(junit(*CASES["running"], checks=checks))
    assert found[("Run", "Verdict")] == "failure"
    assert found[("Targets", "Recovery time of the run (RTO)")] == "skipped"
    assert found[("Virtual machines", "dc01")] == "success"
    assert found[("Virtual machines", "web01")] != "success" != found[("Virtual machines", "web02")]
    assert found[("Application checks", "A")] == "failure"
    assert found[("Application checks", "B")] == "error"
    assert "success" not in [
        status for (suite, dummy), status in outcomes(junit(*CASES["empty"])).items() if suite == "Virtual machines"
    ]


def test_without_a_verdict_the_run_is_skipped_and_vms_go_by_their_results():
    found = outcomes(junit(*CASES["unjudged"]))
    assert found == {
        ("Run", "Verdict"): "skipped",
        ("Virtual machines", "dc01"): "success",
        ("Virtual machines", "web01"): "success",
        ("Virtual machines", "web02"): "failure",
    }


def test_without_a_target_that_is_skipped():
    found = outcomes(junit(GOOD, judge(GOOD)))
    assert found[("Run", "Verdict")] == "success"
    assert found[("Targets", "RTO and RPO")] == "skipped"


def test_what_missed_its_target_is_a_failure_with_the_reason():
    text = junit(GOOD, judge(GOOD, rto="5m", vm_rto={"web01": "3m"}))
    found = outcomes(text)
    assert found[("Targets", "Recovery time of the run (RTO)")] == "failure"
    assert found[("Virtual machines", "web01")] == "failure"
    assert found[("Virtual machines", "dc01")] == "success"
    assert "Target: 5 min\nAchieved: 10 min" in text
    assert "RTO not met" in text


def test_vms_that_share_a_name_are_cases_of_their_own():
    twins = session(task("dc01", 4.5, 130.0), task("dc01", 5.0, 140.0, "Failed"))
    found = outcomes(junit(twins))
    assert [name for suite, name in found if suite == "Virtual machines"] == ["dc01", "dc01 (2)"]


def test_names_of_tenants_are_text():
    text = junit(HOSTILE, judge(HOSTILE, rto="1h"), plan("x", name=HOSTILE["name"]), operator="]]>")
    names = [name for dummy, name in gitlab(text)]
    assert "<script>alert(1)</script>" in names
    assert "exe.[U+202E]gpj[U+2066] [U+200B][U+0007][U+001B][31m[U+009B]31m" in names
    assert "[U+0009]vm[U+000D][U+000A]vm" in names
    assert "half [U+D800]" in names
    assert "without a name" in names
