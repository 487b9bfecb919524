# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every behaviour switch, in each of its positions, over the wire."""

from __future__ import annotations

import http.client
from dataclasses import fields
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from emulator import Behaviour, Emulator

NAMESPACE = "{http://www.veeam.com/ent/v1.0}"
LIST = "/api/cloud/failoverSessions"
UNKNOWN = "99999999-1111-4222-8333-444444444444"
README = Path(__file__).resolve().parents[2] / "emulator" / "README.md"


@pytest.fixture
def session(em):
    """One ended session of today with one task."""
    return em.world.add_session(name="Acme", state="Stopped", tasks=[{"vm_name": "db"}])


def test_refuse_result_none(em, client, session):
    assert client.query("Result==None").status == 200
    em.behaviour.refuse_result_none = True
    assert client.query("Result==None").status == 400
    assert client.query("Result==Success").names == ["Acme"]


def test_refuse_quoted_quote(em, client, session):
    assert client.query('Name!="a""b"').names == ["Acme"]
    em.behaviour.refuse_quoted_quote = True
    assert client.query('Name!="a""b"').status == 400


@pytest.mark.parametrize("status", [400, 404, 500, 501])
def test_refuse_query_type(em, client, session, status):
    em.behaviour.refuse_query_type = status
    assert client.query().status == status
    assert client.get(LIST).names == ["Acme"]


def test_uid_filters(em, client, session):
    urn, guid = f'UID=="urn:veeam:CloudFailoverSession:{session.id}"', f"UID=={session.id}"
    assert client.query(urn).names == client.query(guid).names == ["Acme"]
    em.behaviour.uid_filter = "urn"
    assert (client.query(urn).names, client.query(guid).names) == (["Acme"], [])
    em.behaviour.uid_filter = "guid"
    assert (client.query(urn).names, client.query(guid).names) == ([], ["Acme"])
    em.behaviour.refuse_uid_filter = True
    assert client.query(urn).status == client.query(guid).status == 400


def test_sort(em, client, session):
    em.world.add_session(name="Aaa", state="Stopped")
    assert client.query(sortAsc="Name").names == ["Aaa", "Acme"]
    em.behaviour.sort = "ignore"
    assert client.query(sortAsc="Name").names == ["Acme", "Aaa"]


def test_case_sensitive(em, client, session):
    assert client.query("Name==acme").names == ["Acme"]
    em.behaviour.case_sensitive = True
    assert client.query("Name==acme").names == []


def test_and_binds_tighter(em, client, session):
    expression = "Name==x;Name==x,Name==Acme"
    assert client.query(expression).names == ["Acme"]
    em.behaviour.and_binds_tighter = False
    assert client.query(expression).names == []


def test_none_order(em, client):
    em.world.add_session(name="running")
    assert client.query("Result<Success").names == ["running"]
    em.behaviour.none_order = "last"
    assert client.query("Result>Failed").names == ["running"]


def test_page_size_limits(em, client, session):
    em.world.add_session(name="Second", state="Stopped")
    assert len(client.query(pageSize=1000).names) == 2
    em.behaviour.max_page_size = 1
    capped = client.query(pageSize=2)
    assert capped.names == ["Acme"]
    assert capped.xml.find(f"{NAMESPACE}PagingInfo").get("PageSize") == "1"
    em.behaviour.over_page_size = "refuse"
    assert client.query(pageSize=2).status == 400
    assert client.query(pageSize=1).names == ["Acme"]


def test_omit_paging_info(em, client, session):
    em.behaviour.omit_paging_info = True
    assert client.query().xml.find(f"{NAMESPACE}PagingInfo") is None
    assert client.get("/api/query?type=CloudFailoverSession", Accept="application/json").json["PagingInfo"] is None


def test_pages_count_of_empty(em, client):
    assert client.query().xml.find(f"{NAMESPACE}PagingInfo").get("PagesCount") == "1"
    em.behaviour.pages_count_of_empty = 0
    assert client.query().xml.find(f"{NAMESPACE}PagingInfo").get("PagesCount") == "0"


def test_collection_days(em, client, session):
    em.clock.advance(29.5 * 86400)
    client.log_on()
    assert client.get(LIST).names == ["Acme"]
    em.behaviour.collection_days = 7
    assert client.get(LIST).names == []
    em.behaviour.collection_days = None
    em.clock.advance(300 * 86400)
    client.log_on()
    assert client.get(LIST).names == ["Acme"]


