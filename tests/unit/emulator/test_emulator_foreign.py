# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clients that are not ours: curl and requests with their own habits."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from urllib.parse import urlsplit

import pytest
import requests
from emulator import Emulator


@pytest.fixture
def curl(em, tmp_path):
    """Runs curl with a cookie jar against the emulator; gives its output."""
    if shutil.which("curl") is None:
        pytest.skip("no curl here")
    jar = str(tmp_path / "jar")

    def run(*arguments):
        command = ["curl", "-sS", "--noproxy", "*", "-b", jar, "-c", jar, *arguments[:-1], em.url + arguments[-1]]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout

    return run


def test_curl_with_cookies_only(em, curl):
    em.world.add_session(name="Acme")
    head = curl("-i", "-X", "POST", "-u", "admin:Passw0rd!", "/api/sessionMngr/")
    assert head.startswith("HTTP/1.1 201 Created\n")
    assert 'Name="Acme"' in curl("/api/cloud/failoverSessions")
    listed = json.loads(curl("-H", "Accept: application/json", "/api/cloud/failoverSessions"))
    assert listed["Refs"][0]["Name"] == "Acme"


def test_curl_with_header_only(em, curl):
    token = next(
        line.partition(": ")[2].strip()
        for line in curl("-i", "-X", "POST", "-u", "admin:Passw0rd!", "/api/sessionMngr/?v=latest").splitlines()
        if line.lower().startswith("x-restsvcsessionid")
    )
    status = ("-o", "/dev/null", "-w", "%{http_code}", "-b", "", "-H", "Accept:")
    assert curl(*status, "-H", f"x-restsvcsessionid: {token}", "/api/cloud/failoverSessions") == "200"
    assert curl(*status, "-X", "DELETE", "/api/cloud/failoverSessions") == "405"


def test_requests_following_page_links(connect):
    with Emulator(sessions=25, tasks=1, tls=True) as em, requests.Session() as session:
        session.trust_env = False
        session.verify = em.ca_path
        answer = session.post(f"{em.url}/API/sessionmngr/", auth=("ADMIN", "Passw0rd!"))
        assert answer.status_code == 201
        path = "/api/query?type=cloudfailoversession&format=entities&sortdesc=creationtime&pagesize=7"
        seen = []
        while path:
            result = session.get(em.url + path, headers={"Accept": "application/json"}).json()
            seen += [entry["UID"] for entry in result["Entities"]["CloudFailoverSessions"]["CloudFailoverSessions"]]
            following = [link["Href"] for link in result["PagingInfo"]["Links"] if link["Rel"] == "Next"]
            path = following and following[0].removeprefix(em.behaviour.href_base)
        assert len(seen) == len(set(seen)) == 30
        assert em.counters.requests == 1 + 5


def raw_exchange(em, text):
    host, port = urlsplit(em.url).hostname, urlsplit(em.url).port
    with socket.create_connection((host, port), timeout=600) as plain:
        plain.sendall(text.replace("\n", "\r\n").encode())
        received = b""
        while chunk := plain.recv(65536):
            received += chunk
    return received


def test_connection_close_is_honoured(em):
    received = raw_exchange(em, "GET /api/ HTTP/1.1\nHost: x\nConnection: close\n\n")
    assert received.startswith(b"HTTP/1.1 200 OK\r\n") and received.endswith(b"</EnterpriseManager>")


def test_connection_is_kept_alive_and_pipelined(em):
    received = raw_exchange(em, "GET /api HTTP/1.1\nHost: x\n\nGET /api HTTP/1.1\nHost: x\nConnection: close\n\n")
    assert received.count(b"HTTP/1.1 200 OK") == 2


def test_keep_alive_uses_one_connection(em, client):
    sockets = set()
    for dummy in range(3):
        client.get("/api")
        sockets.add(id(client.connection.sock))
    assert len(sockets) == 1


def test_listens_on_loopback_only(em):
    received = raw_exchange(em, "GET /api HTTP/1.0\n\n")
    assert received.startswith(b"HTTP/1.1 200")
    own = socket.gethostbyname(socket.gethostname())
    if not own.startswith("127."):
        with pytest.raises(OSError):
            socket.create_connection((own, urlsplit(em.url).port), timeout=1).close()
