# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import re
from contextlib import contextmanager

import pytest
import yaml
from ansible.module_utils import basic
from ansible_collections.dr_runbook.veeam_em.plugins.doc_fragments import _connection, _session_criteria
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import transport, xml
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.interrupts import Interrupted
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._argspec import (
    CONNECTION_SPEC,
    SESSION_CRITERIA_SPEC,
)
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.sessions import SessionReader
from ansible_collections.dr_runbook.veeam_em.plugins.modules import failover_session_info

PASSWORD = "Passw0rd!"
GUID = "475420ee-d045-4493-9869-0a970e08f6f9"


@contextmanager
def arguments(params):
    try:
        from ansible.module_utils.testing import patch_module_args
    except ImportError:  # ansible-core 2.18 and older
        basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": params}).encode()
        yield
        basic._ANSIBLE_ARGS = None
    else:
        with patch_module_args(params):
            yield


@pytest.fixture
def run(em, capsys, monkeypatch):
    """Run the module as Ansible does; returns what it prints. ``None`` takes an option away."""
    for name in CONNECTION_SPEC:
        monkeypatch.delenv(f"VEEAM_EM_{name.upper()}", raising=False)

    warnings = []
    monkeypatch.setattr(basic.AnsibleModule, "warn", lambda module, warning: warnings.append(warning))

    def call(check_mode=False, **options):
        warnings.clear()
        given = {"url": em.url, "username": "reader", "password": PASSWORD, "retries": 0, **options}
        params = {name: value for name, value in given.items() if value is not None}
        with arguments({**params, "_ansible_check_mode": check_mode}), pytest.raises(SystemExit):
            failover_session_info.main()
        return {**json.loads(capsys.readouterr().out), "warnings": list(warnings)}

    return call


def test_facts(em, run):
    em.reset(sessions=253, tasks=1)
    result = run()
    assert len(result["failover_sessions"]) == 253
    assert result["changed"] is False
    assert result["missing_ids"] == []
    query = result["query"]
    assert (query["requests"], query["pages"], query["filter"], query["api_version"]) == (5, 3, None, "latest")
    assert query["queried_at"].endswith("Z")
    assert em.counters.live_logons == 0
    assert ["clear text" in warning for warning in result["warnings"]] == [True]


def test_check_mode_gives_the_same(em, run):
    em.reset(sessions=20)
    assert run(check_mode=True)["failover_sessions"] == run()["failover_sessions"]


def test_every_documented_fact_is_returned_and_no_other(em, run):
    em.world.add_session(state="Stopped", backup_server="vbr", tasks=[{"vm_name": "vm"}])
    documented = yaml.safe_load(failover_session_info.RETURN)

    def compare(value, contains, path):
        assert set(value) == set(contains), path
        for name, entry in contains.items():
            if "contains" in entry:
                inner = value[name][0] if entry["type"] == "list" else value[name]
                compare(inner, entry["contains"], f"{path}.{name}")

    result = run(id=[em.world.sessions[0].id], data_age=True, username="admin")
    assert set(result) - {"invocation", "changed", "warnings"} == set(documented) - {"error", "msg"}
    for name in ("tasks_kept_at", "em_name", "seen_at"):  # only the history has them
        assert documented["failover_sessions"]["contains"].pop(name)["returned"].startswith("with O(source=history)")
    for name in ("failover_sessions", "query"):
        value = result[name][0] if name == "failover_sessions" else result[name]
        compare(value, documented[name]["contains"], name)
    error = run(password="wrong")["error"]
    compare(error, documented["error"]["contains"], "error")


@pytest.mark.parametrize(
    "fields",
    [["name"], ["tasks", "id"], ["state", "state"], ["id", "name", "state", "result", "creation_time", "duration"]],
)
def test_fields_are_the_facts_that_are_returned(em, run, fields):
    em.reset(sessions=5, tasks=2)
    whole, some = run(), run(fields=fields)
    assert some["failover_sessions"] == [
        {name: session[name] for name in fields} for session in whole["failover_sessions"]
    ]
    assert [list(session) for session in some["failover_sessions"]] == [list(dict.fromkeys(fields))] * 5
    assert {**some["query"], "queried_at": ""} == {**whole["query"], "queried_at": ""}


