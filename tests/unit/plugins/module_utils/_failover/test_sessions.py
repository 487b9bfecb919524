# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finding sessions on a server: filters, paging, ids, fallbacks. Real HTTP against the emulator."""

from __future__ import annotations

import dataclasses
import gc
import uuid
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.client import EnterpriseManager
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import (
    EmNotFoundError,
    EmPermissionError,
    EmProtocolError,
    EmServerError,
)
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.criteria import SORT_ORDERS, SessionCriteria
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.facts import RESULTS, STATES
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.sessions import SessionReader
from emulator import Emulator

REPLIES = Path(__file__).resolve().parents[4] / "emulator" / "replies"
ODD_NAMES = [
    'R&D "Ω" <Plan> 50%',
    "O'Brien; Sons, (Ltd)",
    "Plan with  two spaces",
    "plan-ünïcode-日本",
    "a+b=c#d?e",
    'quote"',
    "back\\slash",
]


class Answered:
    """What one run of find gave and cost."""

    def __init__(self, em, connect, options, client_options):
        self.warnings = []
        before = em.counters.requests
        with connect(warn=self.warnings.append, **client_options) as client:
            answer = SessionReader(client).list_sessions(SessionCriteria.from_options(options.get))
        self.sessions = answer.sessions
        self.ids = [fact["id"] for fact in answer.sessions]
        self.missing = answer.missing_ids
        self.filter = answer.filter
        self.from_collection = answer.from_collection
        self.requests = em.counters.requests - before
        self.warnings = [warning for warning in self.warnings if "clear text" not in warning]
        # The client's own count is what users see, so it must be true; and no logon may stay.
        assert client.counters.requests == self.requests
        self.pages = client.counters.pages
        assert em.counters.live_logons == 0


@pytest.fixture
def find(em, connect):
    def run(client_options=None, **options):
        return Answered(em, connect, options, client_options or {})

    return run


def queries(em):
    return [parse_qs(record.query) for record in em.requests if record.path.lower().endswith("/query")]


def times(facts):
    return [fact["creation_time"] for fact in facts]


# Reading everything


@pytest.mark.parametrize(
    ("count", "pages"), [(0, 1), (1, 1), (99, 1), (100, 2), (101, 2), (200, 3), (201, 3), (253, 3)]
)
def test_all_pages_are_read(em, find, count, pages):
    """After a last page that is full, one more is asked for: only that shows that EM's count of pages is right."""
    em.reset(sessions=count, tasks=0)
    answer = find()
    assert len(answer.ids) == len(set(answer.ids)) == count
    assert set(answer.ids) == {session.id for session in em.world.sessions}
    assert times(answer.sessions) == sorted(times(answer.sessions), reverse=True)
    assert answer.pages == answer.requests - 2
    assert answer.requests == pages + 2
    assert answer.filter is None
    assert answer.from_collection is False
    assert answer.warnings == []


@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_is_afterwards_as_it_was(em, find, enabled):
    if not enabled:
        gc.disable()
    try:
        find()
        assert gc.isenabled() is enabled
    finally:
        gc.enable()


def test_everything_is_asked_for_oldest_first_with_default_pages(em, find):
    em.reset(sessions=101, tasks=0)
    find()
    assert [(page["page"], page["pageSize"], page["sortAsc"], page["format"]) for page in queries(em)] == [
        (["1"], ["100"], ["CreationTime"], ["Entities"]),
        (["2"], ["100"], ["CreationTime"], ["Entities"]),
    ]


@pytest.mark.parametrize("page_size", [1, 7, 253, 1000])
def test_any_page_size_gives_the_same(em, find, page_size):
    em.reset(sessions=253, tasks=0)
    answer = find(page_size=page_size)
    assert len(answer.ids) == 253
    assert answer.requests == 253 // page_size + 1 + 2


@pytest.mark.parametrize(
    "beyond",
    [
        *("empty", "last page again", 400, 404, "Invalid filter: page", "Page number is out of range"),
        "Specified argument was out of the range of valid values.",
    ],
)
def test_after_a_full_last_page_em_may_do_what_it_likes(em, find, beyond):
    em.reset(sessions=20, tasks=0)
    if beyond == "last page again":
        em.faults.add("repeat_page", path="/query", query="page=2")
    elif isinstance(beyond, int):
        em.faults.add("status", status=beyond, path="/query", query="page=2")
    elif beyond != "empty":
        em.faults.add("status", status=500, path="/query", query="page=2", message=beyond)
    answer = find(page_size=20)
    assert len(answer.ids) == 20
    assert answer.requests == 4


def test_an_error_after_a_full_last_page_is_one(em, find):
    em.reset(sessions=20, tasks=0)
    em.faults.add("status", status=503, path="/query", query="page=2")
    with pytest.raises(EmServerError):
        find(page_size=20)


def test_a_count_of_pages_that_is_too_low_loses_nothing(em, find):
    em.reset(sessions=50, tasks=0)
    em.faults.add("pages_count", path="/query", count=1)
    assert len(find(page_size=20).ids) == 50


def test_a_server_may_cap_the_page_size(em, find):
    em.reset(sessions=253, tasks=0)
    em.behaviour.max_page_size = 50
    answer = find(page_size=1000)
    assert (len(answer.ids), answer.requests) == (253, 8)


def test_ascending_order(em, find):
    em.reset(sessions=20, tasks=0)
    answer = find(sort_order="ascending")
    assert times(answer.sessions) == sorted(times(answer.sessions))


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("count", [1, 3, 60])
def test_sessions_that_appear_during_paging_cost_none_and_come_once(em, find, old, count):
    em.reset(sessions=253, tasks=0)
    before = {session.id for session in em.world.sessions}
    em.faults.add("appear", count=count, old=old, path="/query", after=1, times=2)
    answer = find()
    assert len(answer.ids) == len(set(answer.ids))
    assert before <= set(answer.ids)
    if old:  # they were inserted before pages already read, which is noticed, so all is read once more
        assert set(answer.ids) == {session.id for session in em.world.sessions}


def test_253_sessions_with_new_ones_at_the_end_take_no_request_more(em, find):
    em.reset(sessions=253, tasks=0)
    em.faults.add(
        "appear", count=5, path="/query", after=1, times=1
    )  # pages 2 and 3 are asked for together, in either order
    answer = find()
    assert answer.requests == 5
    assert len(answer.ids) == len(set(answer.ids)) == 253 + 5


@pytest.mark.parametrize(
    "switches", [{"omit_paging_info": True}, {"sort": "ignore"}, {"bom": True, "xml_prefix": "v"}, {"indent": True}]
)
def test_other_ways_to_answer_give_the_same(em, find, switches):
    em.reset(sessions=230, tasks=2)
    plain = find().sessions
    for name, value in switches.items():
        setattr(em.behaviour, name, value)
    assert find().sessions == plain


