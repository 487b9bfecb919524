# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading the replica points of sessions: one query for many, one by one where EM refuses that, never an error."""

from __future__ import annotations

import copy
import uuid
from datetime import datetime
from urllib.parse import parse_qs
from xml.sax.saxutils import quoteattr

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover import replica_points
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.replica_points import PointReader

NOW = datetime(2026, 3, 2, 8, 30, 0, 250000)
ASKED_AT = "2026-03-02T08:30:00.250000Z"
MISSING_ROLE = (
    "The replica points cannot be read (HTTP 403), so their creation times and states are unknown. reader needs the role "
    "Portal User in Enterprise Manager; VM Restore Operator and Portal User can both be given to one account."
)


@pytest.fixture(autouse=True)
def now(monkeypatch):
    monkeypatch.setattr(replica_points, "utc_now", lambda: NOW)


def session(*ids):
    """The facts of a session, as far as points matter; None stands for a VM without one."""
    points = [guid and {"id": guid, "name": f"vm@{guid}", "creation_time": None, "state": None} for guid in ids]
    return {"id": "s", "tasks": [{"vm_name": "vm", "replica_point": point} for point in points]}


def points_of(sessions):
    return [task["replica_point"] for fact in sessions for task in fact["tasks"]]


def states_of(sessions):
    return [point and point["state"] for point in points_of(sessions)]


class Read:
    """What one reading gave and what it cost."""

    def __init__(self, em, client, sessions):
        warnings = []
        client.warn = warnings.append
        before = len(em.requests)
        given = copy.deepcopy(sessions)
        with client:
            self.sessions, self.seen_at = PointReader(client).fill(sessions)
        assert sessions == given, "what was given stays as it is"
        self.requests = em.requests[before + 1 : -1]  # without log on and log off
        self.queries = [parse_qs(record.query) for record in self.requests if record.path.lower() == "/api/query"]
        self.singles = [
            record.path.rpartition("/")[2] for record in self.requests if "/vmReplicaPoints/" in record.path
        ]
        assert len(self.queries) + len(self.singles) == len(self.requests), "the collection of points is never read"
        self.states = states_of(self.sessions)
        self.warnings = warnings


@pytest.fixture
def read(em, connect):
    return lambda *sessions, **options: Read(em, connect(**options), list(sessions))


@pytest.fixture
def points(em):
    """The points that a plan of three VMs uses; the first of them is in failover."""
    plan = em.world.add_plan("Acme", ["db", "web", "mail"])
    newest = [em.world.points.history(plan, vm, em.clock.now())[0] for vm in plan.vms]
    em.world.points.use(newest[0], plan, "a session", em.clock.now())
    return newest


def test_the_points_of_a_session_are_read_by_one_query(em, points, read):
    before = [point.name for point in points]
    fact = session(*(point.id for point in points))
    seen = read(fact)
    assert [point["creation_time"] for point in points_of(seen.sessions)] == [
        f"{point.creation_time:%Y-%m-%dT%H:%M:%S.000000}Z" for point in points
    ]
    assert seen.states == ["Failover", "Ready", "Ready"]
    assert [point["name"] for point in points_of(seen.sessions)] == [f"vm@{point.id}" for point in points] != before
    assert seen.seen_at == ASKED_AT
    assert seen.queries == [
        {
            "type": ["CloudVmReplicaPoint"],
            "format": ["Entities"],
            "sortAsc": ["Name"],
            "pageSize": ["100"],
            "page": ["1"],
            "filter": ["(" + ",".join(f'UID=="{point.id}"' for point in points) + ")"],
        }
    ]
    assert seen.singles == seen.warnings == []


@pytest.mark.parametrize("sessions", [[], [session()], [session(None)]])
def test_without_a_point_nothing_is_asked(em, read, sessions):
    seen = read(*sessions)
    assert (seen.sessions, seen.seen_at, seen.requests, seen.warnings) == (sessions, None, [], [])


def test_a_point_without_id_is_not_asked_for(points, read):
    nameless = session(points[0].id, None)
    nameless["tasks"][1]["replica_point"] = {"id": None, "name": "web@x", "creation_time": None, "state": None}
    seen = read(nameless)
    assert seen.states == ["Failover", None]
    assert points_of(seen.sessions)[1] == nameless["tasks"][1]["replica_point"]


