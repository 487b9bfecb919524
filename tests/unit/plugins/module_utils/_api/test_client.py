# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client: logon, reading, errors, options, signals. Real HTTP against the emulator."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from email.utils import formatdate
from pathlib import Path

import pytest
import yaml
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import client as _client
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import interrupts as _signals
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import transport as _transport
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import Operation
from emulator import Emulator, User

REPO = Path(__file__).resolve().parents[5]
PASSWORD = "Passw0rd!"
SESSIONS = "/api/cloud/failoverSessions"


@pytest.fixture
def pauses(monkeypatch):
    """The pauses between attempts, in seconds, which are not really made."""
    made = []
    monkeypatch.setattr(_client, "_sleep", made.append)
    return made


def read(client):
    return client.get(f"{SESSIONS}?format=Entity", Operation("Read the sessions"))


def requests_of(em, method, path="/api"):
    return [record for record in em.requests if record.method == method and path in record.path]


def test_version_is_that_of_the_collection():
    assert yaml.safe_load(REPO.joinpath("galaxy.yml").read_text(encoding="utf-8"))["version"] == _client.VERSION


# Logon and log off


def test_log_on_read_log_off(em, connect):
    with connect() as client:
        assert em.counters.live_logons == 1
        read(client)
    assert em.counters.live_logons == 0
    log_on, get, log_off = em.requests
    assert (log_on.method, log_on.path, log_on.query, log_on.status) == ("POST", "/api/sessionMngr/", "v=latest", 201)
    assert log_on.headers["content-length"] == "0"
    assert get.headers["accept"] == "application/xml"
    assert "authorization" not in get.headers
    assert (log_off.method, log_off.status) == ("DELETE", 204)
    assert {record.headers["user-agent"] for record in em.requests} == {
        f"dr_runbook.veeam_em/{_client.VERSION} requests/{_transport.requests.__version__}"
    }
    assert {record.headers["accept-encoding"] for record in em.requests} == {"gzip, deflate"}


def test_counters(em, connect):
    em.reset(sessions=3)
    with connect() as client:
        document = read(client)
    assert len(document.items) == 3
    assert client.counters.requests == em.counters.requests == 3
    assert client.counters.bytes == em.counters.bytes_sent


def test_the_log_off_uses_the_id_of_the_logon_and_not_the_token(em, connect):
    with connect():
        pass
    token = requests_of(em, "DELETE")[0].headers["x-restsvcsessionid"]
    assert token not in requests_of(em, "DELETE")[0].path
    assert base64.b64decode(token).decode() in requests_of(em, "DELETE")[0].path


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_log_off_whatever_happens(em, connect, error):
    with pytest.raises(error), connect():
        raise error
    assert em.counters.live_logons == 0


def test_no_cookie_is_ever_sent(em, connect):
    with connect() as client:
        read(client)
        read(client)
    assert not [record for record in em.requests if "cookie" in record.headers]


def test_api_version_is_asked_for(em, connect):
    with connect(api_version="v1_7"):
        pass
    assert em.requests[0].query == "v=v1_7"


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("robot", "Pa:ss:word"),
        ("robot", ' leading and "quotes" '),
        ("robot", "pässwörd-Ω-日本"),
        ("DOMAIN\\robot", "%41&+=#"),
        ("röbot@example.com", "x"),
    ],
)
def test_odd_names_and_passwords(username, password):
    with Emulator(documented=False, sessions=0, users=[User(username, password, "Portal User")]) as em:
        with _client.EnterpriseManager(em.url, username, password) as client:
            assert read(client).items == []
        assert em.counters.live_logons == 0


def test_wrong_password(em, connect):
    with pytest.raises(_client.EmAuthError) as failure, connect(password="Wr0ng-secret"):
        pass
    error = failure.value
    assert (error.kind, error.status) == ("auth", 401)
    assert error.server_message in str(error)
    assert str(error).startswith(
        f"Log on to Veeam Backup Enterprise Manager as reader failed: {em.url[7:]} "
        f"answered with HTTP 401 and the message '{error.server_message}'. Check username"
    )
    assert "Wr0ng-secret" not in str(error)


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (
            {"action": "status", "status": 403, "message": "Access denied"},
            "permission",
            "Access denied.*Check that reader has a role in Enterprise Manager",
        ),
        ({"action": "status", "status": 404}, "protocol", "404.*another service.*9398.*9443.*9419"),
        ({"action": "status", "status": 405}, "protocol", "another service"),
        (
            {"action": "status", "status": 500, "message": "Object reference not set"},
            "server",
            "Object reference.*services",
        ),
        (
            {"action": "status", "status": 400, "message": "Unsupported version"},
            "server",
            "Unsupported version.*api_version",
        ),
        ({"action": "html"}, "protocol", "without the header X-RestSvcSessionId.*another service"),
        ({"action": "reply", "body": "<ok/>"}, "protocol", "without the header"),
        ({"action": "empty"}, "protocol", "without the header"),
        (
            {"action": "redirect", "location": "https://login.example.com/x?y=z"},
            "protocol",
            "https://login.example.com/x;",
        ),
        ({"action": "drop"}, "connection", "broke off"),
    ],
)
def test_a_logon_that_fails(em, connect, fault, kind, words):
    em.faults.add(path="sessionMngr", **fault)
    with pytest.raises(_client.EmError, match=words) as failure, connect():
        pass
    assert failure.value.kind == kind
    assert em.counters.requests == 1


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_logon_that_may_have_happened_is_not_repeated(em, connect, pauses, status):
    em.faults.add("status", status=status, path="sessionMngr")
    with pytest.raises(_client.EmServerError), connect(retries=3):
        pass
    assert (em.counters.requests, pauses) == (1, [])


