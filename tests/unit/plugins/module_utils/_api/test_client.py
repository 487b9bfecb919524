# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client: logon, reading, errors, options, signals. Real HTTP against the emulator."""

from __future__ import annotations

import base64
import re
import socket
import time
from email.utils import formatdate
from pathlib import Path

import programs
import pytest
import yaml
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import client as _client
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import transport as _transport
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import EmPermissionError, Operation
from emulator import Emulator, User

REPO = Path(__file__).resolve().parents[5]
PASSWORD = "Passw0rd!"
SESSIONS = "/api/cloud/failoverSessions"
NAMESPACE = 'xmlns="http://www.veeam.com/ent/v1.0"'


@pytest.fixture
def recorded_sleeps(monkeypatch):
    """The pauses between attempts, in seconds, which are not really made."""
    made = []
    monkeypatch.setattr(_client, "_sleep", made.append)
    return made


def read(client):
    return client.get(f"{SESSIONS}?format=Entity", Operation("Read the sessions"))


def requests_of(em, method, path="/api"):
    return [record for record in em.requests if record.method == method and path in record.path]


def wait_for(condition):
    deadline = time.monotonic() + programs.TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


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
        ({"action": "reply", "status": 404, "body": "<html>"}, "protocol", "404.*Another service.*9398.*9443.*9419"),
        ({"action": "reply", "status": 405, "body": ""}, "protocol", "Another service"),
        ({"action": "reply", "status": 400, "body": '{"errorCode": "x"}'}, "protocol", "Another service"),
        (
            {"action": "status", "status": 404, "message": "No such version"},
            "protocol",
            "No such version.*no proxy changes",
        ),
        (
            {"action": "reply", "status": 201, "body": f"<LogonSession {NAMESPACE}/>"},
            "protocol",
            "without the header.*no proxy changes",
        ),
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
        ({"action": "html"}, "protocol", "without the header X-RestSvcSessionId.*Another service"),
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
def test_a_logon_that_may_have_happened_is_not_repeated(em, connect, recorded_sleeps, status):
    em.faults.add("status", status=status, path="sessionMngr")
    with pytest.raises(_client.EmServerError), connect(retries=3):
        pass
    assert (em.counters.requests, recorded_sleeps) == (1, [])


def test_a_logon_whose_reply_is_lost_is_not_repeated(em, connect, recorded_sleeps):
    warnings = []
    em.faults.add("drop_after_handling", path="sessionMngr", times=1)
    with pytest.raises(_client.EmConnectionError), connect(retries=3, warn=warnings.append):
        pass
    assert (em.counters.logons, recorded_sleeps) == (1, [])
    assert "may have opened a logon session although its reply was lost; it will expire when idle" in warnings[-1]


def test_a_logon_whose_reply_is_late_is_not_repeated(em, connect, recorded_sleeps):
    warnings = []
    em.faults.add("slow_headers", seconds=0.5, path="sessionMngr", times=1)
    with pytest.raises(_client.EmTimeoutError), connect(retries=3, timeout=0.2, warn=warnings.append):
        pass
    wait_for(lambda: em.counters.logons == 1)  # else it would count in the next test
    assert (em.counters.requests, recorded_sleeps) == (1, [])
    assert "may have opened a logon session" in warnings[-1]


def test_no_logon_is_feared_where_there_was_no_connection(connect, recorded_sleeps, monkeypatch):
    def stuck(*dummy):
        raise TimeoutError("timed out")

    warnings = []
    monkeypatch.setattr(socket.socket, "connect", stuck)
    with pytest.raises(_client.EmTimeoutError), connect(retries=3, warn=warnings.append):
        pass
    assert recorded_sleeps == []
    assert [warning for warning in warnings if "clear text" not in warning] == []


def test_a_logon_is_repeated_while_the_service_starts(em, connect, recorded_sleeps):
    em.faults.add("status", status=503, path="sessionMngr", times=2)
    with connect(retries=3):
        assert em.counters.live_logons == 1
    assert len(recorded_sleeps) == 2
    em.faults.add("status", status=503, path="sessionMngr")
    recorded_sleeps.clear()
    with pytest.raises(_client.EmServerError, match="503"), connect(retries=1):
        pass
    assert len(recorded_sleeps) == 1


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_logon_is_repeated_while_nobody_listens(recorded_sleeps):
    with pytest.raises(_client.EmConnectionError, match="Connection refused") as failure:
        _client.EnterpriseManager(f"http://127.0.0.1:{free_port()}", "u", "p", retries=2).__enter__()
    assert len(recorded_sleeps) == 2
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
    with connect(warn=warnings.append):
        pass
    em.faults.clear()
    assert "(timeout)" in warnings[-1]