@pytest.mark.parametrize("finished_tasks", ["keep", "drop"])
def test_finished_sessions_with_and_without_their_tasks(em, find, finished_tasks):
    em.world.add_session(
        "ended", state="Stopped", result=None, tasks=[{"vm_name": "a", "result": "Failed"}, {"vm_name": "b"}]
    )
    em.world.add_session("runs", state="Working", tasks=[{"vm_name": "c"}])
    em.behaviour.finished_tasks = finished_tasks
    totals = {fact["name"]: fact["task_summary"]["total"] for fact in find().sessions}
    assert totals["ended"] == (2 if finished_tasks == "keep" else 0)
    assert all(fact["succeeded"] is False for fact in find(name=["ended"]).sessions)


@pytest.mark.parametrize("and_binds_tighter", [True, False])
def test_brackets_make_precedence_plain(em, find, and_binds_tighter):
    em.reset(sessions=100, tasks=1)
    options = {"name": ["Acme full site", "Contoso databases"], "result": ["Failed", "Warning"], "created_after": "30d"}
    everything = find().sessions
    em.behaviour.and_binds_tighter = and_binds_tighter
    chosen = SessionCriteria.from_options(options.get)
    assert find(**options).sessions == [fact for fact in everything if chosen.matches(fact)] != []


def test_a_server_that_wants_a_length_for_each_post(em, find):
    em.behaviour.length_required = True
    assert find().sessions == []


@pytest.mark.parametrize("em_version", [12, 13])
def test_each_version_gives_the_same_facts(em_version):
    """Fraction digits, the order of attributes and headers differ."""
    with Emulator(documented=False, running=0, sessions=130, tasks=2, em_version=em_version) as other:
        with EnterpriseManager(other.url, "reader", "Passw0rd!") as client:
            facts = SessionReader(client).list_sessions(SessionCriteria.from_options({}.get)).sessions
        made = {session.id: session for session in other.world.sessions}
    assert len(facts) == 130
    for fact in facts:
        session = made[fact["id"]]
        assert fact["creation_time"] == session.creation_time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        assert (fact["name"], fact["finished"], len(fact["tasks"])) == (session.name, True, 2)


@pytest.mark.parametrize("pages", [0, 1])
@pytest.mark.parametrize("containers", ["element", "omit"])
def test_no_sessions_is_an_answer(em, find, pages, containers):
    em.behaviour.pages_count_of_empty = pages
    em.behaviour.empty_containers = containers
    answer = find()
    assert (answer.sessions, answer.requests, answer.warnings) == ([], 3, [])


@pytest.mark.parametrize("limit", [None, 140])
def test_sessions_that_end_while_what_runs_is_read_hide_no_other(em, find, monkeypatch, limit):
    """Two drop out of the filter between pages 1 and 2, so the others move up by two."""
    running = [
        em.world.add_session(state="Working", creation_time=f"2026-03-01T00:{number // 60:02}:{number % 60:02}Z")
        for number in range(150)
    ]
    ending = iter(running[:2])
    get = EnterpriseManager.get

    def then_one_ends(self, path, *rest, **more):
        document = get(self, path, *rest, **more)
        if "page=1&" in path:
            for session in ending:
                em.world.change_session(session, state="Stopped", result="Success")
        return document

    monkeypatch.setattr(EnterpriseManager, "get", then_one_ends)
    answer = find(state=["Working"], limit=limit, sort_order="ascending")
    assert answer.ids == [session.id for session in running][:limit]


@pytest.mark.parametrize(
    ("options", "readings"),
    [
        ({}, 1),
        ({"state": ["Stopped"]}, 1),
        ({"result": ["Failed"]}, 1),
        ({"state": ["Working"]}, 2),
        ({"state": ["Stopped", "Working"]}, 2),
        ({"result": ["None"]}, 2),
    ],
)
def test_only_what_runs_is_read_until_nothing_new_comes(em, find, options, readings):
    for dummy in range(3):
        em.world.add_session(state="Stopped", result="Failed")
        em.world.add_session(state="Working")
    assert len(find(page_size=2, **options).ids) >= 3
    assert [page["page"] for page in queries(em)].count(["1"]) == readings


@pytest.mark.parametrize(("without_paging", "readings"), [(False, 1), (True, 2)])
def test_one_page_of_what_runs_is_read_once_if_it_is_known_to_be_one(em, find, without_paging, readings):
    em.world.add_session(state="Working")
    em.behaviour.omit_paging_info = without_paging
    assert len(find(state=["Working"]).ids) == 1
    assert [page["page"] for page in queries(em)].count(["1"]) == readings


def test_pages_beyond_a_count_that_is_too_low_are_read_in_their_order(em, find):
    guids = [str(uuid.UUID(int=number + 1)) for number in range(3)]
    for number, guid in enumerate([*guids, None], 1):
        session = (
            f'<X><CloudFailoverSession Type="CloudFailoverSession" UID="urn:x:{guid}"><State>Stopped</State></CloudFailoverSession></X>'
            if guid
            else ""
        )
        body = f'<QueryResult><Entities>{session}</Entities><PagingInfo PagesCount="1"/></QueryResult>'
        em.faults.add("reply", path="/query", query=f"page={number}&?$", body=body)
    assert set(find(page_size=1).ids) == set(guids)
    assert [page["page"] for page in queries(em)] == [["1"], ["2"], ["3"], ["4"]]


def test_what_is_active_since_a_moment(em, connect):
    """What runs, however old it is, and what was created or has ended since then; with EM doing the work."""
    for name, created, more in (
        ("old", "2026-03-01T08:00:00Z", {}),
        ("ended later", "2026-03-01T23:59:30Z", {}),
        ("created later", "2026-03-02T08:00:00Z", {}),
        ("runs", "2026-01-01T08:00:00Z", {"state": "Working"}),
        ("without an end", "2026-03-02T08:00:00Z", {"raw": {"EndTimeUTC": None}}),
    ):
        em.world.add_session(name=name, creation_time=created, **more)
    criteria = SessionCriteria.from_options({"backup_server": ["sp-vbr1.example.net"]}.get)
    criteria = dataclasses.replace(criteria, active_since="2026-03-02T00:00:00.250000Z")
    with connect() as client:
        found = {fact["name"] for fact in SessionReader(client).iter_sessions(criteria)}
    assert found == {"ended later", "created later", "runs", "without an end"}
    assert queries(em)[0]["filter"] == [
        '(BackupServerName=="sp-vbr1.example.net";'
        '(State!=Stopped,CreationTime>="2026-03-01T23:59:59Z",EndTime>="2026-03-01T23:59:59Z"))'
    ]


