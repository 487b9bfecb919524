# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs, verdicts and plans to report, and a reader of the page."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.times import format_time
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._verdict.evaluate import evaluate
from ansible_collections.dr_runbook.veeam_em.plugins.plugin_utils._report import files

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
    return evaluate(facts, targets)


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
    "operator_source": "AWX user",
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


def texts(made):
    return {file["kind"]: file["content"] for file in made["files"]}


def page(facts, verdict=None, of_plan=None, **context):
    return texts(make(facts, verdict, of_plan, context))["html"]


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


SEEN = at(640)


def seen(facts, *states):
    """The facts with these states of the VMs' restore points, and with when the points were made."""
    tasks = [
        {**task, "replica_point": {**task["replica_point"], "state": state, "creation_time": at(-3600)}}
        for task, state in zip(facts["tasks"], states)
    ]
    return {**facts, "tasks": tasks}


def judge_of(facts, source):
    return evaluate(facts, {"rto": "15m"}, source)


SCHEMA = json.loads(
    (Path(__file__).resolve().parents[5] / "docs/schema/failover_report-2.json").read_text(encoding="utf-8")
)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def make(facts, verdict=None, of_plan=None, context=None, manifests=None):
    """A report, whose JSON is as the published schema says."""
    made = files.make(facts, {"verdict": verdict, "plan": of_plan, "manifests": manifests, **(context or {})})
    VALIDATOR.validate(json.loads(texts(made)["json"]))
    return made


PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20)).decode()

FULL = {
    **CONTEXT,
    "approved_by": "Katherine Johnson",
    "checks": [
        {"vm": "web01", "check": "Log on as a customer", "passed": True, "message": "200 in 0.4 s", "by": "Grace Hopper"},
        {"vm": None, "check": "Orders of today are there", "passed": True, "message": None, "by": "Grace Hopper"},
    ],
    "classification": "Confidential",
    "details": [
        {"label": "Objective", "value": "Web shop up within 15 minutes"},
        {"label": "Room", "value": "4.12"},
        {"label": "Scenario", "value": "Loss of the data center in Leeds"},
        {"label": "Type of exercise", "value": "Functional test"},
        {"label": "Isolation and impact", "value": "Test network only"},
        {"label": "Comment of the tester", "value": "Went well"},
    ],
    "findings": [
        {
            "severity": "high", "finding": "web02 has too little memory", "action": "Add a host", "owner": "Ada Lovelace",
            "due": "2026-12-15", "by": None, "retested_by": None,
        }
    ],
    "kind": "test",
    "kind_basis": "recorded",
    "logo": PNG,
    "next_test": "2026-06-01",
    "participants": [{"name": "Grace Hopper", "role": "Observer"}, {"name": "Alan Turing", "role": None}],
    "plan_description": "Web shop of ABC",
    "previous": {
        "session_id": "15db3c3b-b561-4115-a3e3-24a7bfc50c35", "kind": "test", "creation_time": "2025-12-01T08:00:00.000000Z",
        "end_time": "2025-12-01T08:12:00.000000Z", "duration": 720.0, "passed": True, "result": "Success", "rpo": 7200.0,
        "vms_up": 2, "vms_total": 2,
    },
    "retest": "2026-04-01T12:00:00.000000Z",
    "time_zone": "Europe/Berlin",
    "undo": {"done": True, "needed": True, "message": None, "at": "2026-03-02T08:15:00.000000Z", "by": "Ada Lovelace"},
}  # fmt: skip
"""All that can be given."""
