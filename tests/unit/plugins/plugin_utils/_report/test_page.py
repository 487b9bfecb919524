# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of a report: what must hold for any of them, whatever names and results the server gives."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from copy import deepcopy
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from xml.parsers import expat

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import OptionError
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.times import format_time
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._verdict import evaluate as _verdict
from ansible_collections.dr_runbook.veeam_em.plugins.plugin_utils._report import page as _report

START = datetime(2026, 3, 2, 8, 0, 6, 110000)
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
NASTY = [
    "<script>alert(1)</script>",
    "{{ lookup('pipe', 'id') }}{% raw %}{#",
    "\"><img src=x onerror=alert(1)> ' & &amp;",
    "]]></style></svg><!--",
    '=HYPERLINK("http://example.com";"x")',
    "@SUM(1)",
    "\tvm\r\nvm",
    "exe.\u202egpj\u2066 \u200b\x07\x1b[31m\x9b31m",
    "שרת גיבוי 01",
    "服务器 \U0001f600 \U000e0041",
    "half \ud800",
    "n" * 5000,
    "",
]


def at(seconds):
    return format_time(START + timedelta(seconds=seconds))


def run(begin, end, result="Success", message=None):
    """What sessions and tasks have in common; without an end it is still running."""
    finished = end is not None
    return {
        "state": "Stopped" if finished else "Working",
        "result": result if finished else "None",
        "progress": 100 if finished else 40,
        "failure_message": message,
        "creation_time": None if begin is None else at(begin),
        "end_time": at(end) if finished else None,
        "duration": float(end - begin) if finished and begin is not None else None,
        "finished": finished,
        "succeeded": result == "Success" if finished else None,
    }


def task(name, begin, end, result="Success", message=None):
    point = {"id": "c1beab6b-2b18-47f1-9e71-354ab8a49fc2", "name": f"{name}@2026-03-02 07:00:06"}
    return {"vm_name": name, "replica_point": point, **run(begin, end, result, message)}


def session(*tasks, end=600.0, result="Success", message=None, name="ABC Company Failover Plan", begin=0.0):
    guid = "475420ee-d045-4493-9869-0a970e08f6f9"
    return {
        "id": guid,
        "uid": f"urn:veeam:CloudFailoverSession:{guid}",
        "name": name,
        "job_type": "FailoverPlan",
        "backup_server": {"id": "8fff3b8e-c3f1-4ef5-aecc-561f07bf9982", "name": "172.17.53.48"},
        "href": f"/api/cloud/failoverSessions/{guid}",
        "tasks": list(tasks),
        **run(begin, end, result, message),
    }


def plan(*names, name="ABC Company Failover Plan"):
    return {
        "id": "0a6c5b0e-1111-4222-8333-944444444444",
        "name": name,
        "description": "",
        "tenant": {"id": "t", "name": "ABC Company"},
        "backup_server": {"id": "8fff3b8e-c3f1-4ef5-aecc-561f07bf9982", "name": "172.17.53.48"},
        "pre_command": {"enabled": True, "command": "prepare.cmd /password:hunter2"},
        "vms": [{"id": str(order), "name": vm, "order": order} for order, vm in enumerate(names)],
    }


def judge(facts, **targets):
    return _verdict.evaluate(facts, targets)


GOOD = session(task("dc01", 4.5, 130.0), task("web01", 131.0, 590.0))
BAD = session(
    task("dc01", 4.5, 130.0),
    task("web01", 131.0, 400.0, "Warning", "No answer of VMware Tools"),
    task("web02", 131.0, 300.0, "Failed", "Insufficient memory on host esx07"),
    result="Failed",
    message="Failover of 1 of 3 VMs failed",
)
RUNNING = session(task("dc01", 4.5, 130.0), task("web01", 131.0, None), end=None)
EMPTY = session(end=80.0)
HOSTILE = session(
    *(task(name, order, 20 + order, "Failed", name) for order, name in enumerate(NASTY)),
    name="".join(NASTY[:4]),
    result="Failed",
    message="\n".join(NASTY),
)
MANY = session(*(task(f"vm-{number:03d}", number, 90 + number) for number in range(200)))
CONTEXT = {
    "action": "test",
    "operator": "Ada Lovelace",
    "change_id": "CHG0042317",
    "url": "https://em.example.com:9398",
    "queried_at": at(700),
    "points_seen_at": at(640),
    "session_source": "task",
    "undo": {"done": False, "needed": True, "message": "Undo of plan ABC failed: <b>locked</b>."},
}
CASES = {
    "good": (GOOD, judge(GOOD, rto="15m", vm_rto={"*": "10m"}, rpo="4h", point_utc_offset="Z"), plan("dc01", "web01")),
    "bad": (BAD, judge(BAD, rto="15m", plan=plan("dc01", "web01", "web02", "db01")), plan("dc01", "web01", "db01")),
    "running": (RUNNING, judge(RUNNING, rto="15m"), plan("dc01", "web01", "web02")),
    "empty": (EMPTY, judge(EMPTY, rto="15m"), plan("dc01", "web01")),
    "hostile": (HOSTILE, judge(HOSTILE, rto="1h", rpo="1h"), plan(*NASTY, name="".join(NASTY[:4]))),
    "many": (MANY, judge(MANY, rto="1h"), None),
    "unjudged": (BAD, None, None),
    "untimed": (session(task("a", None, 5.0), begin=None), None, None),
}


