# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans in action: start, test and undo, and what EM and the network may do to them. Real HTTP against the emulator."""

from __future__ import annotations

import os
import signal
import threading
from datetime import datetime

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import (
    EmAmbiguousError,
    EmAuthError,
    EmBusyError,
    EmConnectionError,
    EmError,
    EmInDoubtError,
    EmNotFoundError,
    EmRefusedError,
    EmSupersededError,
    EmWaitError,
    OptionError,
)
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.em_task import NO_TASK
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.facts import merge_tasks
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.lock import plan_lock
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.plan_action import (
    IDENTIFY_TIMEOUT,
    UNDO_REFUSAL_TIME,
    PlanAction,
    start_date,
)
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.plans import PlanReader
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.run_result import run_result
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.sessions import SessionReader
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.undo_condition import undo_condition
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.waiter import GOES_ON

POST = "POST"
SESSION = "475420ee-d045-4493-9869-0a970e08f6f9"
PLANS = "/cloudFailoverPlans/"


@pytest.fixture
def admin(connect):
    """Make a client for a user who may start plans; what it warns of is in its ``said``."""

    def make(**options):
        said = []
        client = connect(**{"username": "admin", "warn": said.append, **options})
        said.clear()  # that the emulator speaks plain HTTP
        client.said = said
        return client

    return make


@pytest.fixture
def plan(em, fake_clock):
    return em.world.add_plan("Acme", [{"name": "db", "duration": 30}, {"name": "web", "duration": 60}], tenant="A")


def run_of(client, action="test", plan="Acme", **more):
    return PlanAction(client, *PlanReader(client).find_plan(plan, **more), action)


def carried_out(client, action="test", before=None, seconds=600, wait=True, force=False):
    """One action from the look to the end of its wait."""
    run = run_of(client, action)
    run.check_running(force)
    if not run.already_running:
        run.submit(before)
        run.identify_session(seconds, 5, wait)
    if wait:
        run.wait(seconds, 5)
    return run


def posts(em):
    return [request for request in em.requests if request.method == POST and "/cloudFailoverPlans/" in request.path]


def sessions(em):
    return [session.id for session in em.world.sessions]


@pytest.mark.parametrize("action", ["start", "test"])
def test_a_run_from_start_to_end(em, plan, admin, action):
    with admin() as client:
        run = carried_out(client, action)
    assert run.session["id"] in sessions(em)
    assert (run.session["finished"], run.session["succeeded"]) == (True, True)
    assert [task["vm_name"] for task in run.session["tasks"]] == ["db", "web"]
    assert run.task == {"state": "Finished", "success": True, "message": "Ok"}
    assert (run.submitted, run.already_running) == (True, False)
    assert len(posts(em)) == len(sessions(em)) == 1
    assert client.said == []
    assert em.counters.live_logons == 0


@pytest.mark.parametrize(
    "switches",
    [
        {"operation_finished": False},
        {"early_result": False},
        {"true_word": "True"},
        {"true_word": "1", "task_message": ""},
        {"session_link": "left out"},
        {"session_link": "left out", "operation_finished": False},
        {"hidden_task_reads": 2},
        {"hidden_task_reads": 99},
        {"hidden_task_reads": 99, "session_link": "left out"},
        {"task_seconds": 400, "session_link": "left out"},
        {"refresh_seconds": 400},
        {"list_delay": 60},
        {"list_delay": 60, "session_link": "left out"},
        {"refuse_query_type": 400},
        {"waiting_vms": "starting"},
        {"xml_prefix": "v", "bom": True},
    ],
    ids=str,
)
def test_the_session_is_found_whatever_em_does(em, plan, admin, switches):
    for name, value in switches.items():
        setattr(em.behaviour, name, value)
    em.world.add_session(name="Acme", result="Failed", creation_time="2026-01-01T00:00:00Z")
    before = sessions(em)
    with admin() as client:
        run = carried_out(client)
    assert [guid for guid in sessions(em) if guid not in before] == [run.session["id"]]
    assert run.session["succeeded"] is True
    known_to_em = "session_link" not in switches and "hidden_task_reads" not in switches
    assert run.session_source == ("task" if known_to_em or switches.get("hidden_task_reads") == 2 else "inferred")
    assert run.known_sessions == ([] if "refuse_query_type" in switches else before)  # the list covers 30 days
    assert len(posts(em)) == 1