def test_a_logon_whose_reply_is_lost_is_not_repeated(em, connect, pauses):
    warnings = []
    em.faults.add("drop_after_handling", path="sessionMngr", times=1)
    with pytest.raises(_client.EmConnectionError), connect(retries=3, warn=warnings.append):
        pass
    assert (em.counters.logons, pauses) == (1, [])
    assert "may have made a logon whose reply was lost; the logon ends by itself" in warnings[-1]


def test_a_logon_whose_reply_is_late_is_not_repeated(em, connect, pauses):
    warnings = []
    em.faults.add("slow_headers", seconds=0.5, path="sessionMngr", times=1)
    with pytest.raises(_client.EmTimeoutError), connect(retries=3, timeout=0.2, warn=warnings.append):
        pass
    assert (em.counters.requests, pauses) == (1, [])
    assert "may have made a logon" in warnings[-1]
    wait_for(lambda: em.counters.logons == 1)  # else it would count in the next test


def test_no_logon_is_feared_where_there_was_no_connection(connect, pauses, monkeypatch):
    def stuck(*dummy):
        raise TimeoutError("timed out")

    warnings = []
    monkeypatch.setattr(socket.socket, "connect", stuck)
    with pytest.raises(_client.EmTimeoutError), connect(retries=3, warn=warnings.append):
        pass
    assert pauses == []
    assert [warning for warning in warnings if "clear text" not in warning] == []


def test_a_logon_is_repeated_while_the_service_starts(em, connect, pauses):
    em.faults.add("status", status=503, path="sessionMngr", times=2)
    with connect(retries=3):
        assert em.counters.live_logons == 1
    assert len(pauses) == 2
    em.faults.add("status", status=503, path="sessionMngr")
    pauses.clear()
    with pytest.raises(_client.EmServerError, match="503"), connect(retries=1):
        pass
    assert len(pauses) == 1


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_logon_is_repeated_while_nobody_listens(pauses):
    with pytest.raises(_client.EmConnectionError, match="Connection refused") as failure:
        _client.EnterpriseManager(f"http://127.0.0.1:{free_port()}", "u", "p", retries=2).__enter__()
    assert len(pauses) == 2
    assert (failure.value.kind, failure.value.status, failure.value.server_message) == ("connection", None, None)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ("<LogonSession><SessionId>11111111-aaaa</SessionId></LogonSession>", "/api/logonSessions/11111111-aaaa"),
        (
            '<LogonSession><Links><Link Rel="Delete" Href="http://evil.example/api/logonSessions/7?x=1"/></Links></LogonSession>',
            "/api/logonSessions/7",
        ),
    ],
)
def test_where_to_log_off(em, connect, body, path):
    em.faults.add("reply", path="sessionMngr", status=201, body=body, headers={"X-RestSvcSessionId": "dG9rZW4="})
    with connect():
        pass
    record = requests_of(em, "DELETE")[0]
    assert (record.path, record.headers["x-restsvcsessionid"]) == (path, "dG9rZW4=")


@pytest.mark.parametrize("body", ["", "<LogonSession/>", "no XML"])
def test_a_logon_that_does_not_say_how_to_end_it_is_a_warning(em, connect, body):
    warnings = []
    em.faults.add("reply", path="sessionMngr", status=201, body=body, headers={"X-RestSvcSessionId": "dG9rZW4="})
    with connect(warn=warnings.append):
        pass
    assert requests_of(em, "DELETE") == []
    assert "did not say how to log off" in warnings[-1]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"action": "status", "status": 500}, "HTTP 500"),
        ({"action": "drop"}, "(connection)"),
        ({"action": "status", "status": 403}, "HTTP 403"),
        ({"action": "html"}, "HTTP 200"),  # by another service: EM's own answer is 204
    ],
)
def test_a_log_off_that_fails_is_a_warning(em, connect, fault, words):
    warnings = []
    em.faults.add(method="DELETE", **fault)
    with connect(warn=warnings.append):
        pass
    assert len(warnings) == 2  # the other one is about plain HTTP
    assert "log off" in warnings[-1]
    assert words in warnings[-1]


