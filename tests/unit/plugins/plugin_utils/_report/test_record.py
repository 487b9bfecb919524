# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is reported: the checks of what is given, and the record, as the JSON file shows it."""

from __future__ import annotations

import json

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import OptionError
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.plugin_utils._report.reports import (
    BAD,
    CASES,
    CONTEXT,
    GOOD,
    HOSTILE,
    RUNNING,
    judge,
    judge_of,
    make,
    page,
    plan,
    texts,
)


def test_a_verdict_of_another_session_is_refused():
    other = {**GOOD, "id": "15db3c3b-b561-4115-a3e3-24a7bfc50c35"}
    with pytest.raises(OptionError, match="It is of another session"):
        page(other, judge(GOOD))
    with pytest.raises(OptionError, match="this one has state 'Working'"):
        page(RUNNING, judge(GOOD))
    with pytest.raises(OptionError, match="had not finished"):
        page(RUNNING, {"passed": True})


def test_an_inferred_session_is_never_reported_as_passed():
    with pytest.raises(OptionError, match="only inferred, so it cannot have passed"):
        page(GOOD, judge_of(GOOD, None), session_source="inferred")


def test_json_is_canonical(report):
    data = json.loads(report["json"])
    plain = json.dumps(data, sort_keys=True, ensure_ascii=False, indent=2) + "\n"
    # What does not print is escaped, so that it does nothing to a terminal. All else stands as it is, in UTF-8.
    escaped = "".join(char if char == "\n" or char.isprintable() else json.dumps(char)[1:-1] for char in plain)
    assert report["json"] == escaped
    assert report["json"].encode()  # no half of a surrogate pair is left


def test_json_holds_all_that_was_given():
    data = json.loads(texts(make(*CASES["hostile"], CONTEXT))["json"])
    assert data["session"] == HOSTILE
    assert data["verdict"] == CASES["hostile"][1]
    given = {key: value for key, value in data["context"].items() if value not in (None, [])}
    assert given == {**CONTEXT, "undo": {**CONTEXT["undo"], "at": None, "by": None}}
    assert data["previous_manifests"] == []


