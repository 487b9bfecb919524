# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What reading costs, counted and not timed: requests, bytes, passes over the answer, what is imported."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import programs
import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import xml as _xml
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import Operation
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover import session_facts as facts_module
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover import sessions as sessions_module
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.criteria import SessionCriteria
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.sessions import SessionReader

COLLECTION = Path(__file__).resolve().parents[4]
INSPECT = {
    "inspect",
    "ast",
    "_ast",
    "dis",
    "opcode",
    "_opcode",
    "_opcode_metadata",
    "importlib.machinery",
}  # by dataclasses
PLUGINS = "ansible_collections.dr_runbook.veeam_em.plugins"
COLLECTIONS = (
    COLLECTION.parents[2] if "ansible_collections" in COLLECTION.parts else COLLECTION / ".ansible/collections"
)


@pytest.fixture
def em(idle_em):
    return idle_em


@pytest.fixture
def passes(monkeypatch):
    """How often each step of the way from bytes to facts is gone."""
    counted = Counter()

    def watch(owner, name):
        step = getattr(owner, name)

        def counting(*args, **options):
            counted[name] += 1
            return step(*args, **options)

        monkeypatch.setattr(owner, name, counting)

    watch(_xml.xmltodict, "parse")
    watch(_xml, "_document")
    watch(sessions_module, "session_facts")
    watch(facts_module, "_task_facts")
    return counted


@pytest.mark.parametrize(("page_size", "pages"), [(100, 1), (50, 2), (10, 10), (9, 12)])
def test_each_page_is_sent_once_and_gone_through_once(em, connect, passes, page_size, pages):
    em.reset(sessions=99 if page_size != 50 else 80, tasks=3)
    count = len(em.world.sessions)
    with connect() as client:
        answer = SessionReader(client).list_sessions(SessionCriteria.from_options({"page_size": page_size}.get))
    logon = 1  # its reply is read for the link to log off
    assert len(answer.sessions) == count
    assert passes == {
        "parse": pages + logon,
        "_document": pages + logon,
        "session_facts": count,
        "_task_facts": 3 * count,
    }
    assert client.counters.requests == em.counters.requests == pages + 2


@pytest.mark.parametrize(
    ("options", "requests"),
    [
        ({"limit": 1}, 1),
        ({"limit": 1, "name": "Acme web tier", "latest_per_plan": False}, 1),
        ({"result": ["Failed"], "created_after": "30d"}, 1),
        ({"latest_per_plan": True}, 3),
        ({"name": [f"plan {number}" for number in range(100)]}, 1),
    ],
)
def test_what_em_can_filter_or_cut_is_not_fetched(em, connect, options, requests):
    em.reset(sessions=250, tasks=1)
    with connect() as client:
        SessionReader(client).list_sessions(SessionCriteria.from_options(options.get))
    assert client.counters.requests == requests + 2


def loaded_by(statement, **environment):
    """The modules that a fresh Python has after a statement and had not before."""
    code = (
        "import json, sys; before = set(sys.modules); sys.path.insert(0, sys.argv[1]); "
        f"{statement}; print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(COLLECTIONS)],
        capture_output=True,
        text=True,
        check=True,
        timeout=programs.TIMEOUT,
    )
    return set(json.loads(run.stdout))


@pytest.mark.parametrize("module", ["failover_session_info", "failover_history_info"])
def test_what_reads_a_history_loads_no_client(module):
    """Each file goes to the target with every task, and is compiled there; and the libraries take longer than most histories."""
    loaded = loaded_by(f"import {PLUGINS}.modules.{module}")
    basic = loaded_by("import ansible.module_utils.basic")
    client = {f"{PLUGINS}.module_utils.{part}" for part in ("_connection", "_api.client", "_api.transport", "_api.xml")}
    slow = {
        "requests",
        "xmltodict",
        "ssl",
        "http.client",
        "asyncio",
        "concurrent.futures",
        "multiprocessing",
        "unittest",
    }
    assert loaded & (client | slow | {"xml.etree.ElementTree", "sqlite3", "psycopg"}) - basic == set()


def test_the_module_takes_along_what_it_needs_and_no_more():
    reading = ("_connection", "_failover.data_age", "_failover.replica_points", "_failover.sessions")
    loaded = loaded_by(
        f"import {PLUGINS}.modules.failover_session_info; "
        + "; ".join(f"import {PLUGINS}.module_utils.{part}" for part in reading)
    )
    ours = {module for module in loaded if module.startswith(f"{PLUGINS}.module_utils.")}
    assert {module for module in ours if not module.endswith(("_api", "_failover", "_history"))} == {
        f"{PLUGINS}.module_utils.{part}"
        for part in (
            "_api.advice",
            "_api.client",
            "_api.options",
            "_api.response",
            "_api.errors",
            "_api.filters",
            "_api.ids",
            "_api.interrupts",
            "_api.proxy",
            "_api.query",
            "_api.redaction",
            "_api.resource",
            "_api.transport",
            "_api.xml",
            "_failover.criteria",
            "_failover.data_age",
            "_failover.facts",
            "_failover.permissions",
            "_failover.replica_points",
            "_failover.session_facts",
            "_failover.sessions",
            "_failover.times",
            "_history.errors",
            "_argspec",
            "_connection",
            "_module",
        )
    }
    # Of ansible-core only what each module has anyway, and none of the slow ones of the standard library.
    basic = loaded_by("import ansible.module_utils.basic")
    assert {module for module in loaded - basic if module.startswith("ansible.")} == set()
    slow = {"asyncio", "concurrent.futures", "multiprocessing", "unittest", "xml.etree.ElementTree", "sqlite3"}
    assert loaded & slow - basic == set()


def test_the_core_loads_two_libraries_and_what_these_load():
    # What the libraries load is for them to decide, and differs between their versions.
    theirs = loaded_by("import requests, urllib3, xmltodict")
    package = (
        "import types, importlib; package = types.ModuleType('core'); "
        f"package.__path__ = [{str(COLLECTION / 'plugins' / 'module_utils')!r}]; sys.modules['core'] = package; "
        "importlib.import_module('core._failover.sessions'); importlib.import_module('core._failover.plans')"
    )
    ours = {module for module in loaded_by(package) - theirs if not module.startswith("core")}
    assert {module.partition(".")[0] for module in ours} <= set(sys.stdlib_module_names)
    assert ours <= {"dataclasses", "difflib", "gc", "html", "html.entities", "signal"} | INSPECT


def test_a_page_that_has_been_read_is_gone_without_the_garbage_collector(em, connect):
    """Else pages would pile up until it runs."""
    em.reset(sessions=90, tasks=3)
    with connect() as client:
        path = "/api/query?type=CloudFailoverSession&format=Entities"
        client.get(path, Operation("Read"))
        gc.collect()
        gc.disable()
        try:
            assert len(client.get(path, Operation("Read")).items) == 90
            left = gc.collect()
        finally:
            gc.enable()
    assert left < 90  # of the thousands of objects that a page is made of
