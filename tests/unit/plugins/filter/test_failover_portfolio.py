# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of the portfolio, as the filter gives them: what a reader finds, what must not be in them, and that they stay the same."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible.utils.unsafe_proxy import wrap_var
from ansible_collections.dr_runbook.veeam_em.plugins.filter.failover_portfolio import failover_portfolio
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._readiness.status import STATUSES, readiness
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.module_utils._readiness.readiness_facts import (
    EM,
    NOW,
    POLICY,
    SERVER,
    ago,
    history,
    look,
    note,
    plan,
    point,
    run,
    task,
)
from templating import trust_as_template

FILTER = "dr_runbook.veeam_em.failover_portfolio"
REPO = Path(__file__).resolve().parents[4]
ACME, GLOBEX = {"id": "t-1", "name": "Acme"}, {"id": "t-2", "name": "Globex"}
HEAD = {"sequence": 1207, "hash": "6d1b" * 16}


class Page(HTMLParser):
    """The words of a page, by the ids of their sections, and its elements."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words, self.place, self.hidden = [], {}, "head", 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if tag == "section":
            self.place = attributes.get("aria-labelledby") or attributes["class"]
        if tag == "article":
            self.place = attributes["id"]
        self.hidden += tag == "style"

    def handle_endtag(self, tag):
        self.hidden -= tag == "style"

    def handle_data(self, data):
        if not self.hidden:
            self.words[self.place] = " ".join(f"{self.words.get(self.place, '')} {data}".split())


def named(name, *runs):
    return [{**each, "id": f"{name} {each['id']}", "name": name} for each in runs]


def facts_of(**plans):
    """A history of plans by name: their VMs, runs, and other facts."""
    sessions, listed = [], []
    for name, (vms, runs, more) in plans.items():
        sessions += named(name, *runs)
        listed.append(plan(*vms, name=name, id=f"id of {name}", **{"tenant": ACME, **more}))
    return history(*sessions, plans=listed, head=HEAD, verified=None)


TEN = {
    "Ready": (("a", "b"), [run(d, "a", "b", duration=600 + d) for d in (9, 99, 199)], {}),
    "Due": (("a",), [run(80, "a")], {}),
    "Overdue": (("a",), [run(150, "a")], {}),
    "Never": (("n1", "n2"), [], {}),
    "Failed": (("a", "b"), [run(5, task("a", "Failed"), "b", result="Failed"), run(40, "a", "b")], {}),
    "Failover": (("up",), [run(9, task("up", point_id="p-up"), kind="failover", duration=777)], {}),
    "Changed": (("a", "new"), [run(9, "a")], {"versions": {400: ("a",), 3: ("a", "new")}}),
    "Partial": (("a", "left"), [run(9, "a")], {}),
    "Nobody": (("a",), [run(9, "a")], {}),
    "Unknown": (("a",), [run(9, "a", kind="unknown")], {}),
}
POLICIES = {"plans": [{"match": "Nobody"}, {**POLICY, "rto": "30m", "rpo": "4h"}]}


def ten():
    facts = facts_of(**TEN)
    facts["points"] = [point("up", id="p-up")]
    return facts


def made(facts, policies=None, now=NOW, **options):
    return failover_portfolio(readiness(facts, policies or POLICIES, now), facts, **options)


def content(made, kind="html"):
    (found,) = [file["content"] for file in made["files"] if file["kind"] == kind]
    return found


def rows_of(made, kind="csv"):
    return list(csv.DictReader(io.StringIO(content(made, kind))))


# What a reader finds


def test_each_status_has_its_words_and_the_numbers_add_up():
    portfolio = made(ten())
    assert {status: 1 for status in STATUSES} | {"waived": 0} == portfolio["summary"]
    page = Page(content(portfolio))
    numbers = re.findall(r"\b\d+ (?=Ready|Due|Overdue or|Failed|Unproven)", page.words["numbers"])
    assert [int(number) for number in numbers] == [1, 1, 2, 1, 5] and sum(map(int, numbers)) == len(TEN)
    assert (
        "1 in failover, 1 changed, 1 partly tested, 1 without a policy, 1 with something unknown"
        in page.words["numbers"]
    )
    for name, status, words in (
        ("Failed", "Failed", "a failed."),
        ("Never", "Never tested", "The history has no run of this plan. Test it for the first time."),
        ("Overdue", "Overdue", "Test it now."),
        ("Failover", "In failover", "up is in failover. Finish or undo the failover, then test it."),
        ("Changed", "Changed", "new has been added since the test"),
        ("Partial", "Partly tested", "left has not come up in any test or failover in the history."),
        (
            "Due",
            "Due",
            "due by 2026-12-08 20:00 UTC; overdue after 2026-12-18 20:00 UTC (grace of 10 d included). Test it by 2026-12-08 20:00.",
        ),
        ("Nobody", "No policy", "Set in the policy how often it is to be tested."),
        ("Unknown", "Unproven", "Note its kind in the history."),
        ("Ready", "Ready", "Passed in time, and nothing has changed since."),
    ):
        row = re.search(rf" {name} (?:Acme )?{status} (.*?)(?=target 4 h|$)", page.words["plans"])[1]
        assert words in row, name


def test_the_worst_that_can_be_tested_comes_first():
    facts = ten()
    assert "1. " not in made(facts)["line"]
    page = Page(content(made(facts)))
    assert re.findall(r"\b(Failed|Never|Overdue|Changed) of Acme", page.words["next"]) == ["Failed", "Never", "Overdue"]
    assert "Fix the cause, then test it again." in page.words["next"]
    assert "3 more to test" in page.words["next"]
    assert made(facts)["line"] == (
        "10 plans at 2026-11-28 20:00 UTC: 1 failed, 1 never tested, 1 overdue, 1 in failover, 1 changed, 1 partly tested, 1 due, "
        "1 no policy, 1 unproven, 1 ready. Test next: Failed."
    )
    facts["notes"] = [note("waiver", plan="Failed", until="2027-01-31")]
    facts["points"].append(point("n1", id="p-n1"))
    page = Page(content(made(facts)))
    assert page.words["next"].startswith("Test next Overdue of Acme")
    assert "waived until 2027-01-31" in page.words["plans"] and "1 plan with a waiver" in page.words["numbers"]
    assert "It is in failover: finish or undo that first." in page.words["plans"]
    assert "Waived until 2027-01-31 by J. Doe : Why" in page.words["plan-1"]


def test_nothing_to_test():
    assert "all plans are ready" in Page(content(made(facts_of(Ready=TEN["Ready"])))).words["next"]
    waits = Page(content(made(facts_of(Unknown=TEN["Unknown"])))).words["next"]
    assert waits == (
        "Test next No plan waits for a test that can be made now. What keeps plans from being ready is in the table below. "
        "Not in this list, since something is unknown first: Unknown Unproven Whether the run of 2026-11-19 19:50 UTC was a test "
        "or a failover is unknown. Note its kind in the history. Or test it again."
    )
    empty = made(facts_of())
    assert "no failover plan" in Page(content(empty)).words["next"]
    assert empty["line"] == "0 plans at 2026-11-28 20:00 UTC." and empty["tenants"] == [] and rows_of(empty) == []


def test_a_test_and_a_failover_never_share_a_line():
    runs = [run(9, "a", duration=700), run(19, "a", duration=650), run(60, "a", kind="failover", duration=2400)]
    portfolio = made(facts_of(Plan=(("a",), runs, {})))
    page = content(portfolio)
    times = [Page(part).words["head"] for part in re.findall(r'<div class="time">.*?</div>', page, re.DOTALL)]
    assert times == ["Time of the test 11 min 40 s", "Time of the failover 40 min did not pass"]
    # Two tests are two bars; the target is more than twice as long, the failover is in no bar of theirs.
    assert re.findall(r'<path d="(M3 16[^"]+)"/>', page) == ["M3 16V10.6M9 16V10.2"]
    lines = re.findall(r"<tr><td>2026[^\n]*", page)
    assert ["11 min 40 s<td><td>" in lines[0], "<td><td>40 min<td>" in lines[2]] == [True, True]
    (row,) = rows_of(portfolio)
    assert (row["last_test_seconds"], row["last_failover_seconds"], row["rto_target_seconds"]) == (
        "700",
        "2400",
        "1800.0",
    )


def cells(page, name):
    row = re.search(rf"<bdi>{name}</bdi></a>((?:<td.*?)*)\n", page.partition('class="months"')[2])[1]
    found = []
    for cell in row.split("<td")[1:]:
        marks = "".join(re.findall(r"href=#(\w)", cell))
        found.append(("b" if " class=b" in cell else "") + marks)
    return found


def test_months_by_their_marks():
    runs = [
        run(2, "a", kind="unknown"), run(3, "a", kind="undo"), run(40, "a"), run(45, task("a", "Failed"), result="Failed"),
        run(100, "a", kind="failover"), run(130, task("a", "Failed"), kind="failover", result="Failed"), run(200, "a", finished=False),
        run(395, "a"), run(396, "a"),
    ]  # fmt: skip
    facts = facts_of(Plan=(("a",), runs, {}))
    page = content(made(facts))
    assert cells(page, "Plan") == ["", "", "", "", "", "", "u", "", "x", "f", "", "pn", "u"]
    assert page.count('<th scope="col"><span class="year">') == 13
    facts["gaps"] = [{"em_name": EM, "from": ago(200), "to": ago(150)}]
    facts["failover_plans"][0]["versions"] = [{"seen_at": ago(260), "digest": "d", "vms": []}]
    page = content(made(facts))
    # The first look was 260 days ago, so that all runs since 290 days ago were seen. The gap is from May to July.
    assert cells(page, "Plan") == ["b", "b", "b", "b", "", "", "bu", "b", "bx", "f", "", "pn", "u"]
    assert 'title="test passed, test did not pass"' in page
    facts["looks"] = []
    assert all(cell.startswith("b") for cell in cells(content(made(facts)), "Plan"))
    facts["looks"] = [look(days=40, copy=40)]
    assert [cell[:1] == "b" for cell in cells(content(made(facts)), "Plan")][-2:] == [True, True]


def test_what_it_is_based_on():
    facts = ten()
    facts["gaps"] = [
        {"em_name": EM, "from": ago(200), "to": ago(150)},
        {"em_name": EM, "from": ago(0), "to": ago(-999)},
    ]
    facts["looks"].append(look(-999))  # EM's clock was ahead
    words = Page(content(made(facts))).words["evidence"]
    assert "2029" not in words
    assert "em.example.com 2026-11-28 19:45 2026-11-28 19:31 28 minutes ago" in words
    assert "2026-05-12 20:00 to 2026-07-01 20:00" in words
    assert f"Newest record of the history: 1207 , hash {'6d1b' * 16} ." in words
    assert "was not checked for this page" in words
    facts["verified"] = True
    assert "All records were checked" in Page(content(made(facts))).words["evidence"]
    for missing in ("head", "verified"):
        del facts[missing]
    facts["looks"] = facts["gaps"] = []
    words = Page(content(made(facts))).words["evidence"]
    assert (
        "The head of the history was not given" in words
        and "em.example.com not known not known not known not known" in words
    )


def test_vms_that_never_came_up_and_what_changed():
    many = [f"vm{number:02d}" for number in range(40)]
    portfolio = made(
        facts_of(
            Many=(many, [run(9, *many[:5])], {}), Gone=(("a",), [run(9, "a", "old")], {"versions": {400: ("a", "old")}})
        )
    )
    page = Page(content(portfolio))
    assert (
        "Many , 35 of 40; never in a run: vm05" in page.words["never"]
        and "and 15 more, see 20261128T200000Z-portfolio.vms.csv" in page.words["never"]
    )
    assert "5 of 40" in page.words["plans"] and "1 removed" in page.words["plans"]
    vms = rows_of(portfolio, "vms.csv")
    assert len(vms) == 41 and sum(not vm["last_success"] for vm in vms) == 35
    (many_row,) = [row for row in rows_of(portfolio) if row["plan"] == "Many"]
    assert (many_row["vms"], many_row["vms_came_up"], many_row["vms_never_came_up"]) == ("40", "5", "35")


def test_the_worst_status_does_not_hide_what_else_is_so():
    failed = run(5, task("a", "Failed"), "b", result="Failed")
    facts = facts_of(
        Late=(("a", "b", "c"), [failed, run(150, "b", kind_basis="inferred")], {}), Soon=(("a", "b"), [failed, run(40, "a", "b")], {})
    )  # fmt: skip
    page = Page(content(made(facts)))
    for words in (
        "test (inferred), 150 days ago 2026-09-29 overdue since 2026-10-09",
        "test, 40 days ago 2027-01-17 in 50 days; test it sooner",
        "1 h run of 2026-10-19",
    ):
        assert words in page.words["plans"], words
    assert "Late , 2 of 3; in a run, but did not come up: a ; never in a run: c" in page.words["never"]
    assert {row["vm"]: row["attempted"] for row in rows_of(made(facts), "vms.csv") if row["plan"] == "Late"} == {
        "a": "yes", "b": "yes", "c": "no",
    }  # fmt: skip
    due = content(made(facts_of(Due=TEN["Due"])))
    assert "0 of 1 failover plan are ready, 1 more is due for a test but still in date" in " ".join(
        Page(due).words["head"].split()
    )


def test_what_does_not_fit_is_said():
    runs = [run(day, "a") for day in range(1, 61)]
    findings = [{**note("finding", plan="Plan", severity="high", action="Do", owner="Team", due="2026-11-20"), "text": f"Finding {number}"}
                for number in range(10)]  # fmt: skip
    facts = facts_of(Plan=(("a",), runs, {}))
    facts["notes"] = findings
    portfolio = made(facts)
    page = Page(content(portfolio))
    assert "48 earlier runs are in 20261128T200000Z-portfolio.json" in page.words["plan-1"]
    assert (
        "2 earlier findings are in" in page.words["plan-1"]
        and "Finding 9 ( J. Doe ) high Do ( Team ) 2026-11-20 retested" in page.words["plan-1"]
    )
    (only,) = json.loads(content(portfolio, "json"))["plans"]
    assert len(only["runs"]) == 60 and len(only["findings"]) == 10
    assert only["runs"][0]["duration"] == 600.0 and only["runs"][0]["kind_basis"] == "recorded"


def test_what_is_not_known_is_not_shown_as_good():
    facts = history(run(9, "a", duration=None, kind="unknown"), plans=[])
    portfolio = made(facts)
    page = Page(content(portfolio))
    assert "Unproven" in page.words["plans"] and "no time known" in page.words["plans"]
    (row,) = rows_of(portfolio)
    assert {
        row[name] for name in ("vms", "vms_came_up", "last_passed", "next_due", "last_rpo_seconds", "vms_added")
    } == {""}
    assert row["runs"] == "1" and row["status"] == "unproven"


# Hostile names


def test_names_are_texts():
    evil = "<script>alert(1)</script>\"'><img src=x>{{ 7 * 7 }}\u202e\x1b[2J"
    formula = '=HYPERLINK("http://x")'
    facts = facts_of(
        **{
            evil: (
                (evil, formula),
                [run(9, task(evil, "Failed"), result="Failed", failure_message=evil)],
                {"tenant": {"name": evil}},
            )
        }
    )
    facts["notes"] = [{**note("finding", plan=evil, severity=evil, action=evil, owner=evil, due="2026-12-01"), "text": evil, "by": evil},
                      {**note("waiver", plan=evil, until="2026-12-01"), "text": evil, "by": evil}]  # fmt: skip
    portfolio = made(facts, title=evil, classification=evil)
    page = Page(content(portfolio))
    assert not {"script", "img", "object", "link", "form"} & {tag for tag, _attributes in page.elements}
    assert not any(
        name.startswith("on") or name in ("src", "style") for _tag, attributes in page.elements for name in attributes
    )
    assert all(attributes["href"].startswith("#") for _tag, attributes in page.elements if "href" in attributes)
    for file in portfolio["files"]:
        assert not set("\u202e\x1b") & set(file["content"])
        assert re.fullmatch(r"20261128T200000Z-portfolio\.[a-z.]+", file["name"])
    assert {row["vm"][0] for row in rows_of(portfolio, "vms.csv")} == {"<", "'"}
    of_tenant = made(facts, tenant=evil)
    assert re.fullmatch(r"20261128T200000Z-portfolio-[a-z0-9-]+-[0-9a-f]{8}", of_tenant["name"])
    assert not set("\u202e\x1b") & set(of_tenant["line"] + portfolio["line"])


def test_the_page_forbids_what_it_does_not_need():
    page = content(made(ten()))
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policies = [attributes["content"] for tag, attributes in Page(page).elements if attributes.get("http-equiv")]
    assert policies == [f"default-src 'none'; style-src 'sha256-{digest}'"]
    assert not re.search(r"url\(|@import|https?://", page)
    assert re.findall(r"(?<![-\w])size: ([^;]+);", style) == ["A4 landscape"]
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids)) and set(re.findall(r'href="?#([\w-]+)', page)) <= set(ids)


def test_texts_are_no_templates():
    words = "{{ lookup('pipe', 'id') }}"
    facts = wrap_var(facts_of(**{words: ((words,), [run(9, words)], {})}))
    judged = wrap_var(readiness(facts, POLICIES, NOW))
    variables = {"readiness": judged, "history": facts}
    text = trust_as_template(f"{{{{ (readiness | {FILTER}(history=history, title='Page')).files[0].content }}}}")
    page = Templar(loader=DataLoader(), variables=variables).template(text)
    assert words in Page(page).words["plans"]


# The same


def test_the_same_input_gives_the_same_bytes():
    facts = ten()
    first = made(facts)
    assert first == made(json.loads(json.dumps(facts)))
    for file in first["files"]:
        assert file["sha256"] == hashlib.sha256(file["content"].encode()).hexdigest()
    assert json.loads(content(first, "json"))["now"] == NOW
    backwards = {**facts, **{name: facts[name][::-1] for name in ("failover_sessions", "failover_plans")}}
    assert made(backwards) == first


# The page of a tenant

OTHERS = (
    "Globex", "glx-db77", "glx-web88", "Mail of Glx", EM, SERVER["name"], "vbr02", "em2.example", "esx07", "Pat Operator",
    "Chris Owner", "old-glx", "critical-glx", "https://", "admin-of-provider", "severe by Pat",
)  # fmt: skip


def two_tenants():
    """All that may name others: messages, verdicts, notes, points, a namesake of another tenant whose runs cannot be told apart."""
    message = "Cannot connect to esx07 for glx-db77 through vbr02"
    verdict = {"passed": False, "reasons": [
        {"code": "vm_failed", "vm": "glx-db77", "text": message}, {"code": "esx07", "vm": None, "text": message},
        {"code": "rto_missed", "vm": "acme-db", "text": f"acme-db: {message}"}, {"code": "failed_without_tasks", "text": message}]}  # fmt: skip
    shared = run(
        8, "glx-web88", task("glx-db77", "Failed"), task("acme-db", "Failed"), result="Failed", failure_message=message
    )
    plans = {
        "Web of Acme": (("acme-db", "acme-web"), [
            run(5, task("acme-db", "Failed"), "acme-web", result="Failed", failure_message=message, verdict=verdict,
                run={"operator": "Pat Operator", "undo": None}), run(60, "acme-db", "acme-web", "old-glx")],
            {"versions": {3: ("acme-db", "acme-web")}}),
        "Files of Acme": (("acme-fs",), [run(9, task("acme-fs"), task("glx-db77", point_id="p-1"))], {}),
        "Mail of Glx": (("glx-db77", "glx-web88"), [run(9, "glx-db77", "glx-web88")], {"tenant": GLOBEX}),
    }  # fmt: skip
    facts = facts_of(**plans)
    facts["failover_plans"][0]["versions"] = []
    for tenant, vms in ((ACME, ("acme-db",)), (GLOBEX, ("glx-db77", "glx-web88"))):
        facts["failover_plans"].append(plan(*vms, name="Shared", id=f"shared {tenant['name']}", tenant=tenant))
    facts["failover_sessions"] += named("Shared", shared)
    facts["failover_plans"].append(
        plan(
            "glx-db77",
            name="Other EM",
            tenant=GLOBEX,
            em_name="em2.example",
            backup_server={"id": "2", "name": "vbr02"},
        )
    )
    facts["looks"] = [look(user="admin-of-provider", url=f"https://{EM}:9398"), look(em_name="em2.example")]
    facts["points"] = [point("glx-db77", id="p-1")]
    people = {"by": "Pat Operator", "text": message, "seen_at": ago(2), "em_name": EM}
    finding = {
        "type": "finding",
        "severity": "severe by Pat",
        "action": message,
        "owner": "Chris Owner",
        "due": "2026-12-24",
        **people,
    }
    facts["notes"] = [{**finding, "plan": "Web of Acme"}, {**finding, "plan": "Files of Acme", "severity": "High", "due": "when Pat Operator"},
                      {"type": "waiver", "plan": "Web of Acme", "until": "2027-01-31", **people}]  # fmt: skip
    policies = {"plans": [
        {"match": "Files of Acme", "test_every": "90d", "critical_vms": ["acme-fs", "critical-glx"]},
        {"match": "* of Acme", "backup_server": "vbr01", "test_every": "90d", "critical_vms": ["acme-db"], "rto": "10m"},
        {"match": "*", "test_every": "90d"}]}  # fmt: skip
    return facts, policies


def test_a_tenant_finds_no_name_of_others():
    facts, policies = two_tenants()
    everything = "".join(file["content"] for file in made(facts, policies)["files"])
    assert {name for name in OTHERS if name not in everything} == {"admin-of-provider", "https://"}
    portfolio = made(facts, policies, tenant="Acme")
    texts = {file["name"]: file["content"].casefold() for file in portfolio["files"]}
    texts["line"] = portfolio["line"].casefold()
    found = [(where, name) for where, text in texts.items() for name in OTHERS if name.casefold() in text]
    assert not found
    assert "tenants" not in portfolio and portfolio["name"] == "20261128T200000Z-portfolio-acme-37036cd8"
    # What is about its own plans is there all the same.
    page = Page(content(portfolio))
    assert {row["plan"] for row in rows_of(portfolio)} == {"Web of Acme", "Files of Acme", "Shared"}
    assert sum(portfolio["summary"][status] for status in STATUSES) == 3
    details = " ".join(words for place, words in page.words.items() if place.startswith("plan-"))
    for words in (
        "acme-db failed. Something else kept it from passing. It took longer than the target. It failed.",
        "A critical VM did not come up.",
        "Waived until 2027-01-31 Finding",
        "VM that is not named here has been removed since the last run that passed.",
        "VMs of the plan are in failover",
        "text left out high",
        "2026-12-24",
    ):
        assert words in details, words
    assert "did not pass. acme-db failed." in page.words["plans"] and "waived until 2027-01-31" in page.words["plans"]
    assert "This page is for one tenant." in page.words["method"]


SHOWN = {
    "id", "kind", "kind_basis", "creation_time", "end_time", "seen_at", "collected_at", "from", "to", "hash", "result", "type", "until", "due",
}  # fmt: skip
"""The facts that a page shows as they are, or that decide what it shows."""


def spoiled(value, key=None):
    """The same facts with a mark in every other text. Names stay, since plans, runs and VMs are linked by them."""
    if isinstance(value, dict):
        return {name: spoiled(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [spoiled(item, key) for item in value]
    linked = (*SHOWN, "name", "vm_name", "em_name", "plan", "session_id", "code", "vm")
    return f"{value} OF OTHERS" if isinstance(value, str) and key not in linked else value


def test_a_tenant_finds_no_text_that_others_have_written():
    facts, policies = two_tenants()
    for each in facts["failover_sessions"]:
        more = {
            "operator": "a",
            "change_id": "b",
            "undo": {"done": False, "message": "c"},
            "checks": [{"message": "d"}],
        }
        each.update(failure_message="e", kind_reasons=["f"], job_type="g", href="h", run=more)
        for vm in each["tasks"]:
            vm.update(failure_message="i", state="j")
    for each in facts["failover_plans"]:
        each.update(description="k", uid="l")
    facts["notes"] += [{**facts["notes"][0], "type": kind} for kind in ("approval", "comment")]
    everything = made(spoiled(facts), policies)
    assert "OF OTHERS" in content(everything) and "OF OTHERS" in content(everything, "csv")
    portfolio = made(spoiled(facts), policies, tenant="Acme")
    assert not [file["name"] for file in portfolio["files"] if "OF OTHERS" in file["content"]]


def test_a_tenant_with_servers():
    facts, policies = two_tenants()
    portfolio = made(facts, policies, tenant="Acme", with_servers=True)
    text = content(portfolio)
    assert EM in text and SERVER["name"] in text and "Pat Operator" in text
    assert {row["tenant"] for row in rows_of(portfolio)} == {"Acme"} and "em2.example" not in text
    assert made(facts, policies)["tenants"] == ["Acme", "Globex"]


# What cannot be used


@pytest.mark.parametrize(
    ("arguments", "options", "sentence"),
    [
        ((), {"tenants": "x"}, "there is no option tenants. Options are: title, tenant, classification, with_servers."),
        (("Title",), {}, "each option needs its name."),
        ((), {"tenant": "Acmee"}, "tenant: 'Acmee' cannot be used. Tenants with plans are: Acme."),
        ((), {"tenant": ""}, "tenant: '' cannot be used. Give the name of a tenant, or leave the option out"),
        ((), {"title": 7}, "title: 7 cannot be used. It is not a text."),
        ((), {"with_servers": "perhaps"}, "with_servers: 'perhaps' cannot be used. Give true or false."),
    ],
)
def test_options_that_cannot_be_used(arguments, options, sentence):
    facts = ten()
    with pytest.raises(AnsibleFilterError) as raised:
        failover_portfolio(readiness(facts, POLICIES, NOW), facts, *arguments, **options)
    assert str(raised.value).startswith(f"failover_portfolio: {sentence}")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda found, facts: ([], facts), "readiness: a list of 0 cannot be used. Give the result of failover_readiness"),
        (lambda found, facts: (facts, facts), "readiness.now: null cannot be used. Give the result of failover_readiness"),
        (lambda found, facts: ({**found, "now": "today"}, facts), "readiness.now: 'today' cannot be used."),
        (lambda found, facts: ({**found, "plans": [{}]}, facts), "readiness.plans: a list of 1 cannot be used."),
        (lambda found, facts: ({**found, "plans": [{**found["plans"][0], "status": "fine"}]}, facts), "readiness.plans: 'fine' cannot"),
        (lambda found, facts: (found, None), "history: null cannot be used. Give what failover_history_info returns."),
        (lambda found, facts: (found, found), "history.failover_sessions: null cannot be used. Give what failover_history_info"),
        (lambda found, facts: (found, {**facts, "looks": [7]}), "history.looks: a list of 1 cannot be used."),
    ],
)  # fmt: skip
def test_what_is_no_readiness_and_no_history(change, sentence):
    facts = ten()
    given = change(readiness(facts, POLICIES, NOW), facts)
    with pytest.raises(AnsibleFilterError) as raised:
        failover_portfolio(*given)
    assert str(raised.value).startswith(f"failover_portfolio: {sentence}")


# Sizes, and what the documentation shows


def five_hundred(failed_vms, message, words):
    plans = {}
    for place in range(500):
        vms = [f"cust{place:03d}{words}-vm{number:02d}" for number in range(20)]
        runs = []
        for number in range(60):
            failed = failed_vms if (place + number) % 11 == 0 or failed_vms == 20 else 0
            runs.append(
                run(
                    number * 7 + place % 90,
                    *[task(vm, "Failed" if position < failed else "Success") for position, vm in enumerate(vms)],
                    result="Failed" if failed else "Success",
                    failure_message=message,
                    kind="failover" if number % 13 == 12 else "test",
                )
            )
        plans[f"Failover plan {place:03d}{words}"] = (
            vms,
            runs,
            {"tenant": {"id": None, "name": f"Tenant {place % 50}"}},
        )
    return facts_of(**plans)


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("failed_vms", "message", "words", "whole"),
    [
        (1, None, "", True),
        (20, "The VM could not be started, for a reason of many words. " * 9, " with words in its name" * 3, False),
    ],
)
def test_five_hundred_plans(failed_vms, message, words, whole):
    portfolio = made(five_hundred(failed_vms, message, words))
    page = content(portfolio)
    assert len(page.encode()) <= 3_000_000
    assert len(rows_of(portfolio)) == 500 and len(rows_of(portfolio, "vms.csv")) == 10_000
    assert len(portfolio["tenants"]) == 50
    detailed = page.count("<article ")
    said = re.findall(r"with the details of the other (\d+) plans. They are in <code>", page)
    assert (detailed == 500 and not said) if whole else (100 < detailed < 500 and said == [str(500 - detailed)])
    assert set(re.findall(r'href="?#([\w-]+)', page)) <= set(re.findall(r' id="([^"]+)"', page))


@pytest.mark.parametrize("where", ["guide", "examples"])
def test_the_documentation(where):
    facts = ten()
    if where == "guide":
        guide = REPO.joinpath("docs", "readiness.md").read_text(encoding="utf-8")
        blocks = [
            block for block in re.findall(r"^```yaml\n(.*?)^```", guide, re.MULTILINE | re.DOTALL) if FILTER in block
        ]
    else:
        documentation = yaml.safe_load(
            REPO.joinpath("plugins", "filter", "failover_portfolio.yml").read_text(encoding="utf-8")
        )
        blocks = [documentation["EXAMPLES"]]
        known = made(facts)
        assert set(documentation["RETURN"]["_value"]["contains"]) == set(known)
        assert set(documentation["RETURN"]["_value"]["contains"]["files"]["contains"]) == set(known["files"][0])
        assert set(documentation["RETURN"]["_value"]["contains"]["summary"]["sample"]) == set(known["summary"])
    variables = {"history": facts, "readiness": readiness(facts, POLICIES, NOW)}
    for item in [item for block in blocks for item in yaml.safe_load(block)]:
        variables.update({name: trust_as_template(value) for name, value in item.get("vars", {}).items()})
        for name, value in item.get("ansible.builtin.set_fact", {}).items():
            variables[name] = Templar(loader=DataLoader(), variables=variables).template(trust_as_template(value))
        if "ansible.builtin.copy" in item:
            loop = Templar(loader=DataLoader(), variables=variables).template(trust_as_template(item["loop"]))
            for one in loop:
                templar = Templar(loader=DataLoader(), variables={**variables, "item": one})
                assert templar.template(trust_as_template(item["ansible.builtin.copy"]["dest"])).startswith(
                    "/srv/dr/20261128T200000Z-portfolio"
                )
                assert templar.template(trust_as_template(item["ansible.builtin.copy"]["content"]))
    assert variables["portfolio"]["tenants"] == ["Acme"]