@pytest.mark.parametrize("fault", [{"action": "cut"}, {"action": "slow_body", "seconds": 4, "chunks": 5}])
def test_a_logon_whose_reply_breaks_off_after_the_token_is_ended(em, connect, unhurried, fault):
    em.faults.add(path="sessionMngr", **fault)
    with connect(timeout=2) as client:
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
def test_a_read_is_repeated(em, connect, recorded_sleeps, status, times):
    em.faults.add("status", status=status, path=SESSIONS, times=times)
    with connect(retries=3) as client:
        assert read(client).items == []
    assert len(recorded_sleeps) == times
    assert all(0.25 * 2**attempt <= pause <= 0.5 * 2**attempt for attempt, pause in enumerate(recorded_sleeps))
    assert em.counters.requests == client.counters.requests == 3 + times


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_read_that_keeps_failing(em, connect, recorded_sleeps, status):
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
    assert len(recorded_sleeps) == 2
    assert em.counters.live_logons == 0


@pytest.mark.parametrize("action", ["drop", "cut"])
def test_a_read_that_breaks_off_is_repeated(em, connect, recorded_sleeps, action):
    em.reset(sessions=20)
    em.faults.add(action, path=SESSIONS, times=2)
    with connect(retries=2) as client:
        assert len(read(client).items) == 20
    em.faults.add(action, path=SESSIONS)
    with pytest.raises(_client.EmConnectionError, match="broke off"), connect(retries=1) as client:
        read(client)
    assert em.counters.live_logons == 0


def test_a_time_out_is_repeated(em, connect, recorded_sleeps):
    em.faults.add("slow_headers", seconds=6, path=SESSIONS, times=1)
    with connect(retries=1) as client:
        client.timeout = 2  # not for the logon; more than a busy machine needs to answer
        assert read(client).items == []
    assert len(recorded_sleeps) == 1


@pytest.mark.parametrize("status", [400, 405, 501])
def test_other_errors_are_not_repeated(em, connect, recorded_sleeps, status):
    em.faults.add("status", status=status, path=SESSIONS)
    with pytest.raises(_client.EmServerError, match="^Read the sessions failed"), connect(retries=3) as client:
        read(client)
    assert recorded_sleeps == []


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
def test_not_found(em, connect, recorded_sleeps, status, message):
    em.faults.add("status", status=status, message=message, path=SESSIONS)
    with pytest.raises(_client.EmNotFoundError) as failure, connect(retries=3) as client:
        read(client)
    assert (failure.value.kind, recorded_sleeps) == ("not_found", [])


def test_what_is_asked_for_makes_a_text_that_names_it_one_of_an_unknown_object(em, connect):
    em.faults.add("status", status=500, message="Unknown: 4711", path=SESSIONS)
    with connect() as client:
        with pytest.raises(_client.EmServerError):
            client.get(SESSIONS, Operation("Read"))
        with pytest.raises(_client.EmNotFoundError):
            client.get(SESSIONS, Operation("Read"), about="4711")


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_that_was_not_found_is_not_an_unknown_object(em, connect, recorded_sleeps, status):
    em.faults.add("status", status=status, message="The server was not found or was not accessible", path=SESSIONS)
    with pytest.raises(_client.EmServerError), connect(retries=1) as client:
        read(client)
    assert len(recorded_sleeps) == 1


def test_a_session_not_found_with_503_is_not_an_unknown_object(em, connect, recorded_sleeps):
    em.faults.add("status", status=503, message="Session not found", path=SESSIONS)
    with pytest.raises(_client.EmServerError), connect() as client:
        read(client)


