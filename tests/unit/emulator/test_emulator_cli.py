# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command line, as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import programs
import pytest

TESTS = Path(__file__).resolve().parents[2]


@pytest.fixture
def launch(tmp_path):
    """Starts the emulator and waits for its ready file; gives process and the file's content."""
    started = []

    def start(*arguments):
        ready = tmp_path / "ready.json"
        ready.unlink(missing_ok=True)
        always = f"-m emulator --port 0 --sessions 4 --ready-file {ready}".split()
        process = subprocess.Popen(
            [sys.executable, *always, *arguments],
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        limit = time.monotonic() + 600
        while not ready.exists():
            assert process.poll() is None and time.monotonic() < limit, process.communicate()
            time.sleep(0.01)
        # Present means complete: the file is moved into place.
        return process, json.loads(ready.read_text())

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_tls_ready_file_and_sigterm(launch, connect, tmp_path):
    process, ready = launch("--tls", str(tmp_path / "ca"), "--em-version", "13", "--user", "EM1\\robot:a:b:Portal User")
    assert ready["pid"] == process.pid
    assert ready["ca_path"] == str(tmp_path / "ca" / "ca.pem")
    assert ready["url"].startswith("https://localhost:")
    client = connect(SimpleNamespace(**ready), user="EM1\\robot", password="a:b")
    assert client.log_on().status == 201
    assert client.get("/api").headers["server"] == "Kestrel"
    process.terminate()  # the connection is still open
    output, errors = process.communicate(timeout=600)
    assert (process.returncode, errors) == (0, "")
    assert ready["url"] in output and ready["ca_path"] in output


def test_faults_and_switches_and_sigint(launch, connect):
    process, ready = launch(
        "--fault", '{"action": "status", "status": 503, "times": 1}', "--set", "sort=ignore", "--set", "bom=true",
        "--no-documented",
    )  # fmt: skip
    assert ready["ca_path"] is None
    client = connect(SimpleNamespace(**ready))
    assert [client.get("/api").status for dummy in range(2)] == [503, 200]
    assert client.get("/api").body.startswith(b"\xef\xbb\xbf")
    client.log_on()
    assert len(client.query().names) == 4
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=600)
    assert process.returncode == 0


def test_drill_and_clock_rate(launch, connect):
    dummy, ready = launch("--drill", "--clock-rate", "1000", "--idle-seconds", "60")
    client = connect(SimpleNamespace(**ready))
    client.log_on()
    assert client.query('Name=="ABC Company DR drill"', type="CloudFailoverPlan").names == ["ABC Company DR drill"]
    time.sleep(0.1)
    assert client.get("/api/cloud").status == 401


@pytest.mark.parametrize(("options", "login"), [([], "both"), (["--login", "admin"], "admin")])
def test_a_command_beside_the_emulator(options, login):
    tool = TESTS.parent / "tools" / "with_emulator.py"
    shown = "import os; print(os.environ['VEEAM_EM_USERNAME'])"
    command = [sys.executable, str(tool), *options, "--sessions", "1", "--", sys.executable, "-c", shown]
    assert programs.run(command) == (0, f"{login}\n")


def test_stop_after(launch):
    process, dummy = launch("--stop-after", "0.2")
    process.communicate(timeout=600)
    assert process.returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["--fault", '{"action": "explode"}'],
        ["--fault", "{"],
        ["--set", "colour=red"],
        ["--set", "sort=never"],
        ["--user", "nobody"],
        ["--em-version", "11"],
        ["--clock-rate", "-1"],
    ],
)
def test_mistakes_end_with_usage(arguments, capsys):
    from emulator.__main__ import main

    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_the_certificate_is_for_localhost_and_the_address(launch, tmp_path):
    dummy, ready = launch("--tls", str(tmp_path))
    port = int(ready["url"].rpartition(":")[2])
    context = ssl.create_default_context(cafile=ready["ca_path"])
    for name in ("localhost", "127.0.0.1"):
        plain = socket.create_connection(("127.0.0.1", port), timeout=600)
        with plain, context.wrap_socket(plain, server_hostname=name) as secured:
            assert secured.version()
