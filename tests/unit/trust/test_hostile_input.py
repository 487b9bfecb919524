# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Replies made to do harm: bombs, depth, size, links that lead elsewhere, names that would write to a terminal."""

from __future__ import annotations

import gzip
import json
import socket
import socketserver
import subprocess
import sys
import textwrap
import threading
import time
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import programs
import pytest
import yaml
from ansible.errors import AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import inventory_loader
from ansible.utils.display import Display
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import client as _client
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import transport as _transport
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import xml as _xml
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import Operation
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover import criteria as _criteria
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover import plans as _failover_plan
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover import sessions as fs
from emulator.world import BackupServer

REPO = Path(__file__).resolve().parents[3]
NAME = "dr_runbook.veeam_em.failover_session"
SESSIONS = "/api/cloud/failoverSessions"
GUID = "475420ee-d045-4493-9869-0a970e08f6f9"
UID = f"urn:veeam:CloudFailoverSession:{GUID}"
TOKEN = "NDc1NDIwZWUtZDA0NS00NDkzLTk4NjktMGE5NzBlMDhmNmY5"  # the GUID, so that it says how to log off
MIB = 2**20


def find(client, **options):
    return fs.SessionReader(client).list_sessions(_criteria.SessionCriteria.from_options(options.get)).sessions


def is_a_sentence(text):
    """One line for a terminal, of a length that can be read."""
    return text.isprintable() and len(text) < 1500


@contextmanager
def listening():
    """A server that must not be asked: gives its port and the list of what it has received."""
    received = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        ended = threading.Event()

        def serve():
            while not ended.is_set():
                try:
                    connection, dummy = listener.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.settimeout(1)
                    received.append(connection.recv(65536))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1], received
        finally:
            ended.set()
            thread.join(5)


class Serving(NamedTuple):
    """A server's URL, and the methods of the requests that it got."""

    url: str
    requests: list


@contextmanager
def serving(head, pieces=(), method="GET"):
    """A server that sends to each request of a method this head and these pieces of a body, as far as they are taken."""
    requests = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            first = self.rfile.readline().decode().split(" ")[0]
            requests.append(first)
            while self.rfile.readline().strip():
                pass
            try:
                if first == method:
                    self.wfile.write(f"HTTP/1.1 {head}\r\nConnection: close\r\n\r\n".encode())
                    for piece in pieces:
                        self.wfile.write(piece)
                else:
                    token = f"X-RestSvcSessionId: {TOKEN}\r\n" if first == "POST" else ""
                    status = {"POST": "201 Created", "DELETE": "204 No Content"}.get(first, "200 OK")
                    self.wfile.write(
                        f"HTTP/1.1 {status}\r\n{token}Content-Length: 0\r\nConnection: close\r\n\r\n".encode()
                    )
            except OSError:
                pass  # the client has had enough

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield Serving(f"http://127.0.0.1:{server.server_address[1]}", requests)
        finally:
            server.shutdown()


def client_of(url, **options):
    return _client.EnterpriseManager(url, "reader", "Passw0rd!", retries=0, warn=lambda said: None, **options)


# Document type declarations and entities


