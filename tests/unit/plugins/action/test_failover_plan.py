# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.waiter import GOES_ON


@pytest.fixture
def plan(em):
    vms = [{"name": f"vm{number}", "duration": 60 + number} for number in range(8)]
    vms[5]["result"] = "Warning"
    em.behaviour.parallel_vms = 3
    return em.world.add_plan("Acme", vms, tenant="A")


def posts(em):
    return [request for request in em.requests if request.method == "POST" and "/cloudFailoverPlans/" in request.path]


@pytest.fixture
def run(run_action):
    return lambda **options: run_action("failover_plan", **{"plan": "Acme", "action": "test", **options})


def without(result, *names):
    return {name: value for name, value in result.items() if name not in names}


def test_each_change_is_a_line(em, plan, run_action, run, displayed_lines):
    result = run()
    assert len(posts(em)) == 1
    assert displayed_lines[0] == f"[Acme] test started: session {result['failover_session']['id']}, Working"
    assert "3/8 VMs done, vm0 Success 60 s" in " ".join(displayed_lines)
    assert "8/8 VMs done" in displayed_lines[-1]
    assert "Stopped, result Warning after" in displayed_lines[-1]
    assert 4 <= len(displayed_lines) <= 20
    assert sum("vm0 Success" in line for line in displayed_lines) == 1
    assert [name for name, dummy in run_action.runs] == ["failover_plan"] + ["failover_session_wait"] * (
        len(run_action.runs) - 1
    )
    assert em.counters.live_logons == 0
    assert em.counters.logons == len(run_action.runs) <= 20


def test_the_result_is_that_of_the_module_alone(em, plan, run_action, run, run_module, displayed_lines):
    sliced = run()
    alone = run_module("failover_plan", plan="Acme", action="test")
    assert set(sliced) - {"invocation"} == set(alone) - {"invocation"}
    changing = ("invocation", "failover_session", "known_sessions", "points_seen_at", "warnings")
    assert without(sliced, *changing) == without(alone, *changing)
    assert without(sliced["failover_session"], "id", "uid", "href", "tasks", "creation_time", "end_time") == without(
        alone["failover_session"], "id", "uid", "href", "tasks", "creation_time", "end_time"
    )
    assert len(sliced["warnings"]) == len(alone["warnings"]) == 1


def test_the_points_of_a_run_that_had_finished_when_it_was_found_are_read(em, run_action, run, displayed_lines):
    em.world.add_plan("Short", [{"name": "vm", "duration": 5}])
    em.behaviour.refresh_seconds = 60  # the task says which session it was when that has finished
    result = run(plan="Short")
    assert displayed_lines[0] == f"[Short] test started: session {result['failover_session']['id']}, Stopped"
    assert result["points_seen_at"]
    assert {task["replica_point"]["state"] for task in result["failover_session"]["tasks"]} == {"Ready"}
    assert len(posts(em)) == 1


def test_a_failed_run_fails_like_the_module_alone(em, plan, run_action, run, run_module):
    em.behaviour.failing_vms = "vm3"
    sliced = run()
    alone = run_module("failover_plan", plan="Acme", action="test")
    assert (sliced["failed"], sliced["changed"], sliced["error"]) == (True, True, alone["error"])
    assert sliced["error"]["kind"] == "run_failed"
    assert set(sliced) - {"invocation"} == set(alone) - {"invocation"}


def test_a_time_out_carries_the_last_facts(em, plan, run_action, run, fake_clock):
    result = run(wait_timeout=100)
    assert (result["failed"], result["changed"], result["timed_out"]) == (True, True, True)
    assert result["error"]["kind"] == "wait_timeout"
    assert result["failover_session"]["state"] == "Working"
    assert "3 of 6 VMs done" in result["msg"]
    assert 100 <= fake_clock.now < 110


def test_a_second_task_joins_and_posts_nothing(em, plan, run_action, run, displayed_lines):
    first = run(wait=False)
    second = run()
    assert second["failover_session"]["id"] == first["failover_session"]["id"]
    assert (second["already_running"], second["changed"], len(posts(em))) == (True, False, 1)
    assert "was running already" in displayed_lines[0]
    assert "no second run was started" in second["warnings"][0]


@pytest.mark.parametrize("kind", ["503", "drop"])
def test_an_outage_of_three_minutes_with_a_restart(em, plan, run_action, run, displayed_lines, fake_clock, kind):
    fake_clock.at(60, lambda: em.restart(3600, kind))
    fake_clock.at(240, lambda: em.outage(0))
    result = run()
    assert "failed" not in result
    assert result["failover_session"]["finished"]
    assert len(posts(em)) == 1
    assert sum(warning.endswith(GOES_ON) for warning in result["warnings"]) == 1
    assert sum(line.endswith(GOES_ON) for line in displayed_lines) == 1


