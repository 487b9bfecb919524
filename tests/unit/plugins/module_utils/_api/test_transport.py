# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One request: time and size, TLS, proxies, and texts without secrets. Real HTTP against the emulator."""

from __future__ import annotations

import base64
import socket
import threading
from contextlib import contextmanager

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import client as _client
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import transport as _transport
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import EmError, EmTlsError, Operation

PASSWORD = "Passw0rd!"
SESSIONS = "/api/cloud/failoverSessions"


def read(client):
    return client.get(f"{SESSIONS}?format=Entity", Operation("Read the sessions"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# Time and size


@pytest.mark.parametrize(
    "fault", [{"action": "slow_headers", "seconds": 5}, {"action": "slow_body", "seconds": 0.4, "chunks": 20}]
)
def test_time_out(em, connect, fault):
    if fault["action"] == "slow_body" and not hasattr(_transport.urllib3.HTTPResponse, "read1"):
        fault = {**fault, "seconds": 1}  # urllib3 1 gives no part of a chunk, so only each pause is bounded
    em.reset(sessions=20)
    em.faults.add(path=SESSIONS, **fault)
    with pytest.raises(_client.EmTimeoutError, match="within 0.5 seconds") as failure, connect() as client:
        client.timeout = 0.5  # not for the logon, which may take longer on a busy machine
        read(client)
    assert failure.value.kind == "timeout"
    em.faults.clear()


@pytest.mark.parametrize("fault", [{"action": "cut"}, {"action": "drop"}, {"action": "slow_headers", "seconds": 5}])
def test_after_a_logon_host_and_port_are_right(em, connect, fault):
    em.faults.add(path=SESSIONS, **fault)
    with pytest.raises(EmError) as failure, connect() as client:
        client.timeout = 0.5  # not for the logon, which may take longer on a busy machine
        read(client)
    em.faults.clear()
    assert "Check" in str(failure.value)
    assert "host and port" not in str(failure.value) and "Port " not in str(failure.value)


def test_a_body_beyond_the_limit_is_refused(em, connect, monkeypatch):
    em.reset(sessions=20)
    monkeypatch.setattr(_transport, "MAX_BODY", 1024)
    with (
        pytest.raises(_client.EmProtocolError, match="sent more than.*smaller page_size"),
        connect(retries=3) as client,
    ):
        read(client)
    assert em.counters.live_logons == 0


@pytest.mark.parametrize(("size", "fails"), [(2**20, False), (2**20 + 1, True)])
def test_the_limit_of_a_body_is_exact(em, connect, monkeypatch, size, fails):
    monkeypatch.setattr(_transport, "MAX_BODY", 2**20)
    em.faults.add("reply", path=SESSIONS, body="<EntityReferences/>".ljust(size))
    with connect() as client:
        if fails:
            with pytest.raises(_client.EmProtocolError, match="sent more than 1 MiB in one response") as failure:
                read(client)
            assert failure.value.status == 200
        else:
            assert read(client).items == []


@pytest.mark.parametrize("encoding", ["Identity", ""])
def test_a_body_that_is_said_not_to_be_packed_is_read(em, connect, encoding):
    em.faults.add("headers", headers={"Content-Encoding": encoding}, path=SESSIONS)
    with connect() as client:
        assert read(client).items == []


def test_a_body_packed_in_a_way_that_was_not_asked_for_is_refused_unread(em, connect):
    em.faults.add("headers", headers={"Content-Encoding": "br"}, path=SESSIONS)
    with connect() as client, pytest.raises(_client.EmProtocolError, match="packed as br, which was not asked for"):
        read(client)


# TLS


@contextmanager
def closing(count):
    """A TCP server that closes so many connections in the TLS handshake; gives its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            for dummy in range(count):
                connection, address = listener.accept()
                connection.recv(10)
                connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"


def test_a_handshake_that_breaks_off_is_a_connection_that_breaks_off():
    warnings = []
    with closing(1) as url, pytest.raises(_client.EmConnectionError, match="broke off"):
        _client.EnterpriseManager(url, "u", "p", retries=0, warn=warnings.append).__enter__()
    assert warnings == []  # it was not sent, so it cannot have opened a logon session


def test_a_bundle_in_the_environment_that_does_not_exist_is_named(monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such.pem")
    with pytest.raises(EmTlsError, match="/no/such.pem.*REQUESTS_CA_BUNDLE"):
        _client.EnterpriseManager("https://127.0.0.1:1", "u", PASSWORD).__enter__()


def test_tls_with_the_ca(tls_emulator):
    with _client.EnterpriseManager(tls_emulator.url, "reader", PASSWORD, ca_path=tls_emulator.ca_path) as client:
        assert len(read(client).items) == 5


def test_tls_without_the_ca_is_refused(tls_emulator):
    with pytest.raises(EmTlsError, match="unable to get local issuer certificate.*ca_path") as failure:
        _client.EnterpriseManager(tls_emulator.url, "reader", PASSWORD, retries=3).__enter__()
    assert (failure.value.kind, failure.value.status) == ("tls", None)


def test_tls_with_another_name_is_refused(tls_emulator, monkeypatch):
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: resolve("127.0.0.1", *rest, **more))
    url = tls_emulator.url.replace("localhost", "em.example.com")
    with pytest.raises(EmTlsError, match="em.example.com.*It is for localhost, 127.0.0.1: "):
        _client.EnterpriseManager(url, "reader", PASSWORD, ca_path=tls_emulator.ca_path).__enter__()


def test_switching_verification_off_wins_over_the_environment(tls_emulator, monkeypatch, tmp_path, recwarn):
    bundle = tmp_path / "empty.pem"
    bundle.write_text("")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    with _client.EnterpriseManager(tls_emulator.url, "reader", PASSWORD, validate_certs=False) as client:
        assert len(read(client).items) == 5
    assert "Unverified HTTPS request" not in " ".join(str(warning.message) for warning in recwarn)


def test_a_bundle_from_the_environment_is_used(tls_emulator, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", tls_emulator.ca_path)
    with _client.EnterpriseManager(tls_emulator.url, "reader", PASSWORD) as client:
        assert len(read(client).items) == 5


def test_https_on_a_port_that_speaks_http(em):
    with pytest.raises(EmTlsError, match="speaks HTTPS"):
        _client.EnterpriseManager(em.url.replace("http:", "https:"), "reader", PASSWORD).__enter__()


# The environment


def test_without_an_answer_the_port_is_doubted():
    with pytest.raises(
        _client.EmConnectionError, match=r"Port \d+ may be another service.* 9398 .*9399 .*changed. .http:"
    ):
        _client.EnterpriseManager(f"http://127.0.0.1:{free_port()}", "u", "p", retries=0).__enter__()


def test_credentials_in_netrc_are_not_used(em, connect, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with connect() as client:
        read(client)
    log_on, get, _log_off = em.requests
    assert base64.b64decode(log_on.headers["authorization"].split()[1]).decode() == f"reader:{PASSWORD}"
    assert "authorization" not in get.headers


# Secrets


def test_no_secret_in_any_text_of_an_error(em, connect):
    """A server or proxy that repeats everything it was sent."""
    basic = base64.b64encode(f"reader:{PASSWORD}".encode()).decode()
    em.faults.add("status", status=400, message=f"You sent {PASSWORD} and Basic {basic}", path="sessionMngr", times=1)
    with pytest.raises(_client.EmError) as failure, connect():
        pass
    said = f"{failure.value} {failure.value.server_message} {failure.value.url}"
    assert PASSWORD not in said
    assert basic not in said
    with connect() as client, pytest.raises(_client.EmError) as failure:
        token = client._token
        em.faults.add("status", status=400, message=f"Bad token {token}", path=SESSIONS)
        read(client)
    assert token not in f"{failure.value} {failure.value.server_message}"
    em.faults.add("reply", body=f"<Error Message='{PASSWORD}'/>", path="/other")
    with connect() as client, pytest.raises(_client.EmProtocolError) as failure:
        client.get("/api/other", Operation("Read"))
    assert PASSWORD not in str(failure.value)


def test_the_id_of_the_logon_is_not_shown(em, connect):
    """In base64 it is the token."""
    warnings = []
    em.faults.add("status", status=500, method="DELETE")
    with connect(warn=warnings.append) as client:
        guid = base64.b64decode(client._token).decode()
        assert guid not in client.redact(f"No logon {guid}")
    assert guid not in " ".join(warnings)


def test_a_long_url_is_cut_in_the_sentence(em, connect):
    em.faults.add("status", status=400, path="/query")
    with connect() as client, pytest.raises(_client.EmError) as failure:
        client.get("/api/query?filter=" + "x" * 5000, Operation("Read"))
    assert len(str(failure.value)) < 700
    assert len(failure.value.url) > 5000


def reason(exc):
    return _transport._reason(list(_transport._chain(exc)))


def test_the_innermost_cause_is_named():
    inner = OSError(111, "Connection refused")
    outer = OSError("outer")
    outer.__context__ = ValueError(inner)
    assert reason(outer) == "Connection refused"
    assert reason(OSError()) == "OSError"
    behind = OSError("outer")
    behind.reason = OSError("inner")
    assert reason(behind) == "inner"
    noisy = OSError("<urllib3.connection.HTTPConnection object at 0x7f0a>: Not today (_ssl.c:997)")
    assert reason(noisy) == "Not today"
    address = _transport.requests.exceptions.InvalidURL("Failed to parse: http://bob:s3cret@")
    assert reason(address).startswith("the address of")
    loop = OSError("a")
    loop.__cause__ = OSError("b")
    loop.__cause__.__context__ = loop
    assert reason(loop) == "b"
    # What urllib3 1 has tried before, and an interruption, are no causes.
    broken = ConnectionResetError(104, "Connection reset by peer")
    broken.__context__ = TypeError("unexpected keyword argument 'buffering'")
    broken.__context__.__context__ = KeyboardInterrupt("Interrupted")
    assert reason(broken) == "Connection reset by peer"