@pytest.fixture(params=CASES)
def report(request):
    """The report of each case, as texts by their kinds."""
    return texts(_report.make(*CASES[request.param], CONTEXT))


def texts(made):
    return {file["kind"]: file["content"] for file in made["files"]}


def page(facts, verdict=None, of_plan=None, **context):
    return texts(_report.make(facts, verdict, of_plan, context))["html"]


class Page(HTMLParser):
    """Checks that every tag is closed in order, and keeps tags, texts, and each SVG."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.html, self.open, self.tags, self.texts = html, [], [], []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        assert len({name for name, dummy in attrs}) == len(attrs), f"an attribute twice in {tag}"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def named(self, *names):
        return [(tag, attrs) for tag, attrs in self.tags if tag in names]


# The page


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


# Pass or not


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


def test_a_verdict_of_another_session_is_refused():
    other = {**GOOD, "id": "15db3c3b-b561-4115-a3e3-24a7bfc50c35"}
    with pytest.raises(OptionError, match="It is of another session"):
        page(other, judge(GOOD))
    with pytest.raises(OptionError, match="this one has state 'Working'"):
        page(RUNNING, judge(GOOD))
    with pytest.raises(OptionError, match="had not finished"):
        page(RUNNING, {"passed": True})


def test_a_result_that_contradicts_itself_is_no_success():
    facts = deepcopy(GOOD)
    facts["tasks"][0]["result"] = "Failed"
    assert "1 of 2 succeeded" in page(facts)


def test_no_vms_are_no_success():
    html = Page(page(*CASES["empty"])).text
    assert "Enterprise Manager names no VM for this run" in html
    assert "What became of them is not known: dc01 web01" in html
    assert "Not attempted" not in html


@pytest.mark.parametrize(("case", "word"), [("bad", "Not attempted"), ("running", "Not begun yet")])
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
    assert "it is not used" in html


def test_reasons_of_the_server_are_told():
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


def targets(facts, **wanted):
    """The table of targets: for each the word in its last column."""
    table = page(facts, judge(facts, **wanted)).split('<h2 id="targets">')[1].split("</table>")[0]
    rows = re.findall(r"<th [^>]*rowheader[^>]*>(.*?)</th>(.*?)</tr>", table)
    return {name: re.search("(Met|Not met|Not known)</bdi>", cells)[1] for name, cells in rows}


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
    assert set(targets(BAD, rto="15m", rpo="1h").values()) == {"Not met"}
    assert set(targets(GOOD, rto="15m", vm_rto={"*": "10m"}, required_vms="dc01").values()) == {"Met"}


def test_a_reason_about_several_vms_marks_each_of_them():
    """Such a reason names no VM, and must not be taken for one about the run."""

    def marks(facts, of_plan=None, **wanted):
        table = page(facts, judge(facts, **wanted), of_plan).split('<h2 id="vms">')[1].split("</table>")[0]
        return re.findall("(Met|Not met|No target)</bdi>", table)

    same = session(*(task(name, 1.0, 500.0) for name in ("dc01", "web01", "web02")))
    assert len(judge(same, vm_rto={"*": "5m"}, rpo="4h")["reasons"]) == 2
    assert marks(same, vm_rto={"*": "5m"}) == marks(same, rpo="4h") == ["Not met"] * 3
    assert targets(same, rto="15m", vm_rto={"*": "5m"}, rpo="4h") == {
        "Recovery time of the run (RTO)": "Met",
        "Recovery times of VMs": "Not met",
        "Age of the oldest restore point (RPO)": "Not met",
        "Failed VMs": "Met",
    }
    timeless = session(*(task(name, 1.0, 500.0) for name in ("dc01", "web01")))
    for vm in timeless["tasks"]:
        vm["end_time"] = None
    assert targets(timeless, rto="15m", vm_rto={"*": "5m"})["Recovery time of the run (RTO)"] == "Met"
    assert targets(timeless, rto="15m", vm_rto={"*": "5m"})["Recovery times of VMs"] == "Not met"


def test_vms_that_are_missing_are_marked_though_one_reason_names_them():
    of_plan = plan("dc01", "web01", "db01", "db02")
    for wanted in ({"plan": of_plan}, {"required_vms": ["db01", "db02"]}):
        verdict = judge(GOOD, **wanted)
        assert [reason["vm"] for reason in verdict["reasons"]] == [None]
        html = page(GOOD, verdict, of_plan)
        rows = re.findall(r"<tr[^>]*>.*?</tr>", html.split('<h2 id="vms">')[1].split("</table>")[0], re.DOTALL)
        marked = [
            name for name in ("dc01", "web01", "db01", "db02") for row in rows if name in row and "Not met" in row
        ]
        assert marked == ["db01", "db02"]
    assert "0 of 2 came up" in page(GOOD, judge(GOOD, required_vms=["db01", "db02"]))


def test_a_failed_vm_misses_what_was_wanted_of_it_though_that_is_one_reason():
    wanted = {"rto": "15m", "vm_rto": {"web02": "5m"}, "required_vms": ["dc01", "web02"]}
    assert len(judge(BAD, **wanted)["reasons"]) == 1
    assert set(targets(BAD, **wanted).values()) == {"Not met"}
    html = page(BAD, judge(BAD, **wanted))
    assert "1 of 2 came up" in html and ">not achieved</td>" in html


@pytest.mark.parametrize(
    ("vm_rto", "shown"),
    [
        ({"sql*": "5m"}, "no VM fits 1 of 1 name"),
        ({"sql*": "5m", "dc*": "5m"}, "1 of 1 in time, no VM fits 1 of 2 names"),
        ({"*": "5m"}, "1 of 2 in time"),
    ],
)
def test_a_pattern_that_fits_no_vm_is_told(vm_rto, shown):
    html = page(GOOD, judge(GOOD, vm_rto=vm_rto))
    assert f">{shown}</td>" in html
    assert targets(GOOD, vm_rto=vm_rto)["Recovery times of VMs"] == "Not met"


def test_a_vm_without_a_target_meets_none():
    def words(**wanted):
        table = page(GOOD, judge(GOOD, **wanted)).split('<h2 id="vms">')[1].split("</table>")[0]
        return re.findall("(Met|Not met|No target)</bdi>", table)

    assert words(rto="15m") == ["No target", "No target"]
    assert words(vm_rto={"dc01": "5m"}) == ["Met", "No target"]
    assert words(vm_rto={"dc01": "1m"}, required_vms=["web01"]) == ["Not met", "Met"]
    assert words(rpo="4h", point_utc_offset="Z") == ["Met", "Met"]


def test_what_is_not_known_meets_no_target():
    assert set(targets(RUNNING, rto="15m", vm_rto={"*": "10m"}, required_vms="dc01").values()) == {"Not known"}
    assert targets(EMPTY, rto="15m") == {"Recovery time of the run (RTO)": "Met", "Failed VMs": "Not known"}


def test_what_is_not_recorded_is_called_so():
    text = Page(page(BAD)).text
    assert "Operator not recorded" in text
    assert "the time of reading was not recorded" in text
    text = Page(page(BAD, **CONTEXT)).text
    assert "Operator Ada Lovelace" in text
    assert "2026-03-02 08:11:46 UTC" in text
    assert "15 minutes" in text


# What is in failover after the run

SEEN = at(640)
READ = "points seen Ready at 2026-03-02 08:10:46 UTC."
NOT_READ = "the restore points were not read."
MESSAGE = "<script>the server</script>"


def seen(facts, *states):
    """The facts with these states of the VMs' restore points, and with when the points were made."""
    tasks = [
        {**task, "replica_point": {**task["replica_point"], "state": state, "creation_time": at(-3600)}}
        for task, state in zip(facts["tasks"], states)
    ]
    return {**facts, "tasks": tasks}