def test_criteria_hold_for_facts_that_are_not_returned(em, run):
    em.world.add_session(name="Other", state="Stopped", result="Success")
    em.world.add_session(name="Acme", state="Stopped", result="Failed")
    result = run(fields=["name"], result=["Failed"], latest_per_plan=True)
    assert result["failover_sessions"] == [{"name": "Acme"}]


def test_replica_points_among_fields(em, run):
    em.world.add_session(state="Stopped", tasks=[{"vm_name": "db"}])
    assert list(run(fields=["tasks"], replica_points=True)["failover_sessions"][0]) == ["tasks"]


def test_every_fact_can_be_a_field():
    facts = yaml.safe_load(failover_session_info.RETURN)["failover_sessions"]["contains"]
    documented = yaml.safe_load(failover_session_info.DOCUMENTATION)["options"]["fields"]["choices"]
    assert list(facts) == documented == [*failover_session_info.FIELDS, *failover_session_info.HISTORY_FIELDS]


def test_replica_points_are_read_on_request_only(em, run):
    plan = em.world.add_plan("Acme", ["db"])
    point = em.world.points.history(plan, plan.vms[0], em.clock.now())[0]
    em.world.add_session(
        state="Stopped", tasks=[{"vm_name": "db", "replica_point": {"id": point.id, "name": point.name}}]
    )
    result = run()
    (task,) = result["failover_sessions"][0]["tasks"]
    unread = {"id": point.id, "name": point.name, "creation_time": None, "state": None}
    assert (task["replica_point"], result["points_seen_at"]) == (unread, None)
    assert not any("CloudVmReplicaPoint" in record.query for record in em.requests)
    result = run(replica_points=True)
    (task,) = result["failover_sessions"][0]["tasks"]
    created = f"{point.creation_time:%Y-%m-%dT%H:%M:%S.000000}Z"
    assert task["replica_point"] == {**unread, "creation_time": created, "state": "Ready"}
    assert result["points_seen_at"] > created
    assert result["query"]["requests"] == 4
    assert em.counters.live_logons == 0


def test_replica_points_that_may_not_be_read_fail_nothing(em, run):
    em.world.add_session(state="Stopped", tasks=[{"vm_name": "db"}])
    em.faults.add("status", status=403, query="CloudVmReplicaPoint")
    em.faults.add("status", status=403, path="/vmReplicaPoints")
    plain, result = run(), run(replica_points=True)
    assert (result["failover_sessions"], result["points_seen_at"]) == (plain["failover_sessions"], None)
    assert sum("Portal User" in warning for warning in result["warnings"]) == 1


def test_missing_ids(em, run):
    known = em.world.add_session().id
    result = run(id=[known, GUID])
    assert [fact["id"] for fact in result["failover_sessions"]] == [known]
    assert result["missing_ids"] == [GUID]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"created_after": "yesterday"}, ["created_after", "ISO 8601", "7d"]),
        ({"ended_before": "2026-03-01"}, ["ended_before", "ISO 8601"]),
        ({"page_size": 0}, ["page_size", "1 to 1000"]),
        ({"page_size": "many"}, ["page_size", "int"]),
        ({"id": ["not-an-id"]}, ["id", "GUID"]),
        ({"limit": -1}, ["limit", "1 or more"]),
        ({"url": "ftp://em.example.com"}, ["url", "https://em.example.com:9398"]),
        ({"state": ["Running"]}, ["state", "Working"]),
        ({"result": ["Lost"]}, ["result", "Success"]),
        ({"sort_order": "up"}, ["sort_order", "ascending"]),
        ({"timeout": 0}, ["timeout", "1 to 3600"]),
        ({"retries": -1}, ["retries", "0 or more"]),
        ({"ca_path": "/no/such/file"}, ["ca_path: '/no/such/file' cannot be used"]),
        ({"api_version": "seven"}, ["api_version", "latest"]),
        ({"username": "a:b"}, ["username", "colon"]),
        ({"name": []}, ["name", "selects nothing"]),
        ({"validate_certs": "perhaps"}, ["validate_certs", "bool"]),
        ({"url": None}, ["Not set: url", "VEEAM_EM_URL"]),
        ({"nonsense": 1}, ["nonsense", "created_after"]),
        ({"fields": ["id", "nmae"]}, ["fields", "nmae", "creation_time", "task_summary"]),
        ({"fields": []}, ["fields", "return all"]),
        ({"fields": ["id"], "replica_points": True}, ["replica_points", "add tasks to fields"]),
    ],
)
def test_a_bad_option_fails_before_any_request_and_says_what_is_accepted(em, run, options, words):
    result = run(**options)
    assert result["failed"] is True
    assert [word for word in words if word not in result["msg"]] == []
    assert em.counters.requests == 0


