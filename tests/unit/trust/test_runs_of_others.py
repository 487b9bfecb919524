# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Somebody else runs the plan, EM answers late or not at all: their run is never taken for ours, and never undone.

Each case was tried once and went wrong. The emulator's own log tells what really happened.
"""

from __future__ import annotations

import re
import socket
import socketserver
import struct
import threading

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.filter.failover_verdict import failover_verdict

PLANS = "/cloudFailoverPlans/"


@pytest.fixture
def plan(em, fake_clock):
    return em.world.add_plan("Acme", [{"name": "db", "duration": 30}, {"name": "web", "duration": 60}], tenant="A")


@pytest.fixture(params=["module", "action plugin"])
def call(request, run_module, run_action):
    return run_module if request.param == "module" else run_action


@pytest.fixture
def run(call):
    """One action on the plan."""
    return lambda action, **options: call("failover_plan", plan="Acme", action=action, **options)


def ours(em, action):
    """What the client has had EM do, as the server's log tells it."""
    return [done for done in em.runs if done.by == "api" and done.action == action and done.refused is None]


def theirs(em):
    return [done.session_id for done in em.runs if done.by == "others"]


def posts(em):
    return [request for request in em.requests if request.method == "POST" and PLANS.lower() in request.path.lower()]


def at_the_request(em, action, delay=0.0, when="before", run="start"):
    """Let somebody else run the plan at the moment of the client's own request, or so many seconds later."""
    query = f"action={action}"
    em.faults.add(
        "run_by_others", method="POST", path=PLANS, query=query, times=1, plan="Acme", run=run, delay=delay, when=when
    )


def lose_the_request(em, action):
    em.faults.add("drop", method="POST", path=PLANS, query=f"action={action}", times=1)


def passes(result):
    return failover_verdict(
        result["failover_session"], plan=result["plan"], session_source=result["session_source"], rto="10m"
    )["passed"]


# Whose session it is


@pytest.mark.parametrize("undo_test", ["auto", "always"])
def test_a_start_by_others_after_a_test_that_em_never_got_is_no_success_and_not_undone(
    em, plan, call, drill, undo_test
):
    at_the_request(em, "test", delay=3)
    lose_the_request(em, "test")
    done = drill(call, undo_test=undo_test)
    assert (done.test["failover_session"]["id"], done.test["session_source"]) == (theirs(em)[0], "inferred")
    assert any("inferred" in said for said in done.test["warnings"])
    assert passes(done.test) is False
    assert done.seen["session"]["tasks"][0]["replica_point"]["state"] == "Failover"  # so there is something to undo
    assert (done.wanted, len(posts(em)), ours(em, "test")) == (False, 1, [])


@pytest.mark.parametrize("undo_test", ["auto", "always"])
def test_their_session_shows_before_ours_which_em_does_not_link(em, plan, call, drill, undo_test):
    em.behaviour.session_link = "left out"
    em.behaviour.task_seconds = em.behaviour.refresh_seconds = 1
    em.behaviour.list_delay = 12
    at_the_request(em, "test", delay=1)
    done = drill(call, undo_test=undo_test)
    assert (done.test["failed"], done.test["error"]["kind"], done.test["changed"]) == (True, "in_doubt", True)
    assert done.test["failover_session"] is None
    assert [guid for guid in (*theirs(em), ours(em, "test")[0].session_id) if guid not in done.test["msg"]] == []
    assert (done.wanted, len(posts(em))) == (False, 1)


def test_our_session_that_shows_long_after_theirs_is_found_by_the_link_of_the_task(em, plan, call, drill):
    em.behaviour.task_seconds = 60
    em.behaviour.list_delay = 600
    at_the_request(em, "test", delay=1)
    done = drill(call)
    (our_run,) = ours(em, "test")
    assert (done.test["failover_session"]["id"], done.test["session_source"]) == (our_run.session_id, "task")
    assert passes(done.test) is True
    assert any(theirs(em)[0] in said for said in done.test["warnings"])