def test_each_point_is_asked_for_once_whatever_uses_it(points, read):
    seen = read(session(points[0].id, points[1].id), session(points[1].id, points[0].id, None))
    assert seen.states == ["Failover", "Ready", "Ready", "Failover", None]
    assert seen.queries[0]["filter"] == [f'(UID=="{points[0].id}",UID=="{points[1].id}")']
    assert len(seen.requests) == 1


@pytest.mark.parametrize(("count", "queries"), [(100, 1), (101, 2), (250, 3)])
def test_a_query_asks_for_100_points_at_most(em, read, count, queries):
    plan = em.world.add_plan("Large", [f"vm{number}" for number in range(count)])
    ids = [em.world.points.history(plan, vm, em.clock.now())[0].id for vm in plan.vms]
    seen = read(session(*ids))
    assert seen.states == ["Ready"] * count
    assert len(seen.requests) == len(seen.queries) == queries
    assert all(len(record.query) + len(em.url) < 8000 for record in seen.requests)


def test_pages_that_em_makes_smaller_are_all_read(em, points, read):
    em.behaviour.max_page_size = 2
    assert em.behaviour.over_page_size != "refuse"
    seen = read(session(*(point.id for point in points)))
    assert seen.states == ["Failover", "Ready", "Ready"]
    assert [query["page"] for query in seen.queries] == [["1"], ["2"]]


# What EM does not know


def test_a_point_that_retention_has_deleted_is_null_without_a_warning(points, read):
    seen = read(session(points[0].id, str(uuid.uuid4())))
    assert seen.states == ["Failover", None]
    assert (seen.seen_at, seen.warnings, len(seen.requests)) == (ASKED_AT, [], 1)


def test_where_none_is_found_one_point_is_read_directly(read):
    """An EM whose filter finds nothing must not look like one that has deleted the points."""
    gone = [str(uuid.uuid4()) for dummy in range(3)]
    seen = read(session(*gone))
    assert seen.states == [None] * 3
    assert (len(seen.queries), seen.singles) == (1, gone[:1])
    assert (seen.seen_at, seen.warnings) == (ASKED_AT, [])


def empty(em, query):
    page = '<QueryResult><Entities/><PagingInfo PageNum="1" PageSize="100" PagesCount="0"/></QueryResult>'
    em.faults.add("reply", path="/query", query=query, body=page)


def test_where_the_query_does_not_find_what_em_knows_all_are_read_one_by_one(em, points, read):
    empty(em, "CloudVmReplicaPoint")
    seen = read(session(*(point.id for point in points)))
    assert seen.states == ["Failover", "Ready", "Ready"]
    assert seen.singles == [point.id for point in points]


def test_an_em_that_ignores_the_filter_is_not_read_to_the_end(em, points, read):
    em.behaviour.max_page_size = 2
    page = (
        '<QueryResult><Entities><CloudVmReplicaPoints><CloudReplica Type="CloudVmReplicaPoint" '
        f'UID="urn:veeam:CloudVmReplicaPoint:{uuid.uuid4()}"><State>Failback</State></CloudReplica>'
        "</CloudVmReplicaPoints></Entities>"
        '<PagingInfo PageNum="1" PageSize="100" PagesCount="900"><Links><Link Rel="Next" Href="/api/query"/></Links>'
        "</PagingInfo></QueryResult>"
    )
    em.faults.add("reply", path="/query", body=page)
    seen = read(session(*(point.id for point in points)))
    assert seen.states == ["Failover", "Ready", "Ready"]
    assert len(seen.queries) == 1
    assert seen.warnings == []


def test_references_are_not_taken_for_points(em, points, read):
    em.behaviour.ignore_format = True
    seen = read(session(points[0].id))
    assert len(seen.queries) == len(seen.singles) == 1


@pytest.mark.parametrize("name", ["CloudReplica", "CloudVmReplicaPoint", "VmRestorePoint"])
def test_a_point_is_known_by_its_id_whatever_its_element_is_called(em, read, name):
    guid = str(uuid.uuid4())
    attributes = f"Type={quoteattr('CloudVmReplicaPoint')} Href={quoteattr(f'https://em/api/x/{guid.upper()}')}"
    em.faults.add(
        "reply",
        path="/query",
        body=f"<QueryResult><Entities><CloudVmReplicaPoints><{name} {attributes}><State>New word</State>"
        f"<CreationTimeUTC>2026-03-02T05:00:10+02:00</CreationTimeUTC></{name}></CloudVmReplicaPoints></Entities></QueryResult>",
    )
    point = points_of(read(session(guid)).sessions)[0]
    assert point["creation_time"] == "2026-03-02T03:00:10.000000Z"
    assert point["state"] == "New word"


