# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The event source for ansible-rulebook: over real HTTP against the emulator, poll by poll; only its pauses are not made."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import importlib.util
import json
import logging
import os
import re
import runpy
import stat
import subprocess
import sys
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import programs
import pytest
import values
import yaml
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils import _module
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._argspec import SESSION_CRITERIA_SPEC, STORE_SPEC
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.records import split_subject
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.store import open_store

REPO = Path(__file__).resolve().parents[3]
FILE = REPO / "extensions" / "eda" / "plugins" / "event_source" / "failover_session.py"
PASSWORD = "Passw0rd!"
DAY = 86400
EMPTY = (
    '<QueryResult xmlns="http://www.veeam.com/ent/v1.0"><Entities><CloudFailoverSessions/></Entities>'
    '<PagingInfo PageNum="1" PageSize="100" PagesCount="1"><Links/></PagingInfo></QueryResult>'
)


@pytest.fixture
def em(idle_em):
    return idle_em


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in (*_module.CONNECTION_SPEC, *STORE_SPEC):
        monkeypatch.delenv(f"VEEAM_EM_{name.upper()}", raising=False)


@pytest.fixture
def source():
    spec = importlib.util.spec_from_file_location("event_source_failover_session", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Queue(list):
    """Takes events as the queue of ansible-rulebook does; ``room`` is how many it takes before it is full."""

    room = 10**9

    async def put(self, event):
        if self.room <= len(self):
            await asyncio.Event().wait()
        assert list(event) == ["failover_session"]
        self.append(json.loads(json.dumps(event["failover_session"])))

    def short(self):
        """What has come since this was asked for the last time: event, plan, and VM where there is one."""
        words = [
            " ".join([item["event"], item["session"]["name"], *([item["vm"]["vm_name"]] if "vm" in item else [])])
            for item in self
        ]
        self.clear()
        return words


class Run:
    """A source at work. It polls once when it is started, and once more with each :meth:`poll`."""

    def __init__(self, task, queue, pauses, go, done):
        self.task, self.queue, self.pauses = task, queue, pauses
        self._go, self._done = go, done

    async def poll(self):
        """Let it make another poll; returns what came of it."""
        self._go.release()
        return await self.polled()

    async def polled(self):
        waiting = asyncio.create_task(self._done.acquire())
        await asyncio.wait({waiting, self.task}, return_when=asyncio.FIRST_COMPLETED, timeout=programs.TIMEOUT)
        if self.task.done():
            waiting.cancel()
            self.task.result()
        assert waiting.done()
        return self.queue.short()

    async def cancel(self):
        if not self.task.done():
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task


@pytest.fixture
def started(em, source, monkeypatch):
    """Start the source, as a context; it is cancelled in the end, and must have left no logon."""

    monkeypatch.setattr(
        source.watcher, "utc_now", lambda: em.clock.now().replace(tzinfo=None) - timedelta(days=em.ahead)
    )
    em.ahead = 0
    em.clock.rate = 0  # a run changes where a test says so, however slow the machine is

    @asynccontextmanager
    async def start(first_poll=True, queue=None, **options):
        go, done = asyncio.Semaphore(0), asyncio.Semaphore(0)
        pauses = []
        queue = Queue() if queue is None else queue

        async def sleep(seconds):
            pauses.append(seconds)
            done.release()
            await go.acquire()

        monkeypatch.setattr(source, "_sleep", sleep)
        args = {"url": em.url, "username": "reader", "password": PASSWORD, "retries": 0, **options}
        run = Run(asyncio.create_task(source.main(queue, args)), queue, pauses, go, done)
        try:
            if first_poll:
                run.first = await run.polled()
            yield run
        finally:
            await run.cancel()

    return start


@pytest.fixture
def logged(caplog):
    """What the log has said since this was asked for the last time, without the first look and the warning of plain HTTP."""
    caplog.set_level(logging.DEBUG)

    def said():
        words = [record.getMessage() for record in caplog.records if record.name.startswith("dr_runbook")]
        caplog.clear()
        return [word for word in words if "clear text" not in word and not word.startswith("Watching ")]

    return said


def fails(source, em, **options):
    """The sentence with which the source ends."""
    with pytest.raises(Exception) as caught:
        args = {"url": em.url, "username": "reader", "password": PASSWORD, "retries": 0, **options}
        asyncio.run(asyncio.wait_for(source.main(Queue(), args), 20))
    sentence = str(caught.value)
    assert "\n" not in sentence and PASSWORD not in sentence
    return sentence


def shape(value):
    """The keys of nested dictionaries."""
    if isinstance(value, list):
        return [shape(item) for item in value]
    return {key: shape(item) for key, item in value.items()} if isinstance(value, dict) else None


def ended(em, name="Acme", ago=60, **more):
    """A session that ended so many seconds ago, by EM's clock."""
    begin = em.clock.now() - timedelta(seconds=ago + 80)
    return em.world.add_session(name=name, creation_time=begin.isoformat(), **more)


def running(em, name="Acme", **more):
    return em.world.add_session(name=name, tasks=[{"vm_name": "db", "duration": 60}], **more)


# A run


def test_the_first_poll_is_reported_to_who_asks_for_it(em, started, caplog):
    caplog.set_level(logging.INFO)
    running(em)
    ended(em)

    async def steps():
        async with started() as run:
            await run.poll()

    asyncio.run(steps())
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert told == [f"Watching {em.url}. Running sessions: 1."]


def test_a_run(em, started, logged):
    async def steps():
        async with started() as run:
            assert run.first == []
            tasks = [{"vm_name": "db", "duration": 20, "result": "Failed"}, {"vm_name": "web", "duration": 60}]
            em.world.add_session(name="Acme", tasks=tasks)
            assert await run.poll() == ["started Acme"]
            assert await run.poll() == []
            em.clock.advance(30)
            assert await run.poll() == ["changed Acme", "vm_failed Acme db"]
            em.behaviour.finished_tasks = "drop"
            em.clock.advance(60)
            assert await run.poll() == ["finished Acme"]
            em.clock.advance(60)
            assert await run.poll() == []
            assert run.pauses == [60] * 6
            await run.cancel()
        # One logon, one small query to find out EM's time, and then one query a look.
        assert em.counters.routes == {
            "POST /api/sessionMngr": 1,
            "GET /api/query": 7,
            "DELETE /api/logonSessions/{id}": 1,
        }
        assert em.counters.live_logons == 0
        assert logged() == []

    asyncio.run(steps())


def test_events_hold_facts(em, started):
    async def steps():
        async with started() as run:
            tasks = [{"vm_name": "db", "duration": 20, "result": "Failed", "failure_message": "no memory"}]
            guid = em.world.add_session(name="Acme", result="Failed", tasks=tasks).id
            em.clock.advance(30)
            run._go.release()
            await run._done.acquire()
            failed, finished = run.queue
            assert set(failed) == {"event", "session", "vm", "em"}
            assert set(finished) == {"event", "session", "em"}
            assert finished["em"] == em.url
            assert finished["session"]["id"] == guid
            assert finished["session"]["succeeded"] is False
            assert finished["session"]["tasks_kept_at"] is None
            assert failed["vm"] == finished["session"]["tasks"][0]
            assert failed["vm"]["failure_message"] == "no memory"
            guide = (REPO / "docs" / "eda.md").read_text(encoding="utf-8")
            printed = [json.loads(text)["failover_session"] for text in re.findall(r"```json\n(.*?)```", guide, re.S)]
            assert [shape(event) for event in printed] == [shape(failed)]
            assert set(finished["session"]) == set(failed["session"])

    asyncio.run(steps())


def test_the_filters_of_the_query(em, started):
    async def steps():
        options = {"name": ["Acme", "B, C"], "backup_server": "vbr1", "page_size": "7", "interval": "5"}
        async with started(**options, look_back="7d") as run:
            for name, server in (("Acme", "vbr1"), ("Acme", "vbr2"), ("Other", "vbr1"), ("B, C", "vbr1")):
                running(em, name, backup_server=server)
            assert sorted(await run.poll()) == ["started Acme", "started B, C"]
            assert run.pauses == [5, 5]
            await run.poll()
            query = em.requests[-1].query
            for word in ("Name%3D%3D", "BackupServerName%3D%3D%22vbr1%22", "State%21%3DStopped", "pageSize=7"):
                assert word in query

    asyncio.run(steps())


# The first start


def test_what_had_ended_before_the_start_is_not_reported(em, started):
    async def steps():
        ended(em)
        running(em, "Other")
        async with started() as run:
            assert run.first == ["started Other"]
            em.clock.advance(100)
            assert await run.poll() == ["finished Other"]

    asyncio.run(steps())


def test_what_had_ended_before_the_start_is_reported_if_asked_for(em, started):
    async def steps():
        ended(em, "Old", ago=25 * 3600)
        ended(em, "Acme", ago=60)
        async with started(announce_ended="yes") as run:
            assert run.first == ["finished Acme"]
            assert await run.poll() == []

    asyncio.run(steps())


@pytest.mark.parametrize("days", [-400, 0, 400])
def test_em_is_unavailable_at_the_start(em, started, logged, days):
    async def steps():
        em.clock.advance(days * DAY)
        em.ahead = days
        ended(em, "Old", ago=3600)
        em.outage(60, "503")
        async with started() as run:
            assert run.first == []
            ended(em, "Meanwhile", ago=0)
            em.outage(0)
            assert await run.poll() == ["finished Meanwhile"]

    asyncio.run(steps())
    begin, end = logged()
    assert "HTTP 503" in begin and "Trying again" in begin
    assert "answers again" in end


# EM's absence


def test_an_outage_is_two_lines_and_loses_nothing(em, started, logged):
    async def steps():
        async with started(interval=30) as run:
            running(em)
            await run.poll()
            em.restart(60, "503")
            em.clock.advance(70)
            for dummy in range(5):
                assert await run.poll() == []
            em.outage(0)
            ended(em, "Meanwhile", ago=10)
            assert sorted(await run.poll()) == ["finished Acme", "finished Meanwhile"]
            assert await run.poll() == []
            assert run.pauses == [30, 30, 30, 60, 120, 240, 300, 30, 30]
            running(em, "Next")
            assert await run.poll() == ["started Next"]

    asyncio.run(steps())
    begin, end = logged()
    assert "HTTP 503" in begin and PASSWORD not in begin
    assert end == f"{em.url} answers again, after 5 polls without an answer."
    assert em.counters.live_logons == 0


def test_nobody_listens_for_a_while(em, started, logged):
    async def steps():
        async with started() as run:
            running(em)
            await run.poll()
            em.restart(0.4, "refuse")
            em.clock.advance(100)
            assert await run.poll() == []
            await asyncio.sleep(0.5)
            assert await run.poll() == ["finished Acme"]

    asyncio.run(steps())
    assert len(logged()) == 2
    assert em.counters.live_logons == 0


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "drop"},
        {"action": "drop_after_handling"},
        {"action": "cut"},
        {"action": "cut_xml"},
        {"action": "garbage"},
        {"action": "html"},
        {"action": "empty"},
        {"action": "redirect", "location": "https://elsewhere.example.com/"},
        {"action": "status", "status": 500},
        {"action": "status", "status": 404},
        {"action": "slow_headers", "seconds": 3},
    ],
    ids=lambda fault: " ".join(str(value) for value in fault.values()),
)
def test_an_answer_that_is_none_loses_nothing(em, started, logged, unhurried, fault):
    async def steps():
        async with started(timeout=1) as run:
            running(em)
            await run.poll()
            em.clock.advance(100)
            # A connection that is closed without a word is met twice: such a read is sent once more.
            times = 3 if fault.get("status") == 404 else 2 if "drop" in fault["action"] else 1
            em.faults.add(path="/api/query", times=times, **fault)
            if fault.get("status") == 404:  # the query refused, and its collection read instead
                em.faults.add("status", status=404, path="/cloud/failoverSessions", times=1)
            assert await run.poll() == []
            assert await run.poll() == ["finished Acme"]
            assert await run.poll() == []

    asyncio.run(steps())
    said = logged()
    assert len([line for line in said if "Trying again until" in line]) == 1
    assert len([line for line in said if "answers again" in line]) == 1
    assert em.counters.live_logons == 0