def test_ids_are_read_once_even_if_they_run(em, find):
    wanted = [em.world.add_session(state="Working").id for dummy in range(6)]
    assert len(find(id=wanted, state=["Working"], page_size=2).ids) == 6
    assert [page["page"] for page in queries(em)].count(["1"]) == 1


def test_what_keeps_ending_is_an_error(em, find, monkeypatch):
    left = [
        em.world.add_session(state="Working", creation_time=f"2026-03-01T00:00:00.{number:03}Z")
        for number in range(1000)
    ]
    get = EnterpriseManager.get

    def then_many_end(self, path, *rest, **more):
        document = get(self, path, *rest, **more)
        for session in left[:30]:
            em.world.remove_session(session)
        del left[:30]
        return document

    monkeypatch.setattr(EnterpriseManager, "get", then_many_end)
    with pytest.raises(EmProtocolError, match="moving from page to page"):
        find(state=["Working"])


@pytest.mark.parametrize("count", [2, 3])
def test_pages_without_a_single_item_are_an_error(em, find, count):
    em.faults.add("reply", path="/query", body=f'<QueryResult><PagingInfo PagesCount="{count}"/></QueryResult>')
    with pytest.raises(
        EmProtocolError, match=f"announces {count} pages, but all of them are empty.*may be incomplete"
    ) as failure:
        find()
    assert f"page={count}" in failure.value.url
    assert failure.value.status == 200


@pytest.mark.parametrize(("stale", "fails"), [(1, False), (2, False), (3, True)])
def test_so_many_stale_pages_are_taken(em, find, stale, fails):
    guids = [str(uuid.UUID(int=number + 1)) for number in range(2)]
    session = (
        '<CloudFailoverSession Type="CloudFailoverSession" UID="urn:x:{}"><State>Stopped</State></CloudFailoverSession>'
    )
    for page in range(1, stale + 3):
        guid = guids[1] if page == stale + 2 else guids[0]
        body = f'<QueryResult><Entities><X>{session.format(guid)}</X></Entities><PagingInfo PagesCount="{stale + 2}"/></QueryResult>'
        em.faults.add("reply", path="/query", query=f"page={page}&?$", body=body)
    if fails:
        with pytest.raises(EmProtocolError, match="without anything new"):
            find(page_size=1)
    else:  # an item came twice, so all is read again, and again; in the end it is said that the pages do not hold still
        with pytest.raises(EmProtocolError, match="moving from page to page"):
            find(page_size=1)


def test_pages_that_repeat_for_ever_are_an_error(em, find):
    em.reset(sessions=253, tasks=0)
    em.faults.add("repeat_page", path="/query")
    em.faults.add("pages_count", count=10**9, path="/query")
    with pytest.raises(EmProtocolError, match="without anything new"):
        find()
    assert em.counters.live_logons == 0
    assert em.counters.requests < 10


def test_pages_that_were_announced_but_are_empty_are_an_error(em, find):
    em.reset(sessions=150, tasks=0)
    em.faults.add("pages_count", count=10**6, path="/query")
    with pytest.raises(EmProtocolError, match="3 pages in a row, up to page 5, without anything new") as failure:
        find()
    assert "page=5" in failure.value.url


def test_a_link_to_the_next_page_counts_even_if_the_number_of_pages_does_not(em, find):
    em.reset(sessions=253, tasks=0)
    em.faults.add("pages_count", count=1, path="/query")
    assert len(find().ids) == 253


def test_a_cap_on_the_page_size_without_any_word_on_paging(em, find):
    em.reset(sessions=28, tasks=0)
    em.behaviour.max_page_size = 10
    em.behaviour.omit_paging_info = True
    assert len(find().ids) == 28


@pytest.mark.parametrize("count", [0, 2, 3])
def test_a_number_of_pages_of_zero_is_no_number(em, find, count):
    em.reset(sessions=250, tasks=0)
    em.faults.add("pages_count", count=0, path="/query", after=count)
    assert len(find().ids) == 250


def test_pages_that_keep_moving_are_an_error(em, find):
    em.reset(sessions=150, tasks=0)
    em.faults.add("appear", count=1, old=True, path="/query")
    with pytest.raises(EmProtocolError, match="moving from page to page") as failure:
        find()
    assert failure.value.url.endswith("&page=1")


@pytest.mark.parametrize("options", [{}, {"name": ["Acme full site"]}, {"limit": 400}])
def test_a_page_size_that_is_refused_is_done_without(em, find, options):
    em.reset(sessions=253, tasks=0)
    expected = find(**options)
    em.behaviour.max_page_size = 200
    em.behaviour.over_page_size = "refuse"
    answer = find(page_size=500, **options)
    assert answer.ids == expected.ids
    assert queries(em)[-1]["pageSize"] == ["100"]
    assert answer.filter == expected.filter
    if "limit" not in options:
        (warning,) = answer.warnings
        assert warning.startswith("EM refused pages of 500 (HTTP 400: ")
        assert warning.endswith("). Reading pages of 100 instead.")


def test_a_collection_with_pages_is_read_whole(em, find):
    wanted = [em.world.add_session().id for _number in range(3)]
    em.behaviour.refuse_query_type = 404
    for number, guid in enumerate(wanted, 1):
        session = f'<CloudFailoverSession Type="CloudFailoverSession" UID="urn:x:{guid}"><State>Stopped</State></CloudFailoverSession>'
        body = f'<CloudFailoverSessions>{session}<PagingInfo PagesCount="3"/></CloudFailoverSessions>'
        em.faults.add(
            "reply", path="failoverSessions$", query="^format=Entity$" if number == 1 else f"page={number}", body=body
        )
    assert set(find().ids) == set(wanted)


def test_a_refusal_without_words_is_recognized_by_its_status(em, find):
    em.faults.add("status", status=400, error_body="empty", path="/query", query="filter=")
    assert find(name=["A"]).warnings == [
        'EM refused the filter Name=="A" (HTTP 400). Reading everything and filtering here instead.'
    ]


def test_a_page_that_fails_in_the_end_fails_everything(em, find):
    em.reset(sessions=253, tasks=0)
    em.faults.add("status", status=500, path="/query", query="page=3")
    with pytest.raises(EmServerError):
        find()
    assert em.counters.live_logons == 0


# SessionCriteria


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize("case_sensitive", [False, True])
def test_odd_names_are_found(em, find, name, case_sensitive):
    em.behaviour.case_sensitive = case_sensitive
    wanted = em.world.add_session(name=name)
    for other in [*ODD_NAMES, name.upper() + "x", name.replace(" ", "")]:
        if other != name:
            em.world.add_session(name=other)
    answer = find(name=[name])
    assert answer.ids == [wanted.id]
    assert [fact["name"] for fact in answer.sessions] == [name]


