# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waits, and what may happen meanwhile. Real HTTP against the emulator; only the time is not real (see ``fake_clock``)."""

from __future__ import annotations

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import (
    EmAmbiguousError,
    EmAuthError,
    EmPermissionError,
    EmWaitError,
)
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.criteria import SessionCriteria
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.facts import merge_tasks
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.waiter import (
    GOES_ON,
    MAX_REREADS,
    REFUSED_PAUSE,
    wait_until_appeared,
    wait_until_finished,
)


@pytest.fixture
def client(em, connect, fake_clock):
    said = []
    client = connect(warn=said.append)
    said.clear()  # that the emulator speaks plain HTTP
    client.said = said
    with client:
        yield client


@pytest.fixture
def guid(em, fake_clock):
    tasks = [{"vm_name": "db", "duration": 60}, {"vm_name": "web", "duration": 300, "result": "Failed"}]
    return em.world.add_session(name="Acme", result="Warning", tasks=tasks).id


def waited(client, guid, seconds=3600, interval=5, last=None):
    return list(wait_until_finished(client, guid, seconds, interval, last))


def test_each_change_comes_once(em, client, guid, fake_clock):
    facts = waited(client, guid)
    assert [one for one, other in zip(facts, facts[1:], strict=False) if one == other] == []
    states = [fact["state"] for fact in facts]
    assert [state for state in sorted(set(states), key=states.index) if state != "Stopping"] == [
        "Starting",
        "Working",
        "Stopped",
    ]
    assert [fact["task_summary"]["running"] for fact in (facts[0], facts[-1])] == [0, 0]
    assert facts[-1]["task_summary"]["total"] == 2
    assert facts[-1]["tasks_kept_at"] is None
    assert fake_clock.slept == [5] * len(fake_clock.slept)
    assert client.said == []


def test_the_time_is_kept(em, client, guid, fake_clock):
    with pytest.raises(EmWaitError) as caught:
        waited(client, guid, seconds=102)
    assert fake_clock.now == 102
    for word in (guid, "Acme", "Working", "1 of 2 VMs done", "102 seconds"):
        assert word in str(caught.value)


def test_idle_expiry_is_a_new_logon(em, client, guid, fake_clock):
    em.logons.idle_seconds = 900
    facts = waited(client, guid, seconds=7200, interval=1000)
    assert facts[-1]["finished"]
    assert client.logons > 1
    assert client.said == []


@pytest.mark.parametrize("kind", ["503", "drop"])
def test_an_outage_of_three_minutes_with_a_restart_is_one_warning(em, client, guid, fake_clock, kind):
    fake_clock.at(20, lambda: em.restart(3600, kind))
    fake_clock.at(200, lambda: em.outage(0))
    facts = waited(client, guid)
    assert facts[-1]["finished"]
    (said,) = client.said
    assert said.endswith(GOES_ON)
    assert "/api/cloud/failoverSessions/" in said


def test_each_outage_is_said(em, client, guid, fake_clock):
    for start in (20, 100):
        fake_clock.at(start, lambda: em.outage(3600, "503"))
        fake_clock.at(start + 30, lambda: em.outage(0))
    waited(client, guid)
    assert len(client.said) == 2


def test_an_outage_that_lasts_is_a_time_out_that_names_it(em, client, guid, fake_clock):
    fake_clock.at(20, lambda: em.outage(3600, "503"))
    with pytest.raises(EmWaitError, match="EM was unavailable at the end .*HTTP 503.*The run goes on in EM") as caught:
        waited(client, guid, seconds=300)
    em.outage(0)
    assert caught.value.status is None
    assert len(client.said) == 1


def test_a_logon_is_refused_twice_at_most(em, client, guid, fake_clock):
    fake_clock.at(20, lambda: (em.expire_logons(), em.faults.add("unauthorized", path="/sessionMngr")))
    with pytest.raises(EmAuthError):
        waited(client, guid)
    em.faults.clear()
    tried = [request for request in em.requests if "sessionmngr" in request.path.lower()]
    assert [request.status for request in tried] == [201, 401, 401]
    assert fake_clock.slept[-1] == REFUSED_PAUSE
    assert "once more in 60 seconds" in client.said[0]


def test_a_proxy_is_asked_twice_at_most(em, proxy, client, guid, fake_clock):
    """It may lock its user, too. It refuses each request, not only a logon."""
    fake_clock.at(20, lambda: setattr(proxy, "refuses", True))
    with pytest.raises(EmAuthError, match="Give the right user and password in the proxy's address"):
        waited(client, guid)
    proxy.refuses = False
    assert proxy.refused == 2
    assert fake_clock.slept[-1] == REFUSED_PAUSE


def test_a_proxy_that_refuses_once_does_no_harm(em, proxy, client, guid, fake_clock):
    fake_clock.at(20, lambda: setattr(proxy, "refuses", True))
    fake_clock.at(60, lambda: setattr(proxy, "refuses", False))
    assert waited(client, guid)[-1]["finished"]
    assert proxy.refused == 1