@pytest.mark.parametrize("fault", [{"action": "status", "status": 503}, {"action": "drop"}, {"action": "html"}])
def test_a_log_off_is_tried_twice(em, connect, fault):
    em.faults.add(method="DELETE", times=1, **fault)
    with connect():
        pass
    assert em.counters.live_logons == 0


def test_a_log_off_with_effect_is_no_warning_whatever_the_answer(em, connect):
    warnings = []
    em.faults.add("expire", method="DELETE", times=1)
    em.faults.add("html", method="DELETE", times=1)
    with connect(warn=warnings.append):
        pass
    assert em.counters.live_logons == 0
    assert len(warnings) == 1


def test_a_log_off_takes_no_longer_than_its_own_limit(em, connect, monkeypatch):
    warnings = []
    monkeypatch.setattr(_client, "LOG_OFF_TIMEOUT", 0.2)
    em.faults.add("slow_headers", seconds=3, method="DELETE")
    start = time.monotonic()
    with connect(warn=warnings.append):
        pass
    em.faults.clear()
    assert time.monotonic() - start < 2
    assert "(timeout)" in warnings[-1]


@pytest.mark.parametrize("fault", [{"action": "cut"}, {"action": "slow_body", "seconds": 1, "chunks": 5}])
def test_a_logon_whose_reply_breaks_off_after_the_token_is_ended(em, connect, fault):
    em.faults.add(path="sessionMngr", **fault)
    with connect(timeout=0.5) as client:
        assert read(client).items == []
    assert (em.counters.logons, em.counters.live_logons) == (1, 0)


@pytest.mark.parametrize("status", [401, 404])
def test_a_logon_that_is_gone_needs_no_log_off(em, connect, status):
    warnings = []
    em.faults.add("status", status=status, method="DELETE")
    with connect(warn=warnings.append):
        pass
    assert len(warnings) == 1


# Reading


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("times", [1, 3])
def test_a_read_is_repeated(em, connect, pauses, status, times):
    em.faults.add("status", status=status, path=SESSIONS, times=times)
    with connect(retries=3) as client:
        assert read(client).items == []
    assert len(pauses) == times
    assert all(0.25 * 2**attempt <= pause <= 0.5 * 2**attempt for attempt, pause in enumerate(pauses))
    assert em.counters.requests == client.counters.requests == 3 + times


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_read_that_keeps_failing(em, connect, pauses, status):
    em.faults.add("status", status=status, path=SESSIONS, message="Half started")
    with (
        pytest.raises(
            _client.EmServerError,
            match=rf"^Read the sessions \(attempt 3 of 3\) failed: .*{status} and the message 'Half started'",
        ) as failure,
        connect(retries=2) as client,
    ):
        read(client)
    assert (failure.value.kind, failure.value.status, failure.value.server_message) == (
        "server",
        status,
        "Half started",
    )
    assert len(pauses) == 2
    assert em.counters.live_logons == 0


@pytest.mark.parametrize("action", ["drop", "cut"])
def test_a_read_that_breaks_off_is_repeated(em, connect, pauses, action):
    em.reset(sessions=20)
    em.faults.add(action, path=SESSIONS, times=2)
    with connect(retries=2) as client:
        assert len(read(client).items) == 20
    em.faults.add(action, path=SESSIONS)
    with pytest.raises(_client.EmConnectionError, match="broke off"), connect(retries=1) as client:
        read(client)
    assert em.counters.live_logons == 0


def test_a_time_out_is_repeated(em, connect, pauses):
    em.faults.add("slow_headers", seconds=2, path=SESSIONS, times=1)
    with connect(timeout=0.5, retries=1) as client:
        assert read(client).items == []
    assert len(pauses) == 1


@pytest.mark.parametrize("status", [400, 405, 501])
def test_other_errors_are_not_repeated(em, connect, pauses, status):
    em.faults.add("status", status=status, path=SESSIONS)
    with pytest.raises(_client.EmServerError, match="^Read the sessions failed"), connect(retries=3) as client:
        read(client)
    assert pauses == []


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (404, ""),
        (500, "There is no cloud failover session with id [x]"),
        (400, "Session not found"),
        (500, "The object does not exist"),
        (500, "Cannot find the session"),
    ],
)
def test_not_found(em, connect, pauses, status, message):
    em.faults.add("status", status=status, message=message, path=SESSIONS)
    with pytest.raises(_client.EmNotFoundError) as failure, connect(retries=3) as client:
        read(client)
    assert (failure.value.kind, pauses) == ("not_found", [])


