# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The dates of the next test and of the retest: as given, by the policy of readiness, not needed, or not recorded."""

from __future__ import annotations

import json

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import OptionError
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.plugin_utils._report.reports import (
    BAD,
    GOOD,
    RUNNING,
    Page,
    judge,
    make,
    page,
    plan,
    texts,
)

PLAN = plan("dc01", "web01")
NAME = PLAN["name"]


def dates(facts, verdict, policy, **context):
    made = texts(make(facts, verdict, PLAN, {"action": "test", "policy": {"plans": policy}, **context}))
    record = json.loads(made["json"])
    assert [record["context"][name] for name in ("next_test", "retest")] == [
        context.get(name) for name in ("next_test", "retest")
    ]
    for label, due in (("Retest", record["retest"]), ("Next test", record["next_test"])):
        word = "not needed" if due["basis"] else "not recorded"
        date = (due["date"] or word).replace("T", " ").split(".")[0]
        assert f"{label} {date}{' UTC' if ':' in date else ''} {due['basis'] or ''}".strip() in Page(made["html"]).text
    return record


def next_test(facts, verdict, policy, **context):
    return dates(facts, verdict, policy, **context)["next_test"]["date"]


def retest(facts, verdict, policy, **context):
    due = dates(facts, verdict, policy, **context)["retest"]
    return (due["date"], due["basis"])


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ([{"match": NAME, "test_every": "30d"}], "2026-04-01T08:10:06.110000Z"),
        ([{"match": "*", "test_every": "7d"}, {"match": NAME, "test_every": "1d"}], "2026-03-03T08:10:06.110000Z"),
        ([{"match": "*", "tenant": "ABC*", "test_every": "1d"}], "2026-03-03T08:10:06.110000Z"),
        ([{"match": "*", "tenant": "Other", "test_every": "1d"}], None),
        ([{"match": "Other", "test_every": "1d"}], None),
        ([{"match": NAME}], None),
        ([{"match": NAME, "test_every": "1d", "rto": "1m"}], None),  # it passed by its verdict, but took longer
        ([{"match": NAME, "test_every": "1d", "rpo": "1h"}], None),  # the ages are not known
        ([{"match": NAME, "test_every": "1d", "critical_vms": ["web01"]}], "2026-03-03T08:10:06.110000Z"),
        ([{"match": NAME, "test_every": "1d", "critical_vms": ["mail"]}], None),
    ],
)
def test_a_run_that_passed_is_followed_by_one_in_time(policy, expected):
    assert next_test(GOOD, judge(GOOD, rto="15m"), policy) == expected


DAILY = [{"match": "*", "test_every": "1d"}]


def test_without_a_pass_or_a_kind_there_is_no_date():
    assert next_test(BAD, judge(BAD), DAILY) is None
    assert next_test(GOOD, judge(GOOD, rto="1m"), DAILY) is None
    assert next_test(GOOD, judge(GOOD), DAILY, action=None) is None
    assert next_test(GOOD, judge(GOOD), DAILY, action="undo") is None
    assert next_test({"id": "x", "state": "Working", "name": NAME}, None, DAILY) is None


def test_without_a_verdict_the_result_counts_as_for_readiness():
    assert next_test(GOOD, None, DAILY) == "2026-03-03T08:10:06.110000Z"
    assert next_test(BAD, None, DAILY) is None


def test_a_date_that_is_given_wins():
    assert next_test(GOOD, judge(GOOD), DAILY, next_test="2026-06-01") == "2026-06-01"


SOON = [{"match": "*", "retest_within": "30d"}]
IN_TIME = "2026-04-01T08:10:06.110000Z"
BY_POLICY = "By the policy, which asks for a retest within 30 d. By it, this run did not pass."
NONE = "The policy asks for none. By it, this run passed."


