# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each status and each reason, reached on purpose. One plan that is ready, and one change each."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._readiness.status import STATUSES, readiness
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.module_utils._readiness.readiness_facts import (
    EM,
    NOW,
    POLICY,
    ago,
    codes,
    history,
    judged,
    look,
    note,
    plan,
    point,
    run,
    task,
)

REPO = Path(__file__).resolve().parents[5]
FOLDER = REPO / "plugins" / "module_utils" / "_readiness"
GOOD = run(10, "db", "web")
OTHER_SERVER = {"id": None, "name": "vbr02"}


def test_ready():
    found = judged(history(GOOD))
    assert (found["status"], found["reasons"], found["in_failover"]) == ("ready", [], False)
    assert found["next_due"] == ago(-80)
    assert found["last_passed"] == {"session_id": "run-10", "kind": "test", "end_time": ago(10), "passed": True}
    assert found["vms"] == [
        {"name": name, "last_success": ago(10), "session_id": "run-10", "kind": "test"} for name in ("db", "web")
    ]
    assert found["drift"] == {"added": [], "removed": [], "reordered": []}
    assert found["runs"] == [found["last_passed"]]
    assert found["policy"]["test_every"] == 90 * 86400 and found["policy"]["critical_vms"] == []
    assert (found["tenant"]["name"], found["backup_server"]["name"], found["em_name"]) == ("Acme", "vbr01", EM)


def changed_plan(*names, then=("db", "web")):
    return [plan(*names, versions={400: then, 5: names})]


