# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
import yaml
from ansible_collections.dr_runbook.veeam_em.plugins.modules import failover_session_wait
from ansible_collections.dr_runbook.veeam_em.plugins.modules.failover_session_info import FIELDS

GUID = "475420ee-d045-4493-9869-0a970e08f6f9"
SEEN = {"id": GUID, "tasks": [], "task_summary": {}}


@pytest.fixture
def run(run_module, fake_clock):
    return lambda **options: run_module("failover_session_wait", **{"username": "reader", **options})


@pytest.fixture
def guid(em, fake_clock):
    return em.world.add_session(name="Acme", result="Failed", tasks=[{"vm_name": "db", "duration": 60}]).id


def test_until_finished(em, guid, run, fake_clock):
    result = run(id=guid)
    assert (result["changed"], result["failover_session"]["result"]) == (False, "Failed")
    assert "failed" not in result
    assert result["waited"] == fake_clock.now > 60
    assert em.counters.live_logons == 0


def test_until_appeared(em, guid, run, fake_clock):
    result = run(plan="Acme", created_after="1h", until="appeared")
    assert (result["failover_session"]["id"], result["waited"], fake_clock.now) == (guid, 0, 0)


def test_everything_documented_is_returned_and_nothing_else(em, guid, run):
    documented = yaml.safe_load(failover_session_wait.RETURN)
    always = {name for name, entry in documented.items() if entry["returned"] == "always"}
    result = run(id=guid, check_mode=True)
    assert set(result) - {"invocation", "changed"} == always
    assert (
        set(result["failover_session"]) == {*FIELDS, "tasks_kept_at"} >= set(documented["failover_session"]["sample"])
    )
    failure = run(id=GUID, appear_timeout=10)
    assert set(failure) - {"invocation", "failed", "exception", "changed"} == set(documented)


def test_a_time_out_carries_the_last_facts(em, guid, run, fake_clock):
    result = run(id=guid, finish_timeout=30)
    assert (result["failed"], result["timed_out"], result["error"]["kind"]) == (True, True, "wait_timeout")
    assert result["failover_session"]["state"] == "Working"
    assert result["waited"] == 30
    result = run(plan="Acne", created_after="1h", appear_timeout=20)
    assert (result["timed_out"], result["failover_session"], result["waited"]) == (True, None, 20)


def test_em_must_answer_at_the_beginning(em, guid, run, fake_clock):
    em.outage(3600, "503")
    result = run(id=guid)
    em.outage(0)
    assert (result["failed"], result["timed_out"], result["error"]["kind"]) == (True, False, "server")
    assert fake_clock.now == 0


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
        ({"plan": "Acme", "created_after": "1h", "last_seen": SEEN}, ["mutually exclusive", "last_seen"]),
        ({"id": GUID, "last_seen": {**SEEN, "id": GUID[::-1]}}, ["last_seen", "failover_session of an earlier result"]),
        ({"id": GUID, "last_seen": {}}, ["last_seen", "failover_session of an earlier result"]),
        ({"id": GUID, "last_seen": {**SEEN, "tasks": None}}, ["last_seen", "failover_session of an earlier result"]),
        ({"id": GUID, "last_seen": {**SEEN, "tasks": [{}]}}, ["last_seen", "failover_session of an earlier result"]),
        ({"id": GUID, "last_seen": {**SEEN, "tasks": ["db"]}}, ["last_seen", "failover_session of an earlier result"]),
        (
            {"id": GUID, "last_seen": {**SEEN, "task_summary": 1}},
            ["last_seen", "failover_session of an earlier result"],
        ),
    ],
)
def test_a_bad_option_fails_before_any_request(em, run, options, words):
    result = run(**options)
    assert result["failed"] is True
    assert [word for word in words if word not in result["msg"]] == []
    assert em.counters.requests == 0


# Replica points


@pytest.fixture
def used(em, fake_clock):
    """A session of one VM, and the point that it uses, which is in failover."""
    plan = em.world.add_plan("Acme", ["db"])
    point = em.world.points.history(plan, plan.vms[0], em.clock.now())[0]
    em.world.points.use(point, plan, "a session", em.clock.now())
    replica_point = {"id": point.id, "name": point.name}
    guid = em.world.add_session(
        name="Acme", tasks=[{"vm_name": "db", "start_offset": 0, "duration": 60, "replica_point": replica_point}]
    ).id
    read = {"creation_time": f"{point.creation_time:%Y-%m-%dT%H:%M:%S.000000}Z", "state": "Failover"}
    return guid, {**replica_point, **read}


