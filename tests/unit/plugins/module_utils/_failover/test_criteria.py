# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of sessions and plans as criteria, and what these make of facts."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import values
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import OptionError
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.criteria import SessionCriteria
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.times import (
    parse_age,
)

GUID = "475420ee-d045-4493-9869-0a970e08f6f9"
NOW = datetime(2026, 3, 8, 12, 0, 0, 250000)


# SessionCriteria


def criteria(**options):
    return SessionCriteria.from_options(options.get, NOW)


def test_defaults_select_everything_newest_first():
    chosen = criteria()
    assert chosen == SessionCriteria(now=NOW)
    assert chosen.descending
    assert chosen.page_size == 100
    assert chosen.limit is None


@pytest.mark.parametrize(
    "given",
    [
        GUID,
        GUID.upper(),
        f" {GUID} ",
        f"urn:veeam:CloudFailoverSession:{GUID}",
        f"https://em.example.com:9398/api/cloud/failoverSessions/{GUID}",
        f"https://em.example.com:9398/api/cloud/failoverSessions/{GUID}?format=Entity",
        f"/api/cloud/failoverSessions/{GUID}/",
    ],
)
def test_an_id_is_a_guid_a_urn_or_an_href(given):
    assert criteria(id=[given]).ids == (GUID,)


@pytest.mark.parametrize(
    "given",
    ["not-an-id", "", "475420ee", GUID + "0", f"x{GUID}", f"/api/backupServers/{GUID}", f"{GUID},{GUID}", None, 7],
)
def test_other_ids_are_refused(given):
    with pytest.raises(OptionError, match="^id: .*GUID") as refusal:
        criteria(id=[given])
    assert str(refusal.value).startswith("id: ")


def test_an_id_given_twice_counts_once():
    assert criteria(id=[GUID, GUID.upper()]).ids == (GUID,)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("A, B", {"A, B"}),
        (["A", "B, C"], {"A", "B, C"}),
        ("007", {"007"}),
        (["7", "12:30"], {"7", "12:30"}),
        (None, None),
    ],
)
def test_a_name_is_not_split_at_commas(given, names):
    assert criteria(name=given).names == names
    assert criteria(backup_server=given).backup_servers == names


@pytest.mark.parametrize("option", ["name", "backup_server"])
@pytest.mark.parametrize("given", ["", " ", {"a": 1}, [["A"]]])
def test_other_names_are_refused(option, given):
    with pytest.raises(OptionError, match=f"^{option}: .*Give a "):
        criteria(**{option: given})


@pytest.mark.parametrize("option", ["name", "backup_server"])
@pytest.mark.parametrize("value", [*values.NOT_IN_QUOTES.values(), True, float("inf")], ids=str)
def test_a_name_that_yaml_has_changed_is_refused(option, value):
    for given in (value, ["A", value]):
        with pytest.raises(OptionError, match=f"^{option}: .*{values.QUOTE_IT}.* quote it where it is written"):
            criteria(**{option: given})


def test_null_among_names_is_refused():
    with pytest.raises(OptionError, match="^name: null cannot be used"):
        criteria(name=["A", None])


@pytest.mark.parametrize("option", ["id", "name", "state", "result", "backup_server"])
def test_an_empty_list_is_refused(option):
    with pytest.raises(OptionError, match=f"^{option}: .*selects nothing"):
        criteria(**{option: []})


@pytest.mark.parametrize(
    ("option", "value", "accepted"),
    [
        ("limit", 0, "1 or more"),
        ("limit", -1, "1 or more"),
        ("page_size", 0, "1 to 1000"),
        ("page_size", 1001, "1 to 1000"),
        ("name", [""], "Give a name"),
        ("backup_server", [" "], "Give a name"),
    ],
)
def test_values_out_of_range_are_refused(option, value, accepted):
    with pytest.raises(OptionError, match=accepted) as refusal:
        criteria(**{option: value})
    assert str(refusal.value).startswith(f"{option}: ")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2026-03-01T00:00:00Z", "2026-03-01T00:00:00.000000Z"),
        ("2026-03-01T01:00:00.5+01:00", "2026-03-01T00:00:00.500000Z"),
        ("2026-03-01 00:00:00+00:00", "2026-03-01T00:00:00.000000Z"),  # what YAML makes of a time without quotes
        ("90m", "2026-03-08T10:30:00.250000Z"),
        ("24h", "2026-03-07T12:00:00.250000Z"),
        ("7d", "2026-03-01T12:00:00.250000Z"),
        ("2w", "2026-02-22T12:00:00.250000Z"),
        ("15 S", "2026-03-08T11:59:45.250000Z"),
        ("0s", "2026-03-08T12:00:00.250000Z"),
    ],
)
@pytest.mark.parametrize("option", ["created_after", "created_before", "ended_after", "ended_before"])
def test_times_and_ages(option, given, expected):
    assert getattr(criteria(**{option: given}), option) == expected


