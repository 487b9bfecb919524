# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The logon of a plugin in a forked process, as ansible-core makes one for each task."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time

import programs
import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import Operation
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._connection import client_from_options
from emulator import Emulator

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def em():
    """One of each test's own, since a slow response outlives its client."""
    with Emulator(documented=False, sessions=0) as running:
        yield running


@pytest.fixture
def read(em):
    """Log on with options as a plugin has them, read once, log off."""
    options = {
        "url": em.url,
        "username": "reader",
        "password": "Passw0rd!",
        "validate_certs": True,
        "ca_path": None,
        "timeout": 30,
        "retries": 0,
        "api_version": "latest",
    }

    def call():
        with client_from_options(options.get, print) as client:
            client.get("/api/cloud/failoverSessions", Operation("Read"))

    return call


@pytest.fixture
def in_worker():
    """Run something in a forked process; gives the process, which does not outlive the test."""
    started = []

    def start(work):
        process = FORK.Process(target=work)
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.join(programs.TIMEOUT)


def test_each_use_logs_on_and_off(em, read, in_worker):
    def twice():
        read()
        read()

    process = in_worker(twice)
    process.join(programs.TIMEOUT)
    assert process.exitcode == 0
    assert (em.counters.logons, em.counters.logoffs, em.counters.max_live_logons) == (2, 2, 1)


@pytest.mark.parametrize("handled", [False, True])
def test_a_signal_ends_the_logon(em, read, in_worker, handled):
    """Handled: as by the workers of ansible-core 2.19 and newer, which exit at once."""
    em.faults.add("slow_headers", seconds=900, path="/api/cloud/failoverSessions")

    def work():
        signal.signal(signal.SIGTERM, (lambda *dummy: os._exit(7)) if handled else signal.SIG_DFL)
        read()

    process = in_worker(work)
    deadline = time.monotonic() + programs.TIMEOUT
    while not any(request.method == "GET" for request in em.requests) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.terminate()
    process.join(programs.TIMEOUT)
    assert process.exitcode == (7 if handled else 1)
    assert (em.counters.logons, em.counters.live_logons) == (1, 0)