def points_of(result):
    return [task["replica_point"] for task in result["failover_session"]["tasks"]]


def asked_for_points(em):
    return [
        record for record in em.requests if "CloudVmReplicaPoint" in record.query or "/vmReplicaPoints" in record.path
    ]


def test_points_are_read_when_the_session_has_finished(em, used, run):
    guid, point = used
    result = run(id=guid)
    assert points_of(result) == [point]
    assert result["points_seen_at"].endswith("Z")
    assert len(asked_for_points(em)) == 1


@pytest.mark.parametrize("options", [{"until": "appeared"}, {"finish_timeout": 30}])
def test_points_are_not_read_before_the_session_has_finished(em, used, run, options):
    result = run(id=used[0], **options)
    assert points_of(result) == [{**used[1], "creation_time": None, "state": None}]
    assert result["points_seen_at"] is None
    assert asked_for_points(em) == []


def test_points_that_may_not_be_read_fail_nothing(em, used, run):
    result = run(id=used[0], username="operator")
    assert "failed" not in result
    assert points_of(result) == [{**used[1], "creation_time": None, "state": None}]
    assert result["points_seen_at"] is None
    (warning,) = result["warnings"]
    assert "operator needs the role Portal User" in warning


def test_vms_that_em_drops_are_known_from_an_earlier_wait(em, used, run, fake_clock):
    em.behaviour.finished_tasks = "drop"
    guid, point = used
    earlier = run(id=guid, until="appeared")["failover_session"]
    fake_clock.sleep(100)
    alone = run(id=guid)
    assert (alone["failover_session"]["tasks"], alone["points_seen_at"]) == ([], None)
    continued = run(id=guid.upper(), last_seen=earlier)
    assert points_of(continued) == [point]
    assert continued["points_seen_at"] is not None
    assert continued["failover_session"]["tasks_kept_at"].endswith("Z")


@pytest.mark.parametrize("user", ["reader", "operator", "both", "restricted"])
@pytest.mark.parametrize("query", ["as resource", "refused"])
def test_each_role_waits_or_names_the_role_that_is_missing(em, guid, run, fake_clock, user, query):
    em.behaviour.role_query = query
    result = run(username=user, plan="Acme", created_after="1h")
    if user == "restricted":
        assert (result["error"]["kind"], result["error"]["status"]) == ("permission", 403)
        assert "Check that restricted has the role Portal User or VM Restore Operator in" in result["msg"]
        assert (result["timed_out"], fake_clock.now) == (False, 0)
    else:
        assert result["failover_session"]["finished"] is True
        assert len([warning for warning in result.get("warnings", []) if "forbids" in warning]) == (query == "refused")
    assert em.counters.live_logons == 0


def test_a_query_that_is_forbidden_is_said_once_in_a_wait(em, run, fake_clock):
    em.behaviour.role_query = "refused"
    result = run(plan="Acme", created_after="1h", appear_timeout=100)
    assert (result["error"]["kind"], result["error"]["status"]) == ("wait_timeout", None)
    assert em.counters.routes["GET /api/query"] > 10
    (warning,) = result["warnings"]
    assert "forbids reader to query" in warning


def test_a_plan_that_may_have_been_meant_is_named(em, run):
    em.world.add_plan("Acme Plan", ["vm"])
    result = run(plan="Acme", created_after="1h", appear_timeout=10, username="both")
    assert result["warnings"] == ["EM has no plan with the name that is waited for. Did you mean 'Acme Plan'?"]
    assert "warnings" not in run(plan="Acme Plan", created_after="1h", appear_timeout=10, username="both")


@pytest.mark.parametrize("other", ["vbr2", "vbr1"])
def test_backup_servers_differ_by_their_names_where_em_gives_no_ids(em, run, other):
    for name in ("vbr1", other):
        em.world.add_session("Acme", state="Working", backup_server={"id": "", "name": name})
    result = run(plan="Acme", created_after="1h", until="appeared")
    if other == "vbr1":
        assert result["failover_session"]["name"] == "Acme"
    else:
        assert result["error"]["kind"] == "ambiguous"
        assert "(backup server vbr1)" in result["msg"] and "(backup server vbr2)" in result["msg"]