def test_what_is_asked_for_makes_a_text_that_names_it_one_of_an_unknown_object(em, connect):
    em.faults.add("status", status=500, message="Unknown: 4711", path=SESSIONS)
    with connect() as client:
        with pytest.raises(_client.EmServerError):
            client.get(SESSIONS, Operation("Read"))
        with pytest.raises(_client.EmNotFoundError):
            client.get(SESSIONS, Operation("Read"), about="4711")


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_that_was_not_found_is_not_an_unknown_object(em, connect, pauses, status):
    em.faults.add("status", status=status, message="The server was not found or was not accessible", path=SESSIONS)
    with pytest.raises(_client.EmServerError), connect(retries=1) as client:
        read(client)
    assert len(pauses) == 1


def test_a_session_not_found_with_503_is_not_an_unknown_object(em, connect, pauses):
    em.faults.add("status", status=503, message="Session not found", path=SESSIONS)
    with pytest.raises(_client.EmServerError), connect() as client:
        read(client)


@pytest.mark.parametrize(
    ("said", "about", "absent"),
    [
        ("Unknown: ABC", "abc", True),
        ("abc: NO such thing", "abc", True),
        ("There is not an abc", "abc", True),
        ("abc is locked", "abc", False),
        ("Nothing of abc is known", "abc", False),
        ("Session not found", "abc", True),
        ("Server not found", "abc", False),
        ("Server not found", None, False),
        ("x" * _client.MAX_SCANNED + " abc not found", "abc", False),  # nobody says it so late
    ],
)
def test_what_says_that_an_object_is_absent(said, about, absent):
    assert _client._says_absent(said, about) is absent


def test_permission(em, connect):
    with (
        pytest.raises(
            _client.EmPermissionError, match="Check that restricted has the role Portal Administrator"
        ) as failure,
        connect(username="restricted") as client,
    ):
        read(client)
    assert (failure.value.kind, failure.value.status) == ("permission", 403)
    assert failure.value.server_message in str(failure.value)
    assert em.counters.live_logons == 0


@pytest.mark.parametrize("error_body", ["xml", "json", "html", "text", "empty"])
def test_an_error_in_any_format(em, connect, error_body):
    em.behaviour.error_body = error_body
    em.faults.add("status", status=400, message="Wrong filter", path=SESSIONS)
    with pytest.raises(_client.EmServerError, match="HTTP 400") as failure, connect() as client:
        read(client)
    said = {"html": 'a web page: "Bad Request"', "empty": None}.get(error_body, "Wrong filter")
    assert failure.value.server_message == said


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"action": "html"}, 'a web page: "Sign in"'),
        ({"action": "empty"}, "it is empty"),
        ({"action": "garbage"}, "not well-formed"),
        ({"action": "cut_xml"}, "not well-formed"),
        ({"action": "reply", "body": '{"Refs": []}', "content_type": "application/json"}, "it is JSON"),
        ({"action": "reply", "body": '<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'}, "DTD"),
        ({"action": "reply", "body": "<Error Message='In a good reply'/>"}, "In a good reply"),
    ],
)
def test_a_reply_that_is_not_ems(em, connect, fault, words):
    em.faults.add(path=SESSIONS, **fault)
    with pytest.raises(_client.EmProtocolError, match=words) as failure, connect(retries=3) as client:
        read(client)
    assert (failure.value.kind, failure.value.status, failure.value.server_message) == ("protocol", 200, None)
    assert "another service" in str(failure.value)


def test_no_redirect_is_followed(em, connect):
    with Emulator(documented=False, sessions=0) as other:
        em.faults.add("redirect", location=f"{other.url}/api/x?token=secret", path=SESSIONS)
        with pytest.raises(_client.EmProtocolError, match="redirects are not followed") as failure, connect() as client:
            read(client)
        assert "token=secret" not in str(failure.value)
        assert other.counters.requests == 0


@pytest.mark.parametrize("status", [300, 308])
@pytest.mark.parametrize("path", ["sessionMngr", SESSIONS])
def test_each_status_of_a_redirect_is_one(em, connect, status, path):
    body = "<Error Message='Moved'/>"
    em.faults.add("reply", path=path, status=status, body=body)
    with (
        pytest.raises(_client.EmProtocolError, match=r"points to nowhere;.*as url\. \(http") as failure,
        connect() as client,
    ):
        read(client)
    assert failure.value.server_message == "Moved"
    assert "Moved" not in str(failure.value)


def test_a_redirect_to_nowhere_that_can_be_read(em, connect):
    em.faults.add("redirect", location="https://[bad/x", path=SESSIONS)
    with pytest.raises(_client.EmProtocolError, match="points to nowhere;"), connect() as client:
        read(client)


