# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds for every report, whatever EM, tenants and people have written into it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections import Counter
from xml.etree import ElementTree

from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._verdict.evaluate import evaluate
from ansible_collections.dr_runbook.veeam_em.plugins.plugin_utils._report.context import CONTEXT, ITEMS, TEXTS
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.plugin_utils._report.reports import (
    NASTY,
    Page,
    at,
    make,
    texts,
)
from hypothesis import given
from hypothesis import strategies as st

CHARS = "<>&\"'`=+-@|;,\t\r\n\\*_[](){}%#~:/\x00\x08\x1b\x7f\x85\x9b\u00a0\u200b\u202e\u2028\u2066\ufeff\ufffe\uffff\uff1d\uff0b\uff0d\uff20"
CHARS += "\ud800\U0001fffe\U000e0041\U0010ffff\u3000a0."
TEXT = st.one_of(
    st.sampled_from(
        NASTY[:-2]
        + [
            "&#0;",
            "</td></tr></table>",
            "<?xml?>",
            "<![CDATA[",
            " =1+1",
            "\u3000=1",
            "\n=1",
            "javascript:alert(1)",
            "''",
            "-1",
        ]
    ),
    st.text(st.sampled_from(CHARS), max_size=12),
)
GIVEN = TEXT.filter(lambda text: not re.search("[\ud800-\udfff]", text))
SECONDS = st.one_of(st.none(), st.integers(-10, 600), st.just(0.25))
WORDS = st.sampled_from(["Stopped", "Stopped", "Working", None]) | TEXT
RESULTS = st.sampled_from(["Success", "Failed", "Warning", "None", None]) | TEXT
FLAGS = st.sampled_from([True, False, None])
TIMES = SECONDS.map(lambda seconds: None if seconds is None else at(seconds)) | TEXT


def run_of(**more):
    return {
        "state": WORDS.map(str),
        "result": RESULTS,
        "failure_message": st.none() | TEXT,
        "creation_time": TIMES,
        "end_time": TIMES,
        "duration": st.sampled_from([None, 0, 0.5, 90.0, -3.0]),
        "succeeded": FLAGS,
        **more,
    }


def with_end(session):
    """Only Stopped ends a run."""
    for each in (session, *(session["tasks"] or ())):
        each["finished"] = each["state"] == "Stopped"
    return session


POINT = st.fixed_dictionaries(
    {"id": TEXT, "name": TEXT, "creation_time": TIMES, "state": st.sampled_from(["Ready", "Failover", None]) | TEXT}
)
SERVER = st.none() | st.fixed_dictionaries({"id": TEXT, "name": TEXT})
SESSIONS = st.fixed_dictionaries(
    run_of(
        id=TEXT.filter(bool),
        name=st.none() | TEXT,
        backup_server=SERVER,
        tasks_kept_at=st.none() | TIMES,
        tasks=st.none()
        | st.lists(
            st.fixed_dictionaries(run_of(vm_name=st.none() | TEXT, replica_point=st.none() | POINT)), max_size=4
        ),
    )
).map(with_end)
PLANS = st.fixed_dictionaries(
    {"id": TEXT, "description": st.none() | TEXT, "tenant": SERVER, "backup_server": SERVER},
    optional={
        "name": TEXT,
        "vms": st.lists(
            st.fixed_dictionaries({"id": TEXT, "name": TEXT, "order": st.sampled_from([None, 0, 7])}), max_size=3
        ),
    },
)
TARGETS = st.fixed_dictionaries(
    {},
    optional={
        "rto": st.sampled_from([1, "1h"]),
        "rpo": st.sampled_from([1, "1h"]),
        "max_failed": st.integers(0, 2),
        "allow_warnings": st.booleans(),
        "vm_rto": st.dictionaries(GIVEN.filter(bool), st.just(60), max_size=2),
        "required_vms": st.lists(GIVEN.filter(bool), max_size=2),
    },
)
ITEM = {
    name: st.lists(
        st.fixed_dictionaries(
            {keys[0]: GIVEN.filter(str.strip)},
            optional={key: FLAGS if key == "passed" else st.none() | GIVEN for key in keys[1:]},
        ),
        max_size=2,
    )
    for name, keys in ITEMS.items()
}
CHOICES = {
    "action": st.sampled_from(["start", "test", "undo"]),
    "kind_basis": st.sampled_from(["recorded", "inferred", "none"]),
    "kind": st.just("unknown"),
    "session_source": st.sampled_from(["task", "inferred"]),
    "next_test": st.just("2027-03-31"),
    "retest": st.just("2027-03-31T12:00:00Z"),
    "points_seen_at": st.just(at(700)),
    "queried_at": st.just(at(701)),
    "time_zone": st.sampled_from(["Europe/Berlin", "Asia/Tokyo"]),
    "previous": st.fixed_dictionaries(
        {"session_id": GIVEN.map(lambda text: f"x{text}")},
        optional={name: GIVEN for name in ("result", "kind", "creation_time", "end_time")},
    ),
    "undo": st.fixed_dictionaries(
        {"done": st.booleans(), "needed": FLAGS}, optional={"message": GIVEN, "by": GIVEN, "at": st.just(at(650))}
    ),
    **ITEM,
}
CONTEXTS = st.fixed_dictionaries({}, optional={name: CHOICES.get(name, GIVEN) for name in (*TEXTS, *CHOICES)})
POLICY = st.just({"plans": [{"match": "*", "test_every": "90d", "retest_within": "30d"}]})
RECORDED = st.fixed_dictionaries({"date": st.sampled_from([None, "2027-03-31", at(700)]), "basis": st.none() | GIVEN})
DATES = st.fixed_dictionaries({"next_test": RECORDED, "retest": RECORDED})

HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufffe\uffff\U000e0000-\U000e007f]"
)
TAGS = {
    "html", "head", "meta", "title", "style", "body", "main", "header", "section", "footer", "div", "p", "h1", "h2", "ul", "li", "dl", "dt",
    "dd", "code", "span", "bdi", "table", "thead", "tbody", "tr", "th", "td", "svg", "defs", "pattern", "path", "g", "line", "rect", "circle",
    "use", "text",
}  # fmt: skip


def backwards(value):
    """The same facts with the keys of all dictionaries in another order."""
    if isinstance(value, dict):
        return {key: backwards(value[key]) for key in reversed(value)}
    return [backwards(item) for item in value] if isinstance(value, list) else value


@given(SESSIONS, PLANS | st.none(), TARGETS | st.none(), CONTEXTS, st.none() | POLICY, st.none() | DATES)
def test_every_report(session, plan, targets, context, policy, dates):
    verdict = (
        None
        if targets is None
        else evaluate(
            session,
            {**targets, "plan": plan if plan and {"name", "vms"} <= set(plan) else None},
            context.get("session_source"),
        )
    )
    context = {**context, "policy": policy, "dates": dates}
    made = make(session, verdict, plan, context)  # which validates the JSON
    assert make(*map(backwards, (session, verdict, plan, context))) == made
    files = texts(made)
    for kind, text in files.items():
        text.encode()
        assert not HIDDEN.search(text), kind
    record = json.loads(files["json"])
    assert record["session"] == session and record["verdict"] == verdict
    dates = {name: record[name] for name in ("next_test", "retest")}
    again = {**record["context"], "dates": dates}
    assert make(record["session"], record["verdict"], record["plan"], again) == made  # as in docs/drill.md
    check_html(files["html"])
    check_junit(files["junit"], record)
    check_csv(files["csv"], record)
    names = [f"{made['name']}.{extension}" for extension in ("html", "json", "csv", "xml")]
    lines = [
        f"{hashlib.sha256(file['content'].encode()).hexdigest()}  {name}" for file, name in zip(made["files"], names)
    ]
    assert files["sha256"].splitlines() == lines
    assert re.fullmatch(r"[0-9a-zTZ-]+-[0-9a-f]{8}", made["name"])


def check_html(html):
    page = Page(html)
    assert {tag for tag, dummy in page.tags} <= TAGS
    for dummy, attributes in page.tags:
        assert not {name for name in attributes if name.startswith("on") or name in ("src", "style", "action")}
        assert attributes.get("href", "#grid") == "#grid"


def check_junit(text, record):
    root = ElementTree.fromstring(text)
    assert {element.tag for element in root.iter()} <= {
        "testsuites", "testsuite", "testcase", "properties", "property", "failure", "error", "skipped", "system-out"
    }  # fmt: skip
    cases = Counter((case.get("classname"), case.get("name")) for case in root.iter("testcase"))
    assert set(cases.values()) == {1}
    suites = {suite.get("name").rpartition(": ")[2]: len(list(suite.iter("testcase"))) for suite in root}
    assert suites.get("Virtual machines", 0) >= len(record["session"]["tasks"] or [])
    assert suites.get("Application checks", 0) == len(record["context"]["checks"])
    for suite in root:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp", "2026-03-02T08:00:06"))


def check_csv(text, record):
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert {len(row) for row in rows} == {len(rows[0])} and len(rows) == text.count("\r\n")
    assert len(rows) > len(record["session"]["tasks"] or [])
    for cell in (cell for row in rows[1:] for cell in row):
        assert not re.match(r"\s*[=+@\t\r\uff1d\uff0b\uff0d\uff20]|\s*-(?!\d+(\.\d+)?$)", cell), cell


def test_every_option_is_tried():
    assert set(CONTEXT) <= {*TEXTS, *CHOICES, "logo"}
