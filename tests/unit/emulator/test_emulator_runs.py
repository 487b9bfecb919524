# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What others do with plans while a client is at work, and the server's own log of it."""

from __future__ import annotations

import http.client
import json

import pytest

PLANS = "/api/cloud/cloudFailoverPlans"
ID = "33333333-5555-4222-8333-44444444444e"
BODY = '<CloudFailoverPlanManagementSpec xmlns="http://www.veeam.com/ent/v1.0"><StartNow>true</StartNow></CloudFailoverPlanManagementSpec>'
LOST = (http.client.HTTPException, OSError)


@pytest.fixture(autouse=True)
def still(em):
    """The clock moves only when told to."""
    em.clock.rate = 0


@pytest.fixture
def plan(em):
    return em.world.add_plan(name="Acme", vms=[{"name": "db", "duration": 20}], id=ID)


def act(client, action="start"):
    body = BODY if action == "start" else None
    return client.request("POST", f"{PLANS}/{ID}?action={action}", {"Content-Type": "application/xml"}, body)


def log(em):
    """The log as (action, by, whether it was carried out)."""
    return [(run.action, run.by, run.refused is None) for run in em.runs]


def in_failover(em):
    return [point.vm_name for point in em.world.points.all() if point.state == "Failover"]


def test_a_run_by_others_is_no_request(em, client, plan):
    before = em.counters.as_dict(), len(em.requests)
    em.run_by_others(plan)
    (run,) = em.runs
    (session,) = em.world.sessions
    assert (run.action, run.plan_id, run.by, run.refused) == ("start", ID, "others", None)
    assert (run.session_id, run.moment, session.name) == (session.id, em.clock.now(), "Acme")
    assert (em.counters.as_dict(), len(em.requests)) == before
    assert list(client.get("/api/tasks").xml) == []
    assert client.query("State!=Stopped").names == ["Acme"]
    em.clock.advance(10)
    assert in_failover(em) == ["db"]


@pytest.mark.parametrize("named", ["Acme", ID, ID.upper()])
def test_a_plan_is_named_in_any_way(em, plan, named):
    em.run_by_others(named, "test")
    assert log(em) == [("test", "others", True)]
    em.clock.advance(10)
    assert in_failover(em) == []


def test_a_plan_that_was_changed_is_still_that_plan(em, plan):
    em.run_by_others(plan, delay=5)
    changed = em.world.change_plan(plan, name="Acme 2", vms=["web"])
    em.run_by_others(plan, "test")
    em.clock.advance(5)
    assert [session.name for session in em.world.sessions] == [changed.name] * 2
    assert [task.vm_name for task in em.world.sessions[0].tasks] == ["web"]


def test_a_delayed_run_happens_at_its_own_moment(em, client, plan):
    began = em.clock.now()
    em.run_by_others(plan, "undo", delay=50)
    em.run_by_others(plan, delay=10)
    em.clock.advance(9)
    assert (em.runs, client.query().names) == ([], [])
    em.clock.advance(60)
    assert client.query("State==Stopped").names == ["Acme"]
    assert [(run.action, (run.moment - began).total_seconds()) for run in em.runs] == [("start", 10), ("undo", 50)]
    (session,) = em.world.sessions
    assert (session.creation_time - em.world.rounded(began)).total_seconds() == pytest.approx(10, abs=0.001)
    assert (em.runs[1].session_id, em.runs[1].undone) == (None, (session.id,))
    assert in_failover(em) == ["db"]  # an undo takes a minute
    em.clock.advance(41)
    assert in_failover(em) == []


def test_a_request_finds_what_has_happened_before_it(em, client, plan):
    em.behaviour.second_start = "refuse"
    em.run_by_others(plan, delay=5)
    em.clock.advance(6)
    assert act(client).status == 202
    assert log(em) == [("start", "others", True), ("start", "api", False)]


def test_a_restore_point_is_that_of_the_moment(em, plan):
    now = em.world.points.before(plan, plan.vms[0], em.clock.now(), None)
    em.run_by_others(plan, delay=60)
    em.clock.advance(30 * 86400)
    assert em.world.sessions[0].tasks[0].replica_point.id == now.id


def test_runs_of_a_plan_that_is_gone_do_not_happen(em, plan):
    em.run_by_others(plan, delay=5)
    em.world.remove_plan(plan)
    em.clock.advance(10)
    assert em.runs == []


def test_what_was_to_come_is_forgotten_by_a_reset(em, plan):
    em.run_by_others(plan)
    em.run_by_others(plan, delay=5)
    em.reset()
    em.clock.advance(10)
    assert em.runs == [] and len(em.world.sessions) == 1


def test_sessions_of_others_are_listed_at_once_unless_told(em, client, plan):
    em.behaviour.list_delay = 100
    act(client)
    em.run_by_others(plan)
    em.run_by_others(plan, delay=1, list_delay=30)
    listed = []
    for seconds in (2, 30, 100):
        em.clock.advance(seconds)
        listed.append(len(client.query().names))
    assert listed == [1, 2, 3]


