# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The query service over the wire: selection, order, pages, links, refusals."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from emulator import Emulator
from emulator.sample_data import PLAN_NAMES

NAMESPACE = "{http://www.veeam.com/ent/v1.0}"


def fill(em, count=7):
    """Sessions s0, s1, ... one minute apart, all ended."""
    for n in range(count):
        em.world.add_session(name=f"s{n}", creation_time=f"2026-03-01T08:{n:02d}:00Z", backup_server=f"vbr{n % 2}")


def test_pages_and_links(em, client):
    fill(em)
    page = client.query(sortDesc="CreationTime", pageSize=3, page=2)
    assert page.names == ["s3", "s2", "s1"]
    paging = page.xml.find(f"{NAMESPACE}PagingInfo")
    assert (paging.get("PageNum"), paging.get("PageSize"), paging.get("PagesCount")) == ("2", "3", "3")
    links = page.page_links
    assert list(links) == ["First", "Previous", "Next", "Last"]
    assert [link.rpartition("page=")[2] for link in links.values()] == ["1", "1", "3", "3"]
    assert list(client.query(pageSize=3).page_links) == ["First", "Next", "Last"]
    assert list(client.query(pageSize=3, page=3).page_links) == ["First", "Previous", "Last"]


def test_page_links_followed_verbatim_visit_everything_once(em, client):
    fill(em)
    em.world.add_session(name='R&D "Ω" <Plan> 50%', creation_time="2026-03-01T09:00:00Z")
    page = client.query(
        '(BackupServerName!="a b ü&",Name==x);State==Stopped', format="Entities", sortAsc="Name", pageSize=2
    )
    names = list(page.names)
    first_next = page.page_links["Next"]
    while "Next" in page.page_links:
        link = page.page_links["Next"]
        assert link.startswith("https://em-internal:9398/api/query?")
        assert " " not in link
        parts = urlsplit(link)
        page = client.get(f"{parts.path}?{parts.query}")
        names += page.names
    assert names == ['R&D "Ω" <Plan> 50%', *(f"s{n}" for n in range(7))]
    # Spelt by the server: lower-case codes, plus for space, parentheses around, canonical names.
    assert "&filter=((BackupServerName!%3d%22a+b+%c3%bc%26%22%2cName%3d%3dx)%3bState%3d%3dStopped)&" in first_next


def test_default_page_holds_100(em, client):
    em.reset(sessions=101, tasks=0)
    client.log_on()
    assert len(client.query().names) == 100
    assert len(client.query(page=2).names) == 1


def test_page_beyond_the_last_is_empty(em, client):
    fill(em)
    page = client.query(page=5)
    assert (page.status, page.names) == (200, [])
    assert page.xml.find(f"{NAMESPACE}PagingInfo").get("PagesCount") == "1"
    assert list(page.page_links) == ["First", "Previous", "Last"]


def test_words_in_any_case(em, client):
    fill(em, 2)
    page = client.get("/api/QUERY?TYPE=cloudfailoversession&Format=entities&FILTER=name%3D%3Ds1&SORTASC=creationtime")
    assert page.names == ["s1"]
    assert page.xml[0].tag == f"{NAMESPACE}Entities"


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ({"sortAsc": "Name"}, ["a", "B", "c"]),
        ({"sortDesc": "name"}, ["c", "B", "a"]),
        ({"sortAsc": "CreationTime"}, ["B", "c", "a"]),
        ({"sortDesc": "Result"}, ["a", "c", "B"]),
        ({"sortAsc": "EndTime"}, ["a", "B", "c"]),  # a still runs: no value sorts first
        ({}, ["c", "a", "B"]),
    ],
)
def test_sorting(em, client, sort, expected):
    em.world.add_session(name="c", creation_time="2026-03-01T02:00:00Z", result="Warning")
    em.world.add_session(name="a", creation_time="2026-03-01T03:00:00Z", state="Working", raw={"Result": "Failed"})
    em.world.add_session(name="B", creation_time="2026-03-01T01:00:00Z")
    assert client.query(**sort).names == expected