def test_theirs_is_not_taken_while_the_task_of_ours_runs(em, plan, run, fake_clock):
    """Alone on the list for longer than a candidate needs to be, with EM's task still running when the time is over."""
    em.behaviour.task_seconds = 1000
    em.behaviour.list_delay = 2000
    at_the_request(em, "test", delay=1)
    result = run("test", wait_timeout=90)
    assert (result["failed"], result["error"]["kind"], result["changed"]) == (True, "wait_timeout", True)
    assert (result["failover_session"], result["session_source"]) == (None, None)
    assert fake_clock.now >= 90


# What is undone


@pytest.mark.parametrize("points_after_test", ["ready", "failover"])
@pytest.mark.parametrize(
    "moment", ["just before ours", "just after ours", "during ours", "before the last look", "after it"]
)
def test_a_start_by_others_is_not_undone_with_our_test(em, plan, call, drill, fake_clock, moment, points_after_test):
    em.behaviour.points_after_test = points_after_test
    if moment.startswith("just"):
        at_the_request(em, "test", when=moment.split()[1])
    elif moment == "during ours":
        at_the_request(em, "test", delay=15)

    def start_it():
        em.run_by_others("Acme")
        fake_clock.sleep(10)  # until the first VM is in failover

    later = {"before the last look": {"between": start_it}, "after it": {"before_undo": start_it}}.get(moment, {})
    done = drill(call, **later)
    assert (done.test["session_source"], done.test["failover_session"]["id"]) == (
        "task",
        ours(em, "test")[0].session_id,
    )
    assert done.wanted is (points_after_test == "failover" or moment != "after it")
    if done.wanted:
        assert (done.undo["failed"], done.undo["error"]["kind"], done.undo["changed"]) == (True, "superseded", False)
        assert theirs(em)[0] in done.undo["msg"]
        assert done.undo["error"]["status"] is None
    assert ours(em, "undo") == []
    assert [request.query for request in posts(em)] == ["action=test"]


def test_a_start_by_others_that_has_finished_is_not_undone_either(em, plan, call, drill, fake_clock):
    em.behaviour.points_after_test = "failover"

    def start_it():
        em.run_by_others("Acme")
        fake_clock.sleep(1000)

    done = drill(call, before_undo=start_it)
    assert (done.wanted, done.undo["error"]["kind"], ours(em, "undo")) == (True, "superseded", [])


def test_theirs_is_not_undone_when_the_clock_of_em_was_set_back_meanwhile(em, plan, call, drill, fake_clock):
    em.behaviour.points_after_test = "failover"

    def set_back_and_start():
        em.clock.advance(-3 * 3600)
        em.run_by_others("Acme")
        fake_clock.sleep(200)

    em.world.add_session(name="Acme", state="Stopped", creation_time="2026-01-01T00:00:00Z")
    done = drill(call, before_undo=set_back_and_start)
    (their_run,) = theirs(em)
    by_time = sorted(em.world.sessions, key=lambda session: session.creation_time)
    assert [session.id for session in by_time].index(their_run) == 1  # it looks older than ours
    assert (done.wanted, done.undo["error"]["kind"], ours(em, "undo")) == (True, "superseded", [])
    assert their_run in done.undo["msg"]


@pytest.mark.parametrize("points_after_test", ["ready", "failover"])
@pytest.mark.parametrize("undo_test", ["auto", "always"])
def test_a_real_failover_that_was_there_before_is_not_undone_with_our_test(
    em, plan, call, drill, fake_clock, undo_test, points_after_test
):
    """It is over and up, so nothing of the plan runs, and its session is one of the known ones."""
    em.behaviour.points_after_test = points_after_test
    em.run_by_others("Acme")
    fake_clock.sleep(1000)
    done = drill(call, undo_test=undo_test)
    assert done.test["known_sessions"] == theirs(em)
    assert done.test["vms_in_failover"] == ["db", "web"]
    assert done.seen["session"]["tasks"][0]["replica_point"]["state"] == "Failover"
    assert (done.wanted, ours(em, "undo")) == (False, [])


