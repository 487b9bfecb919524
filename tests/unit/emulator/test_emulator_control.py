# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Control endpoints, counters, log, embedding."""

from __future__ import annotations

import json
import threading
import time
from datetime import datetime, timedelta, timezone

import pytest
from emulator import Emulator

LIST = "/api/cloud/failoverSessions"


@pytest.fixture
def control(em, connect):
    """Calls a control endpoint: no token."""
    client = connect(em)

    def call(method, path, body=None):
        reply = client.request(method, f"/emulator/{path}", body=None if body is None else json.dumps(body))
        return reply.status, reply.json if reply.body else None

    return call


def test_counters_and_log(em, client, control):
    client.get(LIST)
    client.get(f"{LIST}/x?format=Entity", Accept="application/json")
    client.get("/api/nothing")
    assert em.counters.requests == 4
    assert em.counters.routes == {
        "POST /api/sessionMngr": 1,
        f"GET {LIST}": 1,
        f"GET {LIST}/{{id}}": 1,
        "GET /api/nothing": 1,
    }
    record = em.requests[2]
    assert (record.method, record.path, record.query, record.status) == ("GET", f"{LIST}/x", "format=Entity", 400)
    assert record.headers["accept"] == "application/json"
    assert record.headers["x-restsvcsessionid"] == client.token
    status, counters = control("GET", "counters")
    assert status == 200
    assert (counters["requests"], counters["logons"], counters["live_logons"]) == (4, 1, 1)
    assert counters["bytes_sent"] == em.counters.bytes_sent > 0
    dummy, log = control("GET", "requests")
    assert [entry["status"] for entry in log] == [201, 200, 400, 404]
    assert client.token not in json.dumps(log)
    with pytest.raises(KeyError):
        em.counters["nonsense"]


def test_bytes_sent_are_the_bodies(em, client):
    before = em.counters.bytes_sent
    assert em.counters.bytes_sent - before == 0
    assert len(client.get(LIST).body) == em.counters.bytes_sent - before


def test_reset(em, client, control):
    em.world.add_session(name="stays")
    em.faults.add("drop", path=LIST)
    em.behaviour.bom = True
    em.clock.advance(3600)
    em.latency_ms = 1
    before = datetime.now(timezone.utc)
    assert control("POST", "reset") == (204, None)
    assert em.counters.requests == em.counters.logons == em.counters.live_logons == 0
    assert (em.requests, em.behaviour.bom, em.latency_ms) == ([], False, 0)
    assert before - timedelta(seconds=1) <= em.clock.now() <= datetime.now(timezone.utc) + timedelta(seconds=1)
    assert client.get(LIST).status == 401
    client.log_on()
    assert client.get(LIST).names == ["stays"]
    assert control("POST", "reset", {"sessions": 2, "tasks": 1})[0] == 204
    assert [len(session.tasks) for session in em.world.sessions] == [1, 1]


def test_faults(em, client, control):
    assert control("POST", "faults", {"action": "status", "status": 503, "path": LIST}) == (204, None)
    assert control("POST", "faults", [{"action": "expire", "path": "query"}])[0] == 204
    assert client.get(LIST).status == 503
    assert client.query().status == 401
    assert control("DELETE", "faults") == (204, None)
    client.log_on()
    assert client.get(LIST).status == 200
    status, answer = control("POST", "faults", {"action": "explode"})
    assert status == 400 and "explode" in answer["error"]


def test_sessions_behaviour_clock_and_logons(em, client, control):
    tasks = [{"vm_name": "db", "result": "Failed", "replica_point": {"id": "x", "name": "db@x"}}]
    status, answer = control("POST", "sessions", {"name": "posted", "tasks": tasks, "creation_time": "2026-03-01"})
    assert (status, client.query(f"UID=={answer['id']}").names) == (200, ["posted"])
    assert control("POST", "sessions", {"title": "x"})[0] == 400
    assert control("POST", "behaviour", {"case_sensitive": True})[0] == 204
    assert client.query("Name==POSTED").names == []
    assert control("POST", "behaviour", {"case_sensitive": 3})[0] == 400
    assert control("POST", "behaviour", {"colour": "red"})[0] == 400
    assert control("POST", "clock", {"advance": 1000})[0] == 204
    assert client.get(LIST).status == 401
    client.log_on()
    assert control("DELETE", "logons")[0] == 204
    assert client.get(LIST).status == 401


def test_control_requests_are_not_counted(em, control):
    control("GET", "counters")
    assert em.counters.requests == 0 and em.requests == []


def test_nothing_elsewhere(em, connect):
    client = connect(em)
    for path in ("/", "/apiary", "/emulator/nothing"):
        assert client.get(path).status == 404
    assert em.counters.requests == 0


def test_latency(em, connect):
    client = connect(em)
    em.latency_ms = 60
    begin = time.perf_counter()
    client.get("/api")
    assert time.perf_counter() - begin >= 0.06


def test_stops_with_open_connections(connect):
    with Emulator(sessions=0) as em:
        assert connect(em).log_on().status == 201
        em.stop()
        em.stop()  # again does nothing


def test_stops_while_a_reply_is_delayed(connect):
    with Emulator(sessions=0, tls=True) as em:
        em.faults.add("slow_headers", seconds=3600)
        client = connect(em)
        failures = []

        def log_on():
            try:
                client.log_on()
            except OSError as error:
                failures.append(error)

        thread = threading.Thread(target=log_on, daemon=True)
        thread.start()
        while not em.requests:
            time.sleep(0.005)
        em.stop()
        thread.join(600)
        assert len(failures) == 1


def test_two_at_once_are_independent(connect):
    with Emulator(sessions=1, documented=False) as one, Emulator(sessions=2, documented=False) as two:
        clients = [connect(em) for em in (one, two)]
        for client in clients:
            client.log_on()
        assert [len(client.query().names) for client in clients] == [1, 2]
        assert clients[0].request("GET", LIST, {"X-RestSvcSessionId": clients[1].token}).status == 401


def test_a_taken_port_is_an_error():
    with Emulator(sessions=0) as em:
        port = int(em.url.rpartition(":")[2])
        with pytest.raises(OSError):
            Emulator(sessions=0, port=port).start()


def test_only_two_versions():
    with pytest.raises(ValueError):
        Emulator(em_version=11)


def test_adding_while_reading(em, client):
    """A test's thread may change the world while the server reads it."""
    done = threading.Event()

    def add():
        for n in range(300):
            em.world.add_session(name=f"s{n}", tasks=[{"vm_name": "a"}])
        done.set()

    thread = threading.Thread(target=add)
    thread.start()
    while not done.is_set():
        assert client.query(sortDesc="CreationTime", format="Entities", pageSize=500).status == 200
    thread.join()
    assert len(client.query(pageSize=500).names) == 300