@pytest.mark.parametrize(
    "given",
    [
        "yesterday",
        "",
        "2026-03-01",
        "2026-03-01T00:00:00",
        "7",
        "7x",
        "-7d",
        "7d2h",
        "999999w",
        "0001-01-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
    ],
)
def test_other_times_are_refused(given):
    with pytest.raises(OptionError, match="^created_after: .*ISO 8601 with zone.*7d") as refusal:
        criteria(created_after=given)
    assert str(refusal.value).startswith("created_after: ")


FACT = {
    "id": GUID,
    "name": "Plan",
    "state": "Stopped",
    "result": "Success",
    "backup_server": None,
    "creation_time": "2026-03-02T08:00:00.000000Z",
    "end_time": "2026-03-02T08:00:10.500000Z",
}


@pytest.mark.parametrize(
    ("options", "holds"),
    [
        ({}, True),
        ({"id": [GUID]}, True),
        ({"id": [GUID.replace("4", "5")]}, False),
        ({"name": ["Plan", "Other"]}, True),
        ({"name": ["plan"]}, False),
        ({"name": ["Plan "]}, False),
        ({"state": ["Working", "Stopped"]}, True),
        ({"state": ["Working"]}, False),
        ({"result": ["Success"]}, True),
        ({"result": ["None", "Failed"]}, False),
        ({"backup_server": ["s"]}, False),
        ({"created_after": "2026-03-02T08:00:00Z"}, True),
        ({"created_after": "2026-03-02T08:00:00.000001Z"}, False),
        ({"created_before": "2026-03-02T08:00:00Z"}, False),
        ({"created_before": "2026-03-02T08:00:00.000001Z"}, True),
        ({"ended_after": "2026-03-02T08:00:10.5Z"}, True),
        ({"ended_after": "2026-03-02T08:00:10.6Z"}, False),
        ({"ended_before": "2026-03-02T08:00:10.5Z"}, False),
        ({"ended_before": "2026-03-02T08:00:10.6Z"}, True),
        ({"name": ["Plan"], "result": ["Failed"]}, False),
    ],
)
def test_all_criteria_must_hold(options, holds):
    assert criteria(**options).matches(FACT) is holds


def test_a_running_session_has_not_ended():
    running = {**FACT, "state": "Working", "result": "None", "end_time": None}
    assert not criteria(ended_before="2030-01-01T00:00:00Z").matches(running)
    assert not criteria(ended_after="2000-01-01T00:00:00Z").matches(running)
    assert criteria(result=["None"]).matches(running)


@pytest.mark.parametrize(
    ("fact", "since", "holds"),
    [
        ({"finished": False}, "2026-04-01T00:00:00.000000Z", True),
        ({"finished": True}, "2026-03-02T08:00:10.500000Z", True),
        ({"finished": True}, "2026-03-02T08:00:10.500001Z", False),
        ({"finished": True, "end_time": None}, "2026-03-02T08:00:00.000000Z", True),
        ({"finished": True, "end_time": None}, "2026-03-02T08:00:00.000001Z", False),
        ({"finished": True, "end_time": "2026-03-01T08:00:00.000000Z"}, "2026-03-02T08:00:00.000000Z", True),
        ({"finished": True, "end_time": None, "creation_time": None}, "2026-03-02T08:00:00.000000Z", False),
    ],
)
def test_active_since(fact, since, holds):
    assert replace(criteria(), active_since=since).matches({**FACT, **fact}) is holds


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("90m", timedelta(minutes=90)),
        ("24h", timedelta(days=1)),
        (" 7 D ", timedelta(days=7)),
        ("1w", timedelta(days=7)),
        ("0s", timedelta(0)),
        ("h", None),
        ("1.5h", None),
        ("2026-03-02T08:00:00Z", None),
        ("", None),
    ],
)
def test_an_age(text, age):
    assert parse_age(text) == age


def test_a_backup_server_is_compared_by_name():
    fact = {**FACT, "backup_server": {"id": None, "name": "s"}}
    assert criteria(backup_server=["s"]).matches(fact)
    assert not criteria(backup_server=["S"]).matches(fact)


@pytest.mark.parametrize(
    ("after", "before"), [("1d", "7d"), ("7d", "7d"), ("2026-03-02T00:00:00Z", "2026-03-01T00:00:00Z")]
)
@pytest.mark.parametrize("event", ["created", "ended"])
def test_a_window_in_which_nothing_can_be_is_refused(event, after, before):
    with pytest.raises(OptionError, match=f"^{event}_after: .*{event}_before"):
        criteria(**{f"{event}_after": after, f"{event}_before": before})


def test_one_now_for_all_ages_of_a_run():
    chosen = SessionCriteria.from_options({"created_after": "1h", "ended_after": "1h"}.get)
    assert chosen.created_after == chosen.ended_after