def test_commands_and_passwords_are_left_out():
    everything = json.dumps(make(BAD, None, plan("a"), {"url": "https://ada:s3cret@em.example.com:9398"}))
    assert "em.example.com:9398" in everything
    for secret in ("hunter2", "s3cret", "ada:"):
        assert secret not in everything


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ([GOOD], "session: a list of 1 cannot be used. Give one session"),
        (
            {"failover_sessions": [GOOD]},
            "session: a dictionary cannot be used. Give one session, an element of failover_sessions, with id and state.",
        ),
        (None, "session: null cannot be used"),
        ({**GOOD, "progress": float("nan")}, "session['progress']: 'nan' cannot be used"),
        ({**GOOD, "progress": object()}, "session['progress']: '<object object"),
    ],
)
def test_what_is_not_a_session_is_refused(facts, words):
    with pytest.raises(OptionError) as raised:
        make(facts)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("verdict", "passed", "'passed' cannot be used. Give the result of the filter failover_verdict, or null"),
        ("plan", [plan("a")], "a list of 1 cannot be used. Give one plan"),
        ("manifests", ["a"], "a list of 1 cannot be used. Give the text of each manifest"),
        ("action", "failover", "'failover' cannot be used. Give one of start, test, undo"),
        ("queried_at", "yesterday", "'yesterday' cannot be used. Give the time"),
        ("points_seen_at", "yesterday", "'yesterday' cannot be used. Give the time"),
        ("session_source", "guessed", "'guessed' cannot be used. Give one of task, inferred"),
        ("undo", {"done": False, "needed": "no"}, "a dictionary cannot be used. Give a dictionary with done"),
        ("undo", {"done": False, "neded": True}, "a dictionary cannot be used. Give a dictionary with done"),
        ("undo", {"needed": False}, "a dictionary cannot be used. Give a dictionary with done"),
        ("undo", {"done": "yes"}, "a dictionary cannot be used. Give a dictionary with done"),
        ("undo", True, "True cannot be used. Give a dictionary with done"),
        ("operator", {"name": "Ada"}, "a dictionary cannot be used. Give a text, not a list"),
        ("change_id", 34, "34 cannot be used. It is not a text. YAML changes what is not in quotes"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused(option, value, words):
    with pytest.raises(OptionError) as raised:
        make(GOOD, context={option: value})
    assert f"{option}: {words}" in str(raised.value)


def changed(facts, *path, to):
    """The facts with another value at a place in them."""
    key, *rest = path
    copy = list(facts) if isinstance(facts, list) else dict(facts)
    copy[key] = changed(copy[key], *rest, to=to) if rest else to
    return copy


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("vms",), None, "vms: null"),
        (("vms",), {"dc01": {}}, "vms: a dictionary"),
        (("vms", 0), "dc01", "vms: a list of 4"),
        (("vms", 0), {"name": "dc01"}, "vms: a list of 4"),
        (("vms", 0, "rto"), {"target": None, "achieved": 1.0}, "vms: a list of 4"),
        (("vms", 0, "rpo", "margin"), "1 h", "vms: a list of 4"),
        (("reasons",), "It failed.", "reasons: 'It failed.'"),
        (("reasons",), ["It failed."], "reasons: a list of 1"),
        (("reasons",), [{"code": 1}], "reasons: a list of 1"),
        (("notes",), [{"text": "A note"}], "notes: a list of 1"),
        (("idle",), [{"from": 1, "to": None}], "idle: a list of 1"),
        (("rto",), 900, "rto: 900"),
        (("rto",), {}, "rto: a dictionary"),
        (("rto", "target"), "15m", "rto: a dictionary"),
        (("rpo",), None, "rpo: null"),
        (("targets",), ["rto"], "targets: a list of 1"),
        (("targets", "required_vms"), [["dc01"]], "targets: a dictionary"),
        (("not_attempted",), [None], "not_attempted: a list of 1"),
        (("session",), 7, "session: 7"),
    ],
)
def test_a_verdict_that_is_not_whole_is_refused(path, value, words):
    verdict = judge(BAD, rto="15m", required_vms=["db01"], plan=plan("dc01", "web01", "web02", "db01"))
    verdict["vms"].append(verdict["vms"][0])
    with pytest.raises(OptionError) as raised:
        make(BAD, changed(verdict, *path, to=value))
    assert (
        str(raised.value) == f"verdict.{words} cannot be used. Give the result of failover_verdict as it is returned."
    )


def test_an_rto_without_its_margin_gives_no_gauge():
    figures = {"target": 900.0, "achieved": 600.0, "margin": None}
    assert "Recovery time" in page(GOOD, changed(judge(GOOD), "rto", to=figures))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("tasks",), "none", "tasks: 'none'"),
        (("tasks", 0), None, "tasks: a list of 2"),
        (("tasks", 0, "vm_name"), ["dc01"], "tasks: a list of 2"),
        (("tasks", 0, "replica_point"), "dc01@2026-03-02 07:00:06", "tasks: a list of 2"),
        (("creation_time",), 1772438400, "creation_time: 1772438400"),
        (("duration",), "600", "duration: '600'"),
        (("backup_server",), "172.17.53.48", "backup_server: '172.17.53.48'"),
    ],
)
def test_a_session_that_is_not_whole_is_refused(path, value, words):
    with pytest.raises(OptionError) as raised:
        make(changed(GOOD, *path, to=value))
    assert str(raised.value) == f"session.{words} cannot be used. Give the session as failover_session_info returns it."


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("vms",), {"dc01": 0}, "vms: a dictionary"),
        (("vms", 0), "dc01", "vms: a list of 2"),
        (("vms", 0, "order"), "first", "vms: a list of 2"),
        (("tenant",), "ABC", "tenant: 'ABC'"),
    ],
)
def test_a_plan_that_is_not_whole_is_refused(path, value, words):
    with pytest.raises(OptionError) as raised:
        make(GOOD, None, changed(plan("dc01", "web01"), *path, to=value))
    assert str(raised.value) == f"plan.{words} cannot be used. Give the plan as failover_plan_info returns it."
