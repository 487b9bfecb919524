# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
import yaml
from ansible_collections.dr_runbook.veeam_em.plugins.modules import failover_plan
from ansible_collections.dr_runbook.veeam_em.plugins.modules.failover_session_info import FIELDS

GUID = "475420ee-d045-4493-9869-0a970e08f6f9"


@pytest.fixture
def run(run_module):
    return lambda **options: run_module("failover_plan", **{"plan": "Acme", "action": "test", **options})


@pytest.fixture
def plan(em, fake_clock):
    return em.world.add_plan(
        "Acme", [{"name": "db", "duration": 30}], tenant="A", pre_command="net use /user:x Secret9"
    )


def posts(em):
    return [request.path for request in em.requests if request.method == "POST" and "PLANS" in request.path.upper()]


def test_a_run(em, plan, run):
    result = run()
    assert result["changed"] is True
    assert result["failover_session"]["succeeded"] is True
    assert (result["action"], result["already_running"], result["plan"]["id"]) == ("test", False, plan.id)
    assert "warnings" not in result
    assert result["url"] == em.url
    assert em.counters.live_logons == 0


def test_everything_documented_is_returned_and_nothing_else(em, plan, run):
    documented = yaml.safe_load(failover_plan.RETURN)
    result = run()
    always = {name for name, entry in documented.items() if entry["returned"] == "always"}
    assert set(result) - {"invocation"} == always
    assert set(result["plan"]) == set(documented["plan"]["sample"])
    assert set(result["task"]) == set(documented["task"]["contains"])
    assert (
        set(result["failover_session"]) == {*FIELDS, "tasks_kept_at"} >= set(documented["failover_session"]["sample"])
    )
    failure = run(plan="Acne")
    in_check_mode = run(check_mode=True)
    assert set(in_check_mode) - {"invocation", "warnings"} == always | {"may_read_points"}
    assert set(failure) - {"invocation", "failed", "exception"} == set(documented) - {"may_read_points"}
    assert set(failure["error"]) == set(documented["error"]["contains"])


def test_commands_of_the_plan_are_not_in_the_result(plan, run):
    result = run()
    assert "Secret9" not in str(result)
    assert "pre_command" not in result["plan"]


def test_a_run_that_fails_fails_the_task_with_its_facts(em, plan, run):
    em.behaviour.failing_vms = "db"
    result = run()
    assert (result["failed"], result["changed"], result["timed_out"]) == (True, True, False)
    assert result["error"]["kind"] == "run_failed"
    assert result["failover_session"]["task_summary"]["failed"] == 1
    assert "db: " in result["msg"]


def test_a_warning_warns(em, plan, run):
    em.behaviour.warning_vms = "db"
    result = run()
    assert "failed" not in result
    assert "result Warning" in result["warnings"][0]


def test_without_wait(em, plan, run, fake_clock):
    result = run(wait=False)
    assert result["changed"] is True
    assert result["failover_session"]["finished"] is False
    assert fake_clock.now < 30


def test_a_second_task_joins(em, plan, run):
    first = run(action="start", wait=False)
    second = run(action="start")
    assert second["failover_session"]["id"] == first["failover_session"]["id"]
    assert (second["changed"], second["already_running"]) == (False, True)
    assert second["failover_session"]["finished"] is True
    assert len(posts(em)) == 1


def test_a_joined_run_that_fails_fails_the_task(em, plan, run):
    em.behaviour.failing_vms = "db"
    run(action="start", wait=False)
    result = run(action="start")
    assert (result["failed"], result["changed"], result["error"]["kind"]) == (True, False, "run_failed")


@pytest.mark.parametrize("action", ["start", "test", "undo"])
def test_check_mode_asks_em_for_nothing(em, plan, run, action):
    result = run(check_mode=True, action=action)
    assert (result["changed"], result["already_running"], result["failover_session"]) == (True, False, None)
    assert posts(em) == []
    assert not em.world.sessions