def test_a_name_differs_by_case_and_by_spaces(em, find):
    em.world.add_session(name="plan a")
    em.world.add_session(name="PlanA")
    em.world.add_session(name="Plan  A")
    wanted = em.world.add_session(name="Plan A")
    assert find(name=["Plan A"]).ids == [wanted.id]


def test_a_name_with_a_quote_is_never_sent(em, find):
    em.behaviour.refuse_quoted_quote = True
    wanted = {em.world.add_session(name='say "hello"').id, em.world.add_session(name="plain").id}
    em.world.add_session(name="other")
    answer = find(name=['say "hello"', "plain"])
    assert set(answer.ids) == wanted
    assert (answer.filter, answer.warnings) == (None, [])


def test_results_with_none(em, find):
    em.behaviour.refuse_result_none = True
    running = em.world.add_session()
    failed = em.world.add_session(state="Stopped", result="Failed")
    odd = em.world.add_session(state="Stopped", result="None")
    em.world.add_session(state="Stopped", result="Success")
    em.world.add_session(state="Stopped", result="Warning")
    assert set(find(result=["None"]).ids) == {running.id, odd.id}
    answer = find(result=["None", "Failed"])
    assert set(answer.ids) == {running.id, odd.id, failed.id}
    assert answer.filter == "((Result!=Success;Result!=Warning),State!=Stopped)"
    assert answer.warnings == []


@pytest.mark.parametrize("words", [["Success"], ["Warning", "Failed"], ["None", "Success", "Warning"], list(RESULTS)])
@pytest.mark.parametrize("none_order", ["first", "last"])
def test_each_result(em, find, words, none_order):
    em.reset(sessions=60, tasks=1)
    em.behaviour.none_order = none_order
    everything = find().sessions
    assert find(result=words).sessions == [fact for fact in everything if fact["result"] in words]


@pytest.mark.parametrize("words", [["Stopped"], ["Working"], ["Starting", "Working", "Stopping"]])
def test_each_state(em, find, words):
    for state in STATES * 2:
        em.world.add_session(state=state, result="Success" if state == "Stopped" else "None")
    answer = find(state=words)
    assert len(answer.ids) == 2 * len(words)
    assert {fact["state"] for fact in answer.sessions} == set(words)


def test_backup_servers(em, find):
    em.world.add_session(backup_server="sp-vbr1.example.net")
    wanted = em.world.add_session(backup_server="sp-vbr2.example.net")
    answer = find(backup_server=["sp-vbr2.example.net"])
    assert answer.ids == [wanted.id]
    assert answer.filter == 'BackupServerName=="sp-vbr2.example.net"'


def test_times_are_exact_though_the_filter_is_wider(em, find):
    made = [
        em.world.add_session(
            state="Stopped", creation_time=f"2026-03-01T00:00:{second}Z", end_time=f"2026-03-01T00:01:{second}Z"
        )
        for second in ("00", "00.5", "01", "01.5", "02", "03")
    ]
    answer = find(created_after="2026-03-01T00:00:00.5Z", created_before="2026-03-01T00:00:02Z")
    assert set(answer.ids) == {session.id for session in made[1:4]}
    assert answer.filter == '(CreationTime>="2026-02-28T23:59:59Z";CreationTime<="2026-03-01T00:00:04Z")'
    answer = find(ended_after="2026-03-01T00:01:01Z", ended_before="2026-03-01T00:01:03Z")
    assert set(answer.ids) == {session.id for session in made[2:5]}
    assert answer.filter == '(EndTime>="2026-03-01T00:01:00Z";EndTime<="2026-03-01T00:01:05Z")'


def test_all_criteria_in_one_filter(em, find):
    em.reset(sessions=200, tasks=1)
    everything = find().sessions
    options = {
        "name": ["Acme full site", "O'Brien; Sons, (Ltd)"],
        "result": ["Success", "Failed"],
        "state": ["Stopped"],
        "created_after": "15d",
    }
    answer = find(**options)
    chosen = SessionCriteria.from_options(options.get)
    assert answer.sessions == [fact for fact in everything if chosen.matches(fact)] != []
    assert answer.requests == 3


def test_very_many_names_are_left_to_the_check_here(em, find):
    wanted = em.world.add_session(name="Plan 7")
    em.world.add_session(name="Other")
    answer = find(name=[f"Plan {number}" for number in range(1000)], state=list(STATES))
    assert answer.ids == [wanted.id]
    assert answer.filter == "(State==Starting,State==Working,State==Stopping,State==Stopped)"


# Newest of a plan


def plans(em):
    old = em.world.add_session(
        "A", state="Stopped", result="Failed", creation_time="2026-03-01T00:00:00Z", backup_server="one"
    )
    new = em.world.add_session(
        "A", state="Stopped", result="Success", creation_time="2026-03-02T00:00:00Z", backup_server="one"
    )
    other = em.world.add_session(
        "A", state="Stopped", result="Failed", creation_time="2026-02-01T00:00:00Z", backup_server="two"
    )
    lone = em.world.add_session(
        "B", state="Stopped", result="Failed", creation_time="2026-01-01T00:00:00Z", backup_server="one"
    )
    return old.id, new.id, other.id, lone.id


def test_latest_per_plan(em, find):
    _old, new, other, lone = plans(em)
    assert find(latest_per_plan=True).ids == [new, other, lone]
    assert find(latest_per_plan=True, sort_order="ascending").ids == [lone, other, new]
    assert find(latest_per_plan=True, limit=1).ids == [new]
    assert find(latest_per_plan=True, name=["B"]).ids == [lone]


def test_the_other_criteria_must_hold_for_the_newest_too(em, find):
    old, new, other, lone = plans(em)
    assert find(latest_per_plan=True, result=["Failed"]).ids == [other, lone]
    assert find(latest_per_plan=True, created_before="2026-02-15T00:00:00Z").ids == [other, lone]
    assert find(latest_per_plan=True, created_after="2026-02-15T00:00:00Z").ids == [new]
    assert find(latest_per_plan=True, id=[old]).ids == []
    assert find(latest_per_plan=True, id=[old, new, lone]).ids == [new, lone]


def test_that_newness_was_judged_by_the_collection_is_reported(em, connect):
    old = em.world.add_session("A", state="Stopped").id
    em.behaviour.refuse_query_type = 404
    with connect() as client:
        answer = SessionReader(client).list_sessions(
            SessionCriteria.from_options({"id": [old], "latest_per_plan": True}.get)
        )
    assert answer.from_collection is True


def test_only_the_plans_of_the_ids_are_asked_for(em, find):
    old, *_others = plans(em)
    assert find(latest_per_plan=True, id=[old], page_size=7).ids == []
    assert [(page["filter"], page["pageSize"]) for page in queries(em)] == [(['Name=="A"'], ["7"])]


