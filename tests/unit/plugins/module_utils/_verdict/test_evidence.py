# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

import re

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import OptionError
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._verdict.evaluate import evaluate
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.module_utils._verdict.verdict_facts import (
    EARLY,
    ZERO,
    at,
    codes,
    judged,
    session,
    task,
    texts,
)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (None, "session: null cannot be used. Give one session, such as failover_sessions[0] of "),
        ("475420ee-d045-4493-9869-0a970e08f6f9", "session: '475420ee-d045-4493-9869-0a970e08f6f9' cannot be used."),
        (7, "session: 7 cannot be used."),
        ([], "session: a list of 0 cannot be used. Give one session"),
        ([session()] * 3, "session: a list of 3 cannot be used"),
        ({}, "session: a dictionary cannot be used. It has no id."),
        (task(), "session: a dictionary cannot be used. It has no id."),
        ({key: value for key, value in session().items() if key != "end_time"}, "It has no end_time."),
        ({"failover_sessions": [session()]}, "session: a dictionary cannot be used. It has no id. Give one session"),
        ({"failover_session": session(), "waited": 3}, "or failover_session of failover_plan."),
        (session("vm"), "session: a dictionary cannot be used. Its tasks are not a list of dictionaries."),
        ({**session(), "tasks": {"a": task()}}, "session: a dictionary cannot be used. Its tasks are not a list"),
        ({**session(), "tasks": "none"}, "session: a dictionary cannot be used. Its tasks are not a list"),
    ],
)
def test_what_is_no_session(facts, words):
    with pytest.raises(OptionError) as raised:
        evaluate(facts, {})
    assert words in str(raised.value)
    assert re.fullmatch(r"session: .+ cannot be used\b.*\.", str(raised.value))


def test_a_session_without_the_key_tasks():
    facts = session()
    del facts["tasks"]
    assert [reason["code"] for reason in evaluate(facts, {"rpo": 5})["reasons"]] == ["no_tasks"]


def test_times_that_are_no_texts():
    facts = session(task())
    assert judged({**facts, "creation_time": ZERO})["rto"]["achieved"] == 100
    assert judged({**facts, "end_time": 17})["rto"]["achieved"] is None


def test_vms_stand_in_the_order_of_their_starts():
    facts = session(task("c", None), task("b", 20), task("a", 10), task("d", 5), task("A", 20))
    assert [vm["name"] for vm in judged(facts)["vms"]] == ["d", "a", "A", "b", "c"]


@pytest.mark.parametrize(
    "changes",
    [
        {"end": 60},
        {"end": None},
        {"state": "Working"},
        {"result": "Odd"},
        {"message": "m"},
        {"point": "p"},
        {"point_id": "p"},
    ],
)
def test_vms_that_differ_in_one_thing_have_an_order(changes):
    tasks = [task(**changes), task()]
    assert judged(session(*tasks)) == judged(session(*reversed(tasks)))


@pytest.mark.parametrize(("start", "after"), [(-1.001, None), (-1, 0), (-0.5, 0), (0, 0), (0.5, 0.5), (None, None)])
def test_the_start_of_a_vm_counts_from_that_of_the_session(start, after):
    assert judged(session(task(start=start)))["vms"][0]["started_after"] == after
    assert judged(session(task(start=start), start=None))["vms"][0]["started_after"] is None


def test_rto_of_a_vm_counts_from_the_start_of_the_session():
    facts = session(task(start=60, end=100))
    assert codes(facts, vm_rto={"vm": 100}) == []
    assert codes(facts, vm_rto={"vm": 99}) == [("rto_missed", "vm")]
    assert judged(session(task(start=0, end=0)))["vms"][0]["rto"]["achieved"] == 0
    (vm,) = judged(facts, vm_rto={"vm": 99})["vms"]
    assert (vm["started_after"], vm["duration"], vm["rto"]["achieved"]) == (60, 40, 100)


def test_nothing_is_achieved_by_what_failed():
    facts = session(task("a", result="Failed"), task("b"), result="Failed")
    verdict = judged(facts, rto="1h", vm_rto={"*": "1h"})
    assert verdict["rto"]["achieved"] is None
    assert verdict["session"]["duration"] == 100
    assert [vm["rto"]["achieved"] for vm in verdict["vms"]] == [None, 70]
    assert [vm["reasons"] for vm in verdict["vms"]] == [["failed", "rto_missed"], []]
    # A target of its own is not excused by max_failed.
    assert codes(facts, rto="1h", max_failed=1) == []
    assert codes(facts, vm_rto={"*": "1h"}, max_failed=1) == [("rto_missed", "a")]
    facts["end_time"] = None
    # How long a failure took that is allowed is not known.
    assert texts(facts, rto="1h", max_failed=1) == [
        "The run cannot be compared with its 1 h target: Enterprise Manager gives no usable times."
    ]
    assert judged(facts, rto="1h", max_failed=1)["rto"]["status"] == "not_judged"
    assert judged(facts, rto="1h")["rto"]["status"] == "missed"