@pytest.mark.parametrize(
    ("facts", "verdict", "policy", "context", "expected"),
    [
        (BAD, judge(BAD), SOON, {}, (IN_TIME, BY_POLICY)),
        (BAD, None, SOON, {}, (IN_TIME, BY_POLICY)),  # without a verdict, the result counts
        (BAD, judge(BAD), SOON, {"action": "start"}, (IN_TIME, BY_POLICY)),
        (GOOD, judge(GOOD, rto="1m"), SOON, {}, (IN_TIME, BY_POLICY)),
        (GOOD, judge(GOOD), [{**SOON[0], "rto": "1m"}], {}, (IN_TIME, BY_POLICY)),  # it passed by its verdict
        (GOOD, judge(GOOD), SOON, {}, (None, NONE)),
        (GOOD, judge(GOOD), SOON, {"retest": "2026-12-28"}, ("2026-12-28", "As given.")),
        (BAD, judge(BAD), SOON, {"retest": "2026-12-28"}, ("2026-12-28", "As given.")),
        (BAD, judge(BAD), [], {"retest": "2026-12-28"}, ("2026-12-28", "As given.")),
        (BAD, judge(BAD), [{"match": "*", "test_every": "1d"}], {}, (None, None)),  # no time is set
        (GOOD, judge(GOOD), [{"match": "*"}], {}, (None, None)),
        (BAD, judge(BAD), [{**SOON[0], "match": "Other"}], {}, (None, None)),
        (BAD, judge(BAD), SOON, {"action": None}, (None, None)),  # what does not count asks for nothing
        (BAD, judge(BAD), SOON, {"action": "undo"}, (None, None)),
        (RUNNING, judge(RUNNING), SOON, {}, (None, None)),
    ],
)
def test_a_run_that_did_not_pass_asks_for_a_retest(facts, verdict, policy, context, expected):
    assert retest(facts, verdict, policy, **context) == expected


@pytest.mark.parametrize("facts", [GOOD, BAD])
@pytest.mark.parametrize("context", [{}, {"retest": "2026-12-28"}], ids=str)
def test_a_report_by_a_policy_can_be_made_again_from_its_record(facts, context):
    """The record does not have the policy, which may name plans of others."""
    policy = {"plans": [{**DAILY[0], **SOON[0]}]}
    made = make(facts, judge(facts), PLAN, {"action": "test", "policy": policy, **context})
    record = json.loads(texts(made)["json"])
    dates = {name: record[name] for name in ("next_test", "retest")}
    again = {**record["context"], "dates": dates}
    assert make(record["session"], record["verdict"], record["plan"], again) == made


NOTHING = {"date": None, "basis": None}


@pytest.mark.parametrize(
    ("dates", "words"),
    [
        ("2026-12-28", "dates: '2026-12-28' cannot be used. Give next_test and retest as the report's JSON has them"),
        ({"retest": NOTHING}, "dates.next_test: null cannot be used."),
        ({"next_test": "2026-12-28", "retest": NOTHING}, "dates.next_test: '2026-12-28' cannot be used."),
        ({"next_test": NOTHING, "retest": {"date": "soon", "basis": None}}, "dates[retest][date]: 'soon' cannot be used."),
        ({"next_test": NOTHING, "retest": {"date": None, "basis": 7}}, "dates.retest: a dictionary cannot be used."),
    ],
)  # fmt: skip
def test_recorded_dates_that_cannot_be_used_are_refused(dates, words):
    with pytest.raises(OptionError) as raised:
        make(GOOD, context={"dates": dates})
    assert words in str(raised.value)


def test_without_a_policy_a_date_is_as_given_or_not_recorded():
    made = json.loads(texts(make(BAD, judge(BAD), None, {"retest": "2026-12-28"}))["json"])
    assert made["retest"] == {"date": "2026-12-28", "basis": "As given."}
    assert made["next_test"] == {"date": None, "basis": None}


def test_it_is_on_the_page():
    html = page(GOOD, judge(GOOD), PLAN, action="start", policy={"plans": DAILY})
    assert "Next test 2026-03-03 08:10:06 UTC" in Page(html).text


def test_a_policy_that_cannot_be_used_is_refused():
    with pytest.raises(OptionError, match=r"policy\[plans\]\[0\]: 'grase' cannot be used"):
        next_test(GOOD, None, [{"match": "*", "grase": "1d"}])