BY_STATUS = {
    "failed": {
        "newest failed": (
            history(run(5, task("db", "Failed"), "web", result="Failed"), GOOD),
            {},
            ["not_passed", "vm_failed"],
        ),
        "failover too": (
            history(run(5, "db", "web", kind="failover", result="Failed"), GOOD),
            {},
            ["not_passed", "failed"],
        ),
        "retest until the last moment": (
            history(run(5, result="Failed"), GOOD),
            {"retest_within": "5d"},
            ["not_passed", "failed", "retest_due"],
        ),
        "retest too late": (
            history(run(5, result="Failed"), run(6, result="Failed")),
            {"retest_within": "4d"},
            ["not_passed", "failed", "retest_overdue"],
        ),
        "nothing ever passed": (history(run(5, result="Failed")), {}, ["not_passed", "failed"]),
        "failed VM in a success": (history(run(5, task("db", "Failed"), "web"), GOOD), {}, ["not_passed", "vm_failed"]),
        "no result": (history(run(5, "db", "web", result="None"), GOOD), {}, ["not_passed", "no_result"]),
        "unknown result": (history(run(5, "db", "web", result="Odd"), GOOD), {}, ["not_passed", "no_result"]),
        "warning": (
            history(run(5, "db", "web", result="Warning")),
            {"allow_warnings": False},
            ["not_passed", "warning"],
        ),
        "verdict": (
            history(
                run(5, "db", "web", verdict={"passed": False, "reasons": [{"code": "x", "vm": "db", "text": "X."}]})
            ),
            {},
            ["not_passed", "x"],
        ),
        "verdict without a reason": (
            history(run(5, "db", "web", verdict={"passed": False, "reasons": []})),
            {},
            ["not_passed", "verdict_not_passed"],
        ),
        "too slow": (history(GOOD), {"rto": "599s"}, ["not_passed", "rto_missed"]),
        "too slow for the policy, not for the verdict": (
            history(run(5, "db", "web", verdict={"passed": True, "reasons": []})),
            {"rto": 599},
            ["not_passed", "rto_missed"],
        ),
        "time unknown": (history(run(5, "db", "web", duration=None)), {"rto": "1h"}, ["not_passed", "rto_unknown"]),
        "old point": (history(GOOD), {"rpo": "59m"}, ["not_passed", "rpo_missed"]),
        "point unknown": (
            history(run(5, "db", task("web", point_age=None))),
            {"rpo": "4h"},
            ["not_passed", "rpo_unknown"],
        ),
        "points of no VM": (history(run(5)), {"rpo": "4h"}, ["not_passed", "rpo_unknown"]),
        "critical VM not there": (history(GOOD), {"critical_vms": ["app"]}, ["not_passed", "critical_vm"]),
        "critical VM not seen to its end": (
            history(run(5, "db", task("web", "None", finished=False))),
            {"critical_vms": ["web"]},
            ["not_passed", "critical_vm"],
        ),
        "critical VM that the verdict excused": (
            history(run(5, "db", task("web", "Failed"), result="Failed", verdict={"passed": True, "reasons": []})),
            {"critical_vms": "web"},
            ["not_passed", "critical_vm"],
        ),
    },
    "never_tested": {"no run": (history(), {}, ["never_tested"])},
    "overdue": {
        "a moment after grace": (history(GOOD), {"test_every": "8d", "grace": 172799}, ["overdue"]),
        "without grace": (history(run(90.1, "db", "web")), {"grace": None}, ["overdue"]),
    },
    "in_failover": {
        "a point that a run used": (history(GOOD, points=[point("db")]), {}, ["in_failover"]),
        "a point of a VM that was failed over alone": (
            history(GOOD, points=[point("db", id="other")]),
            {},
            ["in_failover"],
        ),
        "failback": (history(GOOD, points=[point("db", "Failback")]), {}, ["in_failover"]),
        "a failover of which nothing more is known": (
            history(run(5, "db", "web", kind="failover"), looks=[look(missing=["points"])]),
            {},
            ["in_failover"],
        ),
        "an undo that failed": (
            history(
                run(4, kind="undo", result="Failed"),
                run(5, "db", "web", kind="failover"),
                looks=[look(missing=["points"])],
            ),
            {},
            ["in_failover"],
        ),
    },
    "changed": {
        "added": (history(GOOD, plans=changed_plan("db", "web", "app")), {}, ["vm_added"]),
        "removed": (history(GOOD, plans=changed_plan("web")), {}, ["vm_removed"]),
        "reordered": (history(GOOD, plans=changed_plan("web", "db")), {}, ["vm_reordered"]),
        "another of that name": (history(GOOD, plans=changed_plan("db", "web", "web")), {}, ["vm_added"]),
        "without a version": (
            history(GOOD, plans=[plan("db", "app", versions={5: ("db", "app")})]),
            {},
            ["vm_added", "vm_removed"],
        ),
    },
    "partial": {
        "never": (history(run(10, "db")), {}, ["vm_not_exercised"]),
        "not to its end": (history(run(10, "db", task("web", "None", finished=False))), {}, ["vm_not_exercised"]),
        "a namesake failed": (
            history(run(10, "db", "web", task("web", "None", finished=False))),
            {},
            ["vm_not_exercised"],
        ),
        "too long ago": (history(run(10, "db"), run(101, "db", "web")), {}, ["vm_overdue"]),
        "in no run that lists VMs": (history(run(10)), {}, ["vm_not_exercised", "no_vms_listed"]),
        "a run of unknown kind does not count": (
            history(run(10, "db"), run(20, "db", "web", kind="unknown")),
            {},
            ["vm_not_exercised"],
        ),
    },
    "due": {
        "soon": (history(run(76, "db", "web")), {}, ["due"]),
        "at the end of grace": (history(run(100, "db", "web")), {}, ["due"]),
        "at the moment": (history(GOOD), {"test_every": "10d", "warn_before": None}, ["due"]),
    },
    "no_policy": {
        "nothing fits": (history(GOOD), {"match": "Other"}, ["no_policy"]),
        "case": (history(GOOD), {"match": "plan"}, ["no_policy"]),
        "tenant": (history(GOOD), {"tenant": "Globex"}, ["no_policy"]),
        "no interval": (history(GOOD), {"test_every": None}, ["no_interval"]),
    },
    "unproven": {
        "only of unknown kind": (history(run(10, "db", "web", kind="unknown")), {}, ["kind_unknown"]),
        "of no kind": (history({**GOOD, "kind": None}), {}, ["kind_unknown"]),
        "newest of unknown kind": (history(run(5, "db", "web", kind="unknown"), GOOD), {}, ["kind_unknown"]),
        "runs": (history(run(0.1, finished=False, result="None"), GOOD), {}, ["run_not_finished"]),
        "only undone": (history(run(10, kind="undo")), {}, ["only_undo"]),
        "plan unknown": (history(GOOD, plans=[]), {}, ["plan_unknown"]),
        "plan without VMs": (history(GOOD, plans=[plan(versions={400: ("db", "web")})]), {}, ["plan_without_vms"]),
        "no VMs in the last run": (history(run(5), GOOD), {}, ["no_vms_listed"]),
        "gap": (history(GOOD, gaps=[{"em_name": EM, "from": ago(50), "to": ago(9)}]), {}, ["gap"]),
        "no look": (history(GOOD, looks=[]), {}, ["no_look"]),
        "look at another EM": (history(GOOD, looks=[look(em_name="other")]), {}, ["no_look"]),
        "no look but one while EM's clock was ahead": (history(GOOD, looks=[look(-999, -999)]), {}, ["no_look"]),
        "old look": (history(run(50, "db", "web"), looks=[look(31, 31)]), {}, ["look_old"]),
        "age of the copy unknown": (
            history(GOOD, looks=[look(copy=None)]),
            {},
            ["copy_age_unknown", "failover_unknown"],
        ),
        "stale copy": (history(GOOD, looks=[look(copy=1.1)]), {}, ["copy_stale"]),
        "the newest look counts": (
            history(GOOD, looks=[look(2, 2.1), look(1, 2.1)]),
            {},
            ["copy_stale"],
        ),
        "plans unread": (history(GOOD, looks=[look(missing=["plans"])]), {}, ["plans_unread"]),
        "points unread": (history(GOOD, looks=[look(missing=["points"])]), {}, ["failover_unknown"]),
        "copy older than the run": (history(run(0.1, "db", "web"), looks=[look(copy=0.11)]), {}, ["failover_unknown"]),
        "state of a point unknown": (history(GOOD, points=[point("db", "Unknown")]), {}, ["failover_unknown"]),
    },
}
CASES = [
    pytest.param(status, *case, id=f"{status}: {name}")
    for status, those in BY_STATUS.items()
    for name, case in those.items()
]