def test_a_logon_that_expires_with_each_poll(em, started, logged):
    async def steps():
        async with started() as run:
            running(em)
            em.logons.idle_seconds = 900
            for dummy in range(4):
                em.clock.advance(1000)
                await run.poll()
            assert em.counters.max_live_logons == 1
            before = em.counters.routes["DELETE /api/logonSessions/{id}"]
            # What had to log on again is not kept, or its log off would have to end all the logons of its life.
            await run.cancel()
            assert em.counters.routes["DELETE /api/logonSessions/{id}"] - before <= 1

    asyncio.run(steps())
    assert logged() == []
    assert em.counters.live_logons == 0


def test_a_refused_filter_is_said_once(em, started, logged):
    async def steps():
        em.faults.add("status", status=400, path="/api/query", query="filter")
        async with started() as run:
            running(em)
            assert await run.poll() == ["started Acme"]
            em.clock.advance(30)
            ended(em, "Other", ago=0)
            await run.poll()
            await run.poll()

    asyncio.run(steps())
    assert len([line for line in logged() if "refused the filter" in line]) == 1


@pytest.mark.parametrize("user", ["reader", "operator", "both"])
def test_sessions_that_may_be_listed_and_not_queried(em, started, logged, user):
    async def steps():
        em.behaviour.role_query = "refused"
        ended(em, "Old")
        async with started(username=user) as run:
            assert run.first == []
            running(em)
            assert await run.poll() == ["started Acme"]
            em.clock.advance(70)
            assert await run.poll() == ["finished Acme"]
            assert await run.poll() == []
            assert em.counters.logons == 1

    asyncio.run(steps())
    (line,) = logged()
    assert f"EM forbids {user} to query CloudFailoverSession" in line and "30 days" in line