def test_our_test_is_undone_where_nobody_else_has_run_the_plan(em, plan, call, drill):
    em.behaviour.points_after_test = "failover"
    em.world.add_session(name="Acme", result="Failed", state="Stopped")
    done = drill(call)
    assert (done.wanted, done.undo["changed"], done.undo["task"]["success"]) == (True, True, True)
    assert [undone.undone for undone in ours(em, "undo")] == [(done.test["failover_session"]["id"],)]
    assert len(posts(em)) == 2


def test_a_test_that_leaves_its_points_ready_is_not_undone(em, plan, call, drill):
    done = drill(call)
    assert passes(done.test) is True
    assert [task["replica_point"]["state"] for task in done.seen["session"]["tasks"]] == ["Ready", "Ready"]
    assert (done.wanted, len(posts(em))) == (False, 1)


def test_em_refuses_to_undo_nothing_and_the_points_say_that_it_is_right(em, plan, call, drill, role):
    done = drill(call, undo_test="always")
    assert (done.undo["failed"], done.undo["error"]["kind"]) == (True, "refused")
    assert "nothing to undo" in done.undo["msg"]
    assert role.points_say(done.seen) == "ready"  # by which the role tells that this is not an error


# When an undo has succeeded


@pytest.mark.parametrize("wait", [True, False])
def test_an_undo_that_em_never_got_is_not_made_of_a_start_by_others(em, plan, run, fake_clock, wait):
    run("start")
    at_the_request(em, "undo", delay=2)
    lose_the_request(em, "undo")
    result = run("undo", wait=wait)
    assert (result["failed"], result["error"]["kind"], result["changed"]) == (True, "in_doubt", True)
    assert (result["failover_session"], result["session_source"], result["task"]["success"]) == (None, None, None)
    assert ours(em, "undo") == []


@pytest.mark.parametrize("undo_session", ["none", "unlinked", "linked"])
def test_an_undo_that_is_done_does_not_wait_for_a_start_by_others(em, plan, run, fake_clock, undo_session):
    run("start")
    em.behaviour.undo_session = undo_session
    em.behaviour.undo_seconds = 20
    em.behaviour.failing_vms = "*"
    at_the_request(em, "undo", delay=20.5)
    began = fake_clock.now
    result = run("undo")
    assert "failed" not in result
    assert (result["task"]["success"], len(ours(em, "undo"))) == (True, 1)
    linked = ours(em, "undo")[0].session_id if undo_session == "linked" else None
    assert (result["failover_session"] or {}).get("id") == linked
    assert fake_clock.now - began < 40  # their run takes 66 seconds


# A session without a result yet


@pytest.mark.parametrize("result", ["Success", "Failed"])
def test_a_session_that_ends_without_a_result_is_read_again(em, plan, run, fake_clock, result):
    def end():
        em.world.change_session(ours(em, "test")[0].session_id, state="Stopped", raw={"Result": "None"})

    def say():
        em.world.change_session(ours(em, "test")[0].session_id, state="Stopped", result=result, raw={})

    fake_clock.at(7, end)  # before the session is known
    fake_clock.at(18, say)
    done = run("test")
    assert done["failover_session"]["result"] == result
    assert (done.get("failed", False), done.get("error", {}).get("kind")) == (
        (False, None) if result == "Success" else (True, "run_failed")
    )


def test_a_session_that_never_gets_a_result_is_a_failure_in_the_end(em, plan, run, fake_clock):
    fake_clock.at(
        7, lambda: em.world.change_session(ours(em, "test")[0].session_id, state="Stopped", raw={"Result": "None"})
    )
    done = run("test")
    assert (done["failed"], done["error"]["kind"]) == (True, "run_failed")
    assert "without a result" in done["msg"]
    assert fake_clock.now < 60


# Runs that Ansible would repeat


@pytest.mark.parametrize(
    "keywords",
    [{"task_until": ["run is succeeded"]}, {"task_retries": 2}, {"task_until": ["x"], "task_retries": 2}],
    ids=str,
)
@pytest.mark.parametrize("action", ["start", "test", "undo"])
def test_a_plan_is_not_run_again_and_again(em, plan, run_action, keywords, action):
    em.behaviour.failing_vms = "*"
    result = run_action("failover_plan", plan="Acme", action=action, **keywords)
    assert (result["failed"], result["changed"]) == (True, False)
    assert [word for word in ("until", "retries", "Nothing was started") if word not in result["msg"]] == []
    assert (run_action.runs, em.requests) == ([], [])


