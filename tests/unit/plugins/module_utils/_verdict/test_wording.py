# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verdict in one line and in Markdown, whatever tenants call their plans and VMs."""

from __future__ import annotations

import html
import re

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.filter.failover_verdict import failover_verdict
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.module_utils._verdict.verdict_facts import (
    KEPT,
    judged,
    plan,
    session,
    task,
    working,
)
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

# As generous as a program that shows Markdown can be: HTML, tables, and links made of bare host names.
RENDERER = MarkdownIt("gfm-like", {"html": True, "linkify": True})
OWN_TAGS = {"<p>", "</p>", "<ul>", "</ul>", "<li>", "</li>", "<strong>", "</strong>"}


@pytest.mark.parametrize(
    ("facts", "targets", "summary"),
    [
        (session(task()), {}, "passed. No RTO or RPO target was set. VMs: 1 came up. It took 1 min 40 s."),
        (session(), {}, "passed. No RTO or RPO target was set. No VMs are listed. It took 1 min 40 s."),
        (
            session(task(created=-60), task("b", created=-90)),
            {"rto": "2m", "vm_rto": {"*": "2m"}, "rpo": "2m"},
            "passed. VMs: 2 came up. RTO met (1 min 40 s, target 2 min). RTO of VMs met. "
            "RPO met (1 min 30 s, target 2 min).",
        ),
        (
            session(task("a"), working("b"), **KEPT),
            {"vm_rto": {"*": "2m"}},
            "passed. VMs: 1 came up, 1 not known. RTO of VMs met. It took 1 min 40 s.",
        ),
        (session(end=100.4), {"rto": 100}, "did not pass: The run took 1 min 40.4 s, target 1 min 40 s."),
        (
            session(task("a", result="Failed"), task("b"), result="Failed"),
            {"required_vms": ["c"]},
            "did not pass, for 2 reasons: 1 VM failed (a); none is allowed to. (1 more)",
        ),
        (session(state="Working", result="None"), {}, "did not pass: The run has not finished (state Working)."),
    ],
)
def test_one_line(facts, targets, summary):
    assert judged(facts, **targets)["summary"] == f"Run of plan Plan {summary}"


def test_markdown_of_a_run_that_failed():
    facts = session(task("mail", result="Failed", message="No memory"), task("web"), result="Failed")
    assert judged(facts, rto="1h", rpo="4h", plan=plan(("mail", 0), ("web", 0), ("db", 1)))["markdown"] == (
        "**Did not pass:** Plan, run of 2026-03-02 08:00:00 UTC\n"
        "\n"
        "- 1 VM failed (mail); none is allowed to. Enterprise Manager says: No memory.\n"
        "- db is in the plan, but the session does not list it.\n"
        "- The RPO of web cannot be checked: the restore point's name has no time zone.\n"
        "\n"
        "VMs: 1 came up, 1 failed, 1 not attempted. RTO missed (target 1 h). RPO not judged (target 4 h). It took 1 min 40 s."
    )


def test_many_reasons_are_counted():
    facts = session(*(task(str(n), result="Odd", state=None, end=5, start=9) for n in range(3)), end=-1)
    targets = {"rto": "1h", "rpo": "1h", "vm_rto": {f"x{n}": 1 for n in range(4)}}
    lines = judged(facts, **targets)["markdown"].split("\n")
    assert [line[:2] for line in lines[2:8]] == ["- "] * 6
    assert re.fullmatch(r"- \d+ more reasons", lines[7])


def test_problems_of_the_runbook_are_in_all_parts_of_the_verdict():
    facts = session(task())
    problems = ["The test could not be undone.", {"code": "step_not_passed", "text": "The step undo did not pass."}]
    verdict = failover_verdict(facts, rto="1h", problems=problems)
    assert verdict["passed"] is False
    assert [(reason["code"], reason["text"]) for reason in verdict["reasons"]] == [
        ("run_problem", "The test could not be undone."),
        ("step_not_passed", "The step undo did not pass."),
    ]
    assert verdict["summary"] == "Run of plan Plan did not pass, for 2 reasons: The test could not be undone. (1 more)"
    assert "- The test could not be undone.\n" in verdict["markdown"]
    assert (verdict["target_status"], verdict["targets"]["rto"]) == ("met", 3600)
    for nothing in (None, []):
        assert failover_verdict(facts, rto="1h", problems=nothing) == failover_verdict(facts, rto="1h")


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](https://evil.example)",
    "![x](http://evil.example/x.png)",
    "<https://evil.example>",
    "https://evil.example/x",
    "HTTP://EVIL.EXAMPLE",
    "www.evil.com",
    "WWW.5",
    "evil.com",
    "a@evil.com",
    "@channel",
    "@everyone",
    "<!channel>",
    "<@U123>",
    "```\ncode\n```",
    "`code`",
    "~~~",
    "**bold** __bold__ *x* _x_ ~~x~~",
    "# heading",
    "- item",
    "1. item",
    "> quote",
    "a\n---\nb",
    "| a | b |",
    "[x]: http://evil.example",
    "[^1] [ ] [x]",
    "&lt;b&gt; &#64;channel &amp;",
    "#123 !1 %1 ~label $1 ^alert &1",
    "\\@channel \\",
    "$x$ $$x$$",
    "\u202eevil \u2028 \x1b[31m \u200b",
    "{{ lookup('pipe', 'id') }}",
    "x" * 5000,
]


def shown(markdown):
    """What readers see, and the tags."""
    tags = re.findall(r"<[^>]*>", page := RENDERER.render(markdown))
    return html.unescape(re.sub(r"<[^>]*>", "", page)), set(tags) - OWN_TAGS


def check_harmless(name):
    facts = session(
        task(name, result="Failed", message=name),
        task(f"b{name}", result=name),
        name=name,
        result="Failed",
        message=name,
    )
    facts["name"] = name
    verdict = failover_verdict(facts, vm_rto={name or "x": 1}, required_vms=["c" + name], problems=[f"p {name}"])
    text, tags = shown(verdict["markdown"])
    assert not tags, verdict["markdown"]
    assert not re.search(r"[@#!]\w|://", text), text
    assert verdict["markdown"].replace("\n", "").isprintable() and verdict["summary"].isprintable()
    assert len(verdict["summary"]) < 1000 and len(verdict["markdown"].split("\n")) <= 10
    return text.replace("\u200b", "")


@pytest.mark.parametrize("name", HOSTILE)
def test_names_and_messages_are_text(name):
    text = check_harmless(name)
    visible = " ".join("".join(char if char.isprintable() else " " for char in name).split())
    assert (visible if len(visible) <= 100 else visible[:97] + "...") in text


ATOMS = st.sampled_from(
    [
        *"\\`*_[]{}()<>#+-=.!|~$@&:;/?'\"^% \n0159aZ\u00e9",
        "http",
        "www",
        "com",
        "mailto:",
        "channel",
        "<!--",
        "://",
        "\u202e",
    ]
)


@given(st.lists(ATOMS, min_size=1, max_size=12).map("".join).filter(str.strip))
def test_any_name_is_text(name):
    check_harmless(name)


@pytest.mark.parametrize(
    "problems", ["text", {"a": 1}, [7], [""], [{"text": "x"}], [{"code": "failed", "text": "x"}], 5]
)
def test_what_is_no_problem(problems):
    with pytest.raises(Exception, match=r"failover_verdict: problems: .* cannot be used\. Give a list of sentences"):
        failover_verdict(session(), problems=problems)
