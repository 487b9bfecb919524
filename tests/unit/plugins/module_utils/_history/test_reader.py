# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The history gives the facts that EM gave, for any criteria."""

from __future__ import annotations

import itertools
import random
import tempfile
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import OptionError
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.criteria import SessionCriteria
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.facts import RESULTS, STATES
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.replica_points import PointReader
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.sessions import SessionReader
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.times import format_time, parse_time
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.bodies import ids_by_state
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.reader import HistoryReader
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.recorder import Recorder
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.records import FACTS, NewRecord, subject_of
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.store import open_store
from hypothesis import given
from hypothesis import strategies as st

NAMES = ["Acme", "acme", "Acme, full site", 'The "big" one', "Überfall <&>", "007"]
SERVERS = ["vbr01", "vbr02", None]
CRITERIA = 200


@pytest.fixture
def world(em):
    """Sessions of all kinds, some running, some at the same moment; a plan whose points are in failover."""
    em.clock.rate = 0
    chance = random.Random(17)
    plan = em.world.add_plan("Acme", ["db", "web"])
    points = em.world.points.all()
    em.world.points.use(points[3], plan, "a session", em.clock.now())
    for number in range(80):
        created = em.clock.now() - timedelta(hours=chance.randrange(40 * 24), seconds=chance.choice([0, 0.5]))
        tasks = [
            {"vm_name": f"vm{vm}", "replica_point": {"id": point.id, "name": point.name}}
            for vm, point in enumerate(chance.sample(points, chance.randrange(4)))
        ]
        state = chance.choice([None, *STATES])
        ended = state in (None, "Stopped")
        em.world.add_session(
            name=chance.choice(NAMES),
            backup_server=chance.choice(SERVERS),
            creation_time=created,
            state=state,
            result=chance.choice(RESULTS) if ended else None,
            end_time=created + timedelta(minutes=chance.randrange(90)) if ended else None,
            failure_message="It failed" if number % 7 == 0 else None,
            tasks=tasks,
            raw={"CreationTimeUTC": None} if number % 20 == 19 else None,
        )
    return em


def random_options(chance, ids):
    """Criteria as a user may give them: each with some chance."""

    def some(values):
        return chance.sample(values, chance.randrange(1, 4)) if chance.random() < 0.3 else None

    def age(days):
        return f"{chance.randrange(1, days)}d" if chance.random() < 0.25 else None

    unknown = "00000000-0000-4000-8000-000000000000"
    return {
        "id": chance.sample([*ids, unknown], chance.choice([1, 3, 12])) if chance.random() < 0.2 else None,
        "name": some(NAMES),
        "state": some(list(STATES)),
        "result": some(list(RESULTS)),
        "backup_server": some(["vbr01", "vbr02", "vbr03"]),
        "created_after": age(40),
        "created_before": age(20),
        "ended_after": age(40),
        "ended_before": age(20),
        "latest_per_plan": chance.random() < 0.25,
        "sort_order": chance.choice(["ascending", "descending"]),
        "limit": chance.choice([None, None, 1, 2, 7]),
        "page_size": chance.choice([None, 10, 100]),
    }


def without(session, *names):
    """Facts of a session, without those that the history does not have, or has besides."""
    facts = {name: value for name, value in session.items() if name not in ("progress", *names)}
    tasks = [{name: value for name, value in task.items() if name != "progress"} for task in session["tasks"]]
    return {**facts, "tasks": tasks}


def some_criteria(ids, count):
    """So many criteria, each with its options, without those that contradict each other."""
    found, seeds = [], itertools.count()
    while len(found) < count:
        options = random_options(random.Random(next(seeds)), ids)
        with suppress(OptionError):  # created_after is later than created_before
            found.append((options, SessionCriteria.from_options(options.get)))
    return found


def test_what_em_has_forgotten_is_found_by_the_same_criteria(world, connect, store):
    wanted = []
    with connect(username="admin") as client:
        recorder = Recorder(store, "em")
        recorder.append(recorder.look(client, SessionCriteria(world.clock.now())).records)
        for options, criteria in some_criteria([session.id for session in world.world.sessions], CRITERIA):
            result = SessionReader(client).list_sessions(criteria)
            sessions = PointReader(client).fill(result.sessions)[0]
            wanted.append((options, criteria, sessions, result.missing_ids))
    assert sum(bool(sessions) for dummy, dummy, sessions, dummy in wanted) > CRITERIA / 4
    world.world.clear()
    world.requests.clear()
    reader = HistoryReader(store)
    for options, criteria, sessions, missing in wanted:
        result = reader.list_sessions(criteria)
        found = [without(session, "em_name", "seen_at") for session in result.sessions]
        assert found == [without(session) for session in sessions], options
        assert set(result.missing_ids) == set(missing), options
    assert world.requests == []


LOOK = {
    "user": "reader",
    "url": "https://em.example.com:9398",
    "source": "query",
    "created_after": None,
    "clock": "em",
    "collected_at": None,
    "complete": True,
    "missing": [],
    "points": None,
}