def test_a_logon_that_is_refused_once_does_no_harm(em, client, guid, fake_clock):
    fake_clock.at(20, lambda: (em.expire_logons(), em.faults.add("unauthorized", path="/sessionMngr", times=1)))
    assert waited(client, guid)[-1]["finished"]


def test_no_second_logon_where_there_is_no_time_for_its_pause(em, client, guid, fake_clock):
    fake_clock.at(20, lambda: (em.expire_logons(), em.faults.add("unauthorized", path="/sessionMngr")))
    with pytest.raises(EmAuthError):
        waited(client, guid, seconds=60)
    em.faults.clear()
    assert fake_clock.now == 20


def test_403_may_stand_for_a_logon_that_has_ended(em, client, guid, fake_clock):
    fake_clock.at(20, lambda: em.faults.add("status", status=403, path="/failoverSessions/", times=1))
    assert waited(client, guid)[-1]["finished"]
    assert client.logons == 2


def test_403_again_ends_the_wait(em, client, guid, fake_clock):
    fake_clock.at(20, lambda: em.faults.add("status", status=403, path="/failoverSessions/"))
    with pytest.raises(EmPermissionError):
        waited(client, guid)
    assert fake_clock.now == 20


def test_tasks_that_em_drops_are_kept_and_marked(em, client, guid, fake_clock):
    em.behaviour.finished_tasks = "drop"
    *earlier, last = waited(client, guid)
    assert last["finished"]
    assert [task["vm_name"] for task in last["tasks"]] == ["db", "web"]
    assert last["task_summary"]["total"] == 2
    assert last["tasks_kept_at"].endswith("Z")
    assert {fact["tasks_kept_at"] for fact in earlier} == {None}


def test_kept_tasks_stay_kept():
    first = {"tasks": [1], "task_summary": {"total": 1}, "tasks_kept_at": "then"}
    now = {"tasks": [], "task_summary": {"total": 0}}
    assert merge_tasks(now, first, "later") == first
    assert merge_tasks(now, None, "later") == {**now, "tasks_kept_at": None}
    assert merge_tasks(first, {"tasks": [2]}, "later") == first
    listed = {"tasks": [1], "task_summary": {"total": 1}}
    assert merge_tasks(listed, {"tasks": [2]}, "later") == {**listed, "tasks_kept_at": None}


def test_an_end_without_a_result_is_read_again(em, client, fake_clock):
    session = em.world.add_session(name="Acme", state="Stopped", raw={"Result": "None"})
    fake_clock.at(10, lambda: em.world.change_session(session, raw={}, result="Success"))
    assert [fact["result"] for fact in waited(client, session.id)] == ["None", "Success"]
    other = em.world.add_session(name="Acme", state="Stopped", raw={"Result": None})
    fake_clock.slept.clear()
    assert [fact["succeeded"] for fact in waited(client, other.id)] == [False]
    assert len(fake_clock.slept) == MAX_REREADS


@pytest.mark.parametrize("state", ["Stopping", "Pausing", "Idle"])
def test_only_stopped_is_an_end(em, client, fake_clock, state):
    session = em.world.add_session(name="Acme", raw={"State": state})
    with pytest.raises(EmWaitError, match=state):
        waited(client, session.id, seconds=60)


def test_a_session_that_em_does_not_know_for_a_while(em, client, guid, fake_clock):
    session = em.world.session(guid)
    fake_clock.at(20, lambda: em.world.remove_session(session))
    fake_clock.at(60, lambda: em.world.add([session]))
    assert waited(client, guid)[-1]["finished"]
    (said,) = set(client.said)  # modules give each sentence once
    assert guid in said


# Until it appears


def wanted(**options):
    return SessionCriteria.from_options({"name": "Acme", "created_after": "1h", **options}.get)


def test_until_it_appears(em, client, fake_clock):
    em.world.add_session(name="Acme", result="Failed", state="Stopped", creation_time="2026-01-01T00:00:00Z")
    fake_clock.at(100, lambda: em.world.add_session(name="Acme"))
    fact = wait_until_appeared(client, wanted(), 300, 5)
    assert fact["id"] == em.world.sessions[-1].id
    assert fake_clock.now == 100


def test_it_does_not_appear(em, client, fake_clock):
    with pytest.raises(EmWaitError, match="no matching session within 60 seconds"):
        wait_until_appeared(client, wanted(), 60, 5)
    assert fake_clock.now == 60


def test_the_newest_of_several_is_taken_with_a_warning(em, client, fake_clock):
    first = em.world.add_session(name="Acme")
    em.clock.advance(10)
    second = em.world.add_session(name="Acme")
    assert wait_until_appeared(client, wanted(), 60, 5)["id"] == second.id
    (said,) = client.said
    assert first.id in said


def test_several_on_different_servers_are_an_error(em, client, fake_clock):
    first = em.world.add_session(name="Acme")
    second = em.world.add_session(name="Acme", backup_server="vbr9")
    with pytest.raises(EmAmbiguousError) as caught:
        wait_until_appeared(client, wanted(), 60, 5)
    assert first.id in str(caught.value)
    assert second.id in str(caught.value)