# Refusals


@pytest.mark.parametrize("status", [400, 403, 404, 405, 501])
def test_where_em_refuses_the_query_points_are_read_one_by_one(em, points, read, status):
    gone = str(uuid.uuid4())
    ids = [*(point.id for point in points), gone]
    em.faults.add("status", status=status, path="/query")
    seen = read(session(*ids))
    assert seen.states == ["Failover", "Ready", "Ready", None]
    assert (seen.singles, len(seen.queries)) == (ids, 1)
    assert (seen.seen_at, seen.warnings) == (ASKED_AT, [])


def test_a_refused_query_is_not_sent_again_for_the_next_points(em, read):
    plan = em.world.add_plan("Large", [f"vm{number}" for number in range(101)])
    ids = [em.world.points.history(plan, vm, em.clock.now())[0].id for vm in plan.vms]
    em.faults.add("status", status=403, path="/query")
    seen = read(session(*ids))
    assert (len(seen.queries), len(seen.singles)) == (1, 101)
    assert seen.states == ["Ready"] * 101


def test_a_user_who_may_read_no_point_is_told_the_role_once(em, points, read):
    em.faults.add("status", status=403, path="/query|/vmReplicaPoints")
    facts = session(*(point.id for point in points))
    seen = read(facts)
    assert (seen.sessions, seen.seen_at) == ([facts], None)
    assert seen.warnings == [MISSING_ROLE]
    assert len(seen.singles) == 1


# Trouble


@pytest.mark.parametrize("path", ["/query", "/vmReplicaPoints"])
@pytest.mark.parametrize("trouble", ["drop", "garbage", "html", 500, 503])
def test_trouble_is_a_warning_and_never_an_error(em, points, read, path, trouble):
    if path == "/vmReplicaPoints":
        em.faults.add("status", status=403, path="/query")
    fault = {"action": trouble} if isinstance(trouble, str) else {"action": "status", "status": trouble}
    em.faults.add(**fault, path=path)
    facts = session(*(point.id for point in points))
    seen = read(facts)
    assert (seen.sessions, seen.seen_at) == ([facts], None)
    assert len(seen.warnings) == 1
    assert seen.warnings[0].startswith(
        "Not all replica points could be read; creation times and states of the others are unknown. Read replica points failed: "
    )
    # A broken connection that was kept alive says nothing of EM, so the request is sent once more.
    assert len({(record.path, record.query) for record in seen.requests}) == (1 if path == "/query" else 2)
    assert len(seen.requests) == (1 if path == "/query" else 2) + (trouble == "drop")


def test_what_was_read_before_the_trouble_stays(em, points, read):
    em.faults.add("status", status=403, path="/query")
    em.faults.add("status", status=500, path="/vmReplicaPoints", after=2)
    seen = read(session(*(point.id for point in points)))
    assert seen.states == ["Failover", "Ready", None]
    assert seen.seen_at == ASKED_AT
    assert len(seen.warnings) == 1


def test_another_object_in_the_place_of_the_point_is_trouble(em, points, read):
    em.faults.add("status", status=403, path="/query")
    em.faults.add("reply", path="/vmReplicaPoints", body="<CloudReplica Type='CloudReplica' UID='urn:x:1'/>")
    seen = read(session(points[0].id))
    assert (seen.states, seen.seen_at) == ([None], None)
    assert "a document CloudReplica that is not the entity of this replica point" in seen.warnings[0]


# May points be read at all


def may_read(connect):
    warnings = []
    with connect(warn=warnings.append) as client:
        answer = PointReader(client).may_read()
    assert [warning for warning in warnings if "clear text" not in warning] == []
    return answer


@pytest.mark.parametrize(
    ("query", "single", "answer"),
    [
        (None, None, True),
        (403, None, True),
        (403, 403, False),
        (403, 500, None),
        (400, None, None),
        (500, 403, None),
    ],
)
def test_whether_the_user_may_read_points(em, points, connect, query, single, answer):
    if query:
        em.faults.add("status", status=query, path="/query")
    if single:
        em.faults.add("status", status=single, path="/vmReplicaPoints/")
    assert may_read(connect) is answer
    assert not any(record.path.endswith("/vmReplicaPoints") for record in em.requests)