@pytest.mark.parametrize(
    ("servers", "newest"),
    [
        ([("1", "old name"), ("1", "new name")], [1]),
        ([("1", "one name"), ("2", "one name")], [0, 1]),
        ([(None, "a"), (None, "b"), (None, "b")], [0, 2]),
        ([None, None], [1]),
    ],
)
def test_a_plan_is_recognized_by_its_name_and_its_backup_server(em, find, servers, newest):
    """By the id of the server, and without an id by its name."""
    sessions = []
    for number, server in enumerate(servers):
        link = (
            server
            and f'<Links><Link Rel="Up" Type="BackupServerReference" Name="{server[1]}" Href="{server_path(server[0])}"/></Links>'
        )
        sessions.append(
            f'<CloudFailoverSession Type="CloudFailoverSession" UID="urn:x:{uuid.UUID(int=number)}" Name="A">{link or ""}'
            f"<CreationTimeUTC>2026-03-0{number + 1}T00:00:00Z</CreationTimeUTC><State>Stopped</State></CloudFailoverSession>"
        )
    body = f'<QueryResult><Entities><X>{"".join(sessions)}</X></Entities><PagingInfo PagesCount="1"/></QueryResult>'
    em.faults.add("reply", path="/query", body=body)
    found = find(latest_per_plan=True, sort_order="ascending").ids
    assert found == [str(uuid.UUID(int=number)) for number in newest]


def server_path(number):
    return f"/api/backupServers/{uuid.UUID(int=int(number))}" if number else ""


def test_latest_per_plan_of_ids_without_a_name(em, find):
    em.world.add_session("A")
    nameless = em.world.add_session("A", raw={"Name": None})
    assert find(latest_per_plan=True, id=[nameless.id]).ids == [nameless.id]


# Limit


@pytest.mark.parametrize("order", SORT_ORDERS)
@pytest.mark.parametrize(("limit", "pages"), [(1, 1), (9, 1), (10, 1), (99, 1), (100, 2), (101, 2), (500, 3)])
def test_limit_reads_no_more_pages_than_it_takes(em, find, order, limit, pages):
    em.reset(sessions=253, tasks=0)
    everything = find(sort_order=order).ids
    answer = find(limit=limit, sort_order=order)
    assert answer.ids == everything[:limit]
    assert answer.requests == pages + 2


@pytest.mark.parametrize(
    ("limit", "page_size", "sent"), [(1, 100, "10"), (9, 100, "10"), (10, 100, "11"), (20, 100, "21"), (20, 7, "7")]
)
def test_limit_asks_for_one_more_than_wanted(em, find, limit, page_size, sent):
    em.reset(sessions=1, tasks=0)
    find(limit=limit, page_size=page_size, result=["Failed"])
    (page,) = queries(em)
    assert (page["pageSize"], page["filter"], page["sortDesc"]) == ([sent], ["Result==Failed"], ["CreationTime"])


@pytest.mark.parametrize("order", SORT_ORDERS)
def test_sessions_of_one_moment_are_in_order(em, find, order):
    for number in range(30):
        em.world.add_session(state="Stopped", creation_time=f"2026-03-01T00:00:{number // 2:02}Z")
    answer = find(limit=2, sort_order=order)
    assert (len(answer.ids), answer.requests) == (2, 3)


def test_limit_of_what_runs_needs_no_more_than_page_1(em, find):
    for second in range(30):
        em.world.add_session(state="Working", creation_time=f"2026-03-01T00:00:{second:02}Z")
    answer = find(limit=3, state=["Working"])
    assert (len(answer.ids), answer.requests) == (3, 3)


def test_limit_is_reached_by_what_holds_not_by_what_follows(em, find):
    for second in range(30):
        em.world.add_session(name="PLAN" if second == 19 else "Plan", creation_time=f"2026-03-01T00:00:{second:02}Z")
    answer = find(name=["Plan"], limit=10)
    assert (len(answer.ids), answer.requests) == (10, 3)


def test_limit_where_a_query_gives_references(em, find):
    wanted = [em.world.add_session(creation_time=f"2026-03-01T00:00:0{second}Z").id for second in range(3)]
    em.faults.add("reply", path="/query", body=listed(*wanted))
    assert find(limit=1).ids == wanted[2:]


def test_a_session_without_a_creation_time_is_the_oldest(em, find):
    timeless = em.world.add_session(raw={"CreationTimeUTC": None}).id
    dated = em.world.add_session(creation_time="2026-03-01T00:00:00Z").id
    assert find().ids == [dated, timeless]
    assert find(limit=1).ids == [dated]
    assert find(limit=1, sort_order="ascending").ids == [timeless]


def test_limit_where_the_oldest_has_no_creation_time(em, find):
    timeless = em.world.add_session(raw={"CreationTimeUTC": None}, creation_time="2026-02-01T00:00:00Z").id
    for second in range(30):
        em.world.add_session(creation_time=f"2026-03-01T00:00:{second:02}Z")
    answer = find(limit=1, sort_order="ascending")
    assert (answer.ids, answer.requests) == ([timeless], 3)


def test_limit_among_sessions_without_a_creation_time(em, find):
    for dummy in range(30):
        em.world.add_session(raw={"CreationTimeUTC": None})
    assert find(limit=3).ids == find().ids[:3]


def test_limit_counts_what_is_left_after_the_check(em, find):
    for second in range(30):
        em.world.add_session(name="PLAN" if second % 3 else "Plan", creation_time=f"2026-03-01T00:00:{second:02}Z")
    answer = find(name=["Plan"], limit=5)
    assert [fact["name"] for fact in answer.sessions] == ["Plan"] * 5
    assert answer.sessions[0]["creation_time"] == "2026-03-01T00:00:27.000000Z"


def test_limit_with_sessions_that_appear(em, find):
    em.reset(sessions=50, tasks=0)
    newest = find(limit=20).ids
    em.faults.add("appear", count=1, path="/query", after=1)
    answer = find(limit=20, page_size=5)
    assert len(set(answer.ids)) == 20
    assert set(newest[:15]) <= set(answer.ids)


# Ids


def test_few_ids_are_read_directly(em, find):
    wanted = [em.world.add_session(name=f"P{number}").id for number in range(5)]
    answer = find(id=[wanted[0].upper(), f"urn:veeam:CloudFailoverSession:{wanted[1]}", *wanted[2:]])
    assert set(answer.ids) == set(wanted)
    assert (answer.requests, answer.missing, answer.filter) == (7, [], None)


@pytest.mark.parametrize("unknown", [404, 500, 400])
def test_unknown_ids_are_missing_and_no_error(em, find, unknown):
    em.behaviour.unknown_id = unknown
    known = em.world.add_session().id
    stranger = str(uuid.uuid4())
    answer = find({"retries": 3}, id=[stranger, known])
    assert (answer.ids, answer.missing) == ([known], [stranger])
    # An answer that says "unknown" is not tried again, whatever its status; one more read shows that EM is well.
    assert answer.requests == 5