def after(facts, of_plan=None, **context):
    """What the JSON says of what is left, after checks of what holds for each page."""
    made = texts(_report.make(facts, None, of_plan, context))
    found = json.loads(made["json"])["after_run"]
    text = Page(made["html"]).text
    assert f"What is in failover after the run {' '.join(found['text'].split())}" in text
    assert f"{found['label']} {found['word']} Operator" in text
    assert "<script>" not in made["html"]
    rows = list(csv.DictReader(io.StringIO(made["csv"])))
    told = {True: "yes", False: "no", None: ""}
    by_name = {row["vm"]: row for row in rows}
    for vm in found["vms"]:
        assert by_name[vm["name"]]["in_failover"] == told[vm["in_failover"]]
        assert by_name[vm["name"]]["restore_point_state"] == (vm["point_state"] or "")
        assert bool(vm["in_failover_known_by"]) == (vm["in_failover"] is not None)
    return found


@pytest.mark.parametrize(
    ("states", "context", "clean", "word", "text"),
    [
        (("Ready", "Ready"), {"points_seen_at": SEEN}, True, "Nothing in failover", f"A test leaves nothing in failover; {READ}"),
        # Why nothing was undone is said twice by nobody.
        (
            ("Ready", "Ready"),
            {"points_seen_at": SEEN, "undo": {"done": False, "needed": False, "message": "Nothing to undo."}},
            True,
            "Nothing in failover",
            f"A test leaves nothing in failover; {READ}",
        ),
        (
            ("Ready", "Ready"),
            {"points_seen_at": SEEN, "undo": {"done": False, "needed": None, "message": MESSAGE}},
            True,
            "Nothing in failover",
            f"A test leaves nothing in failover; {READ} {MESSAGE}.",
        ),
        (
            ("Ready", "Ready"),
            {"points_seen_at": SEEN, "session_source": "inferred"},
            True,
            "Nothing in failover",
            f"No VM of this session is in failover; {READ}",
        ),
        # States of which nobody knows when they were seen are none.
        (("Ready", "Ready"), {}, None, "Not known", f"It is not known whether VMs are still in failover: {NOT_READ}"),
        (
            (None, None),
            {"undo": {"done": False, "needed": None, "message": MESSAGE}},
            None,
            "Not known",
            f"It is not known whether VMs are still in failover: {NOT_READ} {MESSAGE}.",
        ),
        (
            ("Ready", "Unknown"),
            {"points_seen_at": SEEN},
            None,
            "Not known",
            "It is not known whether VMs are still in failover: Enterprise Manager gives no state for the point of web01.",
        ),
        (
            (None, "Odd"),
            {"points_seen_at": SEEN},
            None,
            "Not known",
            "It is not known whether VMs are still in failover: Enterprise Manager gives no state for the points of dc01, web01.",
        ),
        (
            ("Ready", "Failover"),
            {"points_seen_at": SEEN, "undo": {"done": False, "needed": True, "message": MESSAGE}},
            False,
            "Still in failover",
            f"Still in failover: web01; points seen at 2026-03-02 08:10:46 UTC. {MESSAGE}.",
        ),
        (
            ("PermanentFailover", "Failback"),
            {"points_seen_at": SEEN},
            False,
            "Still in failover",
            "Still in failover: dc01 (PermanentFailover), web01 (Failback); points seen at 2026-03-02 08:10:46 UTC. "
            "Whether an undo was tried is not recorded.",
        ),
    ],
)  # fmt: skip
def test_what_a_test_leaves(states, context, clean, word, text):
    found = after(seen(GOOD, *states), action="test", **context)
    assert (found["label"], found["clean"], found["word"], found["text"]) == ("Clean-up", clean, word, text)
    assert found["next_steps"] is None
    shown = page(seen(GOOD, *states), action="test", **context)
    # What a test should not leave stands beside the verdict, too.
    beside = shown.split('<section class="verdict')[1].split("</section>")[0]
    assert (Page(f"<p>{text.split(':')[0].split(';')[0]}</p>").text in beside) == (clean is not True)