@pytest.mark.parametrize("hours_off", [-30, 30])
def test_a_clock_that_is_hours_off_does_not_matter(em, plan, admin, hours_off):
    em.behaviour.session_link = "left out"
    em.world.add_session(name="Acme", result="Failed", state="Stopped")
    em.clock.advance(3600 * hours_off)
    with admin() as client:
        run = carried_out(client)
    assert run.session["succeeded"] is True


def test_a_second_start_in_a_row_joins_the_first(em, plan, admin):
    with admin() as client:
        first = carried_out(client, "start", wait=False)
        second = carried_out(client, "start")
    assert second.session["id"] == first.session["id"]
    assert (second.already_running, second.submitted, first.submitted) == (True, False, True)
    assert second.session["succeeded"] is True
    assert len(posts(em)) == len(sessions(em)) == 1
    (said,) = client.said
    assert first.session["id"] in said


def test_the_next_start_makes_a_new_run(em, plan, admin):
    with admin() as client:
        first = carried_out(client, "start")
        second = carried_out(client, "start")
    assert second.session["id"] != first.session["id"]
    assert len(sessions(em)) == 2


def test_force_makes_a_second_run(em, plan, admin):
    with admin() as client:
        first = carried_out(client, "start", wait=False)
        second = carried_out(client, "start", wait=False, force=True)
    assert first.session["id"] != second.session["id"]
    assert len(posts(em)) == 2


def test_sessions_of_other_plans_and_servers_are_no_reason_to_wait(em, plan, admin):
    em.world.add_session(name="Acme", state="Working", backup_server="elsewhere")
    em.world.add_session(name="Acme two", state="Working")
    with admin() as client:
        assert carried_out(client).already_running is False


def test_start_date(em, plan, admin):
    with admin() as client:
        run = run_of(client, "start")
        run.check_running(False)
        run.submit("2026-11-01T00:00:00Z")
    (request,) = posts(em)
    assert request.query == "action=start"
    now = datetime(2026, 11, 2)
    assert start_date("2026-11-01T02:00:00.9+02:00", "start", now) == "2026-11-01T00:00:00Z"
    assert start_date("24h", "start", now) == "2026-11-01T00:00:00Z"
    for value, action, words in [
        ("2026-11-03T00:00:00Z", "start", "not a timer"),
        ("24h", "test", "not test"),
        ("tomorrow", "start", "ISO 8601"),
    ]:
        with pytest.raises(OptionError, match=words):
            start_date(value, action, now)


def test_no_restore_point_is_a_refusal_with_ems_words(em, plan, admin):
    with admin() as client, pytest.raises(EmRefusedError, match="no restore point of db, web") as caught:
        carried_out(client, "start", before="1999-01-01T00:00:00Z")
    assert caught.value.kind == "refused"
    assert sessions(em) == []
    assert len(posts(em)) == 1


@pytest.mark.parametrize("status", [400, 403, 404, 409])
def test_a_refusal_at_once_is_no_doubt(em, plan, admin, status):
    em.world.change_plan(plan.id, refuse={"test": status})
    with admin() as client:
        run = run_of(client)
        run.check_running(False)
        with pytest.raises(EmError) as caught:
            run.submit(None)
    assert caught.value.status == status
    assert (caught.value.in_doubt, run.submitted) == (False, False)
    assert len(posts(em)) == 1


@pytest.mark.parametrize("needed", ["CredentialsNeeded", "ConfirmationNeeded"])
def test_a_question_that_nobody_answers_is_a_refusal(em, plan, admin, needed):
    body = f"""<Task xmlns="http://www.veeam.com/ent/v1.0" Href="{em.url}/api/tasks/task-1"><TaskId>task-1</TaskId>
        <State>Finished</State><Result Success="true"><Message>Who?</Message><{needed}>true</{needed}></Result></Task>"""
    em.faults.add("reply", method=POST, path=PLANS, status=202, content_type="application/xml", body=body)
    with admin() as client, pytest.raises(EmRefusedError, match=r"Who\?"):
        carried_out(client)


