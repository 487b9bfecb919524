# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
import yaml
from ansible_collections.dr_runbook.veeam_em.plugins.modules import failover_session_wait

GUID = "475420ee-d045-4493-9869-0a970e08f6f9"


@pytest.fixture
def run(run_module, hours):
    return lambda **options: run_module("failover_session_wait", **{"username": "reader", **options})


@pytest.fixture
def guid(em, hours):
    return em.world.add_session(name="Acme", result="Failed", tasks=[{"vm_name": "db", "duration": 60}]).id


def test_until_finished(em, guid, run, hours):
    result = run(id=guid)
    assert (result["changed"], result["failover_session"]["result"]) == (False, "Failed")
    assert "failed" not in result
    assert result["waited"] == hours.now > 60
    assert em.counters.live_logons == 0


def test_until_appeared(em, guid, run, hours):
    result = run(plan="Acme", created_after="1h", until="appeared")
    assert (result["failover_session"]["id"], result["waited"], hours.now) == (guid, 0, 0)


def test_everything_documented_is_returned_and_nothing_else(em, guid, run):
    documented = yaml.safe_load(failover_session_wait.RETURN)
    always = {name for name, entry in documented.items() if entry["returned"] == "always"}
    result = run(id=guid, check_mode=True)
    assert set(result) - {"invocation", "changed"} == always
    assert set(result["failover_session"]) == set(documented["failover_session"]["sample"])
    failure = run(id=GUID, appear_timeout=10)
    assert set(failure) - {"invocation", "failed", "exception", "changed"} == set(documented)


def test_a_time_out_carries_the_last_facts(em, guid, run, hours):
    result = run(id=guid, finish_timeout=30)
    assert (result["failed"], result["timed_out"], result["error"]["kind"]) == (True, True, "wait_timeout")
    assert result["failover_session"]["state"] == "Working"
    assert result["waited"] == 30
    result = run(plan="Acne", created_after="1h", appear_timeout=20)
    assert (result["timed_out"], result["failover_session"], result["waited"]) == (True, None, 20)


def test_em_must_answer_at_the_beginning(em, guid, run, hours):
    em.outage(3600, "503")
    result = run(id=guid)
    em.outage(0)
    assert (result["failed"], result["timed_out"], result["error"]["kind"]) == (True, False, "server")
    assert hours.now == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, ["id", "plan"]),
        ({"id": GUID, "plan": "Acme"}, ["mutually exclusive"]),
        ({"id": GUID, "created_after": "1h"}, ["mutually exclusive"]),
        ({"plan": "Acme"}, ["created_after"]),
        ({"id": "Acme"}, ["id", "GUID"]),
        ({"plan": "Acme", "created_after": "soon"}, ["created_after", "ISO 8601"]),
        ({"id": GUID, "until": "started"}, ["until", "appeared"]),
        ({"id": GUID, "poll_interval": 0}, ["poll_interval", "1 or more"]),
        ({"id": GUID, "appear_timeout": 0}, ["appear_timeout", "1 or more"]),
    ],
)
def test_a_bad_option_fails_before_any_request(em, run, options, words):
    result = run(**options)
    assert result["failed"] is True
    assert [word for word in words if word not in result["msg"]] == []
    assert em.counters.requests == 0


@pytest.mark.parametrize("user", ["reader", "operator", "both", "restricted"])
@pytest.mark.parametrize("query", ["as resource", "refused"])
def test_each_role_waits_or_names_the_role_that_is_missing(em, guid, run, hours, user, query):
    em.behaviour.role_query = query
    result = run(username=user, plan="Acme", created_after="1h")
    if user == "restricted":
        assert (result["error"]["kind"], result["error"]["status"]) == ("permission", 403)
        assert "Check that restricted has the role Portal User or VM Restore Operator in" in result["msg"]
        assert (result["timed_out"], hours.now) == (False, 0)
    else:
        assert result["failover_session"]["finished"] is True
        assert len([warning for warning in result.get("warnings", []) if "forbids" in warning]) == (query == "refused")
    assert em.counters.live_logons == 0


def test_a_query_that_is_forbidden_is_said_once_in_a_wait(em, run, hours):
    em.behaviour.role_query = "refused"
    result = run(plan="Acme", created_after="1h", appear_timeout=100)
    assert (result["error"]["kind"], result["error"]["status"]) == ("wait_timeout", None)
    assert em.counters.routes["GET /api/query"] > 10
    (warning,) = result["warnings"]
    assert "forbids reader to query" in warning
