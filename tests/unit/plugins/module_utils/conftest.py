# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds for each error and each warning that any of these tests meets."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from contextlib import contextmanager

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import client as _client
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import errors as _errors
from emulator import Emulator

FAILED = re.compile(
    r"((?P<operation>[A-Z]\w+.*?) failed: )?(?P<problem>\S+ [a-z].*)\. (?P<check>[A-Z].*\.) \((?P<url>https?://\S+)\)"
)
REFUSED = re.compile(r"(?P<option>[a-z_]+(?:\[.*\])?): .* cannot be used\. (?P<check>[A-Z].*\.)", re.DOTALL)
SHOUTED = re.compile(r"(?:\b[A-Z]{2,}\b[ ,]+){4}")
WITHOUT_STATUS = ("connection", "tls", "timeout", "ambiguous", "busy", "run_failed", "superseded", "wait_timeout")
"""Kinds that no reply carries: there was none, or they are conclusions from good ones."""
CONCLUDED = ("in_doubt", "not_found", "refused", "stale")
"""Kinds that are the answer of EM at times, and a conclusion from good answers at others."""


@pytest.fixture
def signals_during(monkeypatch):
    """Send this process signals from within a step of the emulator, so that EM's response is later than they are."""

    def prepare(owner, step, *numbers):
        handle = getattr(owner, step)

        def call(*request):
            for number in numbers:
                os.kill(os.getpid(), number)
                time.sleep(0.05)
            return handle(*request)

        monkeypatch.setattr(owner, step, call)

    return prepare


@pytest.fixture(autouse=True)
def whole_sentences(monkeypatch):
    """An error says what happened, mostly what was tried, what to check and on which URL; a refused option, what to give."""
    made = []

    def watch(kind):
        plain = kind.__init__

        def init(self, *args, **more):
            plain(self, *args, **more)
            made.append(self)

        monkeypatch.setattr(kind, "__init__", init)

    watch(_errors.EmError)
    watch(_errors.OptionError)
    yield
    for error in made:
        sentence = (FAILED if isinstance(error, _errors.EmError) else REFUSED).fullmatch(str(error))
        assert sentence, str(error)
        assert not any(part.startswith("None") for part in sentence.groups("")), str(error)
        assert not SHOUTED.search(sentence["check"]), str(error)
        if isinstance(error, _errors.EmError):
            assert error.kind in CONCLUDED or (error.status is None) == (error.kind in WITHOUT_STATUS), str(error)
            # A good status belongs to a document that cannot be used, or that says that something failed.
            may_be_good = error.kind in ("protocol", "refused", "in_doubt", "stale")
            assert may_be_good or error.status is None or error.status >= 300, str(error)


@pytest.fixture(autouse=True)
def whole_warnings(monkeypatch):
    """A warning is a sentence, which may begin with a URL."""
    said = []
    plain = _client.EnterpriseManager.__init__

    def init(self, *args, warn=_client._log.warning, **more):
        def heard(sentence):
            said.append(sentence)
            warn(sentence)

        plain(self, *args, warn=heard, **more)

    monkeypatch.setattr(_client.EnterpriseManager, "__init__", init)
    yield
    for sentence in said:
        assert re.fullmatch(r"([A-Z]|https?://).*([a-z0-9)]\.|\(https?://\S+\))", sentence), sentence
        assert not SHOUTED.search(sentence), sentence


@pytest.fixture(scope="module")
def tls_emulator():
    with Emulator(documented=True, sessions=0, tls=True) as running:
        yield running


@pytest.fixture
def dripping():
    @contextmanager
    def server(seconds):
        """A server that sends one byte of its headers each tenth of a second, for so long; gives its URL."""
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def serve():
                connection, dummy = listener.accept()
                with connection:
                    connection.recv(65536)
                    for dummy in range(int(seconds * 10)):
                        try:
                            connection.sendall(b"H" if dummy else b"HTTP/1.1 200 OK\r\nX: ")
                        except OSError:
                            return
                        time.sleep(0.1)

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            thread.join(5)

    return server