def bombs(port):
    letters = "".join(f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abcdefghi", "bcdefghij"))
    return {
        "billion laughs": f'<!DOCTYPE x [<!ENTITY a "ha">{letters}]><x Type="T">&j;</x>',
        "quadratic": f'<!DOCTYPE x [<!ENTITY a "{"h" * 50000}">]><x Type="T">{"&a;" * 5000}</x>',
        "in an attribute": f'<!DOCTYPE x [<!ENTITY a "ha">{letters}]><x Type="&j;"/>',
        "external file": '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x Type="T">&a;</x>',
        "external host": f'<!DOCTYPE x [<!ENTITY a SYSTEM "http://127.0.0.1:{port}/a">]><x Type="T">&a;</x>',
        "external subset": f'<!DOCTYPE x SYSTEM "http://127.0.0.1:{port}/x.dtd"><x Type="T">&a;</x>',
        "public subset": f'<!DOCTYPE x PUBLIC "-//x//y" "http://127.0.0.1:{port}/x.dtd"><x Type="T"/>',
        "parameter entity": f'<!DOCTYPE x [<!ENTITY % a SYSTEM "http://127.0.0.1:{port}/a"> %a;]><x Type="T"/>',
        "entity of itself": '<!DOCTYPE x [<!ENTITY a "&b;"><!ENTITY b "&a;">]><x Type="T">&a;</x>',
        "parameter laughs": "<!DOCTYPE x [<!ENTITY % a 'ha'><!ENTITY % b '%a;%a;'><!ENTITY % c '%b;%b;'> %c;]><x Type='T'/>",
        "late": f'<?xml version="1.0"?>\n<!-- x -->\n<?pi?>\n<!DOCTYPE x [{letters}]><v:x xmlns:v="x">&j;</v:x>',
    }


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("bomb", bombs(0))
def test_a_bomb_does_not_go_off(bomb, encoding):
    with listening() as (port, received):
        written = bombs(port)[bomb]
        body = (("\ufeff" if encoding.endswith("e") else "") + written).encode(encoding)
        start = time.monotonic()
        with pytest.raises(_xml.XmlError, match="DTD"):
            _xml.parse(body)
        said = _xml.error_text(body)
        assert "haha" not in said.replace("&", "") or len(said) <= len(written) + 100
        assert "root:" not in said
        assert _xml.log_off_path(body) is None
        assert time.monotonic() - start < programs.TIMEOUT
    assert received == []


@pytest.mark.parametrize("status", [200, 400])
def test_a_bomb_through_http_is_one_sentence(em, connect, status):
    em.faults.add("reply", status=status, path=SESSIONS, body=bombs(1)["billion laughs"])
    with connect() as client, pytest.raises(_client.EmError) as failure:
        client.get(SESSIONS, Operation("Read"))
    assert failure.value.kind == ("protocol" if status == 200 else "server")
    assert ("DTD" in str(failure.value)) == (status == 200)
    assert is_a_sentence(str(failure.value))


# Depth and size


def deep(levels, closed=True, prefix=""):
    return b"<%ba>" % prefix.encode() * levels + (b"</%ba>" % prefix.encode() * levels if closed else b"")


DEEP = {
    "closed": deep(100_000),
    "open": deep(100_000, closed=False),
    "with a prefix": b"<r xmlns:v='x'>" + deep(100_000, prefix="v:") + b"</r>",
    "with attributes": b"<a Type='x'>" * 100_000 + b"</a>" * 100_000,
    "in a session": b"<CloudFailoverSession Type='CloudFailoverSession' UID='x'><CloudFailoverTasks>" + deep(100_000),
    "in an error": b"<Error Message='m'>" + deep(100_000) + b"</Error>",
    "utf-16": deep(100_000).decode().encode("utf-16"),
}


@pytest.mark.parametrize("body", DEEP.values(), ids=DEEP)
def test_depth_is_refused_with_a_sentence(em, connect, body):
    em.faults.add("reply", path=SESSIONS, body=body)
    start = time.monotonic()
    with (
        connect() as client,
        pytest.raises(_client.EmProtocolError, match="nested more than 100 levels|not well-formed") as failure,
    ):
        client.get(SESSIONS, Operation("Read"))
    assert is_a_sentence(str(failure.value))
    assert time.monotonic() - start < programs.TIMEOUT
    assert em.counters.live_logons == 0


@pytest.mark.parametrize("body", [*DEEP.values(), b"[" * 100_000, b'{"a":' * 10_000, b'{"Message":' + b"[" * 60_000])
@pytest.mark.parametrize("status", [pytest.param(400, marks=pytest.mark.matrix), 500])
def test_depth_in_an_error_reply(em, connect, status, body):
    em.faults.add("reply", status=status, path=SESSIONS, body=body)
    with connect() as client, pytest.raises(_client.EmServerError) as failure:
        client.get(SESSIONS, Operation("Read"))
    assert is_a_sentence(str(failure.value))


def test_megabytes_of_text_are_kept_in_facts_and_cut_in_sentences(em, connect):
    long = "x\u03a9 " * 400_000 + "end"
    session = em.world.add_session(long, state="Stopped", failure_message=long, tasks=[{"vm_name": long}])
    with connect() as client:
        (fact,) = find(client)
        assert (fact["name"], fact["failure_message"], fact["tasks"][0]["vm_name"]) == (long, long, long)
    em.world.remove_session(session)
    em.faults.add("reply", path=SESSIONS, body=f'<{"x" * MIB} Type="CloudFailoverSession"/>')
    with connect() as client, pytest.raises(_client.EmProtocolError) as failure:
        fs.SessionReader(client).read_session(GUID)
    assert is_a_sentence(str(failure.value))


@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_message_of_megabytes_is_cut(em, connect, status):
    em.faults.add("reply", status=status, path=SESSIONS, body=f"<Error Message='{'no session ' * 1_000_000}'/>")
    start = time.monotonic()
    with connect() as client, pytest.raises(_client.EmError) as failure:
        client.get(SESSIONS, Operation("Read"), about=GUID)
    assert is_a_sentence(str(failure.value))
    assert time.monotonic() - start < programs.TIMEOUT


def test_a_million_tiny_elements_are_read():
    body = b"<r Type='x'>" + b"<a/>" * 1_000_000 + b"</r>"
    start = time.monotonic()
    assert len(_xml.parse(body).items) == 1
    assert time.monotonic() - start < programs.TIMEOUT


def test_the_largest_page_is_far_below_the_limits(em, connect):
    """100 sessions of 10 VMs, as measure for ten times as many."""
    em.reset(sessions=100, tasks=10)
    em.behaviour.indent = True
    with connect() as client:
        size = em.counters.bytes_sent
        assert len(client.get(f"{SESSIONS}?format=Entity", Operation("Read")).items) == 100
        size = em.counters.bytes_sent - size
    assert 4 * 10 * size < _transport.MAX_BODY


# Bodies that do not end, packed or not. The client runs in a process of its own, so that its memory can be told.

CLIENT = """
import importlib, json, logging, sys, types
package = types.ModuleType("core")
package.__path__ = [{core!r}]
sys.modules["core"] = package
client = importlib.import_module("core._api.client")
logging.disable(logging.CRITICAL)
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM"))
before = peak()
answer = {{}}
try:
    with client.EnterpriseManager({url!r}, "reader", "Passw0rd!", retries=0, timeout=600) as em:
        em.get("/api/cloud/failoverSessions", importlib.import_module("core._api.errors").Operation("Read"))
except client.EmError as exc:
    answer = {{"kind": exc.kind, "sentence": str(exc)}}
print(json.dumps({{**answer, "more": peak() - before, "requests": em.counters.requests}}))
"""

needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells memory by /proc")


def refused(url):
    """What a client of its own process said, and by how many MiB its memory grew."""
    script = textwrap.dedent(CLIENT).format(core=str(REPO / "plugins" / "module_utils"), url=url)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=programs.TIMEOUT
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def packed(wbits, megabytes=200):
    """So many megabytes of an endless list, packed."""
    packer = zlib.compressobj(1, zlib.DEFLATED, wbits)
    yield packer.compress(b"<r>")
    for dummy in range(megabytes):
        yield packer.compress(b"<a>x</a>" * (MIB // 8))
    yield packer.flush()


@needs_proc
@pytest.mark.parametrize(
    ("head", "pieces"),
    [
        (f"200 OK\r\nContent-Length: {200 * MIB}", [b"<a>x</a>" * (MIB // 8)] * 200),
        ("200 OK", [b"<a>x</a>" * (MIB // 8)] * 200),
        ("500 Oops", [b"x" * MIB] * 200),
        ("200 OK\r\nTransfer-Encoding: chunked", [b"100000\r\n" + b"x" * MIB + b"\r\n"] * 200 + [b"0\r\n\r\n"]),
        ("200 OK\r\nContent-Encoding: gzip", 31),
        ("200 OK\r\nContent-Encoding: deflate", 15),
    ],
    ids=["length", "until the end", "error", "chunked", "gzip", "deflate"],
)
def test_a_body_of_200_megabytes_is_refused(head, pieces):
    with serving(head, list(packed(pieces)) if isinstance(pieces, int) else pieces) as (url, requests):
        answer = refused(url)
    assert answer["kind"] == "protocol"
    assert "sent more than 64 MiB in one response. Ask for less at once with a smaller page_size." in answer["sentence"]
    assert is_a_sentence(answer["sentence"])
    assert answer["more"] < 200  # MiB; urllib3 1 unpacks up to 64 MiB at a time
    assert requests == ["POST", "GET", "DELETE"]


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "zstd", "compress", "gzip, identity", "x\x9b2J"])
def test_other_packings_are_refused_unread(encoding):
    bomb = gzip.compress(gzip.compress(b"x" * 10 * MIB))
    with (
        serving(f"200 OK\r\nContent-Encoding: {encoding}", [bomb]) as server,
        client_of(server.url) as client,
        pytest.raises(_client.EmProtocolError, match="which was not asked for") as failure,
    ):
        client.get(SESSIONS, Operation("Read"))
    assert is_a_sentence(str(failure.value))
    assert server.requests == ["POST", "GET", "DELETE"]


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate"])
def test_a_packed_reply_is_read(encoding):
    body = b"<EntityReferences/>"
    body = gzip.compress(body) if encoding != "deflate" else zlib.compress(body)
    head = f"200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(body)}"
    with serving(head, [body]) as server, client_of(server.url) as client:
        assert client.get(SESSIONS, Operation("Read")).items == []


@pytest.mark.parametrize(
    ("head", "pieces"),
    [
        ("201 Created\r\nX-RestSvcSessionId: dG9rZW4=", [b"x" * MIB] * 70),
        ("201 Created\r\nX-RestSvcSessionId: dG9rZW4=\r\nContent-Encoding: br", [b"x"]),
        (f"201 Created\r\nX-RestSvcSessionId: {TOKEN}", [deep(100_000)]),
    ],
    ids=["large", "packed", "deep"],
)
def test_a_logon_with_a_reply_that_cannot_be_read_is_kept(head, pieces):
    """The token has come, so the logon is there; that nobody knows how to end it is a warning."""
    warnings = []
    with serving(head, pieces, method="POST") as (url, requests):
        client = _client.EnterpriseManager(url, "reader", "Passw0rd!", retries=0, warn=warnings.append)
        with client:
            assert client._token
    known = TOKEN in head
    assert requests == ["POST", "DELETE"] if known else ["POST"]
    assert ("did not say how to log off" in warnings[-1]) != known


@pytest.mark.parametrize("digits", [400, 5000])
@pytest.mark.parametrize("header", ["Content-Length", "Retry-After"])
def test_numbers_of_thousands_of_digits(header, digits):
    length = "" if header == "Content-Length" else "\r\nContent-Length: 0"
    with (
        serving(f"503 Busy\r\n{header}: {'9' * digits}{length}", [b"x"]) as server,
        client_of(server.url) as client,
        pytest.raises(_client.EmError) as failure,
    ):
        client.retries = int(header == "Retry-After")
        client.get(SESSIONS, Operation("Read"))
    assert is_a_sentence(str(failure.value))


# Texts that make patterns work for hours


SLOW = [
    b"<!---->" * 500 + b"x",
    b"<!-- -->\n" * 450 + b"<htm",
    b"<p>" + b"<title>" * 9000,
    b"<p>" + b"<script" * 9000,
    b"<p>" + b"<style></style" * 4500,
    b"<p>" + b"</style >" * 4500,
    b"<" * 65536,
    b"<a " * 20000,
    b"no " * 21000,
    b"session " * 8000,
    b"cannot find " * 5000,
    b"no with id " * 5000,
    b"&#" * 32000,
    b"%4" * 32000,
    b"\\u12" * 16000,
    b"<Error Message='" + b"session cannot find no with " * 100_000 + b"'/>",
    b"&" * 65536,
]


@pytest.mark.parametrize("body", SLOW)
@pytest.mark.parametrize("status", [200, 400, 500])
def test_no_text_takes_long_to_read(em, connect, status, body):
    em.faults.add("reply", status=status, path=SESSIONS, body=body)
    start = time.monotonic()
    with connect() as client, pytest.raises(_client.EmError) as failure:
        client.get(SESSIONS, Operation("Read"), about=GUID)
    assert time.monotonic() - start < programs.TIMEOUT
    assert is_a_sentence(str(failure.value))


# Links that lead elsewhere

LINKS = [
    "http://127.0.0.1:{port}{path}",
    "https://127.0.0.1:{port}{path}",
    "http://reader:Passw0rd!@127.0.0.1:{port}{path}",
    "http://em@127.0.0.1:{port}{path}",
    "//127.0.0.1:{port}{path}",
    "///127.0.0.1:{port}{path}",
    "/\\127.0.0.1:{port}{path}",
    "\\\\127.0.0.1:{port}{path}",
    "http:127.0.0.1:{port}{path}",
    "https:127.0.0.1:{port}{path}",
    "@127.0.0.1:{port}{path}",
    ".127.0.0.1:{port}{path}",
    ":{port}{path}",
    "http://127.0.0.1:{port}\\{path}",
    "file:///etc/passwd?{path}",
    "javascript:fetch('http://127.0.0.1:{port}{path}')",
    "data:text/xml,http://127.0.0.1:{port}{path}",
    "http://[127.0.0.1:{port}{path}",
    "{path}\r\nHost: 127.0.0.1:{port}\r\nX: y",
    "http://127.0.0.1:{port}\r\n{path} HTTP/1.1\r\nX: y",
    "{path}?x=http://127.0.0.1:{port}#http://127.0.0.1:{port}",
    "\thttp://127.0.0.1:{port}{path}",
    "http://127.0.0.1:{port}/api/logonSessions/../..{path}",
    "",
]


@pytest.fixture(params=LINKS)
def link(request):
    """A link that leads elsewhere as ``link(path)``; afterwards nobody has come there."""
    with listening() as (port, received):
        yield lambda path: request.param.format(port=port, path=path)
        time.sleep(0.02)
        assert received == []


def escaped(text):
    for char, name in (("&", "&amp;"), ("<", "&lt;"), ("'", "&#39;"), ("\r", "&#13;"), ("\n", "&#10;"), ("\t", "&#9;")):
        text = text.replace(char, name)
    return text


def asked(em):
    """Method and path of each request but the log on, all with the address of the emulator only."""
    address = em.url.partition("://")[2]
    assert {record.headers["host"] for record in em.requests} == {address}
    return [(record.method, record.path) for record in em.requests if record.method != "POST"]


@pytest.mark.parametrize("target", [f"/api/logonSessions/{GUID}", "/api/cloud/cloudFailoverPlans/1", "/api/jobs/1"])
def test_a_log_off_link_ends_a_logon_on_this_server_or_is_not_followed(em, connect, link, target):
    body = f"<LogonSession><Links><Link Rel='Delete' Href='{escaped(link(target))}'/></Links></LogonSession>"
    em.faults.add(
        "reply", path="sessionMngr", status=201, body=body, headers={"X-RestSvcSessionId": "dG9rZW4="}, times=1
    )
    with connect():
        pass
    assert set(asked(em)) <= {("DELETE", f"/api/logonSessions/{GUID}")}


@pytest.mark.parametrize(
    "session_id", ["../jobs/1", "..", "x/../../jobs", "x/y", "x#y", "x\r\nX: y", "%2e%2e", "//h/", "a b"]
)
def test_the_id_of_a_logon_leads_nowhere_else(em, connect, session_id):
    body = f"<LogonSession><SessionId>{escaped(session_id)}</SessionId></LogonSession>"
    em.faults.add("reply", path="sessionMngr", status=201, body=body, headers={"X-RestSvcSessionId": "dG9rZW4="})
    with connect():
        pass
    assert asked(em) == []


def test_links_of_sessions_are_not_followed(em, connect, link):
    em.world.add_session("Acme", id=GUID, raw={"Href": link(f"{SESSIONS}/{GUID}")}, tasks=[{"vm_name": "vm"}])
    for options in ({}, {"id": [GUID]}, {"latest_per_plan": True}):
        with connect() as client:
            (fact,) = find(client, **options)
        assert (fact["id"], fact["name"]) == (GUID, "Acme")
        # What a playbook puts behind the URL of EM leads to EM.
        assert fact["href"].startswith("/")
        assert not fact["href"].startswith(("//", "/\\"))
    assert {path for method, path in asked(em) if method == "GET"} <= {"/api/query", f"{SESSIONS}/{GUID}"}


def test_references_and_page_links_are_not_followed(em, connect, link):
    em.world.add_session("Acme", id=GUID, tasks=[{"vm_name": "vm"}])
    href = escaped(link(f"{SESSIONS}/{GUID}"))
    links = f"<Links><Link Rel='Alternate' Href='{href}'/><Link Rel='Next' Href='{href}'/></Links>"
    reference = f"<Ref Type='CloudFailoverSessionReference' UID='{UID}' Href='{href}' Name='Acme'>{links}</Ref>"
    paging = f"<PagingInfo PageNum='1' PageSize='100' PagesCount='2'>{links}</PagingInfo>"
    em.faults.add(
        "reply", path="/api/query", body=f"<QueryResult><Refs>{reference}</Refs>{paging}</QueryResult>", times=1
    )
    with connect() as client:
        assert [fact["id"] for fact in find(client)] == [GUID]
    assert {path for method, path in asked(em) if method == "GET"} <= {"/api/query", f"{SESSIONS}/{GUID}"}


@pytest.mark.parametrize("key", ["Href", "UID"])
def test_links_of_plans_are_not_followed(em, connect, link, key):
    em.behaviour.plan_vms = "left out"
    plan = em.world.add_plan("Acme", vms=["vm"])
    path = f"/api/cloud/cloudFailoverPlans/{plan.id}"
    em.world.change_plan(plan, raw={"UID": None, key: link(path)})
    with connect() as client:
        try:
            (found,) = _failover_plan.PlanReader(client).plans_named({"Acme"})
            assert [vm["name"] for vm in found["vms"]] == ["vm"]
        except _client.EmError as exc:
            assert is_a_sentence(str(exc))
    reads = {path for method, path in asked(em) if method == "GET"}
    assert all(path == "/api/query" or path.startswith("/api/") for path in reads)
    assert {method for method, dummy in asked(em)} == {"GET", "DELETE"}
    assert all(path.startswith("/api/logonSessions/") for method, path in asked(em) if method == "DELETE")


@pytest.mark.parametrize("where", [*LINKS, "http://127.0.0.1/\x9b2J\u202e"])
def test_a_redirect_is_named_in_one_sentence(where):
    with listening() as (port, received):
        location = where.format(port=port, path="/x").replace("\r\n", " ")
        with (
            serving(f"302 Found\r\nLocation: {location}\r\nContent-Length: 0") as server,
            client_of(server.url) as client,
            pytest.raises(_client.EmProtocolError, match="redirects are not followed") as failure,
        ):
            client.get(SESSIONS, Operation("Read"))
        assert is_a_sentence(str(failure.value))
        assert "Passw0rd!" not in str(failure.value)
    assert received == []
    assert server.requests == ["POST", "GET", "DELETE"]


# Names

NAMES = {
    "template": "{{ lookup('pipe', 'id') }}{% for x in y %}{#",
    "lines": "one\ntwo\r\nthree\u2028four\x85five",
    "tab": "a\tb",
    "csi": "a\x9b2Jb\x9d52;c;eA==\x9c",
    "delete": "a\x7f\x7fb",
    "bidi": "a\u202egpj.\u2066exe\u2069\u200f",
    "invisible": "a\u200b\ufeff\u00adb",
    "private": "a\ue000\U000f0000b",
    "long": "x" * 100_000,
    "brackets": "[0:9999]:22,!all ~x",
    "markup": "<b>&amp;\"'</b>",
    "words": "ok | fatal: [localhost]: FAILED! => x",
}


@pytest.fixture
def parse(em, tmp_path, monkeypatch):
    """Parse an inventory file with these options; gives the inventory and the warnings."""
    for name in ("URL", "USERNAME", "PASSWORD", "VALIDATE_CERTS", "CA_PATH", "TIMEOUT", "RETRIES", "API_VERSION"):
        monkeypatch.delenv(f"VEEAM_EM_{name}", raising=False)
    warnings = []
    monkeypatch.setattr(Display(), "warning", warnings.append)

    def call(**options):
        warnings.clear()
        path = tmp_path / "veeam_em.yml"
        given = {"plugin": NAME, "url": em.url, "username": "both", "password": "Passw0rd!", "retries": 0}
        path.write_text(yaml.safe_dump({**given, **options}))
        data = InventoryData()
        inventory_loader.get(NAME).parse(data, DataLoader(), str(path), cache=False)
        return data, [warning for warning in warnings if "clear text" not in warning]

    return call


def two_sessions_of_one_vm(em, name):
    for minute in (1, 2):
        created = f"2026-03-01T02:0{minute}:00Z"
        em.world.add_session(
            name, state="Stopped", creation_time=created, backup_server=name, tasks=[{"vm_name": name}]
        )


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_name_is_kept_in_facts(em, connect, parse, name):
    two_sessions_of_one_vm(em, name)
    with connect() as client:
        facts = find(client, name=name, backup_server=[name])
    assert [fact["name"] for fact in facts] == [name] * 2
    assert facts[0]["backup_server"]["name"] == name
    assert facts[0]["tasks"][0]["vm_name"] == name
    data, dummy = parse(hostname="'a name for any host'")
    (host,) = data.hosts.values()
    assert host.vars["veeam_vm_name"] == name
    assert host.vars["veeam_session"]["name"] == name


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_name_writes_no_line_of_its_own_into_warnings(em, parse, name):
    two_sessions_of_one_vm(em, name)
    dummy, (doubled,) = parse(latest_per_plan=False)
    em.world.clear()
    em.world.add_session(name, state="Stopped", backup_server=name)
    dummy, (no_plan,) = parse()
    dummy, (no_vms,) = parse(vm_source="tasks")
    em.world.clear()
    em.world.add_session(name, state="Stopped", tasks=[{"vm_name": " "}])
    dummy, (nameless,) = parse()
    for warning in (doubled, no_plan, no_vms, nameless):
        assert is_a_sentence(warning)
        assert not name.isprintable() or name[:20] in warning or repr(name[:20])[1:-1] in warning


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize(
    "options",
    [
        {"strict": True, "latest_per_plan": False},
        {"hostname": "veeam_vm_name | int / 0"},
        {"hostname": "lookup('dr_runbook.veeam_em.none', veeam_vm_name)"},
        {"hostname": "veeam_vm_name | mandatory(msg=veeam_vm_name) | from_json"},
    ],
)
def test_a_name_writes_no_line_of_its_own_into_errors(em, parse, name, options):
    two_sessions_of_one_vm(em, name)
    with pytest.raises(AnsibleParserError) as failure:
        parse(**options)
    assert is_a_sentence(str(failure.value))


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_name_in_warnings_of_the_client(em, connect, name):
    """A session that is listed and not known, and another that makes the answer whole."""
    known = em.world.add_session("Acme")
    listed = "".join(
        f"<Ref UID='urn:veeam:CloudFailoverSession:{guid}' Name='{escaped(named)}'/>"
        for guid, named in ((GUID, name), (known.id, "Acme"))
    )
    em.faults.add(
        "reply", path="/api/query", body=f"<QueryResult><Refs>{listed}</Refs><PagingInfo PagesCount='1'/></QueryResult>"
    )
    warnings = []
    with connect(warn=warnings.append) as client:
        assert [fact["name"] for fact in find(client)] == ["Acme"]
    assert GUID in warnings[-1]
    assert all(map(is_a_sentence, warnings))


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 500])
def test_words_of_a_server_are_one_line_in_errors(em, connect, name, status):
    em.faults.add("reply", status=status, path=SESSIONS, body=f"<Error Message='{escaped(name)}'/>")
    em.faults.add(
        "reply", status=status, path="/other", content_type="text/plain", body=f"{name}\x1b[2J\x1b]52;c;x\x07\0"
    )
    for path in (SESSIONS, "/api/other"):
        with connect() as client, pytest.raises(_client.EmError) as failure:
            client.get(path, Operation("Read"))
        assert is_a_sentence(str(failure.value))
        assert failure.value.server_message is None or is_a_sentence(failure.value.server_message)


def test_an_id_in_the_url_of_an_error_is_one_line(em, connect):
    em.behaviour.plan_vms = "left out"
    plan = em.world.add_plan("Acme", vms=["vm"])
    em.world.change_plan(plan, raw={"UID": "a\x9b2J\u202e\x85" + "x" * 1000})
    with connect() as client, pytest.raises(_client.EmError) as failure:
        _failover_plan.PlanReader(client).plans_named({"Acme"})
    assert is_a_sentence(str(failure.value))


# Characters that XML does not allow

ODD = "no memory\x1f on \0esx05\ufffe \ud83d \U0001f600"
READ = "no memory\ufffd on \ufffdesx05\ufffd \ufffd \U0001f600"
LONE_RAW = "\ufffd" * 3
"""What is read for half of a character that is no reference: EM cannot send it in UTF-8, these are three wrong bytes."""


@pytest.fixture(params=["reference", "raw"])
def odd(em, request):
    """How the emulator writes such characters, and what is read."""
    em.behaviour.odd_characters = request.param
    return READ if request.param == "reference" else READ.replace(" \ufffd ", f" {LONE_RAW} ")


@pytest.mark.parametrize("front_end", ["module", "lookup", "inventory"])
@pytest.mark.parametrize("switches", [{}, {"refuse_query_type": 501}, {"xml_prefix": "v", "bom": True}])
def test_a_session_with_odd_characters_is_read(em, run, odd, front_end, switches):
    for name, value in switches.items():
        setattr(em.behaviour, name, value)
    em.world.add_session("Borealis", state="Stopped", tasks=[{"vm_name": "web"}])
    task = {"vm_name": f"db{ODD}", "result": "Failed", "failure_message": ODD}
    guid = em.world.add_session(
        ODD, state="Stopped", failure_message=ODD, backup_server=BackupServer(GUID, ODD), tasks=[task]
    ).id
    outcome = run(front_end, url=em.url, username="both", password="Passw0rd!", retries=0)
    assert (outcome.kind, len(outcome.facts)) == (None, 2)
    fact = outcome.facts[guid]
    assert (fact["name"], fact["failure_message"], fact["backup_server"]["name"]) == (odd, odd, odd)
    assert (guid, f"db{odd}") in outcome.vms


def test_a_wait_sees_the_end_of_a_run_with_odd_characters(em, run_module, fake_clock, odd):
    task = {"vm_name": "db", "duration": 60, "result": "Failed", "failure_message": ODD}
    guid = em.world.add_session("Acme", result="Failed", tasks=[task]).id
    result = run_module("failover_session_wait", username="reader", id=guid)
    assert "failed" not in result
    assert result["failover_session"]["tasks"][0]["failure_message"] == odd


@pytest.mark.parametrize("said", [{"refuse": {"test": ODD}}, {}])
def test_a_run_whose_task_says_odd_characters(em, run_module, fake_clock, odd, said):
    em.world.add_plan("Acme", [{"name": "db", "result": "Failed", "failure_message": ODD}], **said)
    result = run_module("failover_plan", plan="Acme", action="test")
    assert result["error"]["kind"] == ("refused" if said else "run_failed")
    assert odd.rstrip() in result["msg"]
    assert is_a_sentence(result["msg"])


@pytest.mark.parametrize("error_body", ["xml", "json", "text"])
@pytest.mark.parametrize("status", [403, 500])
def test_odd_characters_in_an_error(em, run, odd, status, error_body):
    em.behaviour.error_body = error_body
    em.faults.add("status", status=status, path="/api/(query|cloud)", message="no memory\x1f")
    outcome = run("module", url=em.url, username="both", password="Passw0rd!", retries=0)
    assert "no memory" in outcome.sentence
    assert "StatusCode" not in outcome.sentence
    assert is_a_sentence(outcome.sentence)


@pytest.mark.parametrize("written", ["\x1b[2J", "\0", "&#0;", "&#27;[2J", "\x07", "\ufffe", "&#xD800;", "\x08"])
def test_what_xml_does_not_allow_never_gets_to_a_terminal(em, connect, written):
    body = f"<CloudFailoverSession Type='CloudFailoverSession' UID='{UID}' Name='{written}'/>"
    em.faults.add("reply", path=GUID, body=body)
    with connect() as client:
        (session,) = find(client, id=[GUID])
    assert session["name"] == "\ufffd" + written.partition("[")[1] + written.partition("[")[2]