@pytest.mark.parametrize("location", ["/login", ""])
def test_a_redirect_within_the_host(em, connect, location):
    em.faults.add("redirect", location=location, path=SESSIONS)
    with pytest.raises(_client.EmProtocolError, match=f"points to {location or 'nowhere'};"), connect() as client:
        read(client)


@pytest.mark.parametrize(
    ("link", "path"),
    [
        ("https://evil.example/api/x?a=1&b=2", "/api/x?a=1&b=2"),
        ("http://em-internal:9399/api/x", "/api/x"),
        ("/api/x?y", "/api/x?y"),
        ("//evil.example/api/x", "/api/x"),
        ("ftp://evil.example//api/x", "/api/x"),
        ("file:///etc/passwd", "/etc/passwd"),
    ],
)
def test_a_link_never_leads_to_another_host(em, connect, link, path):
    client = connect()
    assert client.on_base_url(link) == em.url + path


# A logon that ends too early


def test_one_new_logon_when_the_old_one_has_expired(em, connect):
    with connect() as client:
        read(client)
        em.expire_logons()
        assert read(client).items == []
    assert (em.counters.logons, em.counters.live_logons) == (2, 0)


def test_idle_expiry(em, connect):
    with connect() as client:
        read(client)
        em.clock.advance(16 * 60)
        assert read(client).items == []
    assert (em.counters.logons, em.counters.live_logons) == (2, 0)


def test_a_logon_that_was_refused_but_lives_is_ended_too(em, connect):
    em.faults.add("unauthorized", path=SESSIONS, times=1)
    with connect() as client:
        assert read(client).items == []
    assert (em.counters.logons, em.counters.max_live_logons, em.counters.live_logons) == (2, 2, 0)
    first, second = (_client._guid_in(record.headers["x-restsvcsessionid"]) for record in requests_of(em, "GET"))
    ended = [record.path.rpartition("/")[2] for record in requests_of(em, "DELETE")]
    assert ended == [first, second]  # the older one while the newer token is good


def test_only_one_new_logon_for_one_read(em, connect):
    em.faults.add("unauthorized", path=SESSIONS)
    with pytest.raises(_client.EmAuthError, match="the new one too") as failure, connect() as client:
        read(client)
    assert failure.value.kind == "auth"
    assert (em.counters.logons, em.counters.live_logons) == (2, 0)


def test_a_password_that_changed_meanwhile(em, connect):
    em.faults.add("status", status=401, path="sessionMngr", after=1)
    with pytest.raises(_client.EmAuthError, match="Log on"), connect() as client:
        em.expire_logons()
        read(client)


# Waiting


def test_retry_after_in_seconds(em, connect, pauses):
    em.faults.add("status", status=503, headers={"Retry-After": "7"}, path=SESSIONS, times=1)
    with connect(retries=1) as client:
        read(client)
    assert pauses == [7.0]


def test_retry_after_as_long_as_the_longest_wait(em, connect, pauses):
    em.faults.add("status", status=503, headers={"Retry-After": "60"}, path=SESSIONS, times=1)
    with connect(retries=1) as client:
        read(client)
    assert pauses == [_client.LONGEST_WAIT]


def test_retry_after_below_the_pause_of_our_own(em, connect, pauses):
    em.faults.add("status", status=503, headers={"Retry-After": "0"}, path=SESSIONS, times=1)
    with connect(retries=1) as client:
        read(client)
    assert 0.25 <= pauses[0] <= 0.5


