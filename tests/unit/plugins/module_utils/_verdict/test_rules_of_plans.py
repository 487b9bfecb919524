# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

import itertools

import pytest
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.module_utils._verdict.verdict_facts import (
    QUICK,
    codes,
    judged,
    plan,
    session,
    task,
    texts,
)
from hypothesis import given
from hypothesis import strategies as st


def test_vms_that_were_not_attempted():
    facts = session(task("a"), task("twice"), task("extra"))
    asked = plan(("y", 3), ("z", 2), ("b", None), ("twice", 0), ("twice", 0), ("a", 1))
    verdict = judged(facts, plan=asked)
    assert verdict["not_attempted"] == ["twice", "z", "y", "b"]
    assert [(reason["code"], reason["vm"], reason["text"]) for reason in verdict["reasons"]] == [
        (
            "not_attempted",
            None,
            "4 VMs of the plan are not in the session, or not as often: twice (2 times in the plan, once in the session); z, y, b.",
        ),
    ]
    assert [(note["code"], note["vm"]) for note in verdict["notes"]] == [("not_in_plan", "extra")]
    assert {vm["name"]: (vm["in_plan"], vm["order"]) for vm in verdict["vms"]} == {
        "a": (True, 1),
        "twice": (True, 0),
        "extra": (False, None),
    }


@pytest.mark.parametrize(
    ("starts", "orders", "expected"),
    [
        ({"a": 10, "b": 20}, {"a": 0, "b": 1}, []),
        ({"a": 20, "b": 10}, {"a": 0, "b": 1}, [("order_violated", "b")]),
        ({"a": 20, "b": 10}, {"a": 1, "b": 1}, []),
        ({"a": 11, "b": 10}, {"a": 0, "b": 1}, []),
        ({"a": 11.5, "b": 10}, {"a": 0, "b": 1}, [("order_violated", "b")]),
        ({"a": 20, "b": 10}, {"a": None, "b": 1}, []),
        ({"a": 20, "b": 10}, {"b": 1}, []),
        ({"a": 20, "b": 10}, {"a": True, "b": 2}, []),
        ({"a": 20, "b": 10, "c": 15}, {"a": 0, "b": 1, "c": 2}, ["order_violated"]),
        ({"a": 10, "b": 30, "c": 20}, {"a": 0, "b": 5, "c": 9}, [("order_violated", "c")]),
        ({"a": None, "b": 10}, {"a": 0, "b": 1}, [("order_unknown", "a")]),
        ({"a": None, "b": 10}, {"a": 1, "b": 1}, []),
        ({"a": 10}, {"a": 1}, []),
    ],
)
def test_boot_order(starts, orders, expected):
    facts = session(*(task(name, start, 90) for name, start in starts.items()))
    assert codes(facts, plan=plan(*orders.items())) == expected


def test_ends_say_nothing_about_the_boot_order():
    facts = session(task("large", 10, 90), task("small", 12, 30))
    assert codes(facts, plan=plan(("large", 0), ("small", 1))) == []


def test_sentences_on_the_boot_order():
    facts = session(task("db1", 10), task("db2", 65), task("app", 5, 90))
    asked = plan(("db1", 0), ("db2", 0), ("app", 3))
    assert texts(facts, plan=asked) == ["app (order 3) was started 1 min before db2 (order 0)."]
    (reason,) = judged(facts, plan=asked)["reasons"]
    assert (reason["target"], reason["achieved"]) == (0, 3)


def test_a_name_with_two_orders_has_none():
    facts = session(task("a", 20, point_id="1"), task("a", 1, point_id="2"), task("b", 10))
    asked = plan(("a", 0), ("b", 1), ("a", 2))
    assert codes(facts, plan=asked) == []
    assert [vm["order"] for vm in judged(facts, plan=asked)["vms"]] == [None, 1, None]


SERVER = "66666666-1111-4222-8333-444444444444"


@pytest.mark.parametrize(
    ("changes", "mismatch"),
    [
        ({}, None),
        ({"name": "plan"}, "its name is 'plan', the session's is 'Plan'"),
        ({"name": None}, "its name is null, the session's is 'Plan'"),
        (
            {"backup_server": {"id": SERVER, "name": "vbr"}},
            f"its backup server is '{SERVER}', the session's is '55555555-1111-4222-8333-444444444444'",
        ),
        ({"backup_server": {"id": None, "name": "vbr2"}}, "its backup server is 'vbr2', the session's is 'vbr'"),
        ({"backup_server": {"id": "55555555-1111-4222-8333-444444444444".upper(), "name": "x"}}, None),
        ({"backup_server": {"id": None, "name": "VBR"}}, None),
        ({"backup_server": {"id": None, "name": None}}, None),
        ({"backup_server": None}, None),
    ],
)
def test_the_plan_of_another_session(changes, mismatch):
    asked = plan(("vm", 0), ("gone", 1), **changes)
    verdict = judged(session(task()), plan=asked)
    if mismatch is None:
        assert [reason["code"] for reason in verdict["reasons"]] == ["not_attempted"]
    else:
        say = f"The plan given is not that of the session: {mismatch}. The session was not judged by it."
        assert [reason["text"] for reason in verdict["reasons"]] == [say]
        assert verdict["not_attempted"] == []
        assert verdict["vms"][0]["in_plan"] is None


def test_a_plan_without_vms_proves_nothing():
    for vms in ([], None):
        assert codes(session(task()), plan={**plan(), "vms": vms}) == ["plan_without_vms"]


SECONDS = st.one_of(st.none(), st.integers(-50, 200), st.sampled_from([-0.5, 0.5, 1, 1.001, 100]))


@QUICK
@given(st.lists(st.tuples(SECONDS, st.integers(0, 3)), max_size=6))
def test_boot_order_against_all_pairs(given_vms):
    names = [f"vm{n}" for n in range(len(given_vms))]
    facts = session(*(task(name, start, 100) for name, (start, dummy) in zip(names, given_vms)))
    asked = plan(("other", None), *((name, order) for name, (dummy, order) in zip(names, given_vms)))
    expected = set()
    for (one, (early, high)), (dummy, (late, low)) in itertools.permutations(list(zip(names, given_vms)), 2):
        if high > low and None not in (early, late) and late - early > 1:
            expected.add(one)
    vms = judged(facts, plan=asked)["vms"]
    assert {vm["name"] for vm in vms if "order_violated" in vm["reasons"]} == expected