@pytest.mark.parametrize(
    ("point", "offset", "age"),
    [
        (f"vm@{EARLY}", "Z", 10800),
        (f"vm@{EARLY}", "utc", 10800),
        (f"vm@{EARLY}", "+00:00", 10800),
        (f"vm@{EARLY}", "+01:00", 14400),
        (f"vm@{EARLY}", "+10:45", 49500),
        (f"vm@{EARLY}", "-0230", 1800),
        (f"vm@{EARLY}", "-03:00", 0),
        (f"vm@{EARLY}", "-03:01", None),
        (f"a@b@{EARLY}", "Z", 10800),
        (f"@{EARLY}", "Z", 10800),
        (f"{{% x %}}\n@{EARLY} ", "Z", 10800),
        (f"vm@{EARLY}", None, None),
        (f"vm {EARLY}", "Z", None),
        (f"vm@{EARLY}Z", "Z", None),
        ("vm@2026-02-30 05:00:00", "Z", None),
        ("vm@0001-01-01 00:00:00", "+14:00", None),
        ("vm@9999-12-31 23:59:59", "-14:00", None),
        ("vm@02.03.2026 05:00:00", "Z", None),
        ("vm@٢٠٢٦-03-02 05:00:00", "Z", None),
        ("vm@5:00", "Z", None),
        ("", "Z", None),
        (None, "Z", None),
        (7, "Z", None),
    ],
)
def test_age_of_the_restore_point(point, offset, age):
    facts = session(task(point=point) if point != "" else {**task(), "replica_point": {"id": None, "name": ""}})
    (vm,) = judged(facts, point_utc_offset=offset)["vms"]
    assert vm["rpo"] == {"target": None, "achieved": age, "margin": None, "status": "none"}
    expected = [("rpo_unknown", "vm")] if age is None else [("rpo_missed", "vm")] if age > 3600 else []
    assert codes(facts, rpo=3600, point_utc_offset=offset) == expected


@pytest.mark.parametrize("offset", [None, "+02:00"])
@pytest.mark.parametrize("point", [f"vm@{EARLY}", "vm@soon", None])
def test_the_creation_time_of_a_restore_point_counts_more_than_its_name(point, offset):
    facts = session({**task(created=-90.5), "replica_point": {"id": "p", "name": point, "creation_time": at(-90.5)}})
    verdict = judged(facts, rpo="2m", point_utc_offset=offset)
    assert verdict["passed"] is True
    (vm,) = verdict["vms"]
    assert vm["rpo"] == {"target": 120, "achieved": 90.5, "margin": 29.5, "status": "met"}
    assert vm["replica_point"] == {"id": "p", "name": point, "time": at(-90.5)}
    assert codes(facts, rpo=90, point_utc_offset=offset) == [("rpo_missed", "vm")]


@pytest.mark.parametrize("created", [None, "", "soon", "0001-01-01T00:00:00Z"])
def test_without_a_creation_time_the_name_counts(created):
    facts = session(task(created=created))
    assert judged(facts, point_utc_offset="Z")["vms"][0]["rpo"]["achieved"] == 10800
    assert codes(facts, rpo="4h") == [("rpo_unknown", "vm")]


def test_the_critical_vm_ended_last():
    facts = session(task("a", 10, 40), task("b", 5, 90, result="Failed"), task("c", 20, 60), result="Failed")
    assert judged(facts)["critical_vm"] == "b"
    assert [vm["name"] for vm in judged(facts)["vms"] if vm["critical"]] == ["b"]
    facts["tasks"][2]["end_time"] = None
    assert judged(facts)["critical_vm"] is None
    assert judged(session(task("a"), state="Working"))["critical_vm"] is None


def test_one_of_two_vms_of_one_name_is_critical():
    facts = session(task("a", 10, 40, point_id="2"), task("a", 10, 90, point_id="1"), task("b", 1, 90))
    assert [(vm["name"], vm["critical"]) for vm in judged(facts)["vms"]] == [("b", True), ("a", False), ("a", False)]


@pytest.mark.parametrize(
    ("facts", "gaps"),
    [
        (session(task("a", 0, 40), task("b", 40, 100)), []),
        (session(task("a", 5, 40), task("b", 30, 99.5)), [(0, 5)]),
        (session(task("a", 0.5, 40), task("b", 41, 98)), [(40, 41), (98, 100)]),
        (session(task("a", 0.5, 40), task("b", 40.999, 100)), []),
        (session(task("a", 0, 80), task("b", 10, 20), task("c", 90, 100)), [(80, 90)]),
        (session(task("a", None, 40), task("b", 60, 100)), [(40, 60)]),
        (session(task("a", 10, None), task("b", 60, 70)), [(0, 10)]),
        (session(task("a", None, None), task("b", 60, 70)), []),
        (session(task("a", 10, 20), task("b", 60, 70), start=None), [(20, 60), (70, 100)]),
        (session(task("a", 10, 20), task("b", 60, 70), start=None, end=None), [(20, 60)]),
        (session(task("a", None, 20), start=None, end=None), []),
        (session(task("a", 10, 20), state="Working"), [(0, 10)]),
        (session(task("a", 10, 20), task("b", 60, state="Working"), state="Working"), [(0, 10), (20, 60)]),
        (session(task("a", 70, 60)), [(0, 60), (70, 100)]),
        (session(task("a", -50, -40)), [(0, 100)]),
        (session(task("a", 130, 140)), [(0, 100)]),
        (session(task("a", 10, 20), end=-50), []),
        (session(), []),
    ],
)
def test_idle_times(facts, gaps):
    found = judged(facts)["idle"]
    assert [(gap["from"], gap["to"]) for gap in found] == [(at(start), at(end)) for start, end in gaps]