def test_em_says_how_late_it_is(em, connect):
    em.clock.advance(-86400)
    with connect() as client:
        late = em.clock.now().replace(tzinfo=None) - client.logon_time
        assert -1 < late.total_seconds() < 10


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mon, 02 Mar 2026 08:00:00 GMT", "2026-03-02T08:00:00"),
        ("Mon, 02 Mar 2026 08:00:00 +0100", "2026-03-02T07:00:00"),
        ("Thu, 01 Jan 1970 00:00:00 GMT", None),
        ("Mon, 02 Mar 2026 08:00:00 +9999999999", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_dates_in_headers(text, expected):
    when = _client._http_date(text)
    assert (when and when.isoformat()) == expected


def test_retry_after_as_a_date(em, connect, pauses):
    em.faults.add(
        "status", status=503, headers={"Retry-After": formatdate(time.time() + 20, usegmt=True)}, path=SESSIONS, times=1
    )
    with connect(retries=1) as client:
        read(client)
    assert 15 < pauses[0] <= 20


@pytest.mark.parametrize("value", ["soon", "", "-1", "\u00b2", formatdate(0, usegmt=True)])
def test_retry_after_without_meaning(em, connect, pauses, value):
    em.faults.add("status", status=503, headers={"Retry-After": value}, path=SESSIONS, times=1)
    with connect(retries=1) as client:
        read(client)
    assert 0.25 <= pauses[0] <= 0.5


def test_retry_after_that_is_too_long_is_said_at_once(em, connect, pauses):
    em.faults.add("status", status=503, headers={"Retry-After": "3600"}, path=SESSIONS)
    with pytest.raises(_client.EmServerError, match="come back in 3600 seconds"), connect(retries=3) as client:
        read(client)
    assert pauses == []


@pytest.mark.parametrize(
    ("value", "number"),
    [("7", 7), (" 7 ", 7), ("9" * 5000, 10**18 - 1), ("", None), (None, None), ("7.5", None), ("\u00b2", None)],
)
def test_a_number_in_a_header(value, number):
    assert _transport.decimal(value) == number


def test_pauses_never_pass_the_longest(monkeypatch, pauses, connect):
    monkeypatch.setattr(_client.random, "uniform", lambda low, high: high)
    client = connect()
    for attempt in (0, 1, 2, 50):
        client._wait(attempt, None)
    assert pauses == [0.5, 1.0, 2.0, _client.LONGEST_WAIT]


def test_a_pause_of_somebody_else_may_end_the_work(em, connect, pauses):
    class Enough(Exception):
        pass

    asked = []

    def pause(seconds):
        asked.append(seconds)
        if len(asked) == 2:
            raise Enough

    em.faults.add("status", status=503, path=SESSIONS)
    with pytest.raises(Enough), connect(retries=9, pause=pause) as client:
        read(client)
    assert len(asked) == 2 and pauses == []
    assert em.counters.live_logons == 0


def test_the_pause_is_real(monkeypatch):
    slept = []
    monkeypatch.setattr(_client.time, "sleep", slept.append)
    _client._sleep(1.5)
    assert slept == [1.5]


@pytest.mark.parametrize("token", ["bm8gZ3VpZA==", "not base64", "77+977+9", "475420ee-d045-4493-9869-0a970e08f6f9"])
def test_a_token_in_which_there_is_no_guid(token):
    assert _client._guid_in(token) is None


def test_a_token_of_base64_and_other_characters_holds_no_guid():
    guid = "475420ee-d045-4493-9869-0a970e08f6f9"
    token = base64.b64encode(guid.encode()).decode()
    assert _client._guid_in(token) == guid
    assert _client._guid_in(f"{token[:8]}!{token[8:]}") is None


# Options


def test_plain_http_is_warned_about(em):
    warnings = []
    _client.EnterpriseManager(em.url, "reader", PASSWORD, warn=warnings.append)
    assert f"clear text to {em.url}: use https." in warnings[0]
    _client.EnterpriseManager("https://em.example.com", "reader", PASSWORD, warn=warnings.append)
    assert len(warnings) == 1


def test_a_password_behind_the_user_name_is_not_shown():
    with pytest.raises(_client.OptionError, match="username: 'admin'") as refusal:
        _client.EnterpriseManager("https://em.example.com", "admin:S3cret", "p")
    assert "S3cret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("https://em.example.com:9398", "https://em.example.com:9398"),
        ("https://em.example.com:9398/", "https://em.example.com:9398"),
        ("https://em.example.com:9398/api", "https://em.example.com:9398"),
        ("https://em.example.com:9398/api/", "https://em.example.com:9398"),
        (" https://EM.example.com ", "https://em.example.com"),
        ("http://10.0.0.1:9399", "http://10.0.0.1:9399"),
        ("https://[fe80::1]:9398/api", "https://[fe80::1]:9398"),
    ],
)
def test_url(given, base):
    assert _client.EnterpriseManager(given, "u", "p").base_url == base


@pytest.mark.parametrize(
    "given",
    [
        "ftp://em.example.com",
        "em.example.com:9398",
        "em.example.com",
        "",
        "https://",
        "https://em:port",
        "https://em:99999",
        "https://em.example.com/veeam",
        "https://em.example.com/api?v=1",
        "https://em.example.com#x",
        "https://em .example.com",
        "https://em..example.com",
        f"https://{'a' * 64}.example.com",
        "https://[fe80::1",
        "file:///etc/passwd",
    ],
)
def test_other_urls_are_refused(given):
    with pytest.raises(_client.OptionError, match="^url: .*https://em.example.com:9398") as refusal:
        _client.EnterpriseManager(given, "u", "p")
    assert refusal.value.option == "url"