def test_permission(em, connect):
    with (
        pytest.raises(EmPermissionError, match="Check that restricted has the role Portal Administrator") as failure,
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
    assert "Another service" in str(failure.value)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (f"<EntityReferences {NAMESPACE}><Ref", "not well-formed"),
        (
            f"<v:EntityReferences {NAMESPACE.replace('xmlns', 'xmlns:v')}>&nbsp;</v:EntityReferences>",
            "undefined entity",
        ),
        (f"<!DOCTYPE x><EntityReferences {NAMESPACE}/>", "DTD"),
        (f"<Error {NAMESPACE} Message='In a good reply'/>", "In a good reply"),
        (f"<QueryResult {NAMESPACE}/>", "without a result"),
        (f"<EntityReferences {NAMESPACE}><Ref/></EntityReferences>", "a Ref without content"),
        (f"<x>{'<y>' * 200}<z {NAMESPACE}/>{'</y>' * 200}</x>", "levels deep"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_of_em_that_cannot_be_used_does_not_speak_against_host_and_port(em, connect, encoding, body, words):
    em.faults.add("reply", path=SESSIONS, body=body.encode(encoding))
    with pytest.raises(_client.EmProtocolError, match=words) as failure, connect() as client:
        read(client)
    assert "Check that the version of Enterprise Manager is supported" in str(failure.value)
    assert not re.search("Another service|host|port of url|url is", str(failure.value))


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
        pytest.raises(
            _client.EmProtocolError, match=r"points to nowhere;.*as url, commonly https://127.0.0.1:9398\. \(http"
        ) as failure,
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


def test_retry_after_in_seconds(em, connect, recorded_sleeps):
    em.faults.add("status", status=503, headers={"Retry-After": "7"}, path=SESSIONS, times=1)
    with connect(retries=1) as client:
        read(client)
    assert recorded_sleeps == [7.0]


def test_retry_after_as_long_as_the_longest_wait(em, connect, recorded_sleeps):
    em.faults.add("status", status=503, headers={"Retry-After": "60"}, path=SESSIONS, times=1)
    with connect(retries=1) as client:
        read(client)
    assert recorded_sleeps == [_client.MAX_WAIT]


def test_retry_after_below_the_pause_of_our_own(em, connect, recorded_sleeps):
    em.faults.add("status", status=503, headers={"Retry-After": "0"}, path=SESSIONS, times=1)
    with connect(retries=1) as client:
        read(client)
    assert 0.25 <= recorded_sleeps[0] <= 0.5


def test_em_says_how_late_it_is(em, connect):
    def now():
        return em.clock.now().replace(microsecond=0, tzinfo=None)

    em.clock.advance(-86400)
    before = now()
    with connect() as client:
        assert before <= client.server_time <= now()
        em.clock.advance(-86400)
        before = now()
        read(client)
        assert before <= client.server_time <= now()
        em.behaviour.date_offset = None
        read(client)
        assert client.server_time is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mon, 02 Mar 2026 08:00:00 GMT", "2026-03-02T08:00:00"),
        ("Mon, 02 Mar 2026 08:00:00 +0100", "2026-03-02T07:00:00"),
        ("Mon, 02 Mar 2026 08:00:00 +9999999999", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_dates_in_headers(text, expected):
    when = _client._http_date(text)
    assert (when and when.isoformat()) == expected


def test_retry_after_as_a_date(em, connect, recorded_sleeps):
    em.faults.add(
        "status", status=503, headers={"Retry-After": formatdate(time.time() + 20, usegmt=True)}, path=SESSIONS, times=1
    )
    with connect(retries=1) as client:
        read(client)
    assert 15 < recorded_sleeps[0] <= 20


@pytest.mark.parametrize("value", ["soon", "", "-1", "\u00b2", formatdate(0, usegmt=True)])
def test_retry_after_without_meaning(em, connect, recorded_sleeps, value):
    em.faults.add("status", status=503, headers={"Retry-After": value}, path=SESSIONS, times=1)
    with connect(retries=1) as client:
        read(client)
    assert 0.25 <= recorded_sleeps[0] <= 0.5


def test_retry_after_that_is_too_long_is_said_at_once(em, connect, recorded_sleeps):
    em.faults.add("status", status=503, headers={"Retry-After": "3600"}, path=SESSIONS)
    with pytest.raises(_client.EmServerError, match="come back in 3600 seconds"), connect(retries=3) as client:
        read(client)
    assert recorded_sleeps == []


def test_pauses_never_pass_the_longest(monkeypatch, recorded_sleeps, connect):
    monkeypatch.setattr(_client.random, "uniform", lambda low, high: high)
    client = connect()
    for attempt in (0, 1, 2, 50):
        client._backoff(attempt, None)
    assert recorded_sleeps == [0.5, 1.0, 2.0, _client.MAX_WAIT]


def test_a_pause_of_somebody_else_may_end_the_work(em, connect, recorded_sleeps):
    class Enough(Exception):
        pass

    asked = []

    def sleep(seconds):
        asked.append(seconds)
        if len(asked) == 2:
            raise Enough

    em.faults.add("status", status=503, path=SESSIONS)
    with pytest.raises(Enough), connect(retries=9, sleep=sleep) as client:
        read(client)
    assert len(asked) == 2 and recorded_sleeps == []
    assert em.counters.live_logons == 0


# Options


def test_plain_http_is_warned_about(em):
    warnings = []
    _client.EnterpriseManager(em.url, "reader", PASSWORD, warn=warnings.append)
    assert f"clear text to {em.url}: use https." in warnings[0]
    _client.EnterpriseManager("https://em.example.com", "reader", PASSWORD, warn=warnings.append)
    assert len(warnings) == 1


def test_a_logon_that_em_refuses_with_403_is_ended_with_the_token_of_the_new_one(em, connect):
    """With the old token EM would refuse the log off as well."""
    with connect() as client:
        client.log_on_again()
        assert (em.counters.logons, em.counters.live_logons) == (2, 1)
        client.get("/api/cloud/failoverSessions", Operation("Read"))
        *dummy, ended, read = em.requests
        assert (ended.method, read.method) == ("DELETE", "GET")
        assert ended.headers["x-restsvcsessionid"] == read.headers["x-restsvcsessionid"]
    assert em.counters.live_logons == 0