def test_to_know_whether_points_may_be_read_one_is_asked_for(em, points, connect):
    may_read(connect)
    queries = [parse_qs(record.query) for record in em.requests if record.path.lower() == "/api/query"]
    assert [query["pageSize"] for query in queries] == [["1"]]


# What is in failover now


def in_failover(connect, **options):
    with connect(**options) as client:
        found = PointReader(client).in_failover()
    return found and [(point["vm_name"], point["backup_server"]["name"]) for point in found]


def test_what_is_in_failover_is_found_by_one_query(em, points, connect):
    other = em.world.add_plan("Beta", ["dc"], backup_server="vbr2")
    em.world.points.use(em.world.points.history(other, other.vms[0], em.clock.now())[2], other, "s", em.clock.now())
    found = in_failover(connect)
    assert sorted(found) == [("db", em.world.default_server.name), ("dc", "vbr2")]
    queries = [record for record in em.requests if record.path.lower() == "/api/query"]
    assert len(queries) == 1
    assert parse_qs(queries[0].query)["filter"] == ['State=="Failover"']


def test_nothing_in_failover_is_an_empty_list(em, connect):
    em.world.add_plan("Acme", ["db"])
    assert in_failover(connect) == []


def test_many_in_failover_are_read_page_by_page_up_to_a_bound(em, connect):
    plan = em.world.add_plan("Acme", [f"vm{number}" for number in range(120)])
    for vm in plan.vms:
        em.world.points.use(em.world.points.history(plan, vm, em.clock.now())[0], plan, "s", em.clock.now())
    assert len(in_failover(connect)) == 120
    em.behaviour.max_page_size = 5
    assert in_failover(connect) is None


def page_of(names, number, pages):
    """A page of points in failover, without links to others."""
    points = "".join(
        f'<CloudReplica Name="{name}@2026" UID="urn:veeam:CloudVmReplicaPoint:{uuid.uuid5(uuid.NAMESPACE_DNS, name)}">'
        "<State>Failover</State></CloudReplica>"
        for name in names
    )
    return (
        f'<QueryResult xmlns="http://www.veeam.com/ent/v1.0"><Entities><CloudVmReplicaPoints>{points}'
        f'</CloudVmReplicaPoints></Entities><PagingInfo PageNum="{number}" PageSize="2" PagesCount="{pages}"/></QueryResult>'
    )


@pytest.mark.parametrize(
    ("readings", "found"),
    [
        ([["ab", "cd", "e"]] * 2, list("abcde")),
        ([["ab", "c"], ["bc"]], ["b", "c"]),
        ([["ab", "c"], ["ab", "d"], ["ab", "d"]], ["a", "b", "d"]),
        ([["ab", "c"], ["ab", "d"], ["ab", "e"]], None),
    ],
    ids=["three pages", "then one page", "changed once", "changed each time"],
)
def test_several_pages_count_only_if_nothing_has_moved_in_between(em, connect, readings, found):
    """A point that leaves the filter moves one of the next page to a page that was read already."""
    bodies = [page_of(page, number, len(pages)) for pages in readings for number, page in enumerate(pages, 1)]
    for body in bodies:
        em.faults.add("reply", path="/api/query", times=1, status=200, content_type="application/xml", body=body)
    with connect() as client:
        points = PointReader(client).in_failover()
    assert (points and [point["vm_name"] for point in points]) == found


@pytest.mark.parametrize("username", ["operator", "reader"])
def test_what_may_not_be_queried_is_not_known(em, points, connect, username):
    em.behaviour.role_query = "refused"
    assert in_failover(connect, username=username) is None


@pytest.mark.parametrize(
    "fault", [{"action": "status", "status": 500}, {"action": "html"}, {"action": "drop"}], ids=str
)
def test_what_em_does_not_tell_is_not_known(em, points, connect, fault):
    em.faults.add(**fault, path="/api/query")
    assert in_failover(connect) is None


def test_where_the_filter_does_not_work_nothing_is_known(em, points, connect):
    body = (
        '<QueryResult xmlns="http://www.veeam.com/ent/v1.0"><Entities><CloudVmReplicaPoints><CloudReplica Name="db@2026" '
        f'UID="urn:veeam:CloudVmReplicaPoint:{uuid.uuid4()}"><State>Ready</State></CloudReplica></CloudVmReplicaPoints>'
        "</Entities></QueryResult>"
    )
    em.faults.add("reply", path="/api/query", status=200, content_type="application/xml", body=body)
    assert in_failover(connect) is None