@pytest.mark.parametrize(("status", "facts", "policy", "expected"), CASES)
def test_each_status(status, facts, policy, expected):
    found = judged(facts, **policy)
    assert [item["code"] for item in found["reasons"]] == expected
    assert found["status"] == status


def test_each_status_and_code_has_a_case():
    assert [*BY_STATUS, "ready"] == list(STATUSES)
    expected = {code for those in BY_STATUS.values() for case in those.values() for code in case[2]}
    assert expected >= {code for those in STATUSES.values() for code in those}


NOT_WORSE = {
    "a copy that was collected at the end of the run": history(run(0.1, "db", "web"), looks=[look(copy=0.1)]),
    "an older failure": history(GOOD, run(20, task("db", "Failed"), "web", result="Failed")),
    "an older run of unknown kind": history(GOOD, run(20, kind="unknown")),
    "an undo afterwards": history(run(5, kind="undo"), GOOD),
    "a failover that was undone, its points at rest": history(
        run(4, kind="undo"), run(5, "db", "web", kind="failover")
    ),
    "a failover that undid itself, its points not read": history(
        run(5, "db", "web", kind="failover", run={"undo": {"done": True}}), looks=[look(missing=["points"])]
    ),
    "a failover with points at rest": history(run(5, "db", "web", kind="failover")),
    "points at rest or gone": history(GOOD, points=[point("db", "Ready"), point("web", None)]),
    "a point of another server": history(GOOD, points=[point("db", id="other", backup_server=OTHER_SERVER)]),
    "a point of another EM": history(GOOD, points=[point("db", em_name="other")]),
    "a warning": history(run(10, "db", task("web", "Warning"), result="Warning")),
    "a failed VM that the verdict excused, which came up before": history(
        run(5, "db", task("web", "Failed"), result="Failed", verdict={"passed": True, "reasons": []}), GOOD
    ),
    "a VM in another run than the last": history(run(5, "db"), GOOD),
    "a VM in a run that did not pass": history(
        run(5, "db"), run(6, task("db", "Failed"), "web", result="Failed"), run(200, "db")
    ),
    "a gap before": history(GOOD, gaps=[{"em_name": EM, "from": ago(80), "to": ago(20)}]),
    "a gap at another EM": history(GOOD, gaps=[{"em_name": "other", "from": ago(50), "to": ago(9)}]),
    "a look while EM's clock was ahead": history(
        GOOD, looks=[look(), look(-999, copy=None)], gaps=[{"em_name": EM, "from": ago(0.01), "to": ago(-999)}]
    ),
    "a look while EM's clock was ahead by less than a day": history(GOOD, looks=[look(-0.9, -0.9)]),
    "a run of another server": history(GOOD, run(5, result="Failed", backup_server=OTHER_SERVER)),
    "a run of another EM": history(GOOD, run(5, result="Failed", em_name="other"))
    | {"failover_plans": [plan("db", "web"), plan("x", name="Other", em_name="other", deleted=True)]},
    "a VM removed, and the others in their order": history(
        GOOD, plans=[plan(("web", 7), ("db", 2), versions={400: (("x", 0), ("db", 5), ("web", 9)), 11: ("db", "web")})]
    ),
    "a plan that was changed back": history(
        GOOD, plans=[plan("db", "web", versions={5: ("db", "web"), 7: ("app",), 300: ("db", "web")})]
    ),
}


