# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rulebook, run by ansible-rulebook: its rules fire once for each session, whatever happens to EM and to the process."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from ansible.release import __version__ as core_version
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils import _module

EDA = Path(__file__).resolve().parents[3] / "extensions" / "eda"
ROOT = Path(_module.__file__).absolute().parents[5]
BIN = Path(sys.executable).parent
PASSWORD = "Passw0rd!"


@pytest.fixture(autouse=True)
def ansible_rulebook():
    """Skip without ansible-rulebook or Java, except where CI has to have both: the oldest ansible-core comes without."""
    missing = [
        name
        for name, found in (("ansible-rulebook", BIN / "ansible-rulebook"), ("java", shutil.which("java")))
        if not found or not Path(found).exists()
    ]
    if missing:
        sentence = f"{' and '.join(missing)} is missing (ansible-rulebook comes with make setup and needs Java 17)"
        if os.environ.get("CI") == "true" and sys.version_info >= (3, 11) and not core_version.startswith("2.16."):
            pytest.fail(sentence)
        pytest.skip(sentence)


@pytest.fixture
def tls_em():
    from emulator import Emulator

    with Emulator(documented=False, sessions=3, running=0, tls=True) as running:
        yield running


class Rulebook:
    """One run of ansible-rulebook.

    :ivar output: all that it has written so far.
    """

    def __init__(self, em, folder, *arguments):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("VEEAM_EM_")}
        environment.update(
            PATH=f"{BIN}{os.pathsep}{environment['PATH']}",
            ANSIBLE_COLLECTIONS_PATH=str(ROOT),
            HOME=str(folder),
            ANSIBLE_HOME=str(folder / "home"),
            VEEAM_EM_URL=em.url,
            VEEAM_EM_CA_PATH=em.ca_path,
            VEEAM_EM_USERNAME="reader",
            VEEAM_EM_PASSWORD=PASSWORD,
            VEEAM_EM_RETRIES="0",
        )
        (folder / "vars.yml").write_text("failover_session_interval: 5\n", encoding="utf-8")
        self._file = folder / f"output-{time.monotonic_ns()}"
        with self._file.open("w", encoding="utf-8") as output:
            self._process = subprocess.Popen(
                [str(BIN / "ansible-rulebook"), "-e", "vars.yml", *arguments],
                cwd=folder,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self):
        return self._file.read_text(encoding="utf-8")

    def until(self, condition, what):
        end = time.monotonic() + 600
        while not condition():
            assert time.monotonic() < end, f"no {what}: {self.output}"
            assert self._process.poll() is None, self.output
            time.sleep(0.05)

    def kill(self):
        """The rulebook and what it has started, such as Java."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self, number=signal.SIGTERM):
        if self._process.poll() is None:
            self._process.send_signal(number)
        return self._process.wait(600)


@contextmanager
def run(em, folder, *arguments):
    rulebook = Rulebook(em, folder, *arguments)
    try:
        yield rulebook
    finally:
        rulebook.kill()


def test_each_session_fires_once(tls_em, tmp_path):
    """Over a restart of EM, an outage, and a restart of the rulebook, in which the source is found in the other way."""
    em = tls_em
    ids = {}
    state = tmp_path / ".local" / "state" / "dr_runbook" / "failover_session.json"

    def session(name, result="Failed", seconds=1, said=None):
        tasks = [{"vm_name": f"{name}-db", "duration": seconds, "result": result, "failure_message": "no memory"}]
        ids[name] = em.world.add_session(name=name, result=said or result, tasks=tasks).id

    with run(em, tmp_path, "-r", "dr_runbook.veeam_em.failover_session") as first:
        first.until(lambda: state.exists() and '"scope": null' not in state.read_text(), "first look that is over")
        session("before")
        session("across", seconds=1000)
        session("doubtful", seconds=1, said="Success")
        em.clock.advance(30)
        first.until(lambda: "FAILED: before" in first.output, "rule that fires")
        em.restart(6)  # seconds, so that a look falls into it
        session("restarted")
        em.clock.advance(30)
        first.until(lambda: "FAILED: restarted" in first.output, "rule that fires after a restart of EM")
        assert first.stop() == 0
        assert em.counters.live_logons == 0
    session("meanwhile")
    session("well", result="Success")
    em.clock.advance(2000)
    text = (EDA / "rulebooks" / "failover_session.yml").read_text(encoding="utf-8")
    text = text.replace("dr_runbook.veeam_em.failover_session:", "failover_session:")
    (tmp_path / "own.yml").write_text(text, encoding="utf-8")
    sources = ("-S", str(EDA / "plugins" / "event_source"))
    with run(em, tmp_path, "-r", "own.yml", *sources) as second:
        second.until(lambda: "SUCCEEDED: well" in second.output, "rule that fires after a restart of the rulebook")
        assert second.stop(signal.SIGINT) == 0
    assert em.counters.live_logons == 0

    output = first.output + second.output
    for name, guid in ids.items():
        word = "SUCCEEDED" if name == "well" else "FAILED"
        assert output.count(f"{word}: {name}, session {guid}") == 1, output
        assert output.count(f"VM FAILED: {name}-db of {name}: no memory") == (name != "well")
    assert output.count("SUCCEEDED: ") == 1 and output.count("FAILED: ") == 2 * 5
    assert "VMs that failed: before-db" in output
    assert output.count("Trying again until it answers") == output.count("answers again") == 1
    assert "Traceback" not in output and PASSWORD not in output
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    assert PASSWORD not in state.read_text(encoding="utf-8")


def test_a_wrong_password_is_one_sentence(tls_em, tmp_path):
    tls_em.faults.add("unauthorized", path="/api/sessionMngr")
    with run(tls_em, tmp_path, "-r", "dr_runbook.veeam_em.failover_session") as rulebook:
        assert rulebook._process.wait(600) == 1
    assert (
        "Source plugin failed with error message: 'Log on to Veeam Backup Enterprise Manager as reader failed"
        in rulebook.output
    )
    assert "Traceback" not in rulebook.output and PASSWORD not in rulebook.output
    assert tls_em.counters.requests == 1