# A lost reply


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "drop_after_handling"},
        {"action": "cut"},
        {"action": "cut_xml"},
    ],
    ids=str,
)
def test_a_reply_lost_after_the_act_is_found_and_followed(em, plan, admin, fault):
    em.behaviour.list_delay = 40
    em.world.add_session(name="Acme", result="Failed", state="Stopped")
    em.faults.add(**fault, method=POST, path=PLANS)
    before = sessions(em)
    with admin() as client:
        run = carried_out(client)
    assert [guid for guid in sessions(em) if guid not in before] == [run.session["id"]]
    assert run.session["succeeded"] is True
    assert len(posts(em)) == 1
    assert run.task == NO_TASK
    assert run.session_source == "inferred"
    lost, inferred = client.said
    assert lost.endswith("Looking for a session that the request may have created.")
    assert run.session["id"] in inferred


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "drop"},
        {"action": "status", "status": 408},
        {"action": "status", "status": 500},
        {"action": "status", "status": 502},
        {"action": "status", "status": 503},
        {"action": "status", "status": 504},
        {"action": "html"},
        {"action": "empty"},
        {"action": "garbage"},
        {"action": "reply", "status": 200, "content_type": "application/xml", "body": "<Tasks />"},
    ],
    ids=str,
)
def test_a_reply_lost_before_the_act_is_a_doubt_and_no_second_try(em, plan, admin, fake_clock, fault):
    em.faults.add(**fault, method=POST, path=PLANS)
    with admin(retries=3) as client:
        run = run_of(client)
        run.check_running(False)
        run.submit(None)
        with pytest.raises(EmInDoubtError, match="not known whether it was carried out") as caught:
            run.identify_session(600, 5, True)
    assert "console" in str(caught.value)
    assert run.submitted is True
    assert len(posts(em)) == 1
    assert IDENTIFY_TIMEOUT <= fake_clock.now < IDENTIFY_TIMEOUT + 10


def test_em_that_is_unavailable_after_the_request_and_comes_back(em, plan, admin, fake_clock):
    em.faults.add("drop_after_handling", method=POST, path=PLANS)
    with admin() as client:
        run = run_of(client)
        run.check_running(False)
        run.submit(None)
        em.outage(3600, "drop")
        fake_clock.at(180, lambda: em.restart() or em.outage(0))
        run.identify_session(600, 5, True)
        run.wait(600, 5)
    assert [run.session["id"]] == sessions(em)
    assert len(posts(em)) == 1
    assert sum(GOES_ON in said for said in client.said) == 1


def test_em_that_stays_unavailable_after_the_reply_was_lost_is_a_doubt(em, plan, admin):
    em.faults.add("drop_after_handling", method=POST, path=PLANS)
    with admin() as client:
        run = run_of(client)
        run.check_running(False)
        run.submit(None)
        em.outage(3600, "drop")
        with pytest.raises(EmInDoubtError, match="is unavailable"):
            run.identify_session(300, 5, True)
        em.outage(0)


def test_a_port_where_nobody_listens_any_more_is_no_doubt(em, plan, admin):
    with admin() as client:
        run = run_of(client)
        run.check_running(False)
        client.base_url = "http://127.0.0.1:1"
        with pytest.raises(EmConnectionError):
            run.submit(None)
        client.base_url = em.url
    assert run.submitted is False


def test_a_logon_that_has_ended_is_the_only_reason_to_send_it_again(em, plan, admin):
    with admin() as client:
        run = run_of(client)
        run.check_running(False)
        em.faults.add("expire", method=POST, path=PLANS, times=1)
        run.submit(None)
        run.identify_session(600, 5, True)
    assert [request.status for request in posts(em)] == [401, 202]
    assert [run.session["id"]] == sessions(em)
    em.faults.add("unauthorized", method=POST, path=PLANS)
    with admin() as client:
        run = run_of(client)
        run.check_running(True)
        with pytest.raises(EmAuthError):
            run.submit(None)
    assert len(posts(em)) == 4
    assert run.submitted is False


