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
    assert data["context"] == CONTEXT
    assert data["previous_manifests"] == []


def test_commands_and_passwords_are_left_out():
    everything = json.dumps(make(BAD, None, plan("a"), {"url": "https://ada:s3cret@em.example.com:9398"}))
    assert "em.example.com:9398" in everything
    for secret in ("hunter2", "s3cret", "ada:"):
        assert secret not in everything


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ([GOOD], "session: 'list' cannot be used. Give one session"),
        ({"failover_sessions": [GOOD]}, "a dictionary without id and state"),
        (None, "session: 'NoneType'"),
        ({**GOOD, "progress": float("nan")}, "session: 'float'"),
        ({**GOOD, "progress": object()}, "session: 'object'"),
    ],
)
def test_what_is_not_a_session_is_refused(facts, words):
    with pytest.raises(OptionError) as raised:
        make(facts)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("verdict", "passed", "'str' cannot be used. Give the result of the filter failover_verdict, or null"),
        ("plan", [plan("a")], "'list' cannot be used. Give one plan"),
        ("manifests", ["a"], "'list' cannot be used. Give the text of each manifest"),
        ("action", "failover", "'failover' cannot be used. Give one of start, test, undo"),
        ("queried_at", "yesterday", "'yesterday' cannot be used. Give the time"),
        ("points_seen_at", "yesterday", "'yesterday' cannot be used. Give the time"),
        ("session_source", "guessed", "'guessed' cannot be used. Give one of task, inferred"),
        ("undo", {"done": False, "needed": "no"}, "'dict' cannot be used. Give a dictionary with done"),
        ("undo", {"done": False, "neded": True}, "'dict' cannot be used. Give a dictionary with done"),
        ("undo", {"needed": False}, "'dict' cannot be used. Give a dictionary with done"),
        ("undo", {"done": "yes"}, "'dict' cannot be used. Give a dictionary with done"),
        ("undo", True, "'bool' cannot be used. Give a dictionary with done"),
        ("operator", {"name": "Ada"}, "'dict' cannot be used. Give a text, or null"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused(option, value, words):
    with pytest.raises(OptionError) as raised:
        make(GOOD, context={option: value})
    assert f"{option}: {words}" in str(raised.value)