def test_ignore_format(em, client, session):
    em.behaviour.ignore_format = True
    assert client.get(f"{LIST}?format=Entity").xml.tag == f"{NAMESPACE}EntityReferences"
    assert client.get(f"{LIST}/{session.id}?format=Entity").xml.tag == f"{NAMESPACE}EntityRef"
    assert client.query(format="Entities").xml[0].tag == f"{NAMESPACE}Refs"


def test_finished_tasks(em, client, session):
    running = em.world.add_session(name="running", tasks=[{"vm_name": "db", "start_offset": 0, "duration": 100}])

    def tasks(of):
        return len(client.get(f"{LIST}/{of.id}?format=Entity").xml.find(f"{NAMESPACE}CloudFailoverTasks"))

    assert (tasks(session), tasks(running)) == (1, 1)
    em.behaviour.finished_tasks = "drop"
    assert (tasks(session), tasks(running)) == (0, 1)


@pytest.mark.parametrize("status", [404, 500, 400])
def test_unknown_and_malformed_ids(em, client, status):
    em.behaviour.unknown_id = status
    em.behaviour.malformed_id = 404 if status == 400 else status
    for path in (f"{LIST}/{UNKNOWN}", f"{LIST}/{UNKNOWN}?format=Entity"):
        reply = client.get(path)
        assert reply.status == status
        assert reply.xml.get("Message") == f"There is no CloudFailoverSession with id [{UNKNOWN}]"
    assert client.get(f"{LIST}/nonsense").status == em.behaviour.malformed_id


@pytest.mark.parametrize(
    ("kind", "media_type", "begin"),
    [
        ("xml", "application/xml; charset=utf-8", b"<?xml"),
        ("json", "application/json; charset=utf-8", b"{"),
        ("html", "text/html; charset=us-ascii", b"<HTML>"),
        ("text", "text/plain; charset=utf-8", b"Unknown query type"),
        ("empty", None, b""),
    ],
)
@pytest.mark.parametrize("accept", ["application/xml", "application/json"])
def test_error_body(em, client, kind, media_type, begin, accept):
    em.behaviour.error_body = kind
    reply = client.get("/api/query?type=x", Accept=accept)
    assert (reply.status, reply.headers.get("content-type")) == (400, media_type)
    assert reply.body.startswith(begin) and bool(reply.body) is bool(begin)


def test_error_body_follows_accept(em13, client, client13):
    assert client.get("/api/query").xml.findtext(f"{NAMESPACE}StackTrace") == ""
    assert client.get("/api/query").xml.get("Status") == ""
    error = client.get("/api/query", Accept="application/json").json
    assert error == {
        "Message": "Query type is not specified",
        "StatusCode": 400,
        "Status": None,
        "FirstChanceExceptionMessage": None,
        "StackTrace": None,
    }
    assert client13.get("/api/query", Accept="application/json").json["statusCode"] == 400


def test_href_base(em, client, session):
    em.behaviour.href_base = "http://SP-EM:9399"
    for node in client.query(format="Entities").xml.iter():
        assert node.get("Href", "http://SP-EM:9399/api/").startswith("http://SP-EM:9399/api/")


@pytest.mark.parametrize("accept", ["application/xml", "application/json"])
def test_bom(em, client, session, accept):
    assert not client.get(LIST, Accept=accept).body.startswith(b"\xef\xbb\xbf")
    em.behaviour.bom = True
    assert client.get(LIST, Accept=accept).body.startswith(b"\xef\xbb\xbf")


@pytest.mark.parametrize(
    ("switch", "written"),
    [
        ("reference", b'Name="a&#x1F;&#xFFFE;&#xD83D;\xf0\x9f\x98\x80"'),
        ("raw", b'Name="a\x1f\xef\xbf\xbe\xed\xa0\xbd\xf0\x9f\x98\x80"'),
    ],
)
def test_odd_characters(em, client, switch, written):
    em.behaviour.odd_characters = switch
    em.world.add_session("a\x1f\ufffe\ud83d\U0001f600")
    assert written in client.get(LIST).body


def test_xml_prefix(em, client, session):
    plain = client.query(format="Entities")
    em.behaviour.xml_prefix = "v"
    prefixed = client.query(format="Entities")
    assert b"<v:QueryResult xmlns:v=" in prefixed.body and b"</v:State>" in prefixed.body
    assert [node.tag for node in prefixed.xml.iter()] == [node.tag for node in plain.xml.iter()]