# What ends it


def test_a_wrong_password_is_tried_once(source, em):
    sentence = fails(source, em, password="S3cr3t")
    assert "as reader" in sentence and "HTTP 401" in sentence and "S3cr3t" not in sentence
    assert em.counters.requests == 1


def test_a_proxy_that_refuses_at_the_start_is_asked_once(source, em, proxy):
    """Its user could be locked, too."""
    proxy.refuses = True
    assert "Give the right user and password in the proxy's address" in fails(source, em)
    assert proxy.refused == 1


def test_a_proxy_that_refuses_later_is_asked_twice(em, started, proxy, logged):
    async def steps():
        async with started(interval=30) as run:
            running(em)
            assert await run.poll() == ["started Acme"]
            proxy.refuses = True
            assert await run.poll() == []
            assert run.pauses[-1] == 60
            with pytest.raises(Exception, match="through the proxy .* .HTTP 407"):
                await run.poll()
            assert proxy.refused == 2
            proxy.refuses = False

    asyncio.run(steps())
    assert len([line for line in logged() if "HTTP 407" in line]) == 1


def test_a_password_that_is_refused_later_is_tried_twice(em, started, logged):
    async def steps():
        async with started(interval=30) as run:
            em.restart()
            em.faults.add("unauthorized", path="/api/sessionMngr")
            assert await run.poll() == []
            assert run.pauses[-1] == 60
            with pytest.raises(Exception, match="HTTP 401"):
                await run.poll()

    asyncio.run(steps())
    assert em.counters.routes["POST /api/sessionMngr"] == 3
    assert len(logged()) == 1


def test_a_logon_that_is_refused_once_does_no_harm(em, started):
    async def steps():
        async with started() as run:
            for dummy in range(3):
                em.restart()
                em.faults.add("unauthorized", path="/api/sessionMngr", times=1)
                await run.poll()
                running(em)
                assert await run.poll() == ["started Acme"]

    asyncio.run(steps())


def test_a_user_without_the_right_ends_it(source, em):
    sentence = fails(source, em, username="restricted")
    assert (
        "HTTP 403" in sentence and "Check that restricted has the role Portal User or VM Restore Operator" in sentence
    )
    assert em.counters.live_logons == 0