@pytest.mark.parametrize(("action", "label"), [("test", "Test undone"), ("start", "Failover undone"), (None, "Undone")])
@pytest.mark.parametrize("states", [("Failover", "Failover"), (None, None)])
def test_what_was_undone(action, label, states):
    # The states were read before the undo.
    facts = seen(GOOD, *states)
    found = after(facts, action=action, points_seen_at=SEEN, undo={"done": True, "needed": True, "message": ""})
    assert (found["label"], found["clean"], found["text"]) == (label, True, f"{label}: Yes.")
    assert {vm["in_failover_known_by"] for vm in found["vms"]} == {"undo"}
    assert "still failed over" not in page(facts, action=action, undo={"done": True})


def test_a_test_that_has_not_ended_has_left_nothing_yet():
    found = after(seen(RUNNING, "Ready", "Ready"), action="test", points_seen_at=SEEN)
    assert (found["clean"], found["text"]) == (
        None,
        "It is not known whether VMs are still in failover: the run had not finished when it was read.",
    )


def test_a_test_without_vms_leaves_it_open():
    found = after(EMPTY, plan("dc01"), action="test", points_seen_at=SEEN)
    assert found["clean"] is None
    assert found["text"].endswith("Enterprise Manager lists no VM of this run.")
    assert found["vms"] == []


@pytest.mark.parametrize("action", [None, "undo"])
def test_what_is_left_after_anything_else(action):
    assert (
        after(seen(GOOD, "Ready", "Ready"), action=action, points_seen_at=SEEN)["text"]
        == f"Nothing is in failover; {READ}"
    )
    assert after(seen(GOOD, "Ready", "Failover"), action=action, points_seen_at=SEEN)["clean"] is False
    # A success of an undo, or of who knows what, says nothing.
    assert after(GOOD, action=action)["clean"] is None


def up(found):
    return {vm["name"]: (vm["in_failover"], vm["in_failover_known_by"]) for vm in found["vms"]}


def test_states_of_points_decide_what_is_up_after_a_failover():
    found = after(
        seen(BAD, "Failover", "Failover", "Ready"),
        plan("dc01", "web01", "web02", "db01"),
        action="start",
        points_seen_at=SEEN,
    )
    assert up(found) == {
        "dc01": (True, "replica_point"),
        "web01": (True, "replica_point"),
        "web02": (False, "replica_point"),
        "db01": (False, "result"),
    }
    assert (found["label"], found["word"], found["clean"]) == ("Clean-up", "2 VMs in failover", False)
    assert found["text"] == (
        "Up in failover: dc01, web01. Not up: web02, db01. By the states of their restore points, seen at 2026-03-02 08:10:46 UTC. "
        "Of the others this is known from the results of the run only, and not from the states of their restore points. "
        "Whether the failover was undone is not recorded."
    )
    assert found["next_steps"] == _report.NEXT_STEPS