def test_an_outage_that_lasts_is_a_time_out(em, plan, run_action, run, fake_clock):
    fake_clock.at(60, lambda: em.outage(3600, "503"))
    result = run(wait_timeout=300)
    em.outage(0)
    assert (result["timed_out"], result["error"]["kind"]) == (True, "wait_timeout")
    assert "EM was unavailable at the end" in result["msg"]
    assert result["failover_session"]["state"] == "Working"


def test_a_session_that_cannot_be_read_does_not_prolong_the_wait(em, plan, run_action, run, fake_clock):
    em.faults.add("status", status=503, path="/failoverSessions/")
    result = run(wait_timeout=120)
    em.faults.clear()
    assert (result["timed_out"], result["error"]["kind"], result["changed"]) == (True, "wait_timeout", True)
    assert 120 <= fake_clock.now < 150


def test_a_logon_is_refused_twice_at_most(em, plan, run_action, run, fake_clock):
    fake_clock.at(60, lambda: (em.expire_logons(), em.faults.add("unauthorized", path="/sessionMngr")))
    result = run()
    em.faults.clear()
    assert result["error"]["kind"] == "auth"
    assert result["failover_session"]["state"] == "Working"
    statuses = [request.status for request in em.requests if "sessionmngr" in request.path.lower()]
    assert statuses.count(401) == 2


@pytest.mark.parametrize("repeated", [{"task_until": ["run is succeeded"]}, {"task_retries": 2}])
@pytest.mark.parametrize("options", [{}, {"check_mode": True}, {"async_val": 60}, {"action": "undo"}], ids=str)
def test_ansible_must_not_repeat_it(em, plan, run_action, run, repeated, options):
    result = run(**options, **repeated)
    assert (result["failed"], result["changed"], run_action.runs) == (True, False, [])
    assert "until" in result["msg"]
    assert em.counters.requests == 0


@pytest.mark.parametrize("condition", ["only_if_latest", "known_sessions"])
def test_a_condition_that_is_null_is_none_that_was_left_out(em, plan, run_action, run, condition):
    result = run(action="undo", **{condition: None})
    assert (result["failed"], result["changed"], run_action.runs) == (True, False, [])
    assert condition in result["msg"]


def test_a_session_without_a_result_yet_is_waited_for(em, plan, run_action, run, fake_clock):
    guid = em.world.add_session(name="Acme", state="Stopped", raw={"Result": "None", "State": "Working"}).id
    run_action.before = [lambda: None, lambda: em.world.change_session(guid, raw={})]
    result = run(action="start")
    assert (result["already_running"], result["failover_session"]["result"]) == (True, "Success")


@pytest.mark.parametrize("cost", [0, 20])
def test_vms_that_em_drops_are_kept_from_run_to_run(em, plan, run_action, run, fake_clock, cost):
    em.behaviour.finished_tasks = "drop"
    run_action.cost = cost  # between two runs; the session ends there, or in a run, which has kept the VMs itself then
    session = run()["failover_session"]
    assert session["task_summary"]["total"] == 8
    assert session["tasks_kept_at"]


def test_no_log_shows_nothing(em, plan, run, displayed_lines):
    assert run(no_log=True)["failover_session"]["finished"]
    assert displayed_lines == []


@pytest.mark.parametrize(
    "options",
    [
        {"wait": False},
        {"wait": "no"},
        {"wait": "perhaps"},
        {"check_mode": True},
        {"async_val": 60},
        {"poll_interval": 0},
        {"wait_timeout": "soon"},
        {"wait_timeout": None, "poll_interval": None},
        {"action": "stop"},
        {"plan": "Acne"},
    ],
    ids=str,
)
def test_what_has_nothing_to_show_is_one_run_of_the_module(em, plan, run_action, run, displayed_lines, options):
    run(**options)
    assert [name for name, dummy in run_action.runs] == ["failover_plan"] or "wait_timeout" in options
    assert bool(run_action.wrapped) is ("async_val" in options)
    assert displayed_lines == [] or "wait_timeout" in options


def test_an_undo_is_one_run_of_the_module(em, plan, run_action, run, displayed_lines):
    run(action="start")
    result = run(action="undo")
    assert result["task"]["success"] is True
    assert [name for name, dummy in run_action.runs] == ["failover_plan"]


def test_text_of_the_server_is_one_line_without_control_characters(em, run_action, displayed_lines):
    em.world.add_plan("Ac\x85me", ["db\u202e"], tenant="A")
    run_action("failover_plan", plan="Ac\x85me", action="test")
    assert all(line.isprintable() for line in displayed_lines)
    assert len(displayed_lines) > 1