@pytest.mark.parametrize(
    "url",
    [
        "https://bob:s3cret@em.example.com:9398",
        "https://bob:s3/cret@em.example.com:9398",
        "https://bob:s3cret@em.example.com:99999",
        "https://bob:s3@cret@[em",
        "bob:s3cret@em.example.com:9398",
    ],
)
def test_a_password_in_the_url_is_refused_and_not_shown(url):
    with pytest.raises(_client.OptionError, match="username and password") as refusal:
        _client.EnterpriseManager(url, "u", "p")
    assert "bob" not in str(refusal.value)
    assert "cret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("username", ""),
        ("username", "a:b"),
        ("password", ""),
        ("timeout", 0),
        ("timeout", -1),
        ("timeout", _client.LONGEST_TIMEOUT + 1),
        ("timeout", 99999999999),
        ("retries", -1),
        ("api_version", "1.7"),
        ("api_version", "v1_7&x=y"),
        ("ca_path", "/no/such/file"),
        ("ca_path", __file__),
    ],
)
def test_other_options_are_checked(option, value):
    with pytest.raises(_client.OptionError, match=f"^{option}: ") as refusal:
        _client.EnterpriseManager(**{"url": "https://em.example.com", "username": "u", "password": "p", option: value})
    assert refusal.value.option == option


def test_the_outermost_values_of_options():
    client = _client.EnterpriseManager("https://em", "u", "p", timeout=_client.LONGEST_TIMEOUT, retries=0)
    assert (client.timeout, client.retries) == (_client.LONGEST_TIMEOUT, 0)
    assert _client.EnterpriseManager("https://em", "u", "p", timeout=0.5).timeout == 0.5


def test_defaults_of_options():
    client = _client.EnterpriseManager("https://em", "u", "p")
    assert (client.timeout, client.retries, client.api_version, client._transport._verify) == (30, 3, "latest", True)
    assert client.idle is False


@pytest.mark.parametrize("given", ["~/ca.pem", "$FOLDER/ca.pem"])
def test_home_and_variables_in_ca_path(monkeypatch, tmp_path, tls_emulator, given):
    Path(tmp_path, "ca.pem").write_bytes(Path(tls_emulator.ca_path).read_bytes())
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FOLDER", str(tmp_path))
    client = _client.EnterpriseManager("https://em", "u", "p", ca_path=given)
    assert client._transport._verify == str(tmp_path / "ca.pem")


def test_an_empty_ca_path_is_none():
    assert _client.EnterpriseManager("https://em.example.com", "u", "p", ca_path="")._transport._verify is True


def test_no_verification_in_spite_of_a_ca_path(tmp_path):
    client = _client.EnterpriseManager("https://em.example.com", "u", "p", validate_certs=False, ca_path=str(tmp_path))
    assert client._transport._verify is False


def test_ca_path_may_be_a_folder(tmp_path):
    _client.EnterpriseManager("https://em.example.com", "u", "p", ca_path=str(tmp_path))


# Signals