def test_check_mode_tells_what_runs(em, plan, run):
    first = run(wait=False)
    result = run(check_mode=True)
    assert (result["changed"], result["already_running"]) == (False, True)
    assert result["failover_session"]["id"] == first["failover_session"]["id"]
    assert run(check_mode=True, force=True)["changed"] is True
    assert run(check_mode=True, action="undo")["error"]["kind"] == "busy"


def test_a_time_out_carries_the_last_facts(em, plan, run):
    result = run(wait_timeout=20)
    assert (result["failed"], result["changed"], result["timed_out"]) == (True, True, True)
    assert result["error"]["kind"] == "wait_timeout"
    assert result["failover_session"]["finished"] is False


def test_tasks_that_em_drops_are_kept(em, plan, run):
    em.behaviour.finished_tasks = "drop"
    em.behaviour.task_seconds = em.behaviour.refresh_seconds = 0
    session = run()["failover_session"]
    assert session["task_summary"]["total"] == 1
    assert session["tasks_kept_at"]


def test_undo(em, plan, run):
    run(action="start")
    result = run(action="undo")
    assert (result["changed"], result["failover_session"]) == (True, None)
    assert result["task"] == {"state": "Finished", "success": True, "message": "Ok"}


@pytest.mark.parametrize(
    ("options", "kind", "changed"),
    [
        ({"plan": "Acne"}, "not_found", False),
        ({"plan": GUID}, "not_found", False),
        ({"tenant": "B"}, "not_found", False),
        ({"backup_server": "vbr9"}, "not_found", False),
        ({"username": "restricted"}, "permission", False),
        ({"password": "wrong"}, "auth", False),
        ({"url": "http://127.0.0.1:1"}, "connection", False),
        ({"action": "start", "restore_point_before": "1999-01-01T00:00:00Z"}, "refused", True),
        ({"action": "undo"}, "refused", True),
    ],
    ids=str,
)
def test_failures_have_a_kind_and_tell_whether_em_was_asked(em, plan, run, options, kind, changed):
    result = run(**options)
    assert (result["failed"], result["error"]["kind"], result["changed"]) == (True, kind, changed)
    assert "Traceback" not in str(result)
    assert em.counters.live_logons == 0


def test_replica_points_are_read_at_the_end(em, plan, run):
    result = run(action="start")
    (task,) = result["failover_session"]["tasks"]
    assert (task["replica_point"]["state"], result["session_source"]) == ("Failover", "task")
    assert task["replica_point"]["creation_time"] < result["failover_session"]["creation_time"]
    assert result["points_seen_at"]
    assert run(action="undo")["failover_session"] is None


def test_an_undo_of_one_run_only(em, plan, run, fake_clock):
    first = run(action="start")
    only = {"only_if_latest": first["failover_session"]["id"], "known_sessions": first["known_sessions"]}
    em.run_by_others(plan, "start")
    fake_clock.sleep(600)
    result = run(action="undo", **only)
    assert (result["failed"], result["changed"], result["error"]["kind"]) == (True, False, "superseded")
    assert result["error"]["status"] is None
    assert run(action="undo", check_mode=True, **only)["error"]["kind"] == "superseded"
    assert len(posts(em)) == 1


def test_plans_of_one_name_are_listed(em, plan, run):
    other = em.world.add_plan("Acme", ["db"], tenant="B")
    result = run()
    assert result["error"]["kind"] == "ambiguous"
    assert [guid for guid in (plan.id, other.id) if guid not in result["msg"]] == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"plan": None}, ["plan", "missing"]),
        ({"action": None}, ["action", "missing"]),
        ({"action": "stop"}, ["action", "undo"]),
        ({"poll_interval": 0}, ["poll_interval", "1 or more"]),
        ({"only_if_latest": GUID}, ["only_if_latest", "undo"]),
        ({"action": "undo", "only_if_latest": ""}, ["only_if_latest", "id of the session"]),
        ({"action": "undo", "known_sessions": [GUID]}, ["known_sessions", "only_if_latest"]),
        ({"wait_timeout": 0}, ["wait_timeout", "1 or more"]),
        ({"restore_point_before": "1h"}, ["restore_point_before", "not test"]),
        ({"restore_point_before": "2999-01-01T00:00:00Z", "action": "start"}, ["restore_point_before", "not a timer"]),
        ({"restore_point_before": "yesterday", "action": "start"}, ["restore_point_before", "ISO 8601"]),
    ],
)
def test_a_bad_option_fails_before_any_request(em, run, options, words):
    result = run(**options)
    assert result["failed"] is True
    assert [word for word in words if word not in result["msg"]] == []
    assert em.counters.requests == 0