# Tasks


def test_a_task_of_the_same_number_under_a_new_logon_is_another_task(em, plan, admin):
    em.behaviour.session_link = "left out"
    other = f"""<Task xmlns="http://www.veeam.com/ent/v1.0" Href="{em.url}/api/tasks/task-1"><TaskId>task-1</TaskId>
        <State>Finished</State><Result Success="false"><Message>Another task</Message></Result></Task>"""
    with admin() as client:
        run = run_of(client)
        run.check_running(False)
        run.submit(None)
        em.faults.add("expire", path="/tasks/", times=1)
        em.faults.add("reply", path="/tasks/", after=1, status=200, content_type="application/xml", body=other)
        run.identify_session(600, 5, True)
    assert client.logons == 2
    assert run.task["state"] == "Running"
    assert [run.session["id"]] == sessions(em)


def test_a_task_that_succeeds_without_a_session_is_no_success(em, plan, admin):
    em.behaviour.session_link = "left out"
    em.behaviour.list_delay = 3600
    with admin() as client, pytest.raises(EmInDoubtError, match="reports success, but shows no new"):
        carried_out(client)


def test_a_link_to_a_session_that_em_does_not_show_is_no_success(em, plan, admin):
    em.faults.add("status", status=404, path="/failoverSessions/")
    with admin() as client:
        run = run_of(client)
        run.check_running(False)
        run.submit(None)
        em.world.remove_session(em.world.sessions[0])
        with pytest.raises(EmInDoubtError, match="reports that it created session .*, but does not show it"):
            run.identify_session(600, 5, True)


@pytest.mark.parametrize("action", ["test", "undo"])
def test_another_document_in_the_place_of_the_task_is_no_task(em, plan, admin, action):
    other = '<Tasks xmlns="http://www.veeam.com/ent/v1.0"/>'
    with admin() as client:
        carried_out(client, "start")
        em.faults.add("reply", path="/tasks/", status=200, content_type="application/xml", body=other)
        if action == "undo":
            with pytest.raises(EmInDoubtError, match="whether the undo was done"):
                carried_out(client, "undo")
        else:
            assert carried_out(client).session_source == "inferred"


def test_a_link_to_a_session_that_was_there_before_is_no_success(em, plan, admin):
    old = em.world.add_session(name="Acme", result="Success", state="Stopped").id
    body = f"""<Task xmlns="http://www.veeam.com/ent/v1.0" Href="{em.url}/api/tasks/task-1"><Links><Link Rel="Related"
        Href="{em.url}/api/cloud/failoverSessions/{old}"/></Links><TaskId>task-1</TaskId><State>Finished</State>
        <Result Success="true"/></Task>"""
    em.faults.add("reply", method=POST, path=PLANS, status=202, content_type="application/xml", body=body)
    with admin() as client, pytest.raises(EmInDoubtError, match=f"{old}, which was there before the request"):
        carried_out(client)


def test_a_task_that_does_not_end_is_a_time_out(em, plan, admin):
    em.behaviour.undo_of_nothing = "accept"
    em.behaviour.undo_seconds = 1000
    with admin() as client, pytest.raises(EmWaitError, match="still in state Running after 60 seconds"):
        carried_out(client, "undo", seconds=60)


# Somebody else at the same moment


def test_while_the_task_runs_only_its_link_counts(em, plan, admin, fake_clock):
    em.behaviour.task_seconds = 200
    em.behaviour.list_delay = 60
    with admin() as client:
        run = run_of(client)
        run.check_running(False)
        run.submit(None)
        em.run_by_others(plan, "start")
        run.identify_session(600, 5, True)
    assert run.session_source == "task"
    assert run.session["id"] == sessions(em)[0]