def test_the_log_of_the_api(em, client, plan):
    em.behaviour.session_link = "left out"
    for action in ("undo", "test", "start", "undo"):
        assert act(client, action).status == 202
        em.clock.advance(100)
    first, test, start, last = em.runs
    assert (first.session_id, first.undone, "nothing to undo" in first.refused) == (None, (), True)
    assert [test.session_id, start.session_id] == [session.id for session in em.world.sessions]
    assert (last.action, last.undone, last.refused) == ("undo", (start.session_id,), None)
    assert {run.by for run in em.runs} == {"api"}


def test_refusals_at_once_are_the_apis(em, client, plan):
    em.world.change_plan(plan, refuse={"start": 403, "test": "No restore points"}, actions=["start", "test"])
    assert [act(client, action).status for action in ("start", "test", "undo")] == [403, 202, 403]
    assert [run.refused is None for run in em.runs] == [False, False, False]
    for action in ("start", "test", "undo"):
        em.run_by_others(plan, action)
    assert log(em)[3:] == [("start", "others", True), ("test", "others", False), ("undo", "others", False)]


def test_an_undo_tells_which_runs_it_ended(em, client, plan):
    em.behaviour.undo_while_running = "accept"
    em.run_by_others(plan)
    em.clock.advance(60)
    act(client, "test")
    act(client, "undo")
    assert set(em.runs[-1].undone) == {session.id for session in em.world.sessions}


@pytest.mark.parametrize(("when", "order"), [("before", ["others", "api"]), ("after", ["api", "others"])])
@pytest.mark.parametrize("last", [None, "drop_after_handling", "headers"])
def test_a_fault_lets_others_run_beside_a_request(em, client, plan, when, order, last):
    em.faults.add("run_by_others", plan="Acme", run="start", when=when, method="POST", path=PLANS, times=1)
    if last is not None:
        em.faults.add(last, method="POST", times=1, **({"headers": {"X": "y"}} if last == "headers" else {}))
    try:
        assert act(client, "test").status == 202
    except LOST:
        assert last == "drop_after_handling"
    assert [run.by for run in em.runs] == order


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_fault_lets_others_run_though_the_request_is_lost(em, client, plan, when):
    em.faults.add("run_by_others", plan=ID, run="start", delay=3, when=when, method="POST", times=1)
    em.faults.add("drop", method="POST", times=1)
    with pytest.raises(LOST):
        act(client, "test")
    assert em.runs == []
    em.clock.advance(3)
    assert log(em) == [("start", "others", True)]


def test_runs_over_http(em, connect, plan):
    control = connect(em)
    for body in ({"plan": "Acme", "action": "start"}, {"plan": ID, "action": "undo", "delay": 100}):
        assert control.request("POST", "/emulator/runs", body=json.dumps(body)).status == 204
    (run,) = control.get("/emulator/runs").json
    assert (run["action"], run["by"], run["session_id"]) == ("start", "others", em.world.sessions[0].id)
    em.clock.advance(100)
    assert [run["undone"] for run in control.get("/emulator/runs").json] == [[], [run["session_id"]]]


@pytest.mark.parametrize(
    "mistake",
    [
        {"plan": "Nothing"},
        {"plan": "Acme", "action": "stop"},
        {"plan": "Acme", "delay": -1},
        {"plan": "Acme", "list_delay": -1},
        {"plan": "Twice"},
    ],
)
def test_mistakes(em, connect, plan, mistake):
    for dummy in range(2):
        em.world.add_plan(name="Twice")
    with pytest.raises(ValueError):
        em.run_by_others(**mistake)
    assert connect(em).request("POST", "/emulator/runs", body=json.dumps(mistake)).status == 400
    assert em.runs == []


@pytest.mark.parametrize("options", [{"run": "stop"}, {"run": "start", "when": "during"}, {}])
def test_mistakes_of_the_fault(em, options):
    with pytest.raises(ValueError):
        em.faults.add("run_by_others", plan="Acme", **options)


@pytest.mark.parametrize("by", ["api", "others"])
def test_the_copy_of_em_is_late_for_sessions_and_points_alike(em, client, plan, by):
    em.behaviour.list_delay = 100 if by == "api" else 0
    if by == "api":
        act(client)
    else:
        em.run_by_others(plan, list_delay=100)
    em.clock.advance(99)
    assert (client.query("State==Stopped").names, in_failover(em)) == ([], [])
    em.clock.advance(2)
    assert (client.query("State==Stopped").names, in_failover(em)) == (["Acme"], ["db"])
    if by == "api":
        act(client, "undo")
    else:
        em.run_by_others(plan, "undo", list_delay=100)
    em.clock.advance(99)
    assert em.runs[1].undone == (em.runs[0].session_id,)
    assert in_failover(em) == ["db"]
    em.clock.advance(2)
    assert in_failover(em) == []


def test_a_request_tells_how_many_runs_there_were_before(em, client, plan):
    act(client)
    em.run_by_others(plan, delay=5)
    em.clock.advance(5)
    client.get("/api/tasks")
    posted, read = em.requests[-2:]
    assert (posted.method, posted.runs, read.runs) == ("POST", 0, 2)