def test_403_for_a_logon_that_has_ended(em, started):
    async def steps():
        async with started() as run:
            running(em)
            em.faults.add("status", status=403, path="/api/(query|cloud)", times=2)
            assert await run.poll() == ["started Acme"]
            assert em.counters.logons == 2

    asyncio.run(steps())


def test_a_certificate_that_is_not_trusted_ends_it(source, tmp_path):
    from emulator import Emulator

    with Emulator(documented=False, sessions=0, tls=True) as tls_em:
        assert "ca_path" in fails(source, tls_em)
        assert tls_em.counters.requests == 0


def test_another_service_ends_it(source, em):
    em.faults.add("html", path="/api/sessionMngr")
    assert "Another service" in fails(source, em)


# Cancelling


def test_the_event_loop_stays_free(em, started):
    async def steps():
        async with started() as run:
            em.faults.add("slow_headers", seconds=1, path="/api/query", times=1)
            ticks = 0
            look = asyncio.create_task(run.poll())
            while not look.done():
                ticks += 1
                await asyncio.sleep(0.01)
            assert ticks > 10

    asyncio.run(steps())


@pytest.mark.parametrize("path", ["/api/sessionMngr", "/api/query"])
@pytest.mark.parametrize("times", [1, 2])
def test_cancelled_while_a_request_is_under_way(em, started, path, times):
    async def steps():
        em.faults.add("slow_headers", seconds=1, path=path)
        async with started(first_poll=False) as run:
            while not em.counters.in_flight:
                await asyncio.sleep(0.01)
            for dummy in range(times):  # the second time, it waits for the log off
                run.task.cancel()
                await asyncio.sleep(0.05)
            with pytest.raises(asyncio.CancelledError):
                await run.task

    asyncio.run(steps())
    assert em.counters.live_logons == 0
    assert em.counters.routes["DELETE /api/logonSessions/{id}"] == 1


def test_cancelled_between_two_attempts(em, started):
    async def steps():
        async with started(retries=9) as run:
            em.faults.add("status", status=503, path="/api/query", headers={"Retry-After": "50"})
            before = em.counters.requests
            run._go.release()
            while em.counters.requests == before:
                await asyncio.sleep(0.01)
            await run.cancel()
            assert em.counters.requests == before + 2  # the one that failed, and the log off

    asyncio.run(steps())
    assert em.counters.live_logons == 0


def test_cancelled_while_the_queue_is_full(em, started, tmp_path):
    """What was not taken comes with the next start, and nothing else."""

    async def steps():
        file = {"state_file": str(tmp_path / "state.json")}
        queue = Queue()
        async with started(queue=queue, **file) as run:
            for number in range(4):
                ended(em, f"Plan {number}", ago=10 * number)
            queue.room = 2
            run._go.release()
            while len(queue) < 2:
                await asyncio.sleep(0.01)
        first = queue.short()
        assert em.counters.live_logons == 0
        async with started(**file) as run:
            assert sorted(first + run.first) == [f"finished Plan {number}" for number in range(4)]
            assert await run.poll() == []

    asyncio.run(steps())


# State


def test_a_restart_tells_what_ended_meanwhile_and_nothing_twice(em, started, tmp_path):
    path = tmp_path / "state.json"

    async def steps():
        file = {"state_file": str(path), "look_back": "1h"}
        ended(em, "Before")
        async with started(**file) as run:
            running(em, "Across")
            ended(em, "Told", ago=0)
            assert await run.poll() == ["finished Told", "started Across"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        em.clock.advance(3 * DAY)
        ended(em, "Meanwhile", ago=2 * DAY)
        em.behaviour.finished_tasks = "drop"
        async with started(**file) as run:
            assert run.first == ["finished Across", "finished Meanwhile"]
            assert await run.poll() == []
            written = path.stat().st_mtime_ns
            assert await run.poll() == []
            assert path.stat().st_mtime_ns == written
        async with started(**file) as run:
            assert run.first == []

    asyncio.run(steps())
    assert PASSWORD not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("days", [-400, 0, 400])
@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])
def test_a_start_that_em_never_answered_is_the_first_start(em, started, tmp_path, killed, days):
    path = tmp_path / "state.json"

    async def steps():
        em.clock.advance(days * DAY)
        em.ahead = days
        ended(em, "Old", ago=3600)
        em.outage(60, "503")
        async with started(state_file=str(path)):
            text = path.read_text(encoding="utf-8")
        if killed:
            path.write_text(text, encoding="utf-8")
        em.clock.advance(3 * DAY)
        ended(em, "Meanwhile", ago=2.9 * DAY)
        ended(em, "Now", ago=0)
        em.outage(0)
        async with started(state_file=str(path)) as run:
            assert run.first == ["finished Meanwhile", "finished Now"]
            assert await run.poll() == []

    asyncio.run(steps())


def test_a_first_poll_that_was_not_reported_to_its_end(em, started, tmp_path):
    async def steps():
        file = {"state_file": str(tmp_path / "state.json")}
        ended(em, "Old")
        for number in range(3):
            running(em, f"Plan {number}")
        queue = Queue()
        queue.room = 1
        async with started(queue=queue, first_poll=False, **file):
            while not queue:
                await asyncio.sleep(0.01)
        assert queue.short() == ["started Plan 0"]
        em.clock.advance(200)
        async with started(**file) as run:
            assert sorted(run.first) == [f"finished Plan {number}" for number in range(3)]
            assert await run.poll() == []

    asyncio.run(steps())


def test_without_a_file_what_ended_meanwhile_is_not_reported(em, started):
    async def steps():
        async with started():
            pass
        ended(em)
        async with started() as run:
            assert run.first == []

    asyncio.run(steps())