def test_indent(em, client, session):
    assert b"\n" not in client.get(LIST).body
    em.behaviour.indent = True
    assert b"\n  <Ref " in client.get(LIST).body
    assert client.get(LIST).names == ["Acme"]


def test_empty_containers(em, client):
    session = em.world.add_session(state="Stopped")
    path = f"{LIST}/{session.id}?format=Entity"
    assert client.get(path).xml.find(f"{NAMESPACE}CloudFailoverTasks") is not None
    assert client.get(path, Accept="application/json").json["CloudFailoverTasks"] == {"CloudFailoverTasks": []}
    em.behaviour.empty_containers = "omit"
    assert client.get(path).xml.find(f"{NAMESPACE}CloudFailoverTasks") is None
    assert client.get(path, Accept="application/json").json["CloudFailoverTasks"] is None
    em.world.clear()
    empty = client.query(format="Entities")
    assert empty.names == []
    assert client.get(LIST).xml.tag == f"{NAMESPACE}EntityReferences"


def test_length_required(em, client):
    em.behaviour.length_required = True
    assert client.log_on().status == 201
    client.connection.putrequest("POST", "/api/sessionMngr/")
    client.connection.endheaders()
    assert client.connection.getresponse().status == 411


@pytest.mark.parametrize("path", ["/api", LIST, "/api/nothing"])
def test_the_date_is_that_of_the_emulators_clock(em, client, path):
    em.clock.rate = 0
    em.clock.advance(86400)
    for offset in (0, -3600.5):
        em.behaviour.date_offset = offset
        client.connection.request("GET", path, headers={"X-RestSvcSessionId": client.token})
        with client.connection.getresponse() as response:
            response.read()
            (date,) = response.headers.get_all("Date")
        shown = parsedate_to_datetime(date) - em.clock.now()
        assert -1 < shown.total_seconds() - offset <= 0
    em.behaviour.date_offset = None
    assert "date" not in client.get(path).headers


def test_a_date_of_a_fault_is_the_only_one(em, client):
    em.faults.add("headers", headers={"Date": "yesterday"}, times=1)
    client.connection.request("GET", "/api")
    with client.connection.getresponse() as response:
        response.read()
        assert response.headers.get_all("Date") == ["yesterday"]


def test_a_connection_that_was_idle_is_dead(em, client):
    em.behaviour.dead_after_idle = 600
    assert client.get(LIST).status == client.get(LIST).status == 200
    count = em.counters.requests
    em.behaviour.dead_after_idle = 0
    with pytest.raises((http.client.HTTPException, OSError)):
        client.get(LIST)
    assert em.counters.requests == count
    client.connection.close()
    em.behaviour.dead_after_idle = 600
    assert client.get(LIST).status == 200  # by a new connection


def test_unknown_names_and_values_are_errors():
    behaviour = Behaviour()
    with pytest.raises(AttributeError):
        behaviour.sorting = "ignore"
    for name, value in (("sort", "never"), ("bom", 1), ("unknown_id", 418), ("href_base", 3), ("max_page_size", "9")):
        with pytest.raises(ValueError):
            setattr(behaviour, name, value)
    with pytest.raises(ValueError):
        Behaviour(error_body="yaml")


def test_switches_as_text():
    behaviour = Behaviour()
    for assignment in ("bom=true", "unknown_id=500", "sort=ignore", "max_page_size=10", "href_base=http://a=b:1"):
        behaviour.set_text(assignment)
    assert (behaviour.bom, behaviour.unknown_id, behaviour.sort, behaviour.max_page_size) == (True, 500, "ignore", 10)
    assert behaviour.href_base == "http://a=b:1"
    behaviour.set_text("collection_days=null")
    assert behaviour.collection_days is None
    with pytest.raises(ValueError):
        behaviour.set_text("bom")


def test_reset_goes_back_to_the_start_not_to_the_defaults():
    start = Behaviour(sort="ignore")
    em = Emulator(sessions=0, behaviour=start)
    held = em.behaviour
    em.behaviour.sort = "honour"
    em.behaviour.bom = True
    em.reset()
    assert (held.sort, held.bom) == ("ignore", False)
    assert held is em.behaviour
    assert start == Behaviour(sort="ignore")


def test_readme_explains_every_switch():
    text = README.read_text(encoding="utf-8")
    missing = [switch.name for switch in fields(Behaviour) if f"`{switch.name}`" not in text]
    assert not missing
