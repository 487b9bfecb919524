# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pages of one query: how they are requested, and which are prefetched, without losing a failure.

What the pages hold, and what is read where EM refuses, is tested through the readers: test_sessions.py, test_plans.py.
"""

from __future__ import annotations

import time
from urllib.parse import parse_qs

import programs
import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import client as client_module
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import EmError, Operation
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.query import MAX_PREFETCH, query_path
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.criteria import SessionCriteria
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.sessions import SessionReader
from emulator import Emulator

TEN_PAGES = 95


@pytest.fixture(scope="module")
def own_emulator():
    """What is in flight is counted here, so requests that other tests abandoned must not be among it."""
    with Emulator(documented=False, running=0) as running:
        yield running


@pytest.fixture
def em(own_emulator):
    until = time.monotonic() + programs.TIMEOUT
    while own_emulator.counters.in_flight and time.monotonic() < until:
        time.sleep(0.02)
    own_emulator.faults.clear()
    own_emulator.reset(sessions=TEN_PAGES, tasks=0)
    return own_emulator


def criteria(**options):
    return SessionCriteria.from_options({"page_size": 10, **options}.get)


def ids(answer):
    return [fact["id"] for fact in answer.sessions]


def all_ids(em):
    return [session.id for session in sorted(em.world.sessions, key=lambda item: (item.creation_time, item.id))]


def pages_asked_for(em):
    return [int(parse_qs(record.query)["page"][0]) for record in em.requests if record.path.endswith("/query")]


def test_at_most_four_requests_are_in_flight(em, connect):
    em.latency_ms = 100
    with connect() as client:
        answer = SessionReader(client).list_sessions(criteria(sort_order="ascending"))
    assert ids(answer) == all_ids(em)
    assert em.counters.max_in_flight == MAX_PREFETCH + 1 == 4  # with the one that is waited for
    assert sorted(pages_asked_for(em)) == list(range(1, 11))
    assert (client.counters.requests, client.counters.pages) == (em.counters.requests, 10) == (12, 10)


def test_a_read_of_something_else_meanwhile_makes_it_four(em, connect):
    em.latency_ms = 300
    with connect() as client:
        fact = next(facts := SessionReader(client).iter_sessions(criteria()))
        client.get(fact["href"], Operation("Read a session"))
        facts.close()
    assert em.counters.max_in_flight == 4


@pytest.mark.parametrize(
    ("sessions", "options"), [(10, {}), (9, {}), (TEN_PAGES, {"limit": 10}), (TEN_PAGES, {"limit": 3})]
)
def test_nothing_is_prefetched_for_a_single_page_or_of_a_few_sessions(em, connect, sessions, options):
    em.reset(sessions=sessions, tasks=0)
    em.latency_ms = 20
    with connect() as client:
        found = SessionReader(client).list_sessions(criteria(**options))
    assert len(ids(found)) == options.get("limit", sessions)
    assert em.counters.max_in_flight == 1
    assert client.counters.requests == em.counters.requests <= 4


def test_pages_of_what_runs_are_read_one_by_one(em, connect):
    """A session that ends moves the others up by one, which several readings at once would see less well."""
    em.reset(sessions=0)
    for dummy in range(30):
        em.world.add_session(state="Working")
    em.latency_ms = 10
    with connect() as client:
        assert len(SessionReader(client).list_sessions(criteria(state=["Working"])).sessions) == 30
    assert em.counters.max_in_flight == 1


def test_sessions_come_one_by_one(em, connect):
    em.latency_ms = 5
    found = []
    with connect() as client:
        for fact in SessionReader(client).iter_sessions(criteria(result=["Success", "Warning", "Failed"])):
            if not found:
                assert 1 <= len(pages_asked_for(em)) <= 4
            found.append(fact["id"])
    assert found == all_ids(em)
    assert parse_qs(em.requests[1].query)["filter"] == ["(Result==Success,Result==Warning,Result==Failed)"]
    assert "sortAsc=CreationTime" in em.requests[1].query


def test_what_is_not_wanted_any_more_is_not_waited_for(em, connect):
    with connect() as client:
        pages = SessionReader(client).iter_sessions(criteria())
        em.faults.add("slow_headers", path="/query", query="page=[34]", seconds=3)
        next(pages)
        del pages
        assert ids(SessionReader(client).list_sessions(criteria(limit=1))) == [all_ids(em)[-1]]
        assert em.counters.in_flight > 0  # pages 3 and 4 are still on their way
    assert em.counters.live_logons == 0


def test_a_page_of_an_abandoned_reading_does_not_answer_a_later_one(em, connect):
    with connect() as client:
        pages = SessionReader(client).iter_sessions(criteria())
        next(pages)
        until = time.monotonic() + programs.TIMEOUT
        while len(pages_asked_for(em)) < 4 and time.monotonic() < until:
            time.sleep(0.01)
        del pages
        SessionReader(client).list_sessions(criteria())
    assert all(pages_asked_for(em).count(page) == 2 for page in (1, 2, 3, 4))


def test_the_first_failure_ends_prefetching(em, connect, monkeypatch):
    waits = []
    monkeypatch.setattr(client_module, "_sleep", waits.append)
    em.latency_ms = 20
    em.faults.add("status", status=503, path="/query", query="page=3", times=1)
    with connect(retries=1) as client:
        answer = SessionReader(client).list_sessions(criteria(sort_order="ascending"))
    assert ids(answer) == all_ids(em)
    assert len(waits) == 1
    asked = pages_asked_for(em)
    assert asked.count(3) == 2
    after = asked.index(3) + 5  # what was under way may still come, and page 6 is asked for before page 3 is waited for
    assert asked[after:] == sorted(asked[after:])
    assert client.counters.requests == em.counters.requests == 13


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "status", "status": 503}, "server"),
        ({"kind": "status", "status": 403}, "permission"),
        ({"kind": "drop"}, "connection"),
        ({"kind": "cut_xml"}, "protocol"),
        ({"kind": "html"}, "protocol"),
        ({"kind": "slow_headers", "seconds": 3}, "timeout"),
        ({"kind": "slow_body", "seconds": 3}, "timeout"),
    ],
)
def test_a_failure_of_a_prefetched_page_is_that_of_the_reading(em, connect, unhurried, fault, kind):
    em.faults.add(fault["kind"], path="/query", query="page=3", **{k: v for k, v in fault.items() if k != "kind"})
    with pytest.raises(EmError) as failure, connect(timeout=1) as client:
        SessionReader(client).list_sessions(criteria())
    assert failure.value.kind == kind
    assert "page=3" in failure.value.url
    assert str(failure.value).startswith("Read cloud failover sessions failed: ")
    assert em.counters.live_logons == 0


def test_a_logon_that_ends_while_pages_are_prefetched_is_renewed_once(em, connect):
    em.latency_ms = 20
    em.faults.add("expire", path="/query", query="page=3", times=1)
    with connect() as client:
        answer = SessionReader(client).list_sessions(criteria(sort_order="ascending"))
    assert ids(answer) == all_ids(em)
    assert em.counters.logons == 2
    assert em.counters.live_logons == 0
    assert client.counters.requests == em.counters.requests


def test_a_filter_is_encoded_as_a_whole():
    path = query_path("T", 'Name=="R&D +Ω#/"', "sortAsc=x", 100, 2)
    assert path.endswith("&page=2&filter=Name%3D%3D%22R%26D%20%2B%CE%A9%23%2F%22")
