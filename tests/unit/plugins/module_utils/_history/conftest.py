# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import os
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.records import FACTS, NewRecord, subject_of
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.store import open_store
from programs import COLLECTIONS, started

AT = "2026-03-01T00:00:00.000000Z"


class Make:
    """Records for tests."""

    def __init__(self):
        self._seconds = itertools.count()

    def session(self, number, em="em.example.com", **facts):
        guid = f"{number:08d}-d045-4493-9869-0a970e08f6f9"
        facts = {
            "id": guid,
            "name": "Acme",
            "backup_server": {"id": None, "name": "backup1"},
            "state": "Stopped",
            "result": "Success",
            "creation_time": f"2026-03-01T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}.000000Z",
            "end_time": None,
            "finished": True,
            "tasks": [],
            **facts,
        }
        return NewRecord("session", subject_of(em, guid), AT, whole("session", facts))

    def look(self, em="em.example.com"):
        at = f"2026-03-02T00:00:{next(self._seconds):02d}.000000Z"
        return NewRecord("look", subject_of(em, at), at, whole("look", {"complete": True}))

    def record(self, kind, identity="a", em="em.example.com", **body):
        return NewRecord(kind, subject_of(em, identity), AT, whole(kind, body))


def whole(kind, facts):
    """The body of a record that has the facts of its kind."""
    return {**dict.fromkeys(FACTS[kind]), **facts}


@pytest.fixture
def make():
    return Make()


@pytest.fixture
def file(tmp_path):
    return str(tmp_path / "history.db")


@pytest.fixture(params=["sqlite", "postgresql"])
def location(request):
    """Where a history may be created, in both databases."""
    if request.param == "sqlite":
        return request.getfixturevalue("file")
    return request.getfixturevalue("postgres").new_schema()


@pytest.fixture
def store(location):
    with open_store(location, create=True) as store:
        yield store


@pytest.fixture
def without_triggers():
    """Run SQL as somebody who may remove the triggers does."""

    def run(store, *statements):
        database = store.database
        if database.dialect == "sqlite":
            for name in [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]:
                database.execute(f"DROP TRIGGER {name}")
        else:
            for table in ("store", "record", "session_index"):
                database.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for statement in statements:
            database.execute(statement)

    return run


@pytest.fixture
def unprivileged():
    """A context in which the files of others are what they are for a user who is not root."""

    @contextmanager
    def context():
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield
        finally:
            if root:
                os.seteuid(0)

    return context


@pytest.fixture
def start_writer():
    """Start a process that appends to a history, see writer.py. Those that still run are killed at the end."""
    with ExitStack() as running:

        def start(location, *arguments):
            command = [sys.executable, str(Path(__file__).with_name("writer.py")), location, *map(str, arguments)]
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join([COLLECTIONS, os.environ.get("PYTHONPATH", "")])}
            return running.enter_context(started(command, env=environment, stderr=None))

        yield start
