# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleAuthenticationFailure, AnsibleConnectionFailure
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.waiter import GOES_ON

GUID = "475420ee-d045-4493-9869-0a970e08f6f9"


@pytest.fixture
def guid(em, fake_clock):
    tasks = [{"vm_name": "db", "duration": 60}, {"vm_name": "web", "duration": 300, "result": "Failed"}]
    return em.world.add_session(name="Acme", result="Warning", tasks=tasks).id


@pytest.fixture
def run(run_action):
    return lambda **options: run_action("failover_session_wait", username="reader", **options)


def test_each_change_is_a_line(em, guid, run_action, run, displayed_lines, fake_clock):
    result = run(id=guid)
    assert (result["failover_session"]["result"], result["changed"]) == ("Warning", False)
    assert result["waited"] == fake_clock.now > 300
    assert "1/2 VMs done, db Success 60 s" in " ".join(displayed_lines)
    assert "Stopped, result Warning after" in displayed_lines[-1]
    assert em.counters.live_logons == 0
    assert em.counters.logons == len(run_action.runs) < 30


def test_the_result_is_that_of_the_module_alone(em, guid, run_action, run, run_module):
    sliced = run(id=guid)
    alone = run_module("failover_session_wait", username="reader", id=guid)
    assert set(sliced) == set(alone) - {"invocation"}
    assert sliced["failover_session"] == alone["failover_session"]


def test_until_appeared(em, run_action, run, fake_clock):
    fake_clock.at(100, lambda: em.world.add_session(name="Acme"))
    result = run(plan="Acme", created_after="1s", until="appeared")
    assert result["failover_session"]["name"] == "Acme"
    assert 100 <= fake_clock.now < 130


def test_an_age_counts_from_the_beginning(em, run_action, run, fake_clock):
    result = run(plan="Acme", created_after="1h", appear_timeout=100)
    assert (result["timed_out"], result["failover_session"], result["error"]["kind"]) == (True, None, "wait_timeout")
    assert len({options["created_after"] for dummy, options in run_action.runs}) == 1
    assert "within 1" in result["msg"]
    assert 100 <= fake_clock.now < 110


def test_both_phases(em, run_action, run, fake_clock):
    fake_clock.at(50, lambda: em.world.add_session(name="Acme", tasks=[{"vm_name": "db", "duration": 60}]))
    result = run(plan="Acme", created_after="1h")
    assert result["failover_session"]["finished"]


def test_a_time_out_carries_the_last_facts(em, guid, run_action, run, fake_clock):
    result = run(id=guid, finish_timeout=100)
    assert (result["failed"], result["timed_out"], result["error"]["kind"]) == (True, True, "wait_timeout")
    assert result["failover_session"]["state"] == "Working"
    assert "1 of 2 VMs done" in result["msg"]
    assert 100 <= fake_clock.now < 112


@pytest.mark.parametrize("kind", ["503", "drop"])
def test_an_outage_of_three_minutes_with_a_restart(em, guid, run_action, run, displayed_lines, fake_clock, kind):
    fake_clock.at(30, lambda: em.restart(3600, kind))
    fake_clock.at(210, lambda: em.outage(0))
    result = run(id=guid)
    assert result["failover_session"]["finished"]
    assert sum(warning.endswith(GOES_ON) for warning in result["warnings"]) == 1


def test_a_lost_connection_to_the_host_is_an_outage(em, guid, run_action, run, fake_clock):
    """Ansible would drop the host, and with it what is known of the session."""

    def lost():
        raise AnsibleConnectionFailure("ssh: connect to host jump port 22: Connection timed out.")

    run_action.before = [lambda: None, lambda: None, lost, lost]
    result = run(id=guid)
    assert result["failover_session"]["finished"]
    (said,) = [warning for warning in result["warnings"] if "cannot be reached" in warning]
    assert said.startswith("The host on which this task runs cannot be reached: ssh: connect to host jump port 22")
    assert said.endswith(f"Connection timed out. Check its network and SSH. {GOES_ON}")