def test_an_id_that_fails_otherwise_is_an_error(em, find):
    known = em.world.add_session().id
    em.faults.add(
        "status", status=500, message="Object reference not set to an instance of an object", path="/failoverSessions/"
    )
    with pytest.raises(EmServerError, match="Object reference"):
        find(id=[known])


def test_ids_that_a_query_has_not_found_are_read_directly(em, find):
    em.reset(sessions=3, tasks=0)
    strangers = [str(uuid.UUID(int=number + 1)) for number in range(9)]
    answer = find(id=[*strangers, *(session.id for session in em.world.sessions)])
    assert answer.missing == strangers
    again = [record.path.rpartition("/")[2] for record in em.requests if "/failoverSessions/" in record.path]
    assert again == strangers


@pytest.mark.parametrize("count", [1, 6])
@pytest.mark.parametrize("latest", [False, True])
def test_ids_where_a_query_gives_references(em, find, count, latest):
    wanted = [em.world.add_session(name=f"P{number}").id for number in range(count)]
    em.faults.add("reply", path="/query", body=listed(*wanted))
    assert set(find(id=wanted, latest_per_plan=latest).ids) == set(wanted)


@pytest.mark.parametrize("known", [120, 118, 100, 3, 0])
@pytest.mark.parametrize("unknown_status", [404, 500])
def test_120_ids_in_few_requests(em, find, known, unknown_status):
    em.reset(sessions=150, tasks=1)
    em.behaviour.unknown_id = unknown_status
    wanted = [session.id for session in em.world.sessions][:known]
    strangers = [str(uuid.UUID(int=number + 1)) for number in range(120 - known)]
    answer = find(id=[*strangers, *wanted])
    assert set(answer.ids) == set(wanted)
    assert answer.missing == strangers
    assert answer.requests <= 5 + len(strangers)  # two queries at most, and the list if any id is unknown
    assert max(len(f"{em.url}{record.path}?{record.query}") for record in em.requests) <= 8000
    assert times(answer.sessions) == sorted(times(answer.sessions), reverse=True)


def test_ids_that_em_knows_are_found_behind_many_that_it_does_not(em, find):
    """The query finds none of them, and the first direct reads find none either."""
    em.reset(sessions=12, tasks=0)
    wanted = [session.id for session in em.world.sessions]
    strangers = [str(uuid.UUID(int=number + 1)) for number in range(7)]
    for switch in (
        {"uid_filter": "guid"},
        {"uid_filter": "urn"},
        {"refuse_uid_filter": True},
        {"refuse_query_type": 404, "collection_days": 0},
    ):
        em.reset()
        for name, value in switch.items():
            setattr(em.behaviour, name, value)
        answer = find(id=[*strangers, *wanted])
        assert set(answer.ids) == set(wanted), switch
        assert answer.missing == strangers


@pytest.mark.parametrize(
    "message",
    [
        "A network-related error occurred while connecting to SQL Server. The server was not found or was not accessible.",
        "The backup server not found",
        "Object reference not set to an instance of an object",
    ],
)
@pytest.mark.parametrize("count", [1, 7])
def test_a_database_that_is_down_is_no_unknown_id(em, find, message, count):
    em.faults.add("status", status=500, message=message, path="failoverSessions|query")
    with pytest.raises(EmServerError):
        find(id=[str(uuid.uuid4()) for dummy in range(count)])


def test_an_unknown_id_needs_a_server_that_can_list(em, find):
    em.faults.add("status", status=404, error_body="html", path="failoverSessions")
    with pytest.raises(EmNotFoundError):
        find(id=[str(uuid.uuid4())])


def test_an_unknown_id_needs_a_list_to_be_missing_from(em, find):
    em.faults.add("reply", path="failoverSessions$", body="<LogonSession/>")
    with pytest.raises(EmProtocolError, match="not a list of sessions"):
        find(id=[str(uuid.uuid4())])


def test_an_id_that_is_listed_but_not_known_is_an_error(em, find):
    known = em.world.add_session().id
    em.faults.add("status", status=404, path=known)
    with pytest.raises(EmProtocolError, match=f"lists the session {known} but does not know it by its id") as failure:
        find(id=[known])
    assert failure.value.url == f"{em.url}/api/cloud/failoverSessions"
    assert failure.value.status == 200


def test_an_unknown_id_is_recognized_by_a_text_that_names_it(em, find):
    stranger = str(uuid.uuid4())
    em.faults.add("status", status=500, message=f"Unknown: {stranger}", path=stranger)
    assert find(id=[stranger]).missing == [stranger]


def test_the_filter_of_many_ids_is_reported_whole(em, find):
    em.reset(sessions=120, tasks=0)
    wanted = [session.id for session in em.world.sessions]
    answer = find(id=wanted)
    assert all(guid in answer.filter for guid in wanted)
    assert answer.filter == ",".join(page["filter"][0] for page in queries(em))
    assert answer.filter.startswith("(UID==")


def test_ids_that_the_query_cannot_find_are_read_one_by_one(em, find):
    em.reset(sessions=30, tasks=0)
    em.behaviour.uid_filter = "guid"  # so the URNs that are sent match nothing
    wanted = [session.id for session in em.world.sessions][:12]
    stranger = str(uuid.uuid4())
    answer = find(id=[*wanted, stranger])
    assert set(answer.ids) == set(wanted)
    assert answer.missing == [stranger]


def test_ids_where_the_server_refuses_the_filter(em, find):
    em.reset(sessions=150, tasks=0)
    em.behaviour.refuse_uid_filter = True
    wanted = [session.id for session in em.world.sessions][:120]
    answer = find(id=wanted)
    assert set(answer.ids) == set(wanted)
    assert answer.filter is None
    assert ["refused the filter (UID==" in warning for warning in answer.warnings] == [True]
    assert "... (HTTP 400" in answer.warnings[0]
    assert len(answer.warnings[0]) < 500


def test_other_criteria_hold_for_ids_too(em, find):
    running = em.world.add_session().id
    ended = em.world.add_session(state="Stopped").id
    answer = find(id=[running, ended], state=["Stopped"])
    assert (answer.ids, answer.missing) == ([ended], [])


# When the query service refuses


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (500, "Timeout expired"),
        (500, "Exception of type 'System.OutOfMemoryException' was thrown"),
        (500, ""),
        (502, ""),
        (503, ""),
        (504, ""),
    ],
)
@pytest.mark.parametrize("options", [{}, {"name": ["A"]}])
def test_a_server_that_is_ill_is_not_read_another_way(em, find, status, message, options):
    em.world.add_session(name="A")
    em.faults.add("status", status=status, message=message, path="/query")
    with pytest.raises(EmServerError):
        find(**options)
    assert em.counters.routes.get("GET /api/cloud/failoverSessions", 0) == 0