@pytest.mark.parametrize(
    ("options", "fault", "kind", "status"),
    [
        ({"password": "wr0ng-secret"}, None, "auth", 401),
        ({"username": "restricted"}, None, "permission", 403),
        ({"url": "http://127.0.0.1:1"}, None, "connection", None),
        ({}, {"action": "html", "path": "/query"}, "protocol", 200),
        ({}, {"action": "status", "status": 502, "path": "/query"}, "server", 502),
        ({"timeout": 1}, {"action": "slow_headers", "seconds": 3, "path": "/query"}, "timeout", None),
    ],
)
def test_an_error_has_a_sentence_and_a_kind(em, run, options, fault, kind, status):
    if fault:
        em.faults.add(**fault)
    result = run(**options)
    em.faults.clear()
    assert result["failed"] is True
    assert (result["error"]["kind"], result["error"]["status"]) == (kind, status)
    assert options.get("url", em.url) in result["msg"]
    assert "Traceback" not in json.dumps(result)
    assert "wr0ng-secret" not in json.dumps(result)
    assert em.counters.live_logons == 0


@pytest.mark.parametrize("user", ["reader", "operator", "both", "restricted"])
@pytest.mark.parametrize("query", ["as resource", "refused"])
def test_each_role_gives_sessions_or_names_the_role_that_is_missing(em, run, user, query):
    em.reset(sessions=5, tasks=1)
    em.behaviour.role_query = query
    result = run(username=user)
    warnings = [warning for warning in result["warnings"] if "clear text" not in warning]
    if user == "restricted":
        assert (result["error"]["kind"], result["error"]["status"]) == ("permission", 403)
        assert "Check that restricted has the role Portal User or VM Restore Operator in" in result["msg"]
        assert warnings == []
    else:
        assert len(result["failover_sessions"]) == 5
        assert result["query"]["source"] == ("collection" if query == "refused" else "query")
        assert len(warnings) == (query == "refused")
    assert em.counters.live_logons == 0


def test_the_password_is_not_shown(em, run):
    assert PASSWORD not in json.dumps(run())


def test_options_from_the_environment(em, run, monkeypatch):
    for name, value in {
        "URL": em.url,
        "USERNAME": "reader",
        "PASSWORD": PASSWORD,
        "API_VERSION": "v1_7",
        "TIMEOUT": "5",
    }.items():
        monkeypatch.setenv(f"VEEAM_EM_{name}", value)
    result = run(url=None, username=None, password=None)
    assert result["query"]["api_version"] == "v1_7"
    assert PASSWORD not in json.dumps(result)
    monkeypatch.setenv("VEEAM_EM_TIMEOUT", "0")
    assert "timeout: 0 cannot be used" in run(url=None, username=None, password=None)["msg"]


def test_a_refused_filter_is_a_warning(em, run):
    wanted = em.world.add_session(name="Plan").id
    em.faults.add("status", status=400, message="No filters today", path="/query", query="filter")
    result = run(name=["Plan"])
    assert [fact["id"] for fact in result["failover_sessions"]] == [wanted]
    assert any("No filters today" in warning for warning in result["warnings"])


@pytest.mark.parametrize(("library", "file"), [("requests", transport), ("xmltodict", xml)])
def test_a_missing_library_is_named(em, run, monkeypatch, library, file):
    monkeypatch.setattr(file, f"{library.upper()}_IMPORT_ERROR", ImportError(f"No module named {library!r}"))
    result = run()
    assert result["failed"] is True
    assert f"({library})" in result["msg"]
    assert f"-m pip install {library})" in result["msg"]
    assert em.counters.requests == 0


@pytest.mark.parametrize(
    ("signal", "message"),
    [
        (Interrupted("Interrupted by SIGTERM; ended."), "Interrupted by SIGTERM; ended."),
        (KeyboardInterrupt(), "Interrupted."),
    ],
)
def test_an_interruption_ends_with_a_sentence(em, run, monkeypatch, signal, message):
    def interrupted(reader, criteria):
        raise signal

    monkeypatch.setattr(SessionReader, "list_sessions", interrupted)
    assert run()["msg"] == message
    assert em.counters.live_logons == 0