@pytest.mark.parametrize("name", NOT_WORSE)
def test_what_leaves_a_plan_ready(name):
    facts = NOT_WORSE[name]
    found = readiness(facts, {"plans": [POLICY]}, NOW)["plans"]
    mine = next(each for each in found if (each["em_name"], each["name"]) == (EM, "Plan"))
    assert (mine["reasons"], mine["status"]) == ([], "ready")


def test_a_session_without_a_server_proves_nothing_where_two_plans_have_its_name():
    plans = [plan("db", "web"), plan("db", "web", id="2", backup_server=OTHER_SERVER)]
    found = readiness(history({**GOOD, "backup_server": None}, plans=plans), {"plans": [POLICY]}, NOW)
    assert [each["status"] for each in found["plans"]] == ["unproven", "unproven"]
    found = readiness(history(GOOD, plans=plans), {"plans": [POLICY]}, NOW)
    assert [each["status"] for each in found["plans"]] == ["never_tested", "ready"]
    assert judged(history({**GOOD, "backup_server": None}))["status"] == "ready"


def test_a_session_of_one_of_two_plans_with_its_name_and_server_proves_nothing():
    """As of two tenants of one provider."""
    plans = [plan("db", "web"), plan("db", "web", id="2", tenant={"id": "t-2", "name": "Globex"})]
    found = readiness(history(run(5, "db", "web", result="Failed"), GOOD, plans=plans), {"plans": [POLICY]}, NOW)
    text = "The run of 2026-11-23 19:50 UTC may be of another plan with the same name. Rename one of them, then test again."
    for each in found["plans"]:
        assert (each["status"], each["last_passed"]) == ("unproven", None)
        assert {"code": "kind_unknown", "vm": None, "text": text} in each["reasons"]
    plans[1]["deleted"] = True
    assert judged(history(GOOD, plans=plans))["status"] == "ready"


def test_sessions_of_plans_that_were_all_deleted_are_no_plans():
    facts = history(GOOD, plans=[plan("db", "web", deleted=True)])
    assert readiness(facts, {"plans": [POLICY]}, NOW)["plans"] == []