def test_an_object_of_another_type_is_an_error(em, find):
    other = '<BackupJobSession Type="BackupJobSession" UID="urn:x:1"><State>Stopped</State></BackupJobSession>'
    body = f"<QueryResult><Entities><X>{other}</X></Entities></QueryResult>"
    em.faults.add("reply", path="/query", body=body)
    with pytest.raises(EmProtocolError, match="is not a CloudFailoverSession but a BackupJobSession"):
        find()


def test_a_session_without_a_type_is_one_by_its_state(em, find):
    guid = str(uuid.uuid4())
    session = f'<CloudFailoverSession UID="urn:x:{guid}" Name="A"><State>Stopped</State></CloudFailoverSession>'
    body = f'<QueryResult><Entities><X>{session}</X></Entities><PagingInfo PagesCount="1"/></QueryResult>'
    em.faults.add("reply", path="/query", body=body)
    answer = find()
    assert (answer.ids, answer.requests) == ([guid], 3)


def test_a_session_without_a_state_does_not_harm_the_others(em, find):
    em.world.add_session(name="a", raw={"State": None})
    em.world.add_session(name="b", state="Stopped")
    assert {fact["name"]: (fact["state"], fact["succeeded"]) for fact in find().sessions} == {
        "a": (None, None),
        "b": ("Stopped", True),
    }


def test_limit_among_sessions_of_one_moment(em, find):
    for dummy in range(30):
        em.world.add_session(state="Stopped", creation_time="2026-03-01T00:00:00Z")
    everything = find().ids
    for limit in (1, 10, 15):
        assert find(limit=limit).ids == everything[:limit]


def test_plans_of_one_name_on_two_servers_and_runs_of_one_moment(em, find):
    made = [
        em.world.add_session("A", state="Stopped", creation_time="2026-03-01T00:00:00Z", backup_server=server).id
        for server in ("one", "two", "two")
    ]
    answer = find(latest_per_plan=True)
    assert set(answer.ids) == {made[0], max(made[1:])}


@pytest.mark.parametrize("status", [400, 404, 500, 501])
def test_a_server_that_cannot_query_the_type_is_read_through_its_collection(em, find, status):
    em.reset(sessions=40, tasks=2)
    plain = find().sessions
    failed = find(result=["Failed"]).sessions
    newest = find(limit=3).sessions
    em.behaviour.refuse_query_type = status
    answer = find()
    assert (answer.sessions, answer.from_collection) == (plain, True)
    assert answer.requests == 4
    assert em.requests[-2].query == "format=Entity"
    (warning,) = answer.warnings
    assert warning.startswith(f"EM refused to query CloudFailoverSession (HTTP {status}")
    assert "Reading the list /api/cloud/failoverSessions instead, which" in warning
    assert "30 days" in warning
    few = find(limit=3)
    assert (few.sessions, few.from_collection) == (newest, True)
    answer = find(result=["Failed"])
    assert answer.sessions == failed
    assert answer.filter is None
    assert ["refused to query" in warning for warning in answer.warnings] == [True]


def test_the_collection_may_give_references_which_are_no_sessions(em, find):
    em.reset(sessions=4, tasks=1)
    plain = find().sessions
    em.behaviour.refuse_query_type = 400
    references = [
        f'<Ref UID="urn:veeam:CloudFailoverSession:{session.id}" Name="n" Type="CloudFailoverSessionReference"/>'
        for session in em.world.sessions
    ]
    em.faults.add("reply", path="failoverSessions$", body=f"<EntityReferences>{''.join(references)}</EntityReferences>")
    assert find().sessions == plain


def test_a_query_that_gives_references_is_completed(em, find):
    wanted = em.world.add_session(name="Plan").id
    em.faults.add(
        "reply",
        path="/query",
        body=f'<QueryResult><Refs><Ref UID="urn:x:{wanted}"/></Refs><PagingInfo PagesCount="1"/></QueryResult>',
    )
    answer = find(name=["Plan"])
    assert (answer.ids, answer.sessions[0]["state"]) == ([wanted], "Starting")


def listed(*guids):
    return (
        "<QueryResult><Refs>"
        + "".join(f'<Ref UID="urn:x:{guid}" Name="Lost"/>' for guid in guids)
        + "</Refs></QueryResult>"
    )


def test_a_listed_session_that_is_gone_is_left_out_with_a_warning(em, find):
    gone, known = str(uuid.uuid4()), em.world.add_session().id
    em.faults.add("reply", path="/query", body=listed(gone, known))
    answer = find()
    assert answer.ids == [known]
    assert [f"{gone} (Lost)" in warning for warning in answer.warnings] == [True]


def test_listed_sessions_that_are_all_gone_are_an_error(em, find):
    em.faults.add("reply", path="/query", body=listed(str(uuid.uuid4()), str(uuid.uuid4())))
    with pytest.raises(EmProtocolError, match="lists 2 sessions but knows none"):
        find()


def test_references_only_are_an_error_not_a_session(em, find):
    wanted = em.world.add_session().id
    em.behaviour.ignore_format = True
    for options in ({}, {"id": [wanted]}):
        with pytest.raises(EmProtocolError, match="not the entity"):
            find(**options)


def test_the_seed_documents_served_unchanged(em, find):
    """A server that has only the two documented replies: the references are found, the one entity gives its facts."""
    em.behaviour.refuse_query_type = 404
    known = "475420ee-d045-4493-9869-0a970e08f6f9"
    em.faults.add(
        "reply", path="failoverSessions$", body=REPLIES.joinpath("failoverSessions.xml").read_text(encoding="utf-8")
    )
    em.faults.add("reply", path=known, body=REPLIES.joinpath("failoverSession_entity.xml").read_text(encoding="utf-8"))
    answer = find()
    assert answer.ids == [known]
    assert answer.sessions[0]["duration"] == 80.0
    left_out = [warning for warning in answer.warnings if "left out" in warning]
    assert len(left_out) == 4
    assert any(
        "030015e0-8f8f-469a-93e1-10b680b46887" in warning and "UCM Company Full SIte Failover" in warning
        for warning in left_out
    )


@pytest.mark.parametrize(
    "body", ["<html><head><title>Sign in</title></head></html>", "<Other><Thing/></Other>", '<EntityRef UID="u"/>']
)
def test_a_query_reply_that_is_no_query_result_is_an_error(em, find, body):
    em.faults.add("reply", path="/query", body=body)
    with pytest.raises(EmProtocolError, match="/api/query") as failure:
        find()
    assert failure.value.status == 200


