# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signals while a logon is open. Real HTTP against the emulator."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import suppress
from pathlib import Path

import programs
import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import interrupts
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.client import EnterpriseManager
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import Operation
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.interrupts import Interrupted
from emulator import Emulator

REPO = Path(__file__).resolve().parents[5]
SESSIONS = "/api/cloud/failoverSessions"

SCRIPT = """
import sys, time, types, importlib, logging, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
sys.path.insert(0, {tests!r})
package = types.ModuleType("core")
package.__path__ = [{core!r}]
sys.modules["core"] = package
client = importlib.import_module("core._api.client")
logging.disable(logging.CRITICAL)
try:
    with client.EnterpriseManager({url!r}, "reader", "Passw0rd!", timeout={timeout}) as em:
        print("on", flush=True)
        errors = importlib.import_module("core._api.errors")
        if {pages!r}:
            sessions = importlib.import_module("core._failover.sessions")
            criteria = importlib.import_module("core._failover.criteria").SessionCriteria.from_options({{"page_size": 2}}.get)
            sessions.SessionReader(em).list_sessions(criteria)
        em.get("/api/cloud/failoverSessions?format=Entity", errors.Operation("Read"))
        time.sleep(600)
except KeyboardInterrupt as exc:
    print(exc, flush=True)
    default = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL and signal.getsignal(signal.SIGINT) == signal.default_int_handler
    sys.exit(130 if default else 1)
"""


def read(client):
    return client.get(f"{SESSIONS}?format=Entity", Operation("Read the sessions"))


def wait_for(condition):
    deadline = time.monotonic() + programs.TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("when", ["reading", "reading ahead", "between"])
def test_a_signal_logs_off(number, when):
    """Also shows that the core loads without Ansible, as a package of any name, and that no thread holds its end up."""
    ahead = when == "reading ahead"
    with Emulator(documented=False, sessions=20 * ahead) as em:  # of its own, since a slow response outlives its client
        if ahead:
            em.faults.add("slow_headers", seconds=900, path="/api/query", query="&page=[^1]")
        if when == "reading":
            em.faults.add("slow_headers", seconds=900, path=SESSIONS)
        core = REPO / "plugins" / "module_utils"
        script = textwrap.dedent(SCRIPT).format(
            tests=str(REPO / "tests"), core=str(core), url=em.url, pages=ahead, timeout=800
        )
        command = [sys.executable, "-c", script]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
            try:
                assert process.stdout.readline() == "on\n"
                wait_for(
                    lambda: (
                        em.counters.in_flight >= (3 if ahead else 1)
                        or (not ahead and [r for r in em.requests if r.method == "GET"])
                    )
                )
                time.sleep(0.1)
                process.send_signal(number)
                said = process.stdout.readline()
                process.wait(programs.TIMEOUT)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        assert signal.Signals(number).name in said
        assert process.returncode == 130
        wait_for(lambda: em.counters.live_logons == 0)


def signal_under_way(em, after=0.0):
    """Send this process a signal so many seconds after the emulator has a request, however long that takes."""

    def send():
        wait_for(lambda: em.counters.in_flight)
        time.sleep(after)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=send, daemon=True).start()


def test_a_signal_during_the_logon_waits_for_its_reply(em, connect, signals_during):
    signals_during(em.logons, "log_on", signal.SIGTERM)
    with pytest.raises(Interrupted, match="SIGTERM"), connect():
        raise AssertionError("entered")
    assert (em.counters.logons, em.counters.live_logons) == (1, 0)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.parametrize("signals", [2, 1])
def test_a_logon_that_hangs_is_given_up(monkeypatch, signals):
    """After a second signal at once, else after a time."""
    monkeypatch.setattr(interrupts, "ONE_INTERRUPTION", 0.2)
    monkeypatch.setattr(interrupts, "GRACE", programs.TIMEOUT if signals == 2 else 0.5)
    with Emulator(documented=False, sessions=0) as em:  # of its own, since this leaves a logon behind
        em.faults.add("slow_headers", seconds=900, path="sessionMngr")
        for number in range(signals):
            signal_under_way(em, number)
        with (
            pytest.raises(Interrupted, match="may be left open"),
            EnterpriseManager(em.url, "reader", "Passw0rd!", timeout=800),
        ):
            raise AssertionError("entered")
        assert em.counters.in_flight == 1
        em.faults.clear()


def test_a_grace_that_was_not_needed_ends_with_the_request(em, connect, signals_during, monkeypatch):
    monkeypatch.setattr(interrupts, "GRACE", 2 * programs.TIMEOUT)
    monkeypatch.setattr(interrupts, "ONE_INTERRUPTION", 0)
    signals_during(em.logons, "log_on", signal.SIGTERM)
    with pytest.raises(Interrupted, match="no logon is left open"), connect():
        raise AssertionError("entered")
    wait_for(lambda: not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)])


def test_signals_at_once_are_one_interruption(em, connect, signals_during, monkeypatch):
    """ansible-core 2.21 sends its workers SIGINT and, some milliseconds later, SIGTERM."""
    monkeypatch.setattr(interrupts, "ONE_INTERRUPTION", programs.TIMEOUT)
    signals_during(em.logons, "log_off", signal.SIGTERM, signal.SIGTERM)
    with pytest.raises(Interrupted, match="SIGINT.*no logon is left open"), connect():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(programs.TIMEOUT)
    assert (em.counters.logons, em.counters.live_logons) == (1, 0)


def test_handlers_of_others_get_their_signal_after_the_log_off(em, connect):
    live = []

    def mine(number, frame):
        live.append(em.counters.live_logons)

    before = signal.signal(signal.SIGTERM, mine)
    try:
        with pytest.raises(Interrupted), connect():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(programs.TIMEOUT)
        assert live == [0]
        with connect():
            pass
        assert signal.getsignal(signal.SIGTERM) is mine
        assert live == [0]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_signal_that_is_ignored_stays_ignored(em, connect):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with connect() as client:
            os.kill(os.getpid(), signal.SIGHUP)
            read(client)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_threads_take_no_signals(em, connect):
    seen = []

    def work():
        with connect():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]
    assert em.counters.live_logons == 0
