# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Legs that run side by side, with a stand-in for make: none passes that has not, and none is kept from running."""

from __future__ import annotations

import importlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[3] / "tools"
CORE = "VERSIONS 2.16.19 3.10.13 2.28.2 0.13.0\n........ [100%]\n{tests} in 12.34s\n{targets}"
MAKE = """#!{python}
import os, sys
from pathlib import Path
target = sys.argv[2]
Path({folder!r}, target).write_text(" ".join(sys.argv[3:]))
print(Path({folder!r}, target + ".says").read_text(), repr(os.environ.get("CI")))
sys.exit(target == "bad")
"""


@pytest.fixture
def legs(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(TOOLS))
    module = importlib.import_module("legs")
    monkeypatch.setattr(module, "REPO", tmp_path)
    monkeypatch.setattr(module, "LOGS", tmp_path / "build" / "legs")
    monkeypatch.setattr(module, "ALL_TARGETS", {"a", "b"})
    monkeypatch.setattr(module, "path_of", lambda version: f"/python{version}" if version != "3.99" else None)
    monkeypatch.setenv("PATH", str(tmp_path))
    make = tmp_path / "make"
    make.write_text(MAKE.format(python=sys.executable, folder=str(tmp_path)))
    make.chmod(0o755)
    return module


@pytest.fixture
def run(legs, monkeypatch, tmp_path, capfd):
    monkeypatch.delenv("CI", raising=False)

    def call(*all_legs, legs_of="test", **says):
        for target, text in says.items():
            (tmp_path / f"{target}.says").write_text(text)
        monkeypatch.setitem(legs.LEGS, legs_of, list(all_legs))
        monkeypatch.setattr(sys, "argv", ["legs.py", legs_of])
        status = legs.main()
        return status, capfd.readouterr().out

    return call


def ran(*targets, tests="8 passed"):
    recap = "".join(f"Running {name} integration test role\ntesthost   : ok=10   changed=1\n" for name in targets)
    return CORE.format(tests=tests, targets=recap)


def test_a_leg_is_a_row(legs, run, tmp_path):
    leg = legs.on_core("core-2.16", ("3.99", "3.10"), "floor", "tests/unit", {"a", "b"})
    status, output = run(leg, **{"some-unit": ran("a", "b", tests="1 failed, 7 passed, 2 skipped")})
    assert status == 0
    assert output.endswith("All 1 legs that ran have passed.\n")
    given = "integration VENV=.venv-core-2.16-py3.10 GROUP=floor UNIT_TESTS=tests/unit TARGETS=a b PYTHON=/python3.10"
    assert (tmp_path / "some-unit").read_text() == given
    row = (tmp_path / "build" / "test.md").read_text().splitlines()[-1].split(" | ")
    assert row[:6] == [
        "| core-2.16",
        "2.16.19",
        "3.10.13",
        "2.28.2, 0.13.0",
        "1 failed, 7 passed, 2 skipped",
        "2 targets, 20 tasks",
    ]
    assert row[-1] == "passed |"


def test_a_leg_that_fails_is_shown_whole_and_stops_no_other(legs, run):
    status, output = run(legs.Leg("first", ("bad",)), legs.Leg("second", ("good",)), bad="why it is bad", good="fine")
    assert status == 1
    assert "\n===== leg first =====\nwhy it is bad None\n===== leg first: FAILED after 0 s =====\n" in output
    assert "leg second: passed" in output
    assert output.endswith("\nFAILED: first\n")


def test_a_leg_that_hangs_ends_with_all_that_it_started(legs, run, monkeypatch, tmp_path):
    monkeypatch.setattr(legs, "MAX_SECONDS", 0)
    (tmp_path / "make").write_text(f"#!/bin/sh\n/bin/sleep 600 & echo $! >{tmp_path}/child; wait\n")
    monkeypatch.setattr(legs.subprocess.Popen, "wait", waiting_for(tmp_path / "child"))
    status, output = run(legs.Leg("first", ("hangs",)))
    assert status == 1 and output.endswith("\nFAILED: first\n")
    state = Path(f"/proc/{(tmp_path / 'child').read_text().strip()}/stat")
    until = time.monotonic() + 600
    while is_running(state):  # the signal was sent; when it ends is for the kernel to say
        assert time.monotonic() < until
        time.sleep(0.05)


def is_running(state):
    """Whether a process is running by its file in /proc: not if it has ended, and nobody has collected it yet."""
    try:
        return ") Z " not in state.read_text()
    except OSError:
        return False


def waiting_for(file):
    """``wait`` that lets the process get as far as that."""
    wait = subprocess.Popen.wait

    def replaced(self, timeout=None):
        while timeout is not None and not (file.exists() and file.read_text().strip()):
            time.sleep(0.01)
        return wait(self, timeout)

    return replaced


@pytest.mark.parametrize("targets", [(), ("a",)])
def test_a_leg_whose_targets_were_not_found_has_failed(legs, run, targets):
    status, output = run(legs.Leg("artifact", ("ee",), targets_run=frozenset("ab")), ee=ran(*targets))
    assert status == 1
    assert f"FAILED: {2 - len(targets)} of 2 integration targets did not run" in output


@pytest.mark.parametrize(
    ("ci", "legs_of", "seen"), [("", "test", ""), ("true", "test", "true"), ("", "matrix", "true")]
)
def test_tests_know_whether_they_may_be_left_out(legs, run, monkeypatch, ci, legs_of, seen):
    monkeypatch.setenv("CI", ci)
    status, output = run(legs.Leg("good", ("good",)), legs_of=legs_of, good="CI is")
    assert status == 0
    assert f"\nCI is {seen!r}\n" in output


@pytest.mark.parametrize(("ci", "legs_of", "status"), [("", "test", 0), ("true", "test", 1), ("", "matrix", 1)])
def test_a_leg_without_its_python_is_named_and_fails_where_all_must_run(
    legs, run, monkeypatch, tmp_path, ci, legs_of, status
):
    monkeypatch.setenv("CI", ci)
    missing = legs.on_core("core-9", ("3.99",), "test", "tests/unit")
    outcome, output = run(missing, legs.Leg("good", ("good",)), legs_of=legs_of, good="fine")
    assert outcome == status
    assert "core-9 was NOT RUN: Python 3.99 is not here." in output
    assert output.endswith("FAILED: core-9\n" if status else "All 1 legs that ran have passed.\n")
    assert not (tmp_path / "some-unit").exists()