def test_a_session_of_somebody_else_alone_is_a_candidate_at_most(em, plan, admin):
    em.faults.add("drop", method=POST, path=PLANS)
    with admin() as client:
        run = run_of(client)
        run.check_running(False)
        run.submit(None)
        em.run_by_others(plan, "start", delay=3)
        run.identify_session(600, 5, True)
    assert (run.session["id"], run.session_source) == (sessions(em)[0], "inferred")
    assert "somebody else" in client.said[-1]


def test_ours_that_shows_later_than_theirs_is_a_doubt(em, plan, admin, fake_clock):
    em.behaviour.session_link = "left out"
    em.behaviour.list_delay = 24
    with admin() as client:
        run = run_of(client)
        run.check_running(False)
        run.submit(None)
        em.behaviour.list_delay = 0
        em.run_by_others(plan, "start", delay=8)
        with pytest.raises(EmInDoubtError) as caught:
            run.identify_session(600, 5, True)
    assert [guid for guid in sessions(em) if guid not in str(caught.value)] == []


def test_a_session_without_a_result_yet_is_read_again(em, plan, admin, fake_clock):
    guid = em.world.add_session(name="Acme", state="Stopped", raw={"Result": "None"}).id
    with admin() as client:
        run = run_of(client)
        run.session = merge_tasks(SessionReader(client).read_session(guid), None, None)
        fake_clock.at(7, lambda: em.world.change_session(guid, raw={}))
        run.wait(600, 5)
    assert run.session["result"] == "Success"


def test_a_wait_that_ends_with_a_session_without_a_result_is_no_time_out(em, plan, admin):
    guid = em.world.add_session(name="Acme", state="Stopped", raw={"Result": "None"}).id
    with admin() as client:
        run = run_of(client)
        run.session = merge_tasks(SessionReader(client).read_session(guid), None, None)
        run.wait(4, 5)
    assert (run.session["finished"], run.session["result"]) == (True, "None")


# Two at once


def test_two_new_sessions_without_a_link_are_a_doubt_that_names_them(em, plan, admin):
    em.behaviour.session_link = "left out"
    with admin() as client:
        run = run_of(client)
        run.check_running(False)
        run.submit(None)
        other = em.world.add_session(name="Acme", state="Working")
        with pytest.raises(EmInDoubtError) as caught:
            run.identify_session(600, 5, True)
    assert [guid for guid in sessions(em) if guid not in str(caught.value)] == []
    assert other.id in sessions(em)


def test_two_new_sessions_with_a_link_are_a_warning(em, plan, admin):
    with admin() as client:
        run = run_of(client)
        run.check_running(False)
        run.submit(None)
        other = em.world.add_session(name="Acme", state="Working")
        run.identify_session(600, 5, True)
    assert run.session["id"] != other.id
    (said,) = client.said
    assert other.id in said
    assert "no lock" in said


