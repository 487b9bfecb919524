# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the job and people hand over: what is accepted, and one sentence for what is not."""

from __future__ import annotations

import base64
import json
import zoneinfo

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import OptionError
from ansible_collections.dr_runbook.veeam_em.plugins.plugin_utils._report import context as module
from ansible_collections.dr_runbook.veeam_em.plugins.plugin_utils._report.context import CONTEXT
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.plugin_utils._report.reports import (
    FULL,
    GOOD,
    PNG,
    make,
    page,
    texts,
)


def context_of(**given):
    return json.loads(texts(make(GOOD, context=given))["json"])["context"]


def test_all_that_can_be_given_comes_out_as_it_went_in_and_can_be_given_again():
    assert set(FULL) == set(CONTEXT)
    assert context_of(**FULL) == FULL
    assert context_of(**context_of(**FULL)) == FULL


@pytest.mark.parametrize("nothing", [None, "", [], {}])
def test_what_is_empty_was_not_given(nothing):
    expected = {**dict.fromkeys(CONTEXT), "checks": [], "details": [], "findings": [], "participants": []}
    lists = ("checks", "details", "findings", "participants", "previous", "undo")
    given = {option: nothing for option in CONTEXT if option in lists or not isinstance(nothing, (list, dict))}
    assert context_of(**given) == expected


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("details", {"Scenario": "x"}, "details: a dictionary cannot be used. Give a list of dictionaries with label (required), value."),
        ("details", ["x"], "details[0]: 'x' cannot be used. Give a list of dictionaries with label"),
        ("details", [{"value": "x"}], "details[0][label]: null cannot be used. Give a list"),
        ("details", [{"label": "Room", "value": 4}], "details[0][value]: 4 cannot be used. It is not a text."),
        ("findings", [{"finding": "x", "onwer": "y"}], "findings[0][onwer]: 'y' cannot be used. There is no such key. Give a list of"),
        ("findings", [{"finding": " "}], "findings[0][finding]: ' ' cannot be used."),
        ("checks", [{"check": "x", "passed": "yes"}], "checks[0][passed]: 'yes' cannot be used. Give true, false, or null"),
        ("participants", [4], "participants[0]: 4 cannot be used."),
        ("kind", "drill", "kind: 'drill' cannot be used. Give one of test, failover, undo, unknown"),
        ("kind_basis", "guessed", "kind_basis: 'guessed' cannot be used. Give one of recorded, inferred, none"),
        ("next_test", "in June", "next_test: 'in June' cannot be used. Give a date ('2027-03-31') or a time with zone"),
        ("retest", "2026-02-30", "retest: '2026-02-30' cannot be used."),
        ("retest", "2026-02-03T10:00", "retest: '2026-02-03T10:00' cannot be used."),
        ("time_zone", "Europe/Atlantis", "time_zone: 'Europe/Atlantis' cannot be used. There is no such time zone. Give its IANA name"),
        ("time_zone", "../../etc/passwd", "time_zone: '../../etc/passwd' cannot be used. There is no such time zone."),
        ("time_zone", "/etc/localtime", "time_zone: '/etc/localtime' cannot be used. There is no such time zone."),
        ("time_zone", "Europe", "time_zone: 'Europe' cannot be used. There is no such time zone."),
        ("logo", "not base64!", "logo: '...' cannot be used. Give the base64 text of a PNG, JPEG or SVG file."),
        ("logo", base64.b64encode(b"GIF89a").decode(), "It is neither a PNG nor a JPEG nor an SVG file."),
        ("logo", base64.b64encode(b"<html><svg></html>").decode(), "It is neither a PNG nor a JPEG nor an SVG file."),
        ("logo", base64.b64encode(b"\xff\xd8\xff" + bytes(200_000)).decode(), "It has 200003 bytes. Give an image of 200000 bytes"),
        ("previous", "last week", "previous: 'last week' cannot be used. Give a session as failover_history_info returns it"),
        ("previous", {"passed": True}, "previous: a dictionary cannot be used."),
        ("previous", {"id": GOOD["id"]}, f"previous: '{GOOD['id']}' cannot be used. It is not a run before the one"),
        ("previous", {"id": "x", "end_time": "2027-01-01T00:00:00Z"}, "It is not a run before the one that is reported."),
        ("previous", {"id": "x", "duration": "1h"}, "previous[duration]: '1h' cannot be used."),
        ("undo", {"done": True, "at": "today"}, "undo[at]: 'today' cannot be used. Give the time"),
        ("undo", {"done": True, "when": "today"}, "undo: a dictionary cannot be used. Give a dictionary with done"),
        ("approved_by", ["Ada"], "approved_by: a list of 1 cannot be used. Give a text"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_said_in_a_sentence(option, value, words):
    with pytest.raises(OptionError) as raised:
        make(GOOD, context={option: value})
    assert words in str(raised.value)


def test_without_a_database_of_time_zones_its_package_is_named(monkeypatch):
    def nothing(name):
        raise zoneinfo.ZoneInfoNotFoundError(name)

    monkeypatch.setattr(module, "ZoneInfo", nothing)
    monkeypatch.setattr(module, "available_timezones", set)
    with pytest.raises(OptionError, match="has no time zone database. Install its package tzdata."):
        make(GOOD, context={"time_zone": "Europe/Berlin"})


def test_findings_of_readiness_are_accepted_as_they_are():
    noted = {
        "session_id": "x", "by": "Ada", "text": "Too slow", "severity": "high", "action": "Add a host", "owner": "Ada", "due": "2026-12-15",
        "seen_at": "2026-03-02T08:00:00Z", "retested_by": "15db3c3b-b561-4115-a3e3-24a7bfc50c35", "overdue": False,
    }  # fmt: skip
    found = context_of(findings=[noted])["findings"]
    assert found == [
        {
            "finding": "Too slow",
            **{key: noted[key] for key in ("severity", "action", "owner", "due", "by", "retested_by")},
        }
    ]
    assert "Retested by" in page(GOOD, findings=[noted]) and "Retested by" not in page(GOOD, findings=found[:0])


def test_a_session_of_the_history_is_accepted_as_the_run_before():
    before = {
        **GOOD, "id": "15db3c3b-b561-4115-a3e3-24a7bfc50c35", "kind": "test", "creation_time": "2025-12-01T08:00:00.000000Z",
        "end_time": "2025-12-01T08:12:00.000000Z", "duration": 720.0, "task_summary": {"total": 2, "success": 2},
        "verdict": {"passed": True, "rpo": {"achieved": 7200.0}},
    }  # fmt: skip
    assert context_of(previous=before)["previous"] == FULL["previous"]
    nothing_known = context_of(
        previous={"session_id": "x", "verdict": None, "task_summary": {"total": 0, "success": 0}}
    )
    assert set(nothing_known["previous"].values()) == {"x", None}


@pytest.mark.parametrize(
    ("given", "kind", "basis", "action"),
    [
        ({}, None, "It is not recorded whether this was a test or a failover.", None),
        ({"action": "test"}, "test", "Requested, as stated by the job that created this report.", "test"),
        ({"action": "start", "session_source": "task"}, "failover", "links to this session.", "start"),
        ({"action": "test", "session_source": "inferred"}, "test", "only inferred that this session belongs to that request.", "test"),
        ({"kind": "failover", "kind_basis": "recorded"}, "failover", "Recorded in the history", "start"),
        ({"kind": "test", "kind_basis": "inferred"}, "test", "Inferred from the states of the restore points", None),
        ({"kind": "test"}, "test", "How this is known is not recorded.", None),
        ({"kind": "unknown", "action": "test"}, "test", "Requested, as stated", "test"),
        ({"kind": "unknown", "kind_basis": "none"}, None, "It is not recorded", None),
    ],
)  # fmt: skip
def test_the_kind_of_the_run_and_how_it_is_known(given, kind, basis, action):
    data = json.loads(texts(make(GOOD, context=given))["json"])
    assert (data["kind"]["kind"], data["context"]["action"]) == (kind, action)
    assert basis in data["kind"]["basis"]


def test_kind_and_action_must_not_contradict_each_other():
    with pytest.raises(OptionError, match="kind: 'failover' cannot be used. The action was test."):
        make(GOOD, context={"action": "test", "kind": "failover"})


def test_a_logo_may_have_line_breaks():
    assert context_of(logo=f"{PNG[:10]}\n{PNG[10:]}\n")["logo"] == PNG
