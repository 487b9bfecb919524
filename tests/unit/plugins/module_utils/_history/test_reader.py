# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The history gives the facts that EM gave, for any criteria."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.criteria import SessionCriteria
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.facts import RESULTS, STATES
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.replica_points import PointReader
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.sessions import SessionReader
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.reader import HistoryReader
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.recorder import Recorder
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.store import open_store

NAMES = ["Acme", "acme", "Acme, full site", 'The "big" one', "Überfall <&>", "007"]
SERVERS = ["vbr01", "vbr02", None]


@pytest.fixture
def store(tmp_path):
    with open_store(str(tmp_path / "history.db"), create=True) as opened:
        yield opened


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


def compare(world, connect, store, count):
    with connect(username="admin") as client:
        Recorder(store, "em").append(
            store, Recorder(store, "em").look(client, SessionCriteria(world.clock.now())).records
        )
        ids = [session.id for session in world.world.sessions]
        wanted = []
        for seed in range(count):
            options = random_options(random.Random(seed), ids)
            try:
                criteria = SessionCriteria.from_options(options.get)
            except ValueError:  # such as created_after later than created_before
                continue
            result = SessionReader(client).list_sessions(criteria)
            sessions = PointReader(client).fill(result.sessions)[0]
            wanted.append((options, criteria, sessions, result.missing_ids))
    assert sum(bool(sessions) for dummy, dummy, sessions, dummy in wanted) > count / 4
    world.world.clear()
    world.requests.clear()
    reader = HistoryReader(store)
    for options, criteria, sessions, missing in wanted:
        result = reader.list_sessions(criteria)
        found = [without(session, "em_name", "seen_at") for session in result.sessions]
        assert found == [without(session) for session in sessions], options
        assert set(result.missing_ids) == set(missing), options
    assert world.requests == []


def test_what_em_has_forgotten_is_found_by_the_same_criteria(world, connect, store):
    compare(world, connect, store, 40)


@pytest.mark.matrix
def test_what_em_has_forgotten_is_found_by_any_criteria(world, connect, store):
    compare(world, connect, store, 400)