def test_the_worst_status_wins_and_all_reasons_are_given():
    facts = history(
        run(5, task("db", "Failed"), result="Failed"),
        run(120, "db", "web"),
        plans=changed_plan("db", "app", then=("db", "web")),
        points=[point("db")],
        gaps=[{"em_name": EM, "from": ago(80), "to": ago(20)}],
        looks=[look(copy=None, missing=["plans"])],
    )
    found = judged(facts)
    assert found["status"] == "failed"
    assert [item["code"] for item in found["reasons"]] == [
        "not_passed",
        "vm_failed",
        "overdue",
        "in_failover",
        "vm_added",
        "vm_removed",
        "gap",
        "copy_age_unknown",
        "plans_unread",
    ]
    assert (found["next_due"], found["last_passed"]["session_id"]) == (ago(30), "run-120")


@pytest.mark.parametrize(
    ("runs", "due", "text"),
    [
        ([run(5, result="Failed")], ago(-25), "Its retest is due by 2026-12-23 20:00 UTC."),
        ([run(31, result="Failed")], ago(1), "Its retest was due by 2026-11-27 20:00 UTC."),
        ([run(4, result="Failed"), run(31, result="Failed")], ago(-26), "Its retest is due by 2026-12-24 20:00 UTC."),
        ([run(4, kind="undo"), run(5, result="Failed")], ago(-25), "Its retest is due by 2026-12-23 20:00 UTC."),
        ([GOOD, run(31, result="Failed")], None, None),
        ([run(5, result="Failed", kind="unknown")], None, None),
        ([], None, None),
    ],
)
def test_the_newest_run_that_counts_and_did_not_pass_asks_for_a_retest(runs, due, text):
    found = judged(history(*runs), retest_within="30d")
    assert found["retest_due"] == due
    assert [item["text"] for item in found["reasons"] if "retest" in item["code"]] == ([text] if text else [])
    assert judged(history(*runs))["retest_due"] is None


@pytest.mark.parametrize("days", [0.02, 60, 75.9, 76, 90, 100, 100.1])
def test_from_ready_to_overdue(days):
    expected = "ready" if days < 76 else "due" if days <= 100 else "overdue"
    assert judged(history(run(days, "db", "web"), looks=[look(copy=0.015)]))["status"] == expected


def test_sentences():
    many = [f"vm{number:02}" for number in range(12)]
    facts = history(
        run(5, *[task(name, "Failed") for name in many], result="Failed", failure_message="No\nnetwork."),
        run(120, "a{b}", "web"),
        plans=[plan("a{b}", "web", "x", "y", versions={400: ("web", "a{b}", "z")})],
        points=[point("a{b}", id="1"), point("web", id="2")],
        gaps=[{"em_name": EM, "from": ago(80), "to": ago(20)}],
    )
    assert [item["text"] for item in judged(facts)["reasons"]] == [
        "The test of 2026-11-23 19:50 UTC did not pass.",
        f"12 VMs ({', '.join(many[:10])} and 2 more) failed. Enterprise Manager says: No network.",
        "The last run that passed is the test of 2026-07-31 19:50 UTC. The next was due by 2026-10-29 20:00 UTC; "
        "overdue after 2026-11-08 20:00 UTC (grace of 10 d included).",
        "2 VMs (a{b}, web) are in failover.",
        "2 VMs (x, y) have been added since the test of 2026-07-31 19:50 UTC, the last that passed.",
        "z has been removed since the test of 2026-07-31 19:50 UTC, the last that passed.",
        "2 VMs (a{b}, web) changed their place in the start order since the test of 2026-07-31 19:50 UTC.",
        "Nobody looked at Enterprise Manager from 2026-09-09 20:00 UTC to 2026-11-08 20:00 UTC, so runs may be missing.",
    ]
    assert judged(facts)["reasons"][5]["vm"] == "z" and judged(facts)["reasons"][4]["vm"] is None