def test_the_lock_lets_one_after_the_other_start(em, connect):
    """Two threads stand for two processes: the lock is on an open file, which each of them opens anew."""
    em.world.add_plan("Acme", ["db"])
    em.behaviour.list_delay = 0.3
    em.behaviour.task_seconds = em.behaviour.refresh_seconds = 0.1
    runs = []

    def one():
        with connect(username="admin", warn=lambda said: None) as client:
            run = run_of(client, "start")
            with plan_lock(client.base_url, run.plan["id"], 60, run.operation, client.warn):
                run.check_running(False)
                if not run.already_running:
                    run.submit(None)
                    run.identify_session(60, 0.1, True)
            runs.append(run)

    both = [threading.Thread(target=one) for dummy in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(posts(em)) == len(sessions(em)) == 1
    assert sorted(run.already_running for run in runs) == [False, True]
    assert {run.session["id"] for run in runs} == set(sessions(em))


# Plans of one name


def test_plans_of_one_name_must_be_distinguished(em, fake_clock, admin):
    first = em.world.add_plan("Acme", ["db"], tenant="A")
    second = em.world.add_plan("Acme", ["db"], tenant="B")
    third = em.world.add_plan("Acme", ["db"], tenant="C", backup_server="vbr9")
    with admin() as client:
        with pytest.raises(EmAmbiguousError) as caught:
            PlanReader(client).find_plan("Acme")
        assert [plan.id for plan in (first, second, third) if plan.id not in str(caught.value)] == []
        for options, found in [
            ({"tenant": "B"}, second),
            ({"server": "vbr9"}, third),
            ({"plan": third.id}, third),
            ({"plan": f"urn:veeam:FailoverPlan:{third.id.upper()}"}, third),
        ]:
            plan, ambiguous = PlanReader(client).find_plan(**{"plan": "Acme", **options})
            assert plan["id"] == found.id
            assert [other["id"] for other in ambiguous] == ([first.id] if found is second else [])
        with pytest.raises(EmNotFoundError, match="of tenant D, but .*tenant A"):
            PlanReader(client).find_plan("Acme", "D")
        with pytest.raises(EmNotFoundError, match="no failover plan named .Acne."):
            PlanReader(client).find_plan("Acne")
        with pytest.raises(EmNotFoundError, match="of tenant A"):
            PlanReader(client).find_plan(third.id, "A")


def test_sessions_of_ambiguous_plans_are_not_guessed(em, fake_clock, admin):
    em.world.add_plan("Acme", ["db"], tenant="A")
    em.world.add_plan("Acme", ["db"], tenant="B")
    with admin() as client:
        run = run_of(client, tenant="A")
        run.check_running(False)
        run.submit(None)
        run.identify_session(600, 5, True)  # the link tells
        assert run.session["id"] == sessions(em)[0]
        with pytest.raises(EmBusyError, match="may belong to"):
            run_of(client, tenant="B").check_running(False)
        em.behaviour.session_link = "left out"
        run = run_of(client, tenant="B")
        run.check_running(True)
        run.submit(None)
        with pytest.raises(EmInDoubtError, match=sessions(em)[1]):
            run.identify_session(600, 5, True)


# Undo


@pytest.mark.parametrize("undo_session", ["none", "unlinked", "linked"])
def test_undo(em, plan, admin, undo_session):
    em.behaviour.undo_session = undo_session
    with admin() as client:
        carried_out(client, "start")
        run = carried_out(client, "undo")
    assert run.task["success"] is True
    assert (run.session is None) == (undo_session != "linked")  # a session that EM does not link is nobody's
    if run.session:
        assert run.session["id"] == sessions(em)[1]
        assert run.session_source == "task"


def test_undo_does_not_join_what_runs(em, plan, admin):
    with admin() as client:
        first = carried_out(client, "start", wait=False)
        with pytest.raises(EmBusyError, match=first.session["id"]) as caught:
            carried_out(client, "undo")
    assert caught.value.kind == "busy"
    assert len(posts(em)) == 1


def test_undo_without_waiting_gives_em_time_to_refuse(em, plan, admin, fake_clock):
    with admin() as client:
        with pytest.raises(EmRefusedError, match="nothing to undo"):
            carried_out(client, "undo", wait=False)
        carried_out(client, "start")
        before = fake_clock.now
        em.behaviour.undo_seconds = 500
        run = carried_out(client, "undo", wait=False)
    assert run.task["state"] == "Running"
    assert UNDO_REFUSAL_TIME <= fake_clock.now - before < 60


@pytest.mark.parametrize("fault", ["drop", "drop_after_handling"])
def test_an_undo_whose_reply_is_lost_is_a_doubt_whatever_shows_up(em, plan, admin, fake_clock, fault):
    with admin() as client:
        carried_out(client, "start")
        em.faults.add(fault, method=POST, path=PLANS)
        run = run_of(client, "undo")
        run.check_running(False)
        run.submit(None)
        other = em.run_by_others(plan, "start", delay=2)
        with pytest.raises(EmInDoubtError, match="whether the undo was done"):
            run.identify_session(600, 5, True)
    assert (run.session, other) == (None, other)
    assert len(posts(em)) == 2


def test_a_run_of_somebody_else_after_the_undo_is_not_followed(em, plan, admin):
    with admin() as client:
        carried_out(client, "start")
        em.run_by_others(plan, "start", delay=61)
        run = carried_out(client, "undo")
    assert (run.task["success"], run.session) == (True, None)


@pytest.mark.parametrize("hidden", [True, False])
def test_an_undo_whose_task_is_lost_is_a_doubt(em, plan, admin, hidden):
    with admin() as client:
        carried_out(client, "start")
        if hidden:
            em.behaviour.hidden_task_reads = 99
        else:
            em.faults.add("expire", path="/tasks/", times=1)
        with pytest.raises(EmInDoubtError, match="whether the undo was done"):
            carried_out(client, "undo")


# An undo of one run only


def undone(client, only):
    run = run_of(client, "undo")
    run.check_running(False, only)
    run.submit(None)
    run.identify_session(600, 5, True)
    return run


def condition(session, known=None):
    return undo_condition("undo", session, known)


@pytest.mark.parametrize("noted", [True, False])
def test_the_latest_run_is_undone(em, plan, admin, noted):
    em.world.add_session(name="Acme", result="Failed", state="Stopped")
    with admin() as client:
        first = carried_out(client, "start")
        assert first.known_sessions == sessions(em)[:1]
        run = undone(client, condition(first.session["id"], first.known_sessions if noted else None))
    assert run.task["success"] is True


@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize("finished", [True, False])
def test_a_run_of_somebody_else_since_then_is_left_alone(em, plan, admin, fake_clock, noted, finished):
    with admin() as client:
        first = carried_out(client, "start")
        em.run_by_others(plan, "start")
        fake_clock.sleep(600 if finished else 1)
        with pytest.raises(EmSupersededError, match=sessions(em)[1]) as caught:
            undone(client, condition(first.session["id"], first.known_sessions if noted else None))
    assert (caught.value.kind, caught.value.status) == ("superseded", None)
    assert len(posts(em)) == 1


def test_a_clock_that_was_set_back_hides_no_run(em, plan, admin, fake_clock):
    em.world.add_session(name="Acme", result="Failed", creation_time="2026-01-01T00:00:00Z", state="Stopped")
    with admin() as client:
        first = carried_out(client, "start")
        em.clock.advance(-86400)
        em.run_by_others(plan, "start")
        fake_clock.sleep(600)
        with pytest.raises(EmSupersededError, match=sessions(em)[2]):
            undone(client, condition(first.session["id"], first.known_sessions))
    assert len(posts(em)) == 1


def test_more_sessions_than_are_noted(em, plan, admin):
    for day in range(1, 29):
        for hour in (1, 2, 3):
            em.world.add_session(name="Acme", creation_time=f"2026-02-{day:02}T{hour:02}:00:00Z", state="Stopped")
    with admin() as client:
        first = carried_out(client, "start")
        assert first.known_sessions == sessions(em)[:84][:-51:-1]
        only = condition(first.session["id"], first.known_sessions)
        assert undone(client, only).task["success"] is True
        em.run_by_others(plan, "start")
        with pytest.raises(EmSupersededError):
            undone(client, only)


def test_a_session_that_em_does_not_list_for_the_plan_is_not_undone(em, plan, admin):
    other = em.world.add_session(name="Beta", state="Stopped")
    with admin() as client:
        carried_out(client, "start")
        with pytest.raises(EmNotFoundError, match="does not list the session") as caught:
            undone(client, condition(other.id))
    assert caught.value.status is None
    assert len(posts(em)) == 1


@pytest.mark.parametrize(
    ("action", "session", "known", "words"),
    [
        ("start", SESSION, None, "only_if_latest: .* condition of action undo, not start"),
        ("test", None, [SESSION], "known_sessions: .* condition of action undo, not test"),
        ("undo", None, [SESSION], "known_sessions: .* Set only_if_latest too"),
        ("undo", "", None, "only_if_latest: .* id of the session"),
        ("undo", "Acme", [], "only_if_latest: .* id of the session"),
        ("undo", SESSION, [SESSION, "Acme"], "known_sessions: 'Acme'"),
    ],
)
def test_a_condition_that_cannot_be_meant_is_refused(action, session, known, words):
    with pytest.raises(OptionError, match=words):
        undo_condition(action, session, known)


def test_no_condition_is_none():
    assert condition(None) is None


# Interruptions


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_says_what_goes_on(em, plan, admin, fake_clock, number):
    before = [signal.getsignal(item) for item in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt, match="may go on in EM as session") as caught, admin() as client:
        fake_clock.at(60, lambda: os.kill(os.getpid(), number))
        carried_out(client, "start")
    assert sessions(em)[0] in str(caught.value)
    assert em.counters.live_logons == 0
    assert [signal.getsignal(item) for item in (signal.SIGINT, signal.SIGTERM)] == before


def test_an_interruption_during_the_request_waits_for_its_reply(em, plan, admin, signals_during):
    signals_during(em.plan_actions, "act", signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt, match="The start of plan Acme may go on"), admin() as client:
        run = run_of(client, "start")
        run.check_running(False)
        run.submit(None)
    assert len(sessions(em)) == 1
    assert em.counters.live_logons == 0


# The judgement of a run


@pytest.mark.parametrize(
    ("session", "tasks", "failed"),
    [
        ({"result": "Success"}, [{"vm_name": "db"}], False),
        ({"result": "Warning"}, [{"vm_name": "db", "result": "Warning"}], False),
        ({"result": "Warning"}, [{"vm_name": "db", "result": "Failed", "failure_message": "no memory"}], True),
        ({"result": "Success"}, [{"vm_name": "db", "result": "Failed", "failure_message": "no memory"}], True),
        ({"result": "Failed", "failure_message": "no memory"}, [], True),
        ({"result": "Success", "raw": {"Result": None}}, [], True),
        ({"result": "Success", "raw": {"Result": "Perhaps"}}, [], True),
    ],
    ids=str,
)
def test_what_is_a_failure(em, connect, session, tasks, failed):
    guid = em.world.add_session(name="Acme", state="Stopped", tasks=tasks, **session).id
    said = []
    with connect() as client:
        result = run_result(SessionReader(client).read_session(guid), said.append)
    assert result.get("failed", False) is failed
    if failed:
        assert result["error"]["kind"] == "run_failed"
        assert guid in result["msg"]
        if tasks:
            assert "db: no memory" in result["msg"]
    assert bool(said) is (not failed and session["result"] == "Warning")


# What was in failover before a test


def before_a_test(admin, **more):
    with admin() as client:
        run = run_of(client, "test", **more)
        run.check_running(False)
    return run.vms_in_failover


def test_vms_that_were_in_failover_before_a_test_are_named(em, plan, admin, fake_clock):
    other = em.world.add_plan("Elsewhere", ["web"], backup_server="vbr2")
    assert before_a_test(admin) == []
    em.run_by_others(other)
    fake_clock.sleep(200)
    assert before_a_test(admin) == []  # a namesake on another server
    em.run_by_others("Acme")
    fake_clock.sleep(200)
    assert before_a_test(admin) == ["db", "web"]


def test_a_namesake_on_the_same_server_counts(em, plan, admin, fake_clock):
    em.run_by_others(em.world.add_plan("Other", ["WEB"], tenant="B"))
    fake_clock.sleep(200)
    assert before_a_test(admin) == ["web"]


def test_where_em_lists_no_vms_of_the_plan_nothing_is_known(em, plan, admin, fake_clock):
    em.world.add_plan("Empty", [])
    assert before_a_test(admin, plan="Empty") == []
    em.run_by_others("Acme")
    fake_clock.sleep(200)
    assert before_a_test(admin, plan="Empty") is None


@pytest.mark.parametrize("action", ["start", "undo"])
def test_only_a_test_asks_for_it(em, plan, admin, action):
    with admin() as client:
        run = run_of(client, action)
        run.check_running(False)
    assert run.vms_in_failover is None
    assert not [request for request in em.requests if "CloudVmReplicaPoint" in request.query]