SCRIPT = """
import sys, time, types, importlib, logging, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
sys.path.insert(0, {tests!r})
package = types.ModuleType("core")
package.__path__ = [{core!r}]
sys.modules["core"] = package
client = importlib.import_module("core._api.client")
logging.disable(logging.CRITICAL)
try:
    with client.EnterpriseManager({url!r}, "reader", "Passw0rd!", timeout=20) as em:
        print("on", flush=True)
        errors = importlib.import_module("core._api.errors")
        em.get("/api/cloud/failoverSessions?format=Entity", errors.Operation("Read"))
        time.sleep(20)
except KeyboardInterrupt as exc:
    print(exc, flush=True)
    default = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL and signal.getsignal(signal.SIGINT) == signal.default_int_handler
    sys.exit(130 if default else 1)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("when", ["reading", "between"])
def test_a_signal_logs_off(em, number, when):
    """Also shows that the core loads without Ansible, as a package of any name."""
    if when == "reading":
        em.faults.add("slow_headers", seconds=15, path=SESSIONS)
    core = REPO / "plugins" / "module_utils"
    script = textwrap.dedent(SCRIPT).format(tests=str(REPO / "tests"), core=str(core), url=em.url)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "on\n"
        wait_for(lambda: requests_of(em, "GET"))
        time.sleep(0.1)
        start = time.monotonic()
        process.send_signal(number)
        said = process.stdout.readline()
        process.wait(10)
    assert signal.Signals(number).name in said
    assert process.returncode == 130
    assert time.monotonic() - start < 3
    wait_for(lambda: em.counters.live_logons == 0)
    em.faults.clear()


def wait_for(condition):
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_signal_during_the_logon_waits_for_its_reply(em, connect):
    em.faults.add("slow_headers", seconds=0.5, path="sessionMngr")
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
    with pytest.raises(_signals.Interrupted, match="SIGTERM"), connect():
        raise AssertionError("entered")
    assert (em.counters.logons, em.counters.live_logons) == (1, 0)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_second_signal_does_not_wait():
    with Emulator(documented=False, sessions=0) as em:  # of its own, since this leaves a logon behind
        em.faults.add("slow_headers", seconds=3, path="sessionMngr")
        for delay in (0.2, 1.4):
            threading.Timer(delay, os.kill, (os.getpid(), signal.SIGTERM)).start()
        start = time.monotonic()
        with (
            pytest.raises(_signals.Interrupted, match="may be left open"),
            _client.EnterpriseManager(em.url, "reader", PASSWORD),
        ):
            raise AssertionError("entered")
        assert time.monotonic() - start < 2.5


def test_signals_at_once_are_one_interruption(em, connect):
    """ansible-core 2.21 sends its workers SIGINT and, some milliseconds later, SIGTERM."""
    em.faults.add("slow_headers", seconds=0.3, method="DELETE")
    with pytest.raises(_signals.Interrupted, match="SIGINT.*no logon is left open"), connect():
        for delay, number in ((0, signal.SIGINT), (0.05, signal.SIGTERM), (0.1, signal.SIGTERM)):
            threading.Timer(delay, os.kill, (os.getpid(), number)).start()
        time.sleep(2)
    assert (em.counters.logons, em.counters.live_logons) == (1, 0)


def test_handlers_of_others_get_their_signal_after_the_log_off(em, connect):
    live = []

    def mine(number, frame):
        live.append(em.counters.live_logons)

    before = signal.signal(signal.SIGTERM, mine)
    try:
        with pytest.raises(_signals.Interrupted), connect():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
        assert live == [0]
        with connect():
            pass
        assert signal.getsignal(signal.SIGTERM) is mine
        assert live == [0]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_signal_that_is_ignored_stays_ignored(em, connect):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with connect() as client:
            os.kill(os.getpid(), signal.SIGHUP)
            read(client)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_ends_a_logon_that_is_kept_and_then_has_its_usual_effect(em, connect):
    said = []
    client = connect(warn=said.append)
    client.__enter__()
    client.idle = True
    said.clear()
    em.faults.add("status", status=500, method="DELETE", times=1)
    with pytest.raises(KeyboardInterrupt) as caught:  # and no Interrupted: nothing of ours was interrupted
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
    assert caught.type is KeyboardInterrupt
    assert em.counters.live_logons == 0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert said == []  # what prints it may be what the signal has stopped
    client.__exit__()  # ended already


def test_a_signal_that_ends_a_logon_in_vain_says_nothing_either(em, connect):
    said = []
    client = connect(warn=said.append)
    client.__enter__()
    client.idle = True
    said.clear()
    em.faults.add("status", status=500, method="DELETE")
    with pytest.raises(KeyboardInterrupt) as caught:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
    assert caught.type is KeyboardInterrupt
    assert caught.value.__context__ is None
    assert said == []


def test_a_client_that_moves_to_another_thread_leaves_signals_alone(em, connect):
    client = connect(timeout=5)
    armed = []

    def work():
        get = client._transport._http.request
        client._transport._http.request = lambda *args, **more: (
            armed.append(signal.getitimer(signal.ITIMER_REAL)),
            get(*args, **more),
        )[1]
        read(client)
        client.__exit__()

    client.__enter__()
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert armed == [(0.0, 0.0), (0.0, 0.0)]
        assert em.counters.live_logons == 0
    finally:
        client._signals.restore()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_between_requests_the_alarm_is_free_for_others(em, connect):
    with connect() as client:
        assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL
        read(client)
        assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL


def test_a_client_within_another_has_its_deadline_too(em, connect, dripping):
    with connect(), dripping(4) as url:
        start = time.monotonic()
        with pytest.raises(_client.EmTimeoutError):
            _client.EnterpriseManager(url, "u", "p", timeout=0.5).__enter__()
        assert time.monotonic() - start < 1.5
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL


def test_an_alarm_that_rings_while_it_is_switched_off_does_no_harm():
    signals = _signals.Signals(lambda: None)
    with signals.deadline(0.05):
        signals._armed = False  # as at the end of the block
        time.sleep(0.1)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL


def test_an_interruption_does_not_touch_the_timer_of_others(em, connect):
    def mine(number, frame):
        """A handler that the embedding program has set."""

    before = signal.signal(signal.SIGALRM, mine)
    signal.setitimer(signal.ITIMER_REAL, 600)
    em.faults.add("slow_headers", seconds=0.5, path="sessionMngr")
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
    try:
        with pytest.raises(_signals.Interrupted), connect():
            raise AssertionError("entered")
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 500
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_other_threads_take_no_signals(em, connect):
    seen = []

    def work():
        with connect():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]
    assert em.counters.live_logons == 0
