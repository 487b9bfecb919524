# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A foreign client for the emulator: http.client only, nothing of the collection."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from urllib.parse import quote, urlencode, urlsplit
from xml.etree import ElementTree

import pytest
from emulator import Emulator

NAMESPACE = "{http://www.veeam.com/ent/v1.0}"


class Reply:
    """Status, headers (lower-case names) and body; ``xml`` and ``json`` read the body."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def xml(self):
        return ElementTree.fromstring(self.body)

    @property
    def json(self):
        return json.loads(self.body.decode("utf-8-sig"))

    @property
    def names(self):
        """Names of the sessions, plans or references in the body, in order."""
        found = ("Ref", "CloudFailoverSession", "CloudFailoverPlan")
        return [node.get("Name") for node in self.xml.iter() if node.tag.rpartition("}")[2] in found]

    @property
    def page_links(self):
        """Page links by Rel."""
        found = self.xml.findall(f"{NAMESPACE}PagingInfo//{NAMESPACE}Link")
        return {node.get("Rel"): node.get("Href") for node in found}


class Client:
    """A connection that is kept alive, with token by header or by cookie."""

    def __init__(self, em, user="admin", password="Passw0rd!"):
        self.em = em
        self.user, self.password = user, password
        url = urlsplit(em.url)
        if url.scheme == "https":
            context = ssl.create_default_context(cafile=em.ca_path)
            self.connection = http.client.HTTPSConnection(url.hostname, url.port, timeout=600, context=context)
        else:
            self.connection = http.client.HTTPConnection(url.hostname, url.port, timeout=600)
        self.token = None
        self.headers = {}

    def request(self, method, path, headers=None, body=None):
        sent = {**self.headers, **(headers or {})}
        if self.token is not None:
            sent.setdefault("X-RestSvcSessionId", self.token)
        self.connection.request(method, path, body=body, headers={k: v for k, v in sent.items() if v is not None})
        return Reply(self.connection.getresponse())

    def get(self, path, **headers):
        return self.request("GET", path, {name.replace("_", "-"): value for name, value in headers.items()})

    def log_on(self, path="/api/sessionMngr/?v=latest", encoding="utf-8", **headers):
        basic = base64.b64encode(f"{self.user}:{self.password}".encode(encoding)).decode()
        self.token = None
        reply = self.request("POST", path, {"Authorization": f"Basic {basic}", **headers})
        self.token = reply.headers.get("x-restsvcsessionid")
        return reply

    def query(self, filter=None, **parameters):
        """GET /api/query, for sessions unless ``type`` is given, everything percent-encoded."""
        wanted = {"type": "CloudFailoverSession", **parameters}
        if filter is not None:
            wanted["filter"] = filter
        return self.get("/api/query?" + urlencode(wanted, safe="", quote_via=quote))

    def close(self):
        self.connection.close()


@pytest.fixture(scope="session")
def emulators():
    """Running emulators by version; they start once."""
    running = {}
    for version in (12, 13):
        running[version] = Emulator(sessions=0, documented=False, em_version=version).start()
    yield running
    for emulator in running.values():
        emulator.stop()


@pytest.fixture
def em(emulators):
    """A version 12 emulator without sessions and plans, everything else as at its start."""
    emulators[12].reset(sessions=0)
    return emulators[12]


@pytest.fixture
def em13(emulators):
    """The same as version 13."""
    emulators[13].reset(sessions=0)
    return emulators[13]


@pytest.fixture
def connect():
    """Makes clients; all are closed at the end."""
    made = []

    def make(em, **options):
        made.append(Client(em, **options))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(em, connect):
    """A client that is logged on as admin."""
    client = connect(em)
    assert client.log_on().status == 201
    return client


@pytest.fixture
def client13(em13, connect):
    """The same for version 13."""
    client = connect(em13)
    assert client.log_on().status == 201
    return client
