# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import EmBusyError
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover import lock
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.lock import plan_lock

URL = "https://em.example.com:9398"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(lock.tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path


def locked(subject="plan", seconds=0.0, url=URL, warn=pytest.fail):
    return plan_lock(url, subject, seconds, "Start of plan Acme", warn)


def test_the_second_waits_and_then_fails():
    with locked():
        with pytest.raises(EmBusyError, match="another process"), locked():
            pass
        with locked("other plan"), locked(url="https://other.example.com"):
            pass
    with locked():
        pass


def test_it_ends_with_the_process(folder):
    with locked():
        pass
    (path,) = folder.iterdir()
    code = "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], 0), 2); print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(EmBusyError), locked():
            pass
        other.kill()
    with locked(seconds=10):
        pass


def test_a_file_of_somebody_else_is_enough(folder):
    with locked():
        pass
    (path,) = folder.iterdir()
    path.chmod(0o444)
    with locked():
        pass


def test_without_a_file_it_goes_on_with_a_warning(folder, monkeypatch):
    said = []
    with locked():
        pass
    (path,) = folder.iterdir()
    path.unlink()
    path.symlink_to(folder / "elsewhere")  # as an attacker may have put it there
    with locked(warn=said.append):
        pass
    assert not Path(folder, "elsewhere").exists()
    assert "are not prevented" in said[0]
    assert os.fspath(path) in said[0]


def test_a_file_system_without_locks_is_a_warning(monkeypatch):
    def flock(*dummy):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    said = []
    with locked(warn=said.append):
        said.append("inside")
    assert said[1:] == ["inside"]
    assert said[0].startswith("Parallel runs on this machine are not prevented: the lock file ")
    assert said[0].endswith(" cannot be used (No locks available).")