@pytest.mark.parametrize("announce_ended", [False, True])
def test_other_filters_tell_nothing_old(em, started, tmp_path, announce_ended):
    async def steps():
        file = {"state_file": str(tmp_path / "state.json"), "announce_ended": announce_ended}
        async with started(name="Acme", **file) as run:
            running(em, "Acme")
            assert await run.poll() == ["started Acme"]
        em.clock.advance(200)
        ended(em, "Other")
        async with started(**file) as run:
            assert run.first == ["finished Acme"]
            ended(em, "Other", ago=0)
            running(em, "Acme")
            assert await run.poll() == ["finished Other", "started Acme"]
        async with started(name="Other", **file) as run:
            em.clock.advance(200)
            assert await run.poll() == []

    asyncio.run(steps())


def test_the_file_stays_small(em, started, tmp_path):
    path = tmp_path / "state.json"

    async def steps():
        async with started(state_file=str(path), look_back="1h", announce_ended=True) as run:
            for dummy in range(12):
                em.clock.advance(1800)
                ended(em, ago=0)
                assert await run.poll() == ["finished Acme"]
            known = json.loads(path.read_text(encoding="utf-8"))["state"]["sessions"]
            assert len(known) <= 4

    asyncio.run(steps())


def test_a_state_file_that_cannot_be_written_stops_nothing(em, started, logged, tmp_path, source, monkeypatch):
    def refuse(*args):
        raise OSError(28, "No space left on device")

    async def steps():
        async with started(state_file=str(tmp_path / "state.json")) as run:
            monkeypatch.setattr(os, "replace", refuse)
            running(em)
            assert await run.poll() == ["started Acme"]
            em.clock.advance(100)
            assert await run.poll() == ["finished Acme"]
            monkeypatch.undo()

    asyncio.run(steps())
    (line,) = logged()
    assert "state.json cannot be written (No space left on device)" in line


def test_the_folder_of_the_state_file_is_created(started, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))

    async def steps():
        async with started(state_file="~/state/em/state.json"):
            folder = tmp_path / "state" / "em"
            assert (folder / "state.json").is_file()
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    asyncio.run(steps())


def test_state_files_that_cannot_be_used(em, started, source, tmp_path):
    path = tmp_path / "state.json"
    file = {"state_file": str(path)}

    async def make():
        async with started(**file):
            assert "Another source or process uses it" in await asyncio.to_thread(fails, source, em, **file)

    asyncio.run(make())
    good = path.read_text(encoding="utf-8")
    for text, said in (
        (good[:-9], "It is damaged"),
        (good.replace('"newest"', '"oldest"'), "It is damaged"),
        ("\udcff", "It is damaged"),
        (good.replace('"format": 2', '"format": 1'), "another version"),
    ):
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
        sentence = fails(source, em, **file)
        assert said in sentence and str(path) in sentence and "remove this one" in sentence
    path.write_text(good, encoding="utf-8")
    assert f"It belongs to {em.url}, not to https://other" in fails(source, em, url="https://other:9398", **file)
    before = em.counters.requests
    assert "Not a directory" in fails(source, em, state_file=str(path / "state.json"))
    assert "Is a directory" in fails(source, em, state_file=str(tmp_path))
    assert em.counters.requests == before


def test_a_state_file_where_there_are_no_locks(em, source, tmp_path, monkeypatch):
    def flock(*dummy):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    assert "It cannot be locked (No locks available)" in fails(source, em, state_file=str(tmp_path / "state.json"))


# What could be lost


def test_a_run_of_many_days_is_reported_to_its_end(em, started):
    async def steps():
        async with started(look_back="1h") as run:
            em.world.add_session(name="Long", tasks=[{"vm_name": "db", "duration": 9 * DAY}])
            assert await run.poll() == ["started Long"]
            for dummy in range(8):
                em.clock.advance(DAY)
                ended(em, "Other", ago=0)
                assert "finished Other" in await run.poll()
            em.clock.advance(2 * DAY)
            assert await run.poll() == ["finished Long"]

    asyncio.run(steps())


def test_the_end_of_a_long_run_without_a_time(em, started, logged):
    """EM's query does not find it any more. It is asked for by its id, as long as it was running when it was last seen."""

    async def steps():
        async with started(look_back="1h") as run:
            long = em.world.add_session(name="Long", state="Working")
            await run.poll()
            em.clock.advance(DAY)
            ended(em, "Other", ago=0)
            assert await run.poll() == ["finished Other"]
            em.world.change_session(long, state="Stopped", raw={"EndTimeUTC": "1753-01-01T00:00:00Z"})
            em.faults.add("drop", path="/cloud/failoverSessions", times=2)
            assert await run.poll() == []
            assert await run.poll() == ["finished Long"]
            assert await run.poll() == []
            em.world.change_session(long, raw={"EndTimeUTC": em.clock.now().isoformat()})
            assert await run.poll() == []

    asyncio.run(steps())
    assert logged() == []