@pytest.mark.parametrize("body", ['<EntityRef UID="u"/>', "<QueryResult><Entities/></QueryResult>"])
def test_a_collection_reply_that_is_no_list_is_an_error(em, find, body):
    em.behaviour.refuse_query_type = 400
    em.faults.add("reply", path="failoverSessions$", body=body)
    with pytest.raises(EmProtocolError, match="not a list of sessions"):
        find()


def test_an_entity_of_another_session_is_an_error(em, find):
    asked, other = em.world.add_session().id, em.world.add_session().id
    em.faults.add(
        "reply",
        path=asked,
        body=f'<CloudFailoverSession Type="CloudFailoverSession" UID="urn:x:{other}"><State>Stopped</State></CloudFailoverSession>',
    )
    with pytest.raises(EmProtocolError, match="not the entity") as failure:
        find(id=[asked])
    assert failure.value.url == f"{em.url}/api/cloud/failoverSessions/{asked}?format=Entity"
    assert failure.value.status == 200


def test_a_list_is_no_entity(em, find):
    asked = em.world.add_session().id
    session = f'<CloudFailoverSession Type="CloudFailoverSession" UID="urn:x:{asked}"><State>Stopped</State></CloudFailoverSession>'
    em.faults.add("reply", path=asked, body=f"<CloudFailoverSessions>{session}</CloudFailoverSessions>")
    with pytest.raises(EmProtocolError, match="document CloudFailoverSessions that is not the entity"):
        find(id=[asked])


@pytest.mark.parametrize("attribute", ['UID="urn:x:{}"', 'Href="/api/cloud/failoverSessions/{}"'])
def test_an_entity_is_recognized_by_its_uid_or_by_its_href(em, find, attribute):
    asked = str(uuid.uuid4())
    attribute = attribute.format(asked)
    body = (
        f'<CloudFailoverSession Type="CloudFailoverSession" {attribute}><State>Stopped</State></CloudFailoverSession>'
    )
    em.faults.add("reply", path=asked, body=body)
    assert find(id=[asked]).ids == [asked]


def test_a_session_without_an_id_is_an_error(em, find):
    session = "<CloudFailoverSession Type='CloudFailoverSession'><State>Stopped</State></CloudFailoverSession>"
    body = f"<QueryResult><Entities><X>{session}</X></Entities></QueryResult>"
    em.faults.add("reply", path="/query", body=body)
    with pytest.raises(EmProtocolError, match="neither a UID"):
        find()


@pytest.mark.parametrize("user", ["reader", "operator", "both"])
def test_sessions_that_may_be_listed_and_not_queried(em, find, user):
    em.reset(sessions=40, tasks=2)
    asked = {
        "all": {},
        "limit": {"limit": 3},
        "oldest": {"limit": 3, "sort_order": "ascending"},
        "filtered": {"result": ["Failed"], "created_after": "20d"},
        "newest": {"latest_per_plan": True},
        "newest filtered": {"latest_per_plan": True, "result": ["Success"], "limit": 1},
        "large pages": {"page_size": 500},
    }
    expected = {name: find(**options).sessions for name, options in asked.items()}
    em.behaviour.role_query = "refused"
    for name, options in asked.items():
        answer = find({"username": user}, **options)
        assert (answer.sessions, answer.from_collection, answer.filter) == (expected[name], True, None), name
        assert answer.requests == 4, name  # the query is tried once, whatever it holds
        (warning,) = answer.warnings
        assert warning.startswith(f"EM forbids {user} to query CloudFailoverSession (HTTP 403: Access is denied")
        assert warning.endswith(
            "Reading the list /api/cloud/failoverSessions instead, which Veeam documents to cover the last 30 days only."
        )


@pytest.mark.parametrize("many", [3, 30])
@pytest.mark.parametrize("options", [{}, {"latest_per_plan": True}, {"limit": 2}])
def test_ids_where_sessions_may_not_be_queried(em, find, many, options):
    """Ids that the list with its 30 days does not hold are read one by one, and are not called unknown."""
    ids = [
        em.world.add_session(f"Plan {number}", state="Stopped", creation_time="2020-03-01T00:00:00Z").id
        for number in range(2)
    ]
    ids += [em.world.add_session(f"Plan {number}", state="Stopped").id for number in range(2, many)]
    absent = str(uuid.uuid4())
    expected = find(id=[*ids, absent], **options)
    assert len(expected.ids) == options.get("limit", many)
    em.behaviour.role_query = "refused"
    answer = find(id=[*ids, absent], **options)
    assert (answer.sessions, answer.missing) == (expected.sessions, [absent])
    assert answer.from_collection is (many == 30 or "latest_per_plan" in options)


@pytest.mark.parametrize("query", ["as resource", "refused"])
def test_only_a_list_that_is_forbidden_too_is_a_role_that_is_missing(em, connect, query):
    em.behaviour.role_query = query
    warnings = []
    with (
        pytest.raises(EmPermissionError, match="Check that restricted has the role Portal User or VM") as failure,
        connect(username="restricted", warn=warnings.append) as client,
    ):
        SessionReader(client).list_sessions(SessionCriteria.from_options({"result": ["Failed"]}.get))
    assert failure.value.url == f"{em.url}/api/cloud/failoverSessions?format=Entity"
    assert failure.value.status == 403
    assert "tenants of a service provider have no sessions" in str(failure.value)
    assert not any("forbids" in warning for warning in warnings)
    assert em.counters.requests == 4


def test_a_later_page_that_is_forbidden_is_no_reason_to_try_the_collection(em, find):
    em.reset(sessions=250, tasks=0)
    em.faults.add("status", status=403, path="/query", query="page=2")
    with pytest.raises(EmPermissionError, match="answered with HTTP 403.*page=2"):
        find()
    assert em.counters.routes.get("GET /api/cloud/failoverSessions", 0) == 0


def test_odd_values_of_one_session_do_not_harm_the_others(em, find):
    em.world.add_session(
        name="a", state="Stopped", raw={"EndTimeUTC": "1753-01-01T00:00:00Z", "Result": None, "Progress": "many"}
    )
    em.world.add_session(name="b", state="Stopped", raw={"CreationTimeUTC": None, "EndTimeUTC": "soon"})
    em.world.add_session(name="c", raw={"State": "Pausing", "Result": "Perhaps"})
    facts = {fact["name"]: fact for fact in find().sessions}
    assert (facts["a"]["end_time"], facts["a"]["result"], facts["a"]["succeeded"]) == (None, "None", False)
    assert (facts["b"]["creation_time"], facts["b"]["duration"]) == (None, None)
    assert (facts["c"]["state"], facts["c"]["result"], facts["c"]["finished"]) == ("Pausing", "Perhaps", False)