def test_without_states_the_results_say_what_is_up_and_that_is_said():
    found = after(BAD, action="start", undo={"done": False, "needed": True, "message": None})
    assert up(found) == {"dc01": (True, "result"), "web01": (True, "result"), "web02": (False, "result")}
    assert found["text"] == (
        "Up in failover: dc01, web01. Not up: web02. This is known from the results of the run only, and not from the states of "
        "their restore points. The VMs are still failed over; no undo was requested."
    )
    # Why there was no undo is said in the words of who knows it.
    told = after(BAD, action="start", undo={"done": False, "message": "An undo is for people to decide."})["text"]
    assert told.endswith("restore points. An undo is for people to decide.")


def test_a_point_contradicts_a_result():
    found = after(seen(BAD, "Ready", "Unknown", "Failover"), action="start", points_seen_at=SEEN)
    assert up(found) == {"dc01": (None, None), "web01": (True, "result"), "web02": (True, "replica_point")}
    assert (
        "dc01 came up in this run, but the restore point is Ready: it was undone or failed back since, or"
        in found["text"]
    )


def test_a_result_of_a_session_that_may_be_somebody_elses_says_nothing():
    found = after(BAD, action="start", session_source="inferred")
    assert set(up(found).values()) == {(None, None)}
    assert (found["clean"], found["word"]) == (None, "Not known")
    assert found["text"].startswith("Not known: dc01, web01, web02.")


def test_a_failover_that_still_runs():
    found = after(
        seen(RUNNING, "Ready", "Failover"), plan("dc01", "web01", "web02"), action="start", points_seen_at=SEEN
    )
    assert up(found) == {"dc01": (None, None), "web01": (True, "replica_point")}
    assert found["next_steps"] is None


def test_a_failover_that_came_to_nothing():
    facts = session(task("a", 1, 2, "Failed"), result="Failed")
    found = after(facts, action="start")
    assert (found["clean"], found["word"]) == (True, "Nothing in failover")
    assert found["next_steps"]
    html = page(facts, action="start")
    assert "Not up: a." in html.split('<section class="verdict')[1].split("</section>")[0]
    assert after(EMPTY, plan("a"), action="start")["text"].startswith("It is not known which VMs are up in failover: ")


def test_many_vms_are_counted_in_the_sentence_and_listed_in_the_table():
    facts = seen(MANY, *["Failover"] * 200)
    found = after(facts, action="start", points_seen_at=SEEN)
    assert "vm-009 and 190 more." in found["text"]
    assert len(found["vms"]) == 200


# Whose session it is


def test_an_inferred_session_is_marked_in_the_head():
    inferred = judge_of(GOOD, "inferred")
    html = page(GOOD, inferred, session_source="inferred")
    head = Page(html.split("<header>")[1].split("</header>")[0]).text
    assert "Session inferred: Enterprise Manager did not link its task to this session." in head
    assert looks(html) == ("Not passed", "failed", "Not passed")
    assert "How the session is known Inferred" in Page(html).text
    linked = page(GOOD, session_source="task")
    assert "Session inferred" not in linked
    assert "How the session is known Linked by Enterprise Manager's task" in Page(linked).text
    assert "How the session is known not recorded" in Page(page(GOOD)).text


def judge_of(facts, source):
    return _verdict.evaluate(facts, {"rto": "15m"}, source)


def test_an_inferred_session_is_never_reported_as_passed():
    with pytest.raises(OptionError, match="only inferred, so it cannot have passed"):
        page(GOOD, judge_of(GOOD, None), session_source="inferred")


# Tests and restore points


def test_the_time_of_a_test_is_called_so():
    text = Page(page(GOOD, judge(GOOD, rto="15m", vm_rto={"*": "10m"}), action="test")).text
    assert "Time of the test 10 min" in text
    assert "It holds boot, stabilization and ping of the VMs, and no switch of networks" in text
    assert "Time of the test, against the RTO 15 min" in text
    assert "Recover" not in text
    assert "Recovery time 10 min" in Page(page(GOOD, judge(GOOD, rto="15m"), action="start")).text


def ages(made):
    rows = list(csv.DictReader(io.StringIO(made["csv"])))
    return [(row["rpo_seconds"], row["restore_point_created"]) for row in rows]


def test_the_age_of_a_restore_point_is_shown_where_it_is_known():
    facts = seen(GOOD, "Ready", "Ready")
    made = texts(_report.make(facts, None, None, {"points_seen_at": SEEN}))
    assert ages(made) == [("3600.0", at(-3600))] * 2
    assert Page(made["html"]).text.count("1 h") == 2
    assert "Restore point age (RPO)" in made["html"]
    assert "Restore point age (RPO)" not in page(GOOD)
    # A point from after the start of the run has none.
    facts["tasks"][0]["replica_point"]["creation_time"] = at(1)
    assert ages(texts(_report.make(facts)))[0][0] == ""


