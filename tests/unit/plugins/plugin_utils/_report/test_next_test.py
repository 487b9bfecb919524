# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The date of the next test, by the policy of readiness."""

from __future__ import annotations

import json

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import OptionError
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.plugin_utils._report.reports import (
    BAD,
    GOOD,
    Page,
    judge,
    make,
    page,
    plan,
    texts,
)

PLAN = plan("dc01", "web01")
NAME = PLAN["name"]


def next_test(facts, verdict, policy, **context):
    made = make(facts, verdict, PLAN, {"action": "test", "policy": {"plans": policy}, **context})
    return json.loads(texts(made)["json"])["context"]["next_test"]


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


def test_it_is_on_the_page():
    html = page(GOOD, judge(GOOD), PLAN, action="start", policy={"plans": DAILY})
    assert "Next test 2026-03-03 08:10:06 UTC" in Page(html).text


def test_a_policy_that_cannot_be_used_is_refused():
    with pytest.raises(OptionError, match=r"policy\[plans\]\[0\]: 'grase' cannot be used"):
        next_test(GOOD, None, [{"match": "*", "grase": "1d"}])