# EM is away


def test_em_that_is_unavailable_at_the_time_limit(em, plan, run, fake_clock):
    fake_clock.at(40, lambda: em.outage(3600, "drop"))
    result = run("start", wait_timeout=60)
    em.outage(0)
    assert (result["failed"], result["error"]["kind"], result["timed_out"]) == (True, "wait_timeout", True)
    guid = ours(em, "start")[0].session_id
    first, dummy, rest = result["msg"].partition(" EM was unavailable at the end (")
    assert [word for word in (guid, "Working", "Acme") if word not in first] == []
    waited = int(first.rpartition(" seconds")[0].rpartition(" ")[2])
    assert 50 <= waited <= 70
    assert "The run goes on in EM" in rest
    assert "Log on" not in first
    assert "Traceback" not in str(result)


def test_the_headline_says_the_same_as_the_message(em, plan, run_action, fake_clock):
    """From ansible-core 2.19 on the headline is made of ``exception``, where a result has one."""
    result = run_action("failover_plan", plan="Acme", action="start", wait_timeout=50)
    assert "after 5" in result["msg"]
    assert str(result.get("exception") or result["msg"]).startswith(result["msg"])


# Connections that die without a word


class _Forgetful(socketserver.ThreadingTCPServer):
    """Stands before EM, as a load balancer does, and gives each connection up after its first reply.

    :ivar end: ``fin`` or ``rst``, at once or (``late``) only when the next request comes, as one does that has forgotten
        an idle connection: its client cannot tell before.
    :ivar lost: the requests that came on such a connection.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, url, end):
        super().__init__(("127.0.0.1", 0), _Connection)
        self.behind = ("127.0.0.1", int(url.rpartition(":")[2]))
        self.end = end
        self.lost = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Connection(socketserver.BaseRequestHandler):
    def handle(self):
        message = _message(self.request)
        if not message:
            return
        with socket.create_connection(self.server.behind) as behind:
            behind.sendall(message)
            self.request.sendall(_message(behind))
        how = self.server.end
        if how.startswith("late"):
            lost = _message(self.request) if how == "late fin" else self.request.recv(1)
            if lost:
                self.server.lost.append(lost)
        if how.endswith("rst"):
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.request.close()


def _message(connection):
    """One request or reply, or nothing where the connection ends before."""
    found = b""
    while b"\r\n\r\n" not in found:
        piece = connection.recv(65536)
        if not piece:
            return b""
        found += piece
    head, dummy, body = found.partition(b"\r\n\r\n")
    length = re.search(rb"(?im)^content-length: *(\d+)", head)
    while length and len(body) < int(length[1]):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@pytest.fixture(params=["fin", "rst", "late fin", "late rst"])
def forgetful(request, em):
    with _Forgetful(em.url, request.param) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield server
        server.shutdown()


def test_a_connection_that_died_without_a_word_does_not_eat_the_request(
    em, plan, run, forgetful, fake_clock, recorded_sleeps
):
    started = run("start", url=forgetful.url, retries=3)
    assert "failed" not in started
    assert (started["session_source"], started["changed"]) == ("task", True)
    undone = run("undo", url=forgetful.url, retries=3)
    assert ("failed" in undone, undone["task"]["success"]) == (False, True)
    assert [(done.action, done.refused) for done in em.runs] == [("start", None), ("undo", None)]
    assert len(posts(em)) == 2
    assert [said for said in (*started.get("warnings", ()), *undone.get("warnings", ())) if "lost" in said] == []
    assert em.counters.live_logons == 0  # the logoff is not lost either
    assert forgetful.lost if forgetful.end.startswith("late") else not forgetful.lost
    assert not any(lost.startswith(b"POST /api/cloud") for lost in forgetful.lost)