def test_a_verdict_that_does_not_know_the_age_is_not_overruled():
    facts = seen(GOOD, "Ready", "Ready")
    verdict = judge(facts, rpo="4h")
    for vm in verdict["vms"]:
        vm["rpo"].update(achieved=None, margin=None)
    assert ages(texts(_report.make(facts, verdict)))[0][0] == ""


def test_whether_points_were_read_is_told():
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


# The chart


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
    assert "there is nothing to draw" in page(session(task("a", None, None), begin=None))


def test_two_vms_of_one_name_keep_their_own_verdict():
    facts = session(task("a", 2.0, 500.0), task("a", 1.0, 50.0))
    made = texts(_report.make(facts, judge(facts, vm_rto={"a": "1m"})))
    rows = list(csv.DictReader(io.StringIO(made["csv"])))
    assert [(row["rto_seconds"], row["passed"]) for row in rows] == [("50.0", "yes"), ("500.0", "no")]


# JSON and CSV


def test_json_is_canonical(report):
    data = json.loads(report["json"])
    plain = json.dumps(data, sort_keys=True, ensure_ascii=False, indent=2) + "\n"
    # What does not print is escaped, so that it does nothing to a terminal. All else stands as it is, in UTF-8.
    escaped = "".join(char if char == "\n" or char.isprintable() else json.dumps(char)[1:-1] for char in plain)
    assert report["json"] == escaped
    assert report["json"].encode()  # no half of a surrogate pair is left


def test_json_holds_all_that_was_given():
    data = json.loads(texts(_report.make(*CASES["hostile"], CONTEXT))["json"])
    assert data["session"] == HOSTILE
    assert data["verdict"] == CASES["hostile"][1]
    assert data["context"] == CONTEXT
    assert data["previous_manifests"] == []


def test_commands_and_passwords_are_left_out():
    everything = json.dumps(_report.make(BAD, None, plan("a"), {"url": "https://ada:s3cret@em.example.com:9398"}))
    assert "em.example.com:9398" in everything
    for secret in ("hunter2", "s3cret", "ada:"):
        assert secret not in everything


def test_csv_has_a_line_for_each_vm(report):
    lines = report["csv"].split("\r\n")
    assert lines.pop() == ""
    assert not [line for line in lines if "\n" in line or "\r" in line]
    rows = list(csv.reader(io.StringIO(report["csv"]), strict=True))
    assert len(rows) == len(lines)
    assert all(re.fullmatch(r'"([^"]|"")*"(,"([^"]|"")*")*', line) for line in lines)
    assert rows[0] == list(_report.COLUMNS)
    assert {len(row) for row in rows} == {len(_report.COLUMNS)}


def test_csv_without_a_verdict():
    facts = {**GOOD, "tasks": GOOD["tasks"][::-1]}
    rows = list(csv.DictReader(io.StringIO(texts(_report.make(facts))["csv"])))
    shown = [(row["vm"], row["started_after_seconds"], row["duration_seconds"], row["passed"]) for row in rows]
    assert shown == [("dc01", "4.5", "125.5", ""), ("web01", "131.0", "459.0", "")]


def test_csv_runs_no_formula():
    rows = list(csv.DictReader(io.StringIO(texts(_report.make(*CASES["hostile"]))["csv"])))
    assert len(rows) == len(NASTY)
    for row in rows:
        for cell in row.values():
            assert not cell.strip().startswith(("=", "+", "-", "@")), cell
    assert '\'=HYPERLINK("http://example.com";"x")' in [row["vm"] for row in rows]
    assert "[U+0009]vm[U+000D][U+000A]vm" in [row["vm"] for row in rows]


def test_csv_of_vms_that_were_not_attempted():
    rows = list(csv.DictReader(io.StringIO(texts(_report.make(*CASES["bad"]))["csv"])))
    assert [(row["vm"], row["attempted"], row["passed"]) for row in rows] == [
        ("dc01", "yes", "yes"),
        ("web01", "yes", "yes"),
        ("web02", "yes", "no"),
        ("db01", "no", "no"),
    ]


# The same facts, the same bytes


def test_the_same_facts_make_the_same_bytes(report, request):
    case = request.node.callspec.params["report"]
    facts, verdict, of_plan = (deepcopy(part) for part in CASES[case])
    again = {key: facts[key] for key in reversed(facts)}
    assert texts(_report.make(again, verdict, of_plan, CONTEXT)) == report


SCRIPT = """
import json, locale, sys, time
locale.setlocale(locale.LC_ALL, "") if sys.argv[1] == "set" else None
time.tzset()
sys.path.insert(0, sys.argv[2])
from ansible_collections.dr_runbook.veeam_em.plugins.plugin_utils._report import page as _report
facts, verdict, plan, context = json.load(open(sys.argv[3], encoding="utf-8"))
made = _report.make(facts, verdict, plan, context)
sys.stdout.write(json.dumps({"made": made, "zone": time.tzname}))
"""


