# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every fault action, and the rules that choose requests."""

from __future__ import annotations

import http.client
import socket
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from emulator import Emulator
from emulator.faults import ACTIONS, Faults

NAMESPACE = "{http://www.veeam.com/ent/v1.0}"
LIST = "/api/cloud/failoverSessions"
README = Path(__file__).resolve().parents[2] / "emulator" / "README.md"
BROKEN = (http.client.RemoteDisconnected, http.client.BadStatusLine, ConnectionError)


def statuses(client, path=LIST, count=4):
    return [client.get(path).status for dummy in range(count)]


def test_times_and_after(em, client):
    em.faults.add("status", status=503, path="failoverSessions", after=1, times=2)
    assert statuses(client) == [200, 503, 503, 200]


def test_for_ever_until_cleared(em, client):
    em.faults.add(action="status", status=500)
    assert statuses(client) == [500] * 4
    em.faults.clear()
    assert statuses(client, count=1) == [200]


@pytest.mark.parametrize(
    ("rule", "hit"),
    [
        ({"method": "get"}, True),
        ({"method": "POST"}, False),
        ({"path": "/api/QUERY$"}, True),
        ({"path": "/api/query/"}, True),
        ({"path": "^/query"}, False),
        ({"query": "page=2"}, False),
        ({"query": "page=1"}, True),
        ({"query": 'Name=="a b"'}, True),
        ({"query": "%22a%20b%22"}, True),
        ({"method": "GET", "path": "query", "query": "page=2"}, False),
    ],
)
def test_rules_choose_by_method_path_and_query(em, client, rule, hit):
    em.faults.add("status", status=501, **rule)
    path = "/api/query/?type=CloudFailoverSession&page=1&filter=Name%3D%3D%22a%20b%22"
    assert client.get(path).status == (501 if hit else 200)


def test_rules_that_do_not_match_are_not_used_up(em, client):
    em.faults.add("status", status=503, path="query", times=1)
    assert statuses(client, count=2) == [200, 200]
    assert client.query().status == 503


def test_the_first_spoiling_rule_ends_the_search(em, client):
    em.faults.add("status", status=502, times=1)
    em.faults.add("status", status=503, times=1)
    assert statuses(client, count=3) == [502, 503, 200]


def test_status_carries_headers_message_and_error_body(em, client):
    em.faults.add("status", status=503, headers={"Retry-After": "7"}, message="busy", times=1)
    reply = client.get(LIST)
    assert (reply.status, reply.headers["retry-after"]) == (503, "7")
    assert reply.xml.get("Message") == "busy"
    em.faults.add("status", status=502, error_body="text", times=1)
    assert client.get(LIST).body == b"Bad Gateway"
    em.faults.add("status", status=204, times=1)
    assert (reply := client.get(LIST)).status == 204 and reply.body == b""


def test_reply_is_verbatim(em, client):
    em.faults.add("reply", status=202, content_type="text/x", body=b"\xff\x00", headers={"X-A": "b"})
    reply = client.get(LIST)
    assert (reply.status, reply.headers["content-type"], reply.headers["x-a"]) == (202, "text/x", "b")
    assert reply.body == b"\xff\x00"


@pytest.mark.parametrize(
    ("action", "media_type", "check"),
    [
        ("garbage", "application/xml", lambda body: len(body) == 256),
        ("html", "text/html", lambda body: b"<html>" in body),
        ("empty", "application/xml", lambda body: body == b""),
    ],
)
def test_replies_of_another_kind(em, client, action, media_type, check):
    em.faults.add(action, times=1)
    reply = client.get(LIST)
    assert (reply.status, reply.headers["content-type"]) == (200, media_type)
    assert check(reply.body)
    assert statuses(client, count=1) == [200]


def test_redirect(em, client):
    em.faults.add("redirect", location="https://other.example.net/api/", status=307)
    reply = client.get(LIST)
    assert (reply.status, reply.headers["location"]) == (307, "https://other.example.net/api/")


def test_drop(em, client):
    em.faults.add("drop", times=1)
    with pytest.raises(BROKEN):
        client.get(LIST)
    assert em.requests[-1].status is None
    client.close()
    assert statuses(client, count=1) == [200]


def test_drop_after_handling_has_taken_effect(em, connect):
    em.faults.add("drop_after_handling", path="sessionMngr")
    client = connect(em)
    with pytest.raises(BROKEN):
        client.log_on()
    assert em.counters.logons == em.counters.live_logons == 1


def test_drop_has_no_effect(em, connect):
    em.faults.add("drop", path="sessionMngr")
    with pytest.raises(BROKEN):
        connect(em).log_on()
    assert em.counters.logons == 0


def test_cut_declares_more_than_it_sends(em, client):
    whole = len(client.get(LIST).body)
    em.faults.add("cut", times=1)
    with pytest.raises(http.client.IncompleteRead) as caught:
        client.get(LIST)
    assert 0 < len(caught.value.partial) < whole
    client.close()
    assert statuses(client, count=1) == [200]