@pytest.mark.parametrize("status", [403, 500])
def test_a_run_that_em_does_not_give_by_its_id_hides_no_other(em, started, logged, status):
    async def steps():
        async with started(look_back="1h") as run:
            sessions = [em.world.add_session(name=name, state="Working") for name in ("Secret", "Long")]
            assert await run.poll() == ["started Secret", "started Long"]
            em.clock.advance(DAY)
            ended(em, "Other", ago=0)
            assert await run.poll() == ["finished Other"]
            for session in sessions:
                em.world.change_session(session, state="Stopped", raw={"EndTimeUTC": "1753-01-01T00:00:00Z"})
            em.faults.add("status", status=status, path="/cloud/failoverSessions/")
            assert await run.poll() == []
            em.faults.clear()
            em.faults.add("status", status=status, path=f"/cloud/failoverSessions/{sessions[0].id}")
            assert await run.poll() == ["finished Long"]
            assert await run.poll() == []
            assert len(logged()) == 2  # one for each
            em.faults.clear()
            assert await run.poll() == ["finished Secret"]

    asyncio.run(steps())
    assert logged() == []


def test_an_outage_in_the_midst_of_a_look_does_not_hold_it_up(em, started, logged):
    """One by one, each run that is asked for by its id would take all retries."""

    async def steps():
        async with started(look_back="1h") as run:
            for number in range(5):
                em.world.add_session(name=f"Long {number}", state="Working")
            await run.poll()
            em.clock.advance(DAY)
            ended(em, "Other", ago=0)
            assert await run.poll() == ["finished Other"]
            for session in em.world.sessions[:5]:
                em.world.change_session(session, state="Stopped", raw={"EndTimeUTC": "1753-01-01T00:00:00Z"})
            em.faults.add("status", status=503, path="/cloud/failoverSessions")
            assert await run.poll() == []
            assert em.counters.routes["GET /api/cloud/failoverSessions/{id}"] == 1
            em.faults.clear()
            assert sorted(await run.poll()) == [f"finished Long {number}" for number in range(5)]

    asyncio.run(steps())
    assert logged() == []


def test_a_run_that_em_forgets_is_said_once(em, started, logged):
    async def steps():
        async with started(look_back="1h") as run:
            session = running(em)
            await run.poll()
            em.world.remove_session(session)
            assert await run.poll() == []
            assert logged() == []
            em.clock.advance(DAY)
            ended(em, "Other", ago=0)
            await run.poll()
            await run.poll()
            before = em.counters.requests
            await run.poll()
            assert em.counters.requests == before + 1

    asyncio.run(steps())
    (line,) = logged()
    assert "of plan Acme" in line and "its end is not reported" in line


@pytest.mark.parametrize("days", [-400, -3, 3, 400])
def test_clocks_that_differ_lose_nothing(em, started, days, tmp_path):
    async def steps():
        em.clock.advance(days * DAY)
        em.ahead = days
        file = {"state_file": str(tmp_path / "state.json")}
        ended(em, "Old", ago=10)
        async with started(look_back="1h", **file) as run:
            assert run.first == []
            for dummy in range(3):
                em.clock.advance(1800)
                ended(em, ago=0)
                assert await run.poll() == ["finished Acme"]
        ended(em, "Meanwhile", ago=0)
        async with started(look_back="1h", **file) as run:
            assert run.first == ["finished Meanwhile"]

    asyncio.run(steps())


@pytest.mark.parametrize("dated", [True, False])
def test_an_em_without_sessions_whose_clock_is_behind(em, started, source, monkeypatch, dated):
    if not dated:
        monkeypatch.setattr(sys.modules[f"{source.CORE}._api.client"], "_http_date", lambda value: None)

    async def steps():
        em.clock.advance(-400 * DAY)
        em.ahead = -400
        async with started(look_back="1h") as run:
            assert await run.poll() == []
            ended(em, ago=0)
            assert await run.poll() == ["finished Acme"]

    asyncio.run(steps())


@pytest.mark.parametrize("days", [-400, 0, 400])
@pytest.mark.parametrize("newest", [None, 40 * DAY])
def test_history_that_em_shows_late_is_not_reported(em, started, newest, days):
    """It shows nothing at first, or something old only: its newest session says nothing about the time then."""

    async def steps():
        em.clock.advance(days * DAY)
        em.ahead = days
        if newest:
            ended(em, "Old", ago=newest)
        async with started() as run:
            for age in (30, 20, 3, 2):
                ended(em, f"{age} days ago", ago=age * DAY)
            ended(em, "An hour ago", ago=3600)
            assert await run.poll() == ["finished An hour ago"]
            ended(em, ago=0)
            assert await run.poll() == ["finished Acme"]

    asyncio.run(steps())


def test_sessions_that_em_does_not_list_for_a_while_are_not_reported_again(em, started):
    async def steps():
        async with started() as run:
            running(em, "Other")
            ended(em, ago=0)
            assert await run.poll() == ["finished Acme", "started Other"]
            em.faults.add("reply", path="/api/query", body=EMPTY, times=2)
            for dummy in range(3):
                assert await run.poll() == []
            em.clock.advance(100)
            assert await run.poll() == ["finished Other"]

    asyncio.run(steps())


