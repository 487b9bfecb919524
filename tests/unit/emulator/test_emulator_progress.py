# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sessions that move with the clock."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from emulator.clock import Clock, format_time, parse_time
from emulator.world import World, view

NAMESPACE = "{http://www.veeam.com/ent/v1.0}"
BEGIN = datetime(2026, 3, 2, 8, 0, 0, tzinfo=timezone.utc)


@pytest.fixture
def world():
    return World(Clock(BEGIN))


def at(session, seconds):
    return view(session, session.creation_time + timedelta(seconds=seconds))


def two_tasks(world, **options):
    tasks = [
        {"vm_name": "db", "start_offset": 4, "duration": 20},
        {"vm_name": "web", "start_offset": 5, "duration": 40, "result": "Failed", "failure_message": "no memory"},
    ]
    return world.add_session(creation_time=BEGIN, result=None, failure_message="partly failed", tasks=tasks, **options)


def test_a_session_moves_through_its_states(world):
    session = two_tasks(world)
    states = [at(session, seconds).state for seconds in (0, 3.9, 4, 44.9, 45, 46.9, 47, 1000)]
    assert states == ["Starting", "Starting", "Working", "Working", "Stopping", "Stopping", "Stopped", "Stopped"]


def test_tasks_appear_and_finish_one_by_one(world):
    session = two_tasks(world)

    def tasks(seconds):
        return [(task.task.vm_name, task.state, task.result) for task in at(session, seconds).tasks]

    assert tasks(3) == []
    assert tasks(4.5) == [("db", "Starting", "None")]
    assert tasks(10) == [("db", "Working", "None"), ("web", "Working", "None")]
    assert tasks(24) == [("db", "Stopped", "Success"), ("web", "Working", "None")]
    assert tasks(45) == [("db", "Stopped", "Success"), ("web", "Stopped", "Failed")]
    assert at(session, 24).tasks[1].failure_message is None
    assert at(session, 45).tasks[1].failure_message == "no memory"


def test_result_end_and_message_come_at_the_end(world):
    session = two_tasks(world)
    before, after = at(session, 46.9), at(session, 47)
    assert (before.result, before.end_time, before.failure_message) == ("None", None, None)
    assert (after.result, after.failure_message) == ("Warning", "partly failed")
    assert after.end_time == BEGIN + timedelta(seconds=47)
    assert [at(session, seconds).progress for seconds in (0, 24, 45, 47)] == [0, 50, 99, 100]
    assert [at(session, seconds).tasks[0].progress for seconds in (4, 14, 24)] == [0, 50, 100]


def test_the_past_can_be_looked_at_again(world):
    session = two_tasks(world)
    assert at(session, 100).state == "Stopped"
    assert at(session, 10).state == "Working"
    assert at(session, 100).settled


def test_fixed_states_stay(world):
    working = two_tasks(world, state="Working")
    assert [at(working, seconds).state for seconds in (0, 1000)] == ["Working", "Working"]
    assert [task.state for task in at(working, 1000).tasks] == ["Stopped", "Stopped"]
    assert at(working, 1000).end_time is None
    stopped = two_tasks(world, state="Stopped")
    assert [task.state for task in at(stopped, 0).tasks] == ["Stopped", "Stopped"]


def test_stopped_without_a_creation_time_has_just_ended(world):
    before = world.clock.now()
    session = world.add_session(state="Stopped", tasks=[{"vm_name": "a"}])
    assert before - timedelta(milliseconds=1) <= session.end_time <= world.clock.now()


def test_an_early_end_takes_its_tasks_along(world):
    session = two_tasks(world, end_time=BEGIN + timedelta(seconds=30))
    ends = [(task.end_time - BEGIN).total_seconds() for task in at(session, 31).tasks]
    assert ends == [24, 30]


def test_a_task_without_end_keeps_its_session_running(world):
    session = world.add_session(creation_time=BEGIN, tasks=[{"vm_name": "a", "duration": None}])
    found = at(session, 1e6)
    assert (found.state, [task.state for task in found.tasks]) == ("Working", ["Working"])


@pytest.mark.parametrize(
    ("results", "expected"),
    [([], "Success"), (["Success"], "Success"), (["Failed"], "Failed"), (["Success", "Failed"], "Warning")],
)
def test_result_worked_out_from_tasks(world, results, expected):
    tasks = [{"vm_name": str(n), "result": result} for n, result in enumerate(results)]
    assert world.add_session(result=None, tasks=tasks).result == expected


def test_tasks_without_offsets_are_staggered_between_four_and_five_seconds(world):
    offsets = [task.start_offset for task in world.add_session(tasks=[{"vm_name": str(n)} for n in range(4)]).tasks]
    assert offsets == [4.0, 4.25, 4.5, 4.75]


@pytest.mark.parametrize(
    "options",
    [{"tasks": [{"vm_name": "a", "outcome": "x"}]}, {"tasks": [{"result": "Failed"}]}, {"id": "not a guid"}],
)
def test_mistakes_are_errors(world, options):
    with pytest.raises(ValueError):
        world.add_session(**options)


def test_an_id_exists_once(world):
    session = world.add_session()
    with pytest.raises(ValueError):
        world.add_session(id=session.id)


def test_over_the_wire(em, client):
    session = em.world.add_session(tasks=[{"vm_name": "db", "duration": 20}])
    path = f"/api/cloud/failoverSessions/{session.id}?format=Entity"

    def seen():
        entity = client.get(path).xml
        return entity.findtext(f"{NAMESPACE}State"), len(entity.find(f"{NAMESPACE}CloudFailoverTasks"))

    assert seen() == ("Starting", 0)
    em.clock.advance(10)
    assert seen() == ("Working", 1)
    em.clock.advance(15)
    assert seen() == ("Stopping", 1)
    em.clock.advance(5)
    assert seen() == ("Stopped", 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01", "2026-03-01T00:00:00Z"),
        ("2026-03-01T08:00:03.620Z", "2026-03-01T08:00:03.62Z"),
        ("2026-03-01T08:00:03.123456789", "2026-03-01T08:00:03.123456Z"),
        ("2026-03-01t08:00:03.1+02:00", "2026-03-01T06:00:03.1Z"),
        (" 2026-03-01 08:00 ", "2026-03-01T08:00:00Z"),
    ],
)
def test_times_are_read_and_written(text, expected):
    assert format_time(parse_time(text)) == expected


@pytest.mark.parametrize("text", ["", "now", "2026", "2026-03-01T25:00:00Z"])
def test_other_text_is_no_time(text):
    with pytest.raises(ValueError):
        parse_time(text)


def test_digits_are_cut_and_added():
    moment = parse_time("2026-03-01T08:00:03.123456Z")
    assert format_time(moment, digits=3).endswith("03.123Z")
    assert format_time(moment, extra="7").endswith("03.1234567Z")
    assert format_time(moment, extra="0").endswith("03.123456Z")
    assert format_time(moment.replace(microsecond=456), digits=3).endswith("03Z")