def test_neither_hash_seed_nor_time_zone_nor_locale_matter(tmp_path):
    given = tmp_path / "given.json"
    given.write_text(json.dumps([*CASES["hostile"], CONTEXT]), encoding="utf-8")
    expected = _report.make(*CASES["hostile"], CONTEXT)
    root = Path(_report.__file__).parents[6]  # of ansible_collections
    zones = set()
    for seed, zone, name in (
        ("0", "UTC", "C"),
        ("1", "Asia/Kathmandu", "C.UTF-8"),
        ("7", "America/Lima", "de_DE.UTF-8"),
    ):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": name, "LANG": name}
        words = [sys.executable, "-c", SCRIPT, "set" if name.startswith("C") else "", str(root), str(given)]
        done = subprocess.run(words, env=environment, capture_output=True, check=True, text=True)
        answer = json.loads(done.stdout)
        assert answer["made"] == expected
        zones.add(tuple(answer["zone"]))
    assert len(zones) == 3


def test_no_clock_is_read(monkeypatch):
    import datetime as module

    class NoClock(datetime):
        @classmethod
        def now(cls, tz=None):
            raise AssertionError("the clock was read")

        utcnow = today = now

    monkeypatch.setattr(module, "datetime", NoClock)
    monkeypatch.setattr(_report, "datetime", NoClock)
    _report.make(*CASES["bad"], CONTEXT)


# Names and the chain


def test_names_of_files():
    made = _report.make(*CASES["good"], CONTEXT)
    assert re.fullmatch(r"20260302T080006Z-abc-company-failover-plan-[0-9a-f]{8}", made["name"])
    assert [file["name"] for file in made["files"]] == [
        f"{made['name']}.{kind}" for kind in ("html", "json", "csv", "sha256")
    ]


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Überseering / Süd", "uberseering-sud"),
        ("服务器", "plan"),
        ("../../etc/passwd", "etc-passwd"),
        ("x" * 99, "x" * 40),
    ],
)
def test_names_are_plain(name, slug):
    assert re.fullmatch(rf"20260302T080006Z-{slug}-[0-9a-f]{{8}}", _report.make({**GOOD, "name": name})["name"])


def test_a_session_without_a_start_is_undated():
    assert _report.make(session(begin=None))["name"].startswith("undated-abc-")


@pytest.mark.parametrize("other", ["verdict", "plan", "context", "facts"])
def test_other_facts_make_other_names(other):
    names = {_report.make(GOOD)["name"]}
    names.add(
        {
            "verdict": lambda: _report.make(GOOD, judge(GOOD)),
            "plan": lambda: _report.make(GOOD, None, plan("dc01")),
            "context": lambda: _report.make(GOOD, None, None, {"operator": "Ada"}),
            "facts": lambda: _report.make({**GOOD, "progress": 99}),
        }[other]()["name"]
    )
    assert len(names) == 2


def write(folder: Path, facts, **context):
    """Make a report and keep it, as the role does."""
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.sha256")}
    made = _report.make(facts, None, None, context, there)
    for file in made["files"]:
        (folder / file["name"]).write_bytes(file["content"].encode())
    return made