def test_summary_and_order():
    plans = [plan("db", "web", id=name, name=name) for name in ("Late", "Soon", "Good", "New", "Gone")]
    plans[-1]["deleted"] = True
    runs = [
        {**run(days, "db", "web"), "name": name, "id": name}
        for name, days in (("Late", 200), ("Soon", 95), ("Good", 9))
    ]
    facts = history(
        *runs, {**GOOD, "name": "Gone"}, plans=plans, notes=[note("waiver", plan="Late", until="2026-12-31")]
    )
    found = readiness(facts, {"plans": [POLICY]}, NOW)
    assert [each["name"] for each in found["plans"]] == ["New", "Late", "Soon", "Good"]
    counts = {"never_tested": 1, "overdue": 1, "due": 1, "ready": 1, "waived": 1}
    assert found["summary"] == {**dict.fromkeys(STATUSES, 0), **counts}
    assert found["now"] == NOW


@pytest.mark.parametrize(
    ("until", "now", "holds"),
    [
        ("2026-11-28", NOW, True),
        ("2026-11-28", "2026-11-29T00:00:00Z", False),
        ("2026-11-27", NOW, False),
        ("2026-11-28T20:00:01.000000Z", NOW, True),
        ("2026-11-28T20:00:00.000000Z", NOW, False),
        ("some day", NOW, False),
    ],
)
def test_a_waiver_ends_by_itself(until, now, holds):
    waiver = note("waiver", plan="Plan", until=until)
    found = judged(history(run(200, "db", "web"), notes=[waiver]), now=now)
    assert found["status"] == "overdue"
    assert found["waived"] == ({"until": until, "by": "J. Doe", "reason": "Why"} if holds else None)


def test_the_newest_waiver_counts_and_only_of_this_plan():
    later = note("waiver", plan="11111111-d045-4493-9869-0a970e08f6f9", until="2026-11-27", seen_at=ago(1))
    facts = history(GOOD, notes=[note("waiver", session_id="run-10", until="2026-12-31"), later])
    assert judged(facts)["waived"] is None
    assert judged(history(GOOD, notes=facts["notes"][:1]))["waived"]["until"] == "2026-12-31"
    for other in ({"plan": "Other"}, {"plan": "Plan", "em_name": "other"}, {"session_id": "run-11"}):
        assert judged(history(GOOD, notes=[note("waiver", until="2026-12-31", **other)]))["waived"] is None


def test_a_waiver_that_was_recorded_while_ems_clock_was_ahead_can_be_corrected():
    waivers = [
        note("waiver", plan="Plan", until=until, seen_at=ago(day))
        for until, day in (("2027-06-30", -9), ("2026-11-27", 1))
    ]
    assert judged(history(GOOD, notes=waivers))["waived"] is None


def finding(facts):
    (found,) = judged(facts)["findings"]
    return found["retested_by"], found["overdue"]


def test_findings_and_retests():
    failed = run(20, task("db", "Failed"), result="Failed")
    of_run = note(
        "finding", session_id="run-20", severity="high", action="Fix", owner="A", due="2026-11-27", seen_at=ago(2)
    )
    assert finding(history(failed, notes=[of_run])) == (None, True)
    assert finding(history(failed, notes=[{**of_run, "due": "2026-11-28"}])) == (None, False)
    assert finding(history(GOOD, run(9, "db", "web"), failed, notes=[of_run])) == ("run-10", False)
    assert finding(history(run(9, result="Failed"), failed, run(30, "db"), notes=[of_run])) == (None, True)
    of_plan = {**of_run, "session_id": None, "plan": "Plan", "seen_at": ago(12)}
    assert finding(history(GOOD, notes=[of_plan])) == ("run-10", False)
    assert finding(history(GOOD, notes=[{**of_plan, "seen_at": ago(9)}])) == (None, True)
    shown = judged(history(GOOD, notes=[of_plan]))["findings"][0]
    assert (shown["severity"], shown["owner"], shown["text"]) == ("high", "A", "Why")


def timed(*seconds, kind="test", **more):
    return [
        run(number + 1, "db", "web", duration=float(each), kind=kind, **more) for number, each in enumerate(seconds)
    ]