# Options


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": None}, "Not set: url. Give each as an option, or in the environment (VEEAM_EM_URL)."),
        (
            {"url": "", "password": " "},
            "Not set: url, password. Give each as an option, or in the environment (VEEAM_EM_URL, VEEAM_EM_PASSWORD).",
        ),
        ({"url": "https://em.example.com\n"}, values.CONTROL),
        ({"username": "both\r\n"}, "username: 'both\\r\\n' cannot be used. " + values.CONTROL),
        ({"password": "S3cr3t\n"}, "password: '...' cannot be used. " + values.CONTROL),
        *(
            ({option: value}, values.QUOTE_IT)
            for option in ("name", "backup_server")
            for value in values.NOT_IN_QUOTES.values()
        ),
        ({"name": None}, "name: null cannot be used. Give a value, or leave the option out to select all."),
        ({"url": "em.example.com"}, "url: 'em.example.com' cannot be used."),
        ({"url": "https://user:S3cr3t@em"}, "not in url"),
        ({"username": "a:S3cr3t"}, "username: 'a' cannot be used."),
        ({"password": None}, "VEEAM_EM_PASSWORD"),
        ({"password": 12345}, "password: '...' cannot be used. " + values.QUOTE_IT),
        ({"password": ["S3cr3t"]}, "password: '...' cannot be used."),
        ({"look_back": values.NOT_IN_QUOTES["2026-03-01"]}, "look_back: '2026-03-01' cannot be used. Give an age"),
        ({"interval": 4}, "interval: 4 cannot be used. Give a whole number of seconds from 5 to 86400."),
        ({"interval": "often"}, "interval: 'often' cannot be used. Give a whole number."),
        ({"interval": True}, "interval: True cannot be used."),
        ({"interval": 7.5}, "interval: 7.5 cannot be used."),
        ({"look_back": "59m"}, "look_back: '59m' cannot be used. Give an age from 1h to 3650d"),
        ({"look_back": "2026-03-01T00:00:00Z"}, "look_back"),
        ({"look_back": 24}, "look_back: '24' cannot be used. Give an age from 1h to 3650d"),
        ({"validate_certs": "maybe"}, "validate_certs: 'maybe' cannot be used. Give true or false."),
        ({"announce_ended": 2}, "announce_ended: 2 cannot be used."),
        ({"state_file": ""}, "state_file: '' cannot be used. Give the path of a file, or leave the option out"),
        ({"state_file": "a\0b"}, "state_file"),
        ({"timeout": 0}, "timeout: 0 cannot be used."),
        ({"retries": -1}, "retries: -1 cannot be used. Give a whole number."),
        ({"page_size": 1001}, "page_size: 1001 cannot be used."),
        ({"ca_path": "/nowhere"}, "ca_path"),
        ({"api_version": "1.7"}, "api_version"),
        ({"store": "postgresql://a:S3cr3t@db/dr"}, "store: '...' cannot be used. It contains a password"),
        ({"store": 7}, "store: 7 cannot be used. " + values.QUOTE_IT),
        ({"store_password": 12345}, "store_password: '...' cannot be used. " + values.QUOTE_IT),
        ({"store": "history.db", "em_name": "a/b"}, "em_name: 'a/b' cannot be used."),
        ({"name": []}, "An empty list selects nothing"),
        ({"backup_server": [None]}, "backup_server"),
        (
            {"intervall": "S3cr3t"},
            "intervall: '...' cannot be used. There is no such option. Options are: announce_ended,",
        ),
    ],
    ids=str,
)
def test_options_that_cannot_be_used(source, em, options, said):
    sentence = fails(source, em, **options)
    assert said in sentence
    assert "S3cr3t" not in sentence
    assert em.counters.requests == 0


def test_options_from_the_environment(source, em, started, monkeypatch):
    for name, value in {
        "URL": em.url,
        "USERNAME": "reader",
        "PASSWORD": PASSWORD,
        "RETRIES": "0",
        "CA_PATH": "",
    }.items():
        monkeypatch.setenv(f"VEEAM_EM_{name}", value)

    async def steps():
        async with started(url=None, username=None, password=None, retries=None) as run:
            running(em)
            assert await run.poll() == ["started Acme"]

    asyncio.run(steps())
    monkeypatch.setenv("VEEAM_EM_TIMEOUT", "soon")
    assert "timeout: 'soon' cannot be used" in fails(source, em)


def test_missing_libraries_are_named(source, em, monkeypatch):
    monkeypatch.setattr(sys.modules[f"{source.CORE}._api.xml"], "XMLTODICT_IMPORT_ERROR", ImportError())
    assert "xmltodict" in fails(source, em)


@pytest.mark.parametrize("value", values.EMPTY, ids=repr)
@pytest.mark.parametrize("place", ["options", "environment"])
def test_an_empty_connection_option_is_not_set(source, em, monkeypatch, place, value):
    given = {"url": em.url, "username": "reader", "password": PASSWORD}
    empty = dict.fromkeys(source.CONNECTION, value)
    options, variables = (empty, given) if place == "options" else (given, empty)
    for name, variable in variables.items():
        monkeypatch.setenv(f"VEEAM_EM_{name.upper()}", variable)
    connection = source.watch_options(options).connection
    assert connection == {**{name: source.DEFAULTS[name] for name in source.CONNECTION}, **given}


def test_the_documentation_is_that_of_the_options(source):
    options = yaml.safe_load(source.DOCUMENTATION)["options"]
    for name, option in options.items():
        assert bool(option.get("required")) == (name in source.em_options.REQUIRED)
    for name, spec in _module.CONNECTION_SPEC.items():
        assert options[name]["type"] == spec["type"]
        assert options[name].get("default") == spec.get("default")
        assert f"E(VEEAM_EM_{name.upper()})" in str(options[name]["description"])
    assert tuple(_module.CONNECTION_SPEC) == source.CONNECTION
    assert source.DEFAULTS["page_size"] == SESSION_CRITERIA_SPEC["page_size"]["default"]


def test_examples_have_options_that_there_are(source):
    rulebooks = yaml.safe_load(source.EXAMPLES)
    rulebooks += yaml.safe_load((FILE.parents[2] / "rulebooks" / "failover_session.yml").read_text(encoding="utf-8"))
    for ruleset in rulebooks:
        for item in ruleset["sources"]:
            assert set(item["dr_runbook.veeam_em.failover_session"]) <= set(source.DEFAULTS)