def check(folder: Path):
    """What sha256sum says of all manifests: how many sums, and which files it complains about."""
    names = sorted(path.name for path in folder.glob("*.sha256"))
    done = subprocess.run(
        ["sha256sum", "-c", "--strict", *names], cwd=folder, capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    bad = [line.split(":")[0] for line in lines if not line.endswith(": OK")]
    assert bool(bad) == bool(done.returncode)
    return len(lines), bad


@pytest.fixture
def three(tmp_path):
    """Three reports in one folder. The run of the last one is the oldest, as if somebody had forgotten it."""
    older = session(task("a", 1.0, 2.0), begin=-99999.0)
    return [write(tmp_path, facts) for facts in (GOOD, BAD, older)]


needs_sha256sum = pytest.mark.skipif(not shutil.which("sha256sum"), reason="no sha256sum")


@needs_sha256sum
def test_the_chain_of_three_reports_holds(three, tmp_path):
    first, second, third = three
    assert first["previous_manifests"] == []
    assert second["previous_manifests"] == [{"name": f"{first['name']}.sha256", "sha256": first["files"][-1]["sha256"]}]
    assert third["previous_manifests"] == [
        {"name": f"{second['name']}.sha256", "sha256": second["files"][-1]["sha256"]}
    ]
    assert check(tmp_path) == (3 * 3 + 2, [])
    for made in three:
        assert json.loads(made["files"][1]["content"])["previous_manifests"] == made["previous_manifests"]
        page_of_it = Page(made["files"][0]["content"]).text
        assert ("first report of its chain" in page_of_it) == (made is first)
        assert all(item["sha256"] in page_of_it for item in made["previous_manifests"])


@needs_sha256sum
@pytest.mark.parametrize("kind", ["html", "json", "csv", "sha256"])
def test_a_change_breaks_the_chain(three, tmp_path, kind):
    changed = tmp_path / f"{three[0]['name']}.{kind}"
    changed.write_bytes(changed.read_bytes() + b"\n")
    assert check(tmp_path)[1] == [changed.name]


@needs_sha256sum
def test_a_report_that_is_gone_breaks_the_chain(three, tmp_path):
    for file in three[1]["files"]:
        (tmp_path / file["name"]).unlink()
    assert check(tmp_path)[1] == [f"{three[1]['name']}.sha256"]


def test_a_report_made_again_is_the_same_and_not_chained_to_itself(three, tmp_path):
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert write(tmp_path, GOOD) == three[0]
    assert write(tmp_path, BAD) == three[1]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_report_can_be_made_again_from_its_json(three):
    for made in three:
        data, manifest = json.loads(made["files"][1]["content"]), made["files"][-1]
        given = (data["session"], data["verdict"], data["plan"], data["context"])
        assert _report.make(*given, {manifest["name"]: manifest["content"]}) == made


def test_a_manifest_that_was_changed_is_not_covered_up(three, tmp_path):
    first = tmp_path / f"{three[0]['name']}.sha256"
    first.write_text("", encoding="utf-8")
    assert write(tmp_path, BAD) == three[1]


def test_two_ends_of_the_chain_are_tied_together(tmp_path):
    ends = [_report.make(facts, None, None, {}, {}) for facts in (GOOD, BAD)]
    texts_of_both = {made["files"][-1]["name"]: made["files"][-1]["content"] for made in ends}
    tied = _report.make(EMPTY, None, None, {}, texts_of_both)
    assert [item["name"] for item in tied["previous_manifests"]] == sorted(texts_of_both)


def test_other_files_are_no_manifests():
    there = {
        "SHA256SUMS.sha256": "",
        "20260101T000000Z-x-0000000.sha256": "",
        "20260101T000000Z-x-00000000.sha256\n": "",
    }
    assert _report.make(GOOD, manifests=there)["previous_manifests"] == []


# What cannot be used


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"session": [GOOD]}, "session: 'a list' cannot be used. Give one session"),
        ({"session": {"failover_sessions": [GOOD]}}, "a dictionary without id and state"),
        ({"session": None}, "session: 'NoneType'"),
        ({"verdict": "passed"}, "verdict: 'a text'"),
        ({"plan": [plan("a")]}, "plan: 'a list'"),
        ({"manifests": ["a"]}, "manifests: 'a list'"),
        ({"context": {"action": "failover"}}, "action: 'failover' cannot be used. Give one of start, test, undo"),
        ({"context": {"queried_at": "yesterday"}}, "queried_at: 'yesterday'"),
        ({"context": {"points_seen_at": "yesterday"}}, "points_seen_at: 'yesterday'"),
        (
            {"context": {"session_source": "guessed"}},
            "session_source: 'guessed' cannot be used. Give one of task, inferred",
        ),
        (
            {"context": {"undo": {"done": False, "needed": "no"}}},
            "undo: 'a dictionary' cannot be used. Give a dictionary",
        ),
        (
            {"context": {"undo": {"done": False, "neded": True}}},
            "undo: 'a dictionary' cannot be used. Give a dictionary",
        ),
        ({"context": {"undo": {"needed": False}}}, "undo: 'a dictionary' cannot be used. Give a dictionary"),
        ({"context": {"undo": {"done": "yes"}}}, "undo: 'a dictionary' cannot be used. Give a dictionary with done"),
        ({"context": {"undo": True}}, "undo: 'a number'"),
        ({"context": {"operator": {"name": "Ada"}}}, "operator: 'a dictionary'"),
        ({"session": {**GOOD, "progress": float("nan")}}, "session: 'a number'"),
        ({"session": {**GOOD, "progress": object()}}, "session: 'object'"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_sentence(given, words):
    with pytest.raises(OptionError) as raised:
        _report.make(**{"session": GOOD, **given})
    assert words in str(raised.value)


@pytest.mark.parametrize(
    "broken",
    [
        {"tasks": None},
        {"tasks": ["a", None, {"vm_name": 5, "creation_time": 7}]},
        {"name": None, "backup_server": None, "creation_time": 3, "end_time": {}},
        {"name": ["x"], "duration": "long", "failure_message": {"a": 1}},
    ],
)
def test_facts_of_odd_shapes_are_reported_all_the_same(broken):
    facts = {**GOOD, **broken}
    odd = {"passed": False, "reasons": ["x", {}], "rto": 5, "vms": [{}, {"rto": 3, "name": []}], "idle": [{"from": 1}]}
    for verdict in (None, odd, {"passed": False, "targets": ["x"], "not_attempted": 5, "notes": [{}]}):
        Page(page(facts, verdict, {"name": facts["name"], "vms": [1, {"name": None, "order": "x"}]}))