def test_cut_over_tls(connect):
    with Emulator(sessions=5, tls=True) as em:
        client = connect(em)
        client.log_on()
        em.faults.add("cut", times=1, share=0.9)
        with pytest.raises((http.client.IncompleteRead, ConnectionError, OSError)):
            client.get(LIST)
        client.close()
        em.faults.add("drop", times=1)
        with pytest.raises((*BROKEN, OSError)):
            client.get(LIST)
        client.close()
        assert client.get(LIST).status == 200


def test_cut_xml_is_well_framed_but_not_well_formed(em, client):
    em.world.add_session()
    em.faults.add("cut_xml", times=1)
    reply = client.get(LIST)
    assert reply.status == 200 and int(reply.headers["content-length"]) == len(reply.body)
    with pytest.raises(ElementTree.ParseError):
        assert reply.xml
    assert statuses(client, count=1) == [200]


def test_slow_headers(em, client):
    em.faults.add("slow_headers", seconds=0.15, times=1)
    begin = time.perf_counter()
    assert client.get(LIST).status == 200
    assert time.perf_counter() - begin >= 0.15


def test_slow_body_arrives_whole_in_the_end(em, client):
    em.world.add_session()
    whole = client.get(LIST).body
    em.faults.add("slow_body", seconds=0.05, chunks=3)
    begin = time.perf_counter()
    assert client.get(LIST).body == whole
    assert time.perf_counter() - begin >= 0.1


def test_slow_body_trickles(em, client):
    em.faults.add("slow_body", seconds=5)
    client.connection.request("GET", LIST, headers={"X-RestSvcSessionId": client.token})
    client.connection.sock.settimeout(0.2)
    response = client.connection.getresponse()
    with pytest.raises(socket.timeout):
        response.read()


def test_expire_makes_the_request_itself_fail(em, client):
    em.faults.add("expire", path=LIST, times=1)
    assert client.get(LIST).status == 401
    assert client.get(LIST).status == 401
    client.log_on()
    assert client.get(LIST).status == 200


def test_unauthorized_once(em, client):
    em.faults.add("unauthorized", path=LIST, times=1)
    reply = client.get(LIST)
    assert (reply.status, reply.headers["www-authenticate"]) == (401, "Basic Realm=RestSvc")
    assert client.get(LIST).status == 401
    assert em.counters.live_logons == 0


def test_appear_shifts_pages(em, client):
    for n in range(4):
        em.world.add_session(name=f"s{n}", creation_time=f"2026-03-0{n + 1}")
    em.faults.add("appear", query="page=2", count=1)
    wanted = {"sortDesc": "CreationTime", "pageSize": 2}
    first, second = (client.query(page=n, **wanted).names for n in (1, 2))
    assert first == ["s3", "s2"]
    assert second == ["s2", "s1"]
    assert client.query(page=1, **wanted).names == ["Appeared", "s3"]


def test_appear_old(em, client):
    em.world.add_session(name="first", creation_time="2026-03-01")
    em.faults.add("appear", old=True, count=2, times=1, name="older")
    assert client.query(sortAsc="CreationTime").names == ["older", "older", "first"]


def test_repeat_page_and_pages_count(em, client):
    for n in range(4):
        em.world.add_session(name=f"s{n}")
    em.faults.add("repeat_page")
    em.faults.add("pages_count", count=99)
    page = client.query(pageSize=2, page=2)
    assert page.names == ["s0", "s1"]
    paging = page.xml.find(f"{NAMESPACE}PagingInfo")
    assert (paging.get("PageNum"), paging.get("PagesCount")) == ("2", "99")


def test_headers_replace_those_of_their_name(em, client):
    em.faults.add("headers", headers={"content-Type": "text/plain", "Set-Cookie": "a=b"}, path=LIST, times=1)
    reply = client.get(LIST)
    assert (reply.status, reply.headers["content-type"], reply.headers["set-cookie"]) == (200, "text/plain", "a=b")
    assert reply.xml.tag == f"{NAMESPACE}EntityReferences"
    assert client.get(LIST).headers["content-type"] != "text/plain"


@pytest.mark.parametrize(
    "rule",
    [
        {"action": "explode"},
        {"action": "status"},
        {"action": "status", "status": 999},
        {"action": "drop", "seconds": 1},
        {"action": "drop", "path": "("},
    ],
)
def test_mistakes_in_rules_are_errors(rule):
    with pytest.raises(ValueError):
        Faults().add(**rule)


def test_faults_of_the_start_come_back_with_reset(connect):
    with Emulator(sessions=0, faults=[{"action": "status", "status": 503, "times": 1}]) as em:
        client = connect(em)
        assert [client.get("/api").status for dummy in range(2)] == [503, 200]
        em.reset()
        assert [client.get("/api").status for dummy in range(2)] == [503, 200]


def test_readme_explains_every_action():
    text = README.read_text(encoding="utf-8")
    assert not [action for action in ACTIONS if f"`{action}`" not in text]