def test_the_argument_specs_are_those_of_the_documentation():
    """Types, defaults and choices; ansible-test validates the same, but only where it runs."""
    for fragment, spec in ((_connection, CONNECTION_SPEC), (_session_criteria, SESSION_CRITERIA_SPEC)):
        documented = yaml.safe_load(fragment.ModuleDocFragment.DOCUMENTATION)["options"]
        described = {
            name: {key: value for key, value in entry.items() if key != "description"}
            for name, entry in documented.items()
        }
        given = {
            name: {key: value for key, value in entry.items() if key not in ("fallback", "no_log")}
            for name, entry in spec.items()
        }
        assert described == given


def test_every_connection_option_says_its_environment_variable():
    documented = yaml.safe_load(_connection.ModuleDocFragment.DOCUMENTATION)["options"]
    for name, entry in documented.items():
        assert f"E(VEEAM_EM_{name.upper()})" in " ".join(entry["description"])
        assert CONNECTION_SPEC[name]["fallback"][1] == [f"VEEAM_EM_{name.upper()}"]


def test_a_proxy_that_needs_a_library_is_named(run_module, socks_proxy):
    result = run_module("failover_session_info", url="https://em.example.com:9398")
    assert re.search(socks_proxy, result["msg"])
    assert "error" not in result
    assert "warnings" not in result


# From the history


def test_the_history_gives_the_facts_of_em_without_em(em, run, record, store):
    em.reset(sessions=30, tasks=2)
    plan = em.world.add_plan("Acme", ["db"])
    em.run_by_others(plan, "start")
    em.clock.advance(3600)
    record()
    options = {"result": ["Success"], "limit": 9}
    by_em = run(username="admin", replica_points=True, **options)
    em.world.clear()
    em.requests.clear()
    recorded = run(source="history", store=store, url=None, username=None, password=None, **options)
    assert em.requests == []
    assert len(by_em["failover_sessions"]) == 9
    for session, shown in zip(recorded["failover_sessions"], by_em["failover_sessions"]):
        assert (session.pop("em_name"), session.pop("seen_at")) == ("127.0.0.1", recorded["points_seen_at"])
        for facts in (session, *session["tasks"], shown, *shown["tasks"]):
            assert facts.pop("progress") is None or facts in (shown, *shown["tasks"])
        assert session == shown
    assert {**recorded["query"], "queried_at": ""} == {
        **{"filter": None, "source": "history", "requests": 0, "pages": 0, "queried_at": ""},
        **{"api_version": None, "data_age": None},
    }
    assert recorded["warnings"] == []


def test_facts_that_only_the_history_has_are_null_in_em(em, run, record, store):
    em.reset(sessions=2)
    record(em_name="north")
    fields = ["em_name", "seen_at", "name"]
    assert {session["em_name"] for session in run(fields=fields)["failover_sessions"]} == {None}
    for names, expected in ((None, {"north"}), (["north"], {"north"}), (["south"], set())):
        found = run(fields=fields, source="history", store=store, em_name=names)["failover_sessions"]
        assert {session["em_name"] for session in found} == expected


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, ["store", "VEEAM_EM_STORE"]),
        ({"store": " "}, ["store", "VEEAM_EM_STORE"]),
        ({"store": "/nowhere/history.db"}, ["/nowhere", "does not exist"]),
        ({"store": 7}, ["store", "quote"]),
        ({"store": "postgresql://dr:secret@db/dr"}, ["store: '...'", "store_password"]),
        ({"store": "postgresql://db/dr?user=dr&password=secret"}, ["store: '...'", "store_password"]),
        ({"store": "history.db", "max_data_age": "20m"}, ["max_data_age", "source: history"]),
    ],
)
def test_a_history_that_cannot_be_read_is_one_sentence(em, run, monkeypatch, options, words):
    monkeypatch.delenv("VEEAM_EM_STORE", raising=False)
    result = run(source="history", url=None, username=None, password=None, **options)
    assert [word for word in words if word not in result["msg"]] == []
    assert "error" not in result and em.requests == []