def test_looks_are_found_by_em_whatever_the_names_are(store):
    times = [f"2026-03-{day:02}T{hour:02}:00:00.000000Z" for day in range(1, 11) for hour in range(24)]
    for name in ("a", "a-b", "a0", "b"):
        store.append(NewRecord("look", subject_of(name, at), at, LOOK) for at in times)
    # Two in the same second, which EM's clock cannot tell apart; and one after a long time.
    store.append([NewRecord("look", subject_of("a", times[-1]), times[-1], {**LOOK, "points": {"Failover": ["p"]}})])
    store.append(
        [NewRecord("look", subject_of("b", "2026-06-01T00:00:00.000000Z"), "2026-06-01T00:00:00.000000Z", LOOK)]
    )
    assert store.em_names() == ["a-b", "a", "a0", "b"]
    history = HistoryReader(store).read(SessionCriteria.from_options({}.get))
    assert history["gaps"] == [{"em_name": "b", "from": times[-1], "to": "2026-06-01T00:00:00.000000Z"}]
    assert len(history["looks"]) == 4 * 100
    of_a = [look["seen_at"] for look in history["looks"] if look["em_name"] == "a"]
    assert of_a == [times[-1], *reversed(times[-99:])]
    since = SessionCriteria.from_options({"created_after": times[-2]}.get)
    assert len(HistoryReader(store, ["a"]).read(since)["looks"]) == 3
    assert (history["points_seen_at"], HistoryReader(store, ["a"]).points_seen_at(since, [])) == (None, times[-1])


DAYS = st.integers(0, 200)


@given(st.lists(st.tuples(DAYS, st.none() | DAYS), max_size=12))
def test_a_gap_is_where_no_later_look_reaches_back(days):
    """As the guide says it, of looks some of which left out what was created before a time."""
    start = datetime(2026, 1, 1)
    looks = [
        (format_time(start + timedelta(days=at)), None if after is None else format_time(start + timedelta(days=after)))
        for at, after in sorted(days, key=lambda look: look[0])
    ]
    with tempfile.TemporaryDirectory() as folder, open_store(f"{folder}/history.db", create=True) as store:
        store.append(
            NewRecord("look", subject_of("a", at), at, {**LOOK, "created_after": after}) for at, after in looks
        )
        gaps = HistoryReader(store).read(SessionCriteria.from_options({}.get))["gaps"]
    reach = [max(after or "", format_time(parse_time(at) - timedelta(days=30))) for at, after in looks]
    assert gaps == [
        {"em_name": "a", "from": looks[place][0], "to": looks[place + 1][0]}
        for place in range(len(looks) - 1)
        if looks[place][0] < min(reach[place + 1 :])
    ]


@pytest.mark.parametrize(("days", "gaps"), [([0, 10, 9999, 20, 60], [(20, 60)]), ([0, 10, 9999], [(10, 9999)])])
def test_a_look_while_ems_clock_was_ahead_makes_no_gap(store, days, gaps):
    """Once there is another one. Until then, it may be that nobody has looked for so long."""
    times = {day: format_time(datetime(2026, 1, 1) + timedelta(days=day)) for day in days}
    for at in times.values():
        store.append([NewRecord("look", subject_of("a", at), at, LOOK)])
    history = HistoryReader(store).read(SessionCriteria(datetime(2026, 2, 1)))
    assert history["gaps"] == [{"em_name": "a", "from": times[start], "to": times[end]} for start, end in gaps]
    assert len(history["looks"]) == len(days)


def test_points_were_seen_when_a_look_knew_the_states_of_all_of_them(store):
    """``at`` is the day of the look, ``states`` what it read, and ``missing`` whether it could not list all that are not Ready."""
    criteria = SessionCriteria(datetime(2026, 2, 1))
    sessions = {guid: [{"em_name": "a", "tasks": [{"replica_point": {"id": guid}}]}] for guid in "pq"}

    def look(day, missing, **states):
        at = format_time(datetime(2026, 1, 1) + timedelta(days=day))
        body = {**LOOK, "missing": ["points"] if missing else [], "points": ids_by_state(map(point, states.items()))}
        records = [
            NewRecord("points", subject_of("a", guid), at, point((guid, state))) for guid, state in states.items()
        ]
        store.append([NewRecord("look", subject_of("a", at), at, body), *records])
        reader = HistoryReader(store)
        of_each = [reader.points_seen_at(criteria, sessions[guid]) for guid in "pq"]
        of_both = reader.points_seen_at(criteria, sessions["p"] + sessions["q"])
        return [when and (parse_time(when) - datetime(2026, 1, 1)).days for when in (*of_each, of_both)]

    def point(pair):
        return {**dict.fromkeys(FACTS["points"]), "id": pair[0], "state": pair[1]}

    assert look(1, True, p="Ready", q="Ready") == [1, 1, 1]
    assert look(2, True) == [1, 1, 1]
    assert look(3, False) == [3, 3, 3]
    assert look(4, True, p="Failover") == [4, 3, None]
    assert look(999, False, p="Failover") == [999, 999, 999]  # EM's clock was ahead
    assert look(5, False) == [5, 5, 5]


def test_kinds_are_read_from_all_that_was_recorded(em, connect, store):
    em.clock.rate = 0
    plan = em.world.add_plan("Acme", ["db", "web"])
    for action in ("test", "start", "undo", "test"):
        em.run_by_others(plan, action)
        em.clock.advance(3600)
        with connect(username="admin") as client:
            recorder = Recorder(store, "em")
            recorder.append(recorder.look(client, SessionCriteria(em.clock.now())).records)
    history = HistoryReader(store).read(SessionCriteria.from_options({"sort_order": "ascending"}.get))
    # An undo has no session of its own; before it, the points were seen in failover.
    assert [session["kind"] for session in history["failover_sessions"]] == ["test", "failover", "test"]
    assert [plan["deleted"] for plan in history["failover_plans"] if plan["name"] == "Acme"] == [False]
    assert {point["state"] for point in history["points"]} == {"Ready"}
