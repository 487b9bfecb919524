# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTML page: what must hold for any of them, whatever names and results the server gives."""

from __future__ import annotations

import base64
import hashlib
import re
from copy import deepcopy
from xml.parsers import expat

import pytest
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.plugin_utils._report.reports import (
    BAD,
    CASES,
    CONTEXT,
    GOOD,
    NASTY,
    SEEN,
    Page,
    judge,
    judge_of,
    page,
    session,
    task,
)


def test_the_page_is_well_formed(report):
    parsed = Page(report["html"])
    assert report["html"].startswith("<!DOCTYPE html>\n<html")
    drawings = re.findall(r"<svg.*?</svg>", report["html"], re.DOTALL)
    assert drawings
    for drawing in drawings:
        expat.ParserCreate().Parse(drawing, True)
    ids = [attrs["id"] for dummy, attrs in parsed.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for dummy, attrs in parsed.tags:
        assert set(attrs.get("aria-labelledby", "").split()) <= set(ids)


def test_the_page_loads_and_runs_nothing(report):
    parsed = Page(report["html"])
    assert not parsed.named("script", "link", "img", "iframe", "object", "embed", "base", "form", "a", "image")
    for tag, attrs in parsed.tags:
        assert not [name for name in attrs if name.startswith("on")], tag
        assert not {"src", "srcset", "style", "action", "xlink:href"} & set(attrs), tag
        assert attrs.get("href", "#").startswith("#")
        assert all("url(" not in value or value.startswith("url(#") for value in attrs.values() if value)
    style = re.search(r"<style>(.*?)</style>", report["html"], re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policies = [attrs["content"] for dummy, attrs in parsed.named("meta") if "http-equiv" in attrs]
    assert policies == [f"default-src 'none'; style-src 'sha256-{digest}'"]


def test_the_page_is_accessible(report):
    parsed = Page(report["html"])
    assert parsed.named("html")[0][1]["lang"] == "en"
    assert len(parsed.named("title")) == len(parsed.named("h1")) == len(parsed.named("main")) == 1
    assert all("scope" in attrs for dummy, attrs in parsed.named("th"))
    assert all(attrs.get("aria-hidden") == "true" for dummy, attrs in parsed.named("svg"))
    tables = [attrs for dummy, attrs in parsed.named("table")]
    assert tables
    assert all(attrs["role"] == "table" and attrs["aria-labelledby"] for attrs in tables)


def test_the_page_fits_paper_phones_and_dark_rooms(report):
    for words in ("@media print", "prefers-color-scheme: dark", "max-width", 'name="viewport"'):
        assert words in report["html"]


def test_names_of_the_server_stay_text():
    html = page(*CASES["hostile"], operator=NASTY[0], url="https://<b>x</b>")
    parsed = Page(html)
    assert not parsed.named("script", "img", "b")
    for name in NASTY[:6]:
        assert name in parsed.text
    assert "uid=" not in html
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", html)
    assert "exe.[U+202E]gpj[U+2066]" in parsed.text
    assert "[U+D800]" in parsed.text
    assert "n" * 237 + "..." in parsed.text
    assert "n" * 2001 not in html
    assert "VM without a name" in parsed.text


def test_every_name_is_isolated_from_the_direction_of_its_neighbours():
    html = page(*CASES["hostile"])
    assert html.count("<bdi>שרת גיבוי 01</bdi>") == html.count("שרת גיבוי 01</") == 5  # in each table, and as a reason


def looks(html):
    """What a person sees first: the title, the class of the box with the verdict, and its heading."""
    title = re.search(r"<title>(.*?):", html)[1]
    look = re.search(r'<section class="verdict (\w+)"', html)[1]
    return title, look, re.search(r'<h2 id="verdict">(.*?)</h2>', html)[1]


def test_a_pass_looks_like_one():
    html = page(*CASES["good"], **CONTEXT)
    assert looks(html) == ("Passed", "passed", "Passed")
    assert "5 min to spare" in html
    assert "Not met" not in html


@pytest.mark.parametrize("case", ["bad", "running", "hostile"])
def test_a_miss_looks_like_one(case):
    html = page(*CASES[case], **CONTEXT)
    assert looks(html) == ("Not passed", "failed", "Not passed")
    for reason in CASES[case][1]["reasons"][:3]:
        assert reason["text"][:20] in Page(html).text


@pytest.mark.parametrize("verdict", [None, {}, {"passed": None}, {"passed": "true"}, {"passed": 1}, {"passed": ["x"]}])
def test_what_was_not_judged_never_looks_like_a_pass(verdict):
    html = page(GOOD, verdict)
    assert looks(html) == ("Not judged", "unjudged", "Not judged")
    assert "Passed" not in html
    assert "Met" not in Page(html).text


def test_a_result_that_contradicts_itself_is_no_success():
    facts = deepcopy(GOOD)
    facts["tasks"][0]["result"] = "Failed"
    assert "1 of 2 succeeded" in page(facts)


def test_no_vms_are_no_success():
    html = Page(page(*CASES["empty"])).text
    assert "Enterprise Manager lists no VM for this run" in html
    assert "In the plan, with no known result: dc01 web01" in html
    assert "Not attempted" not in html


def test_reasons_of_the_server_are_reported():
    text = Page(page(BAD)).text
    for message in ("Insufficient memory on host esx07", "No answer of VMware Tools", "Failover of 1 of 3 VMs failed"):
        assert message in text


@pytest.mark.parametrize(
    ("took", "shown"),
    [(899.5, "0.5 s to spare"), (900.0, "0 s to spare"), (900.001, "0.001 s too long"), (1020.0, "2 min too long")],
)
def test_how_near_a_target_was(took, shown):
    facts = session(task("a", 1.0, 5.0), end=took)
    html = page(facts, judge(facts, rto="15m"))
    assert shown in html
    assert ("Not met" in html) == ("too long" in shown)


def test_what_is_not_recorded_is_called_so():
    text = Page(page(BAD)).text
    assert "Operator not recorded" in text
    assert "time of reading not recorded" in text
    text = Page(page(BAD, **CONTEXT)).text
    assert "Operator Ada Lovelace" in text
    assert "2026-03-02 08:11:46 UTC" in text
    assert "15 minutes" in text


def test_an_inferred_session_is_marked_in_the_head():
    inferred = judge_of(GOOD, "inferred")
    html = page(GOOD, inferred, session_source="inferred")
    head = Page(html.split("<header>")[1].split("</header>")[0]).text
    assert "Session inferred: Enterprise Manager did not link its task to this session." in head
    assert looks(html) == ("Not passed", "failed", "Not passed")
    assert "How the session was identified Inferred" in Page(html).text
    linked = page(GOOD, session_source="task")
    assert "Session inferred" not in linked
    assert "How the session was identified Linked by Enterprise Manager's task" in Page(linked).text
    assert "How the session was identified not recorded" in Page(page(GOOD)).text


def test_the_time_of_a_test_is_called_so():
    text = Page(page(GOOD, judge(GOOD, rto="15m", vm_rto={"*": "10m"}), action="test")).text
    assert "Time of the test 10 min" in text
    assert "Includes boot, stabilization and ping of the VMs, but no network switch" in text
    assert "Time of the test, against the RTO 15 min" in text
    assert "Recover" not in text
    assert "Recovery time 10 min" in Page(page(GOOD, judge(GOOD, rto="15m"), action="start")).text


def test_whether_points_were_read_is_reported():
    assert "Restore points, their age and state were not read" in Page(page(GOOD)).text
    assert "2026-03-02 08:10:46 UTC, from the same copy." in Page(page(GOOD, points_seen_at=SEEN)).text


@pytest.mark.parametrize(
    ("targets_of_it", "words"),
    [
        ({"rto": "15m"}, "The run met all its targets."),
        ({"vm_rto": {"*": "15m"}}, "The run met all its targets."),
        ({}, "The run passed. No RTO or RPO target was set."),
        ({"required_vms": ["dc01"]}, "The run passed. No RTO or RPO target was set."),
    ],
)
def test_a_pass_without_times_to_meet_says_so(targets_of_it, words):
    text = Page(page(GOOD, judge(GOOD, **targets_of_it))).text
    assert f"Passed {words}" in text
    assert text.count("No RTO or RPO target was set") == words.count("No RTO or RPO target was set")