@pytest.mark.parametrize(
    ("seconds", "median", "regression"),
    [
        ([900, 100, 100, 100, 100], None, None),
        ([1001, 800, 800, 800, 700, 900], 800, True),
        ([1000, 800, 800, 800, 700, 900], 800, False),  # not more than a quarter
        ([160, 100, 100, 100, 100, 100], 100, False),  # not more than a minute
        ([161, 100, 100, 100, 100, 100, 9000], 100, True),
        ([161, 100, None, 100, 100, 100, 100], 100, True),
    ],
)
def test_regression(seconds, median, regression):
    runs = [{**run(n + 1, "db"), "duration": each} for n, each in enumerate(seconds)]
    trend = judged(history(*runs))["trend"]
    assert (trend["test"]["median"], trend["test"]["regression"]) == (median, regression)
    assert trend["failover"] == {"runs": [], "median": None, "regression": None, "shrinking": None}


def test_trend():
    facts = history(
        *timed(*[100 + n for n in range(14)]), *timed(5000, kind="failover"), run(0.5, duration=9.0, result="Failed")
    )
    trend = judged(facts, rto="1h")["trend"]
    assert [each["duration"] for each in trend["test"]["runs"]] == [100.0 + n for n in range(12)]
    assert trend["test"]["runs"][0] == {"session_id": "run-1", "end_time": ago(1), "duration": 100.0, "rpo": 3600.0}
    assert (trend["test"]["shrinking"], trend["failover"]["shrinking"]) == (False, True)
    for seconds, expected in ((800, False), (801, True)):
        assert judged(history(*timed(seconds)), rto=1000)["trend"]["test"]["shrinking"] is expected
    assert judged(history(*timed(800)))["trend"]["test"]["shrinking"] is None


def test_the_order_of_all_but_notes_makes_no_difference():
    facts = history(
        run(5, "db"),
        run(7, "web", kind="unknown"),
        GOOD,
        plans=changed_plan("db", "web", "app"),
        looks=[look(), look(3, 4, ["plans"])],
        notes=[note("waiver", plan="Plan", until="2026-12-31", seen_at=ago(day)) for day in (9, 2)],
    )
    facts["failover_plans"].append(plan("x", name="Other", id="2"))
    before = json.dumps(facts)
    backwards = {name: items if name == "notes" else items[::-1] for name, items in facts.items()}
    backwards["failover_plans"] = [{**each, "versions": each["versions"][::-1]} for each in backwards["failover_plans"]]
    found = readiness(facts, {"plans": [POLICY]}, NOW)
    assert json.dumps(readiness(backwards, {"plans": [POLICY]}, NOW)) == json.dumps(found)
    assert json.dumps(facts) == before


def test_a_history_without_names_of_em():
    """Sessions and plans that were read from EM, with the kind added."""
    facts = history({**GOOD, "em_name": None})
    del facts["failover_sessions"][0]["em_name"], facts["failover_plans"][0]["em_name"]
    bare = {name: facts[name] for name in ("failover_sessions", "failover_plans")}
    assert codes(bare) == ["no_look"]
    assert codes({**bare, "looks": [{"seen_at": ago(0.1), "collected_at": ago(0.1)}]}) == []


def test_all_codes_are_documented_and_used():
    pages = [REPO.joinpath("docs", name).read_text(encoding="utf-8") for name in ("readiness.md", "codes.md")]
    guide = "".join(pages)

    def rows(title, columns):
        part = guide.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
        found = re.findall(r"^\| `(\w+)` \|(?: `(\w+)` \|)?", part, re.MULTILINE)
        return [row[:columns] for row in found]

    assert [name for (name,) in rows("Statuses", 1)] == list(STATUSES)
    assert rows("Reasons of readiness", 2) == [(code, status) for status, those in STATUSES.items() for code in those]
    used = set()
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "reason":
                used |= {node.args[0].value} if isinstance(node.args[0], ast.Constant) else set()
    own = {code for those in STATUSES.values() for code in those} - {"vm_added", "vm_removed", "vm_reordered"}
    assert used == own | {code for (code,) in rows("Why a run did not pass", 1)}