@pytest.mark.parametrize("name", PLAN_NAMES)
def test_every_generated_name_can_be_asked_for(connect, name):
    with Emulator(sessions=80, tasks=0, documented=False) as em:
        client = connect(em)
        client.log_on()
        quoted = name.replace('"', '""')
        found = client.query(f'Name=="{quoted}"', pageSize=100).names
        assert found and set(found) == {name}
        assert len(found) == sum(session.name == name for session in em.world.sessions)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("Type==FailoverPlan", ["ok", "bad"]),
        ('FailureMessage=="no memory"', ["bad"]),
        ("BackupServerName==vbr2", ["bad"]),
        ('BackupServerName=="172.17.53.48"', ["ok"]),
        ('BackupServerUid=="urn:veeam:BackupServer:8fff3b8e-c3f1-4ef5-aecc-561f07bf9982"', ["ok"]),
        ("BackupServerUid==8fff3b8e-c3f1-4ef5-aecc-561f07bf9982", ["ok"]),
        ("EndTime==2026-03-01T08:00:20.25Z", ["ok"]),
        ("CreationTime<=2026-03-01T08:00:00Z", ["ok"]),
        ("UID==33333333-1111-4222-8333-444444444444", ["bad"]),
    ],
)
def test_all_fields_can_be_filtered(em, client, expression, expected):
    em.world.add_session(
        name="ok",
        creation_time="2026-03-01T08:00:00Z",
        end_time="2026-03-01T08:00:20.25Z",
        backup_server={"id": "8fff3b8e-c3f1-4ef5-aecc-561f07bf9982", "name": "172.17.53.48"},
    )
    em.world.add_session(
        name="bad",
        creation_time="2026-03-01T08:00:01Z",
        result="Failed",
        failure_message="no memory",
        backup_server="vbr2",
        id="33333333-1111-4222-8333-444444444444",
    )
    assert client.query(expression).names == expected


@pytest.mark.parametrize(
    "query",
    [
        "",
        "type=Job",
        "type=CloudFailoverSession&format=Entity",
        "type=CloudFailoverSession&filter=Nonsense",
        "type=CloudFailoverSession&filter=Progress%3D%3D100",
        "type=CloudFailoverSession&sortAsc=Progress",
        "type=CloudFailoverSession&sortAsc=Name,State",
        "type=CloudFailoverSession&sortAsc=Name&sortDesc=Name",
        "type=CloudFailoverSession&pageSize=0",
        "type=CloudFailoverSession&pageSize=-1",
        "type=CloudFailoverSession&page=0",
        "type=CloudFailoverSession&page=x",
    ],
)
def test_what_is_refused_with_a_message(client, query):
    reply = client.get(f"/api/query?{query}")
    assert reply.status == 400
    assert reply.xml.tag == f"{NAMESPACE}Error"
    assert reply.xml.get("StatusCode") == "400"
    assert reply.xml.get("Message")


def test_13_spells_page_links_in_its_own_way(em13, client13):
    for dummy in range(2):
        em13.world.add_session(name="a b \u00fc&*~", state="Stopped")
    page = client13.query('Name=="a b \u00fc&*~";State==Stopped', pageSize=1)
    following = page.page_links["Next"]
    wanted = "%28Name%3D%3D%22a%20b%20%C3%BC%26%2A~%22%3BState%3D%3DStopped%29"
    assert f"&filter={wanted}&pageSize=1&page=2" in following
    assert client13.get(following.removeprefix(em13.behaviour.href_base)).names == page.names


def test_query_knows_older_sessions_than_the_collection(em, client):
    em.world.add_session(name="old", creation_time="2026-01-01")
    assert client.query().names == ["old"]
    assert client.get("/api/cloud/failoverSessions").names == []


def test_kept_answers_notice_changes(em, client):
    running = em.world.add_session(name="first", tasks=[{"vm_name": "a", "duration": 60}])
    assert client.query("State!=Stopped").names == ["first"]
    second = em.world.add_session(name="second")
    assert client.query("State!=Stopped").names == ["first", "second"]
    em.world.change_session(second, state="Stopped")
    assert client.query("State!=Stopped").names == ["first"]
    em.clock.advance(120)
    assert client.query("State!=Stopped").names == []
    em.world.remove_session(running)
    assert client.query().names == ["second"]
    em.behaviour.sort = "ignore"
    em.clock.advance(-120)
    assert client.query("State==Stopped").names == ["second"]


def test_the_tasks_of_a_running_session_go_on_from_answer_to_answer(em, client):
    tasks = [{"vm_name": "db", "duration": 10, "result": "Failed"}, {"vm_name": "web", "duration": 1000}]
    em.world.add_session(name="s", tasks=tasks)

    def results():
        page = client.query("State!=Stopped", format="Entities", sortAsc="CreationTime")
        return [result.text for result in page.xml.iter(f"{NAMESPACE}Result")][1:]

    em.clock.advance(8)
    assert results() == ["None", "None"]
    em.clock.advance(10)
    assert results() == ["Failed", "None"]