def test_a_lost_reply_that_stays_lost_is_a_failure_that_says_so(em, plan, run):
    em.faults.add("drop", method="POST", path="/cloudFailoverPlans/")
    result = run()
    assert (result["failed"], result["changed"], result["error"]["kind"]) == (True, True, "in_doubt")
    assert len(posts(em)) == 1


# Roles of the user


@pytest.mark.parametrize("action", ["start", "test", "undo"])
@pytest.mark.parametrize(
    ("user", "roles"),
    [
        ("reader", "VM Restore Operator"),
        ("restricted", "VM Restore Operator"),
    ],
)
@pytest.mark.parametrize("role_query", ["as resource", "refused"])
def test_a_user_who_may_not_run_plans_is_told_the_role(em, plan, run, user, roles, action, role_query):
    em.behaviour.role_query = role_query
    result = run(action=action, username=user)
    assert (result["failed"], result["changed"], result["error"]["kind"]) == (True, False, "permission")
    assert result["error"]["status"] == 403
    assert f"Check that {user} has the role {roles} in Enterprise Manager" in result["msg"]
    assert result["msg"].count("has the role") == 1
    assert (posts(em), em.runs) == ([], [])
    assert em.counters.live_logons == 0


@pytest.mark.parametrize("action", ["start", "test"])
@pytest.mark.parametrize("role_query", ["as resource", "refused"])
def test_a_restore_operator_may_run_plans_and_is_told_the_role_for_points(em, plan, run, action, role_query):
    em.behaviour.role_query = role_query
    result = run(action=action, username="operator")
    assert "failed" not in result
    assert (result["session_source"], result["failover_session"]["succeeded"]) == ("task", True)
    assert result["points_seen_at"] is None
    point = result["failover_session"]["tasks"][0]["replica_point"]
    assert (point["creation_time"], point["state"]) == (None, None)
    (said,) = [said for said in result["warnings"] if "replica points" in said]
    assert "operator needs the role Portal User" in said
    assert run(check_mode=True, action=action, username="operator")["may_read_points"] is False


def test_a_restore_operator_may_undo(em, plan, run):
    run(action="start", username="operator")
    result = run(action="undo", username="operator")
    assert (result["changed"], result["task"]["success"], result.get("warnings")) == (True, True, None)


@pytest.mark.parametrize("user", ["both", "admin"])
@pytest.mark.parametrize("role_query", ["as resource", "refused"])
def test_who_may_read_points_too_gets_them(em, plan, run, user, role_query):
    em.behaviour.role_query = role_query
    result = run(action="start", username=user)
    point = result["failover_session"]["tasks"][0]["replica_point"]
    assert (point["state"], result["points_seen_at"] is None) == ("Failover", False)
    assert [said for said in result.get("warnings", ()) if "the role" in said and "role does" not in said] == []
    assert run(check_mode=True, action="undo", username=user)["may_read_points"] is True


@pytest.mark.parametrize("check_mode", [False, True], ids=["run", "check mode"])
def test_a_plan_that_may_have_been_meant_is_named(em, run_module, check_mode):
    plan = em.world.add_plan("ABC\u00a0DR", ["vm"])
    result = run_module("failover_plan", check_mode, plan="ABC DR", action="start")
    assert (result["error"]["kind"], result["error"]["status"]) == ("not_found", None)
    assert f"no failover plan named 'ABC DR'. 'ABC\\xa0DR' (id {plan.id}) differs only in blanks" in result["msg"]
    assert plan.id in result["msg"]