# The history


def recorded(path):
    """The sessions of a history, oldest record first: EM, plan, state, names and results of the VMs."""
    with open_store(str(path), read_only=True) as store:
        return [
            (
                split_subject(record.subject)[0],
                *(record.body[name] for name in ("name", "state")),
                {task["vm_name"]: task["result"] for task in record.body["tasks"]},
            )
            for record in store.records("session")
        ]


def test_what_is_reported_is_recorded_with_its_vms(em, started, run_module, logged, tmp_path):
    store = tmp_path / "history.db"

    async def steps():
        async with started(store=str(store), em_name="site A") as run:
            assert recorded(store) == []
            running(em)
            assert await run.poll() == ["started Acme"]
            em.clock.advance(30)
            assert await run.poll() == ["changed Acme"]
            assert await run.poll() == []
            em.behaviour.finished_tasks = "drop"
            em.clock.advance(60)
            assert await run.poll() == ["finished Acme"]

    asyncio.run(steps())
    found = [(em_name, plan, state == "Stopped", list(vms)) for em_name, plan, state, vms in recorded(store)]
    of_run = ("site A", "Acme")
    assert found == [(*of_run, False, []), (*of_run, False, ["db"]), (*of_run, True, ["db"])]
    assert logged() == []

    # A look that follows finds nothing new: it is the same session.
    looked = run_module("failover_history", store=str(store), em_name="site A", username="admin")
    assert looked["recorded"]["session"] == 0, recorded(store)
    assert PASSWORD.encode() not in store.read_bytes()


def test_filters_of_a_rulebook_do_not_change_what_is_recorded_and_remembered(em, started, tmp_path):
    """They delete keys of an event where it stands, as ansible.eda.json_filter does."""
    store = tmp_path / "history.db"

    class Filtered(Queue):
        async def put(self, event):
            self.append(json.loads(json.dumps(event["failover_session"])))
            event["failover_session"]["session"].clear()

    async def steps():
        async with started(queue=Filtered(), store=str(store), em_name="A") as run:
            running(em)
            assert await run.poll() == ["started Acme"]
            assert await run.poll() == []
            em.clock.advance(90)
            assert await run.poll() == ["finished Acme"]

    asyncio.run(steps())
    assert [name for dummy, name, *dummy in recorded(store)] == ["Acme", "Acme"]


def test_a_history_that_fails_delays_what_is_recorded(em, started, logged, tmp_path):
    folder = tmp_path / "later"

    async def steps():
        async with started(store=str(folder / "history.db")) as run:
            [warning] = logged()
            assert "The folder" in warning and "Events go on" in warning
            running(em)
            assert await run.poll() == ["started Acme"]
            running(em, "Other")
            assert await run.poll() == ["started Other"]
            assert logged() == []
            folder.mkdir()
            assert await run.poll() == []
            assert logged() == ["The history works again."]
            folder.rename(tmp_path / "gone")
            em.clock.advance(90)
            assert await run.poll() == ["finished Acme", "finished Other"]
            assert len(logged()) == 1
            (tmp_path / "gone").rename(folder)

    asyncio.run(steps())
    # The last ones were recorded when the source ended.
    ends = [(name, state == "Stopped") for dummy, name, state, dummy in recorded(folder / "history.db")]
    assert ends == [(name, ended) for ended in (False, True) for name in ("Acme", "Other")]


# Secrets, and how it is loaded


def test_no_secret_comes_out(em, started, caplog, tmp_path):
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "state.json"
    events = []

    async def steps():
        async with started(state_file=str(path)) as run:
            token = em.requests[-1].headers["x-restsvcsessionid"]
            em.world.add_session(name="Acme", tasks=[{"vm_name": "db", "result": "Failed", "duration": 1}])
            em.clock.advance(10)
            run._go.release()
            await run._done.acquire()
            events.extend(run.queue)
            message = f"{PASSWORD} {token}"
            em.faults.add("status", status=500, path="/api/query", message=message, times=1)
            await run.poll()
            return token

    token = asyncio.run(steps())
    said = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("dr_runbook"))
    assert "HTTP 500" in said and events
    for text in (said, json.dumps(events), path.read_text(encoding="utf-8")):
        assert PASSWORD not in text and token not in text


def test_ansible_rulebook_runs_the_file_more_than_once_and_without_ansible():
    """As ansible-rulebook loads sources, in an interpreter in which nothing of Ansible can be imported."""
    program = (
        "import runpy, sys\n"
        "class NoAnsible:\n"
        "    def find_spec(self, name, *rest):\n"
        "        assert not name.startswith('ansible'), name\n"
        "sys.meta_path.insert(0, NoAnsible())\n"
        f"first, second = runpy.run_path({str(FILE)!r}), runpy.run_path({str(FILE)!r})\n"
        "assert first['watcher'] is second['watcher']\n"
        "import inspect; assert inspect.iscoroutinefunction(first['main'])\n"
        "print([name for name in sys.modules if name.endswith('.watcher')])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd="/")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "['_dr_runbook_veeam_em_core._events.watcher']\n"
    assert runpy.run_path(str(FILE))["main"]


def test_a_proxy_that_needs_a_library_is_named(em, source, socks_proxy, logged):
    assert re.search(socks_proxy, fails(source, em, url="https://em.example.com:9398"))
    assert logged() == []