def test_a_connection_that_stays_lost_keeps_the_session(em, guid, run_action, run, fake_clock):
    def lost():
        fake_clock.sleep(10)
        raise AnsibleConnectionFailure("Connection timed out")

    run_action.before = [lambda: None, lambda: None, *[lost] * 50]
    result = run(id=guid, finish_timeout=100)
    assert (result["timed_out"], result["failover_session"]["id"]) == (True, guid)
    assert f"{em.url}/api/cloud/failoverSessions/{guid}" in result["msg"]


@pytest.mark.parametrize("kind", [AnsibleConnectionFailure, AnsibleAuthenticationFailure])
def test_where_the_host_never_answered_or_refuses_the_user_ansible_says_so(guid, run_action, run, kind):
    def lost():
        raise kind("no")

    run_action.before = [lost] if kind is AnsibleConnectionFailure else [lambda: None, lambda: None, lost]
    with pytest.raises(kind):
        run(id=guid)


@pytest.mark.parametrize("interval", [5, 60])
def test_a_logon_is_refused_twice_at_most_however_long_a_run_is(em, guid, run, fake_clock, interval):
    fake_clock.at(40, lambda: (em.expire_logons(), em.faults.add("unauthorized", path="/sessionMngr")))
    result = run(id=guid, poll_interval=interval)
    em.faults.clear()
    assert (result["failed"], result["error"]["kind"]) == (True, "auth")
    assert [request.status for request in em.requests if "sessionmngr" in request.path.lower()].count(401) == 2


def test_em_must_answer_at_the_beginning(em, guid, run_action, run, fake_clock):
    em.outage(3600, "503")
    result = run(id=guid)
    em.outage(0)
    assert (result["failed"], result["timed_out"], result["error"]["kind"]) == (True, False, "server")
    assert len(run_action.runs) == 1


def test_a_line_now_and_then_shows_that_it_is_alive(em, run_action, run, displayed_lines, fake_clock):
    guid = em.world.add_session(name="Acme", state="Working", tasks=[{"vm_name": "db", "duration": 9999}]).id
    run(id=guid, finish_timeout=1000)
    assert sum("still Working" in line for line in displayed_lines) == 3


@pytest.mark.parametrize(
    "options",
    [
        {"id": GUID, "async_val": 60, "appear_timeout": 1},
        {"id": GUID, "poll_interval": 0},
        {"id": GUID, "until": "Finished"},
        {"id": GUID, "until": None},
        {"id": GUID, "finish_timeout": "soon"},
        {"plan": "Acme", "created_after": "soon"},
        {"plan": "Acme"},
        {"id": GUID, "password": "wrong"},
    ],
    ids=str,
)
def test_what_cannot_be_waited_for_is_one_run_of_the_module(em, run_action, run, displayed_lines, options):
    assert run(**options)["failed"] is True
    assert len(run_action.runs) == 1
    assert bool(run_action.wrapped) is ("async_val" in options)
    assert displayed_lines == []


# Replica points


@pytest.fixture
def used(em, fake_clock):
    plan = em.world.add_plan("Acme", ["db"])
    point = em.world.points.history(plan, plan.vms[0], em.clock.now())[0]
    tasks = [
        {"vm_name": "db", "start_offset": 0, "duration": 300, "replica_point": {"id": point.id, "name": point.name}}
    ]
    return em.world.add_session(name="Acme", tasks=tasks).id


@pytest.mark.parametrize("kept", ["keep", "drop"])
def test_points_are_read_once_whether_em_keeps_the_vms_or_not(em, used, run_action, kept):
    """The run of the module that sees the end may not know the VMs that earlier runs have seen."""
    em.behaviour.finished_tasks = kept
    run_action.cost = 400  # the session ends between two runs
    result = run_action("failover_session_wait", username="reader", id=used)
    (task,) = result["failover_session"]["tasks"]
    assert (task["replica_point"]["state"], task["succeeded"] is not None) == ("Ready", kept == "keep")
    assert result["points_seen_at"] is not None
    assert (result["failover_session"]["tasks_kept_at"] is None) == (kept == "keep")
    assert sum("CloudVmReplicaPoint" in record.query for record in em.requests) == 1
    assert "invocation" not in result
