# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The generated and the documented sessions."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from emulator import Emulator
from emulator.sample_data import PLAN_NAMES, documented_sessions
from emulator.world import view

NOW = datetime(2026, 3, 20, 12, 0, 0, tzinfo=timezone.utc)


def world(**options):
    return Emulator(**{"sessions": 253, "tasks": 3, "documented": False, "now": NOW, **options}).world


def test_exactly_as_many_as_asked_for():
    assert len(world().sessions) == 253
    assert len(world(documented=True).sessions) == 258
    assert len(world(sessions=0).sessions) == 0
    assert {len(session.tasks) for session in world(tasks=7).sessions} == {7}
    assert {len(session.tasks) for session in world(tasks=0).sessions} == {0}


def test_the_same_for_the_same_seed_and_time():
    # The clock runs on between two starts: compare relative to the first creation.
    def picture(seed):
        sessions = world(seed=seed).sessions
        return [(s.id, s.name, s.result, s.tasks[0].vm_name, s.tasks[0].failure_message) for s in sessions]

    assert picture(1) == picture(1)
    assert picture(1) != picture(2)


@pytest.mark.parametrize("version", [12, 13])
def test_creation_times_differ_and_spread_over_twenty_days(version):
    made = world(sessions=2000, em_version=version)
    times = [session.creation_time for session in made.sessions]
    assert len(set(times)) == 2000
    assert times == sorted(times)
    assert NOW - timedelta(days=20, seconds=1) <= times[0] < NOW - timedelta(days=19)
    assert NOW - timedelta(minutes=1) < times[-1] <= made.clock.now()
    digits = {moment.microsecond % 1000 for moment in times}
    assert (digits == {0}) is (version == 12)
    assert any(moment.microsecond == 0 for moment in times)


def test_names_results_servers_and_messages_are_mixed():
    sessions = world().sessions
    assert {session.name for session in sessions} == set(PLAN_NAMES)
    assert {session.result for session in sessions} == {"Success", "Warning", "Failed"}
    assert len({session.backup_server for session in sessions}) == 2
    failed = [task for session in sessions for task in session.tasks if task.result == "Failed"]
    assert failed and all(task.failure_message for task in failed)
    for session in sessions:
        assert (session.result == "Success") is all(task.result == "Success" for task in session.tasks)
        assert len({task.vm_name for task in session.tasks}) == 3
        assert all(task.replica_point.name.startswith(f"{task.vm_name}@2026-") for task in session.tasks)


def test_the_odd_names_are_exact():
    odd = {'R&D "Ω" <Plan> 50%', "O'Brien; Sons, (Ltd)", "Plan with  two spaces", "plan-ünïcode-日本"}
    assert odd < set(PLAN_NAMES)


@pytest.mark.parametrize(
    ("options", "running"), [({}, 3), ({"running": 0}, 0), ({"sessions": 3}, 0), ({"running": 9}, 9)]
)
def test_the_newest_are_still_running(options, running):
    made = world(**options)
    states = [found.state for found in made.views()]
    assert states.count("Stopped") == len(states) - running
    assert "Stopped" not in states[len(states) - running :]
    made.clock.advance(900)
    assert {found.state for found in made.views()} == {"Stopped"}


def test_documented_sessions():
    sessions = list(documented_sessions())
    first = view(sessions[0], NOW)
    assert (first.state, first.result, first.progress, first.tasks) == ("Stopped", "Success", 100, [])
    assert sessions[0].creation_time == datetime(2015, 12, 7, 17, 38, 16, tzinfo=timezone.utc)
    assert first.end_time == datetime(2015, 12, 7, 17, 39, 36, tzinfo=timezone.utc)
    assert len({session.creation_time for session in sessions}) == 5
    assert {session.creation_time.year for session in sessions} == {2015}


def test_large_worlds():
    made = world(sessions=2000, tasks=10)
    assert len(made.sessions) == 2000
