# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Logons that a worker process keeps for its task: in real forked processes, as ansible-core makes them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import Operation
from ansible_collections.dr_runbook.veeam_em.plugins.plugin_utils import _plugin

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def options(em):
    return {
        "url": em.url,
        "username": "reader",
        "password": "Passw0rd!",
        "validate_certs": True,
        "ca_path": None,
        "timeout": 30,
        "retries": 0,
        "api_version": "latest",
    }


def read(options):
    with _plugin.connect(options) as client:
        client.get("/api/cloud/failoverSessions", Operation("Read"))


def in_worker(work, *arguments):
    """Run it in a forked process, and give the process as soon as the work is done or has failed."""
    done, tell = FORK.Pipe(duplex=False)

    def run():
        try:
            work(*arguments)
            tell.send("done")
        except BaseException as exc:
            tell.send(type(exc).__name__)
            raise

    process = FORK.Process(target=run)
    process.start()
    tell.close()
    return process, done


def finish(process, done):
    said = done.recv()
    process.join(10)
    return said


def read_often(options, times):
    for dummy in range(times):
        read(options)


def test_a_worker_logs_on_once_and_off_at_its_end(em, options):
    process, done = in_worker(read_often, options, 20)
    assert finish(process, done) == "done"
    assert process.exitcode == 0
    assert (em.counters.logons, em.counters.logoffs, em.counters.live_logons) == (1, 1, 0)
    assert em.counters.requests == 22


def test_elsewhere_each_call_has_its_logon(em, options):
    read_often(options, 3)
    assert (em.counters.logons, em.counters.logoffs, em.counters.max_live_logons) == (3, 3, 1)
    assert _plugin._kept.client is None


def test_other_options_have_a_logon_of_their_own_and_end_the_kept_one(em, options):
    def work():
        for dummy in range(2):
            read(options)
            read({**options, "username": "admin"})

    assert finish(*in_worker(work)) == "done"
    assert (em.counters.logons, em.counters.max_live_logons, em.counters.live_logons) == (4, 1, 0)


def test_after_errors_with_several_options_the_signals_are_as_before(em, options):
    other = {**options, "username": "admin"}

    def work():
        before = signal.signal(signal.SIGTERM, lambda *dummy: os._exit(7))
        handler = signal.getsignal(signal.SIGTERM)
        assert before is not handler
        for first, second in ((options, other), (other, options)):
            read(first)
            read(second)
            with pytest.raises(ZeroDivisionError), _plugin.connect(first):
                raise ZeroDivisionError
            assert signal.getsignal(signal.SIGTERM) is handler
            read(second)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    process, done = in_worker(work)
    process.join(4)
    assert process.exitcode == 7
    assert em.counters.live_logons == 0


def test_the_time_out_of_a_task_does_not_tear_the_log_on(em, options):
    """ansible-core sets an alarm for a task's keyword ``timeout``."""
    em.faults.add("slow_headers", seconds=1.5, path="sessionMngr")

    def too_late(*dummy):
        raise InterruptedError

    def work():
        signal.signal(signal.SIGALRM, too_late)
        signal.alarm(1)
        with pytest.raises(InterruptedError):
            read(options)

    assert finish(*in_worker(work)) == "done"
    assert (em.counters.logons, em.counters.live_logons) == (1, 0)
    em.faults.clear()


def test_an_error_ends_the_logon_at_once(em, options):
    def work():
        read(options)
        with pytest.raises(ZeroDivisionError), _plugin.connect(options):
            raise ZeroDivisionError
        assert em_live() == 0
        read(options)

    def em_live():
        import requests

        return requests.get(f"{options['url']}/emulator/counters", timeout=5).json()["live_logons"]

    assert finish(*in_worker(work)) == "done"
    assert (em.counters.logons, em.counters.live_logons) == (2, 0)


def test_a_kept_logon_that_has_expired_is_made_again(em, options):
    def work():
        import requests

        read(options)
        requests.delete(f"{options['url']}/emulator/logons", timeout=5)
        read(options)

    assert finish(*in_worker(work)) == "done"
    assert (em.counters.logons, em.counters.live_logons) == (2, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("handled", [False, True])
def test_a_signal_between_two_calls_ends_the_logon(em, options, number, handled):
    """Handled: as by the workers of ansible-core 2.19 and newer, which exit at once."""

    def work():
        if handled:
            signal.signal(number, lambda *dummy: os._exit(7))
        else:
            signal.signal(number, signal.SIG_DFL)
        read(options)
        os.kill(os.getpid(), number)
        time.sleep(5)

    process, done = in_worker(work)
    process.join(4)
    assert process.exitcode == (7 if handled else -number)
    assert (em.counters.logons, em.counters.live_logons) == (1, 0)


@pytest.mark.parametrize("handled", [False, True])
def test_a_signal_during_a_call_ends_the_logon(em, options, handled):
    em.faults.add("slow_headers", seconds=10, path="/api/cloud/failoverSessions")

    def work():
        signal.signal(signal.SIGTERM, (lambda *dummy: os._exit(7)) if handled else signal.SIG_DFL)
        read(options)

    process, done = in_worker(work)
    deadline = time.monotonic() + 5
    while not any(request.method == "GET" for request in em.requests) and time.monotonic() < deadline:
        time.sleep(0.02)
    start = time.monotonic()
    process.terminate()
    process.join(5)
    assert time.monotonic() - start < 2
    assert process.exitcode == (7 if handled else 1)
    assert (em.counters.logons, em.counters.live_logons) == (1, 0)
    em.faults.clear()


def test_a_second_process_does_not_touch_the_logon_of_the_first(em, options):
    def work():
        read(options)
        process, done = in_worker(read, options)
        assert finish(process, done) == "done"
        read(options)

    assert finish(*in_worker(work)) == "done"
    assert em.counters.live_logons == 0
    assert em.counters.logons == 2
