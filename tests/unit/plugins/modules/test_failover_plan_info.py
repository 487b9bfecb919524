# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
import yaml
from ansible_collections.dr_runbook.veeam_em.plugins.modules import failover_plan_info

GUID = "475420ee-d045-4493-9869-0a970e08f6f9"


@pytest.fixture
def run(run_module):
    return lambda **options: run_module("failover_plan_info", **{"username": "operator", **options})


@pytest.fixture
def plans(em):
    return {
        "first": em.world.add_plan("Beta", ["web", "db"], tenant="A", pre_command="C:\\before.ps1", description="Shop"),
        "second": em.world.add_plan("Beta", [{"name": "late", "order": 1}, {"name": "early", "order": 0}], tenant="B"),
        "third": em.world.add_plan("Alpha, and more", ["x"], tenant="B", backup_server="vbr9", actions=("undo",)),
    }


def test_facts(em, plans, run):
    result = run()
    plan = plans["first"]
    assert [fact["name"] for fact in result["failover_plans"]] == ["Alpha, and more", "Beta", "Beta"]
    (fact,) = [fact for fact in result["failover_plans"] if fact["id"] == plan.id]
    assert fact == {
        "id": plan.id,
        "uid": f"urn:veeam:CloudFailoverPlan:{plan.id}",
        "name": "Beta",
        "description": "Shop",
        "tenant": {"id": plan.tenant.id, "name": "A"},
        "backup_server": {"id": plan.backup_server.id, "name": plan.backup_server.name},
        "pre_command": {"enabled": True, "command": "C:\\before.ps1"},
        "post_command": {"enabled": False, "command": None},
        "vms": [{"id": vm.id, "name": vm.name, "order": order} for order, vm in enumerate(plan.vms)],
        "actions": ["start", "test", "undo"],
    }
    assert result["failover_plans"][0]["actions"] == ["undo"]
    assert (result["changed"], result["missing_ids"]) == (False, [])
    assert em.counters.live_logons == 0
    assert em.counters.requests == 3  # log on, one query, log off


def test_every_documented_fact_is_returned_and_no_other(plans, run):
    documented = yaml.safe_load(failover_plan_info.RETURN)
    contains = documented["failover_plans"]["contains"]
    result, failure = run(check_mode=True), run(password="wrong")
    assert set(result) - {"invocation", "changed", "warnings"} == set(documented) - {"error", "msg"}
    assert set(failure) - {"invocation", "changed", "warnings", "failed", "exception"} == {"error", "msg"}
    assert set(failure["error"]) == set(documented["error"]["contains"])
    for fact in result["failover_plans"]:
        assert list(fact) == list(contains)
        for name in ("tenant", "backup_server", "pre_command", "post_command"):
            assert set(fact[name]) == set(contains[name]["contains"])
        assert set(fact["vms"][0]) == set(contains["vms"]["contains"])


@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"plan_vms": "left out"},
        {"ignore_format": True},
        {"ignore_format": True, "plan_references": "as printed"},
        {"refuse_query_type": 400},
        {"case_sensitive": True, "xml_prefix": "v"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("criteria", "found"),
    [
        ({"name": "Beta"}, ["first", "second"]),
        ({"name": ["Alpha, and more", "beta"]}, ["third"]),
        ({"name": "Alpha, and more"}, ["third"]),
        ({"tenant": ["B"]}, ["second", "third"]),
        ({"tenant": ["B"], "name": "Beta"}, ["second"]),
        ({"backup_server": ["vbr9"]}, ["third"]),
        ({"name": "Gamma"}, []),
    ],
    ids=str,
)
def test_criteria(em, plans, run, switches, criteria, found):
    for name, value in switches.items():
        setattr(em.behaviour, name, value)
    facts = run(**criteria)["failover_plans"]
    assert {fact["id"] for fact in facts} == {plans[name].id for name in found}
    assert {fact["tenant"]["name"] for fact in facts} == {plans[name].tenant.name for name in found}
    assert [len(fact["vms"]) for fact in facts if not fact["vms"]] == []


@pytest.mark.parametrize("unknown_id", [404, 500, 400])
@pytest.mark.parametrize(
    "form", ["{}", "urn:veeam:FailoverPlan:{}", "https://x:9/api/cloud/cloudFailoverPlans/{}?format=Entity"]
)
def test_ids(em, plans, run, unknown_id, form):
    em.behaviour.unknown_id = unknown_id
    result = run(id=[form.format(plans["second"].id.upper()), GUID])
    assert [fact["id"] for fact in result["failover_plans"]] == [plans["second"].id]
    assert result["missing_ids"] == [GUID]
    assert run(id=[plans["second"].id], tenant=["A"])["failover_plans"] == []


def test_many_ids_cost_one_query(em, run):
    plans = [em.world.add_plan(f"Plan {number}", ["db"]) for number in range(20)]
    assert len(run(id=[plan.id for plan in plans])["failover_plans"]) == 20
    assert em.counters.requests == 3


def test_vms_come_in_the_order_in_which_they_start(plans, run):
    (fact,) = run(id=[plans["second"].id])["failover_plans"]
    assert [vm["name"] for vm in fact["vms"]] == ["early", "late"]


def test_an_id_that_is_listed_but_not_known_is_an_error(em, plans, run):
    em.faults.add("status", status=404, path=f"/cloudFailoverPlans/{plans['first'].id}")
    result = run(id=[plans["first"].id])
    assert result["error"]["kind"] == "protocol"


def test_another_plan_than_the_one_asked_for_is_an_error(em, plans, run):
    body = '<CloudFailoverPlan xmlns="http://www.veeam.com/ent/v1.0" Name="x" UID="urn:veeam:CloudFailoverPlan:%s" />'
    em.faults.add(
        "reply", status=200, content_type="application/xml", path="/cloudFailoverPlans/", body=body % plans["third"].id
    )
    assert run(id=[plans["first"].id])["error"]["kind"] == "protocol"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"id": ["Beta"]}, ["id", "GUID"]),
        ({"id": []}, ["id", "selects nothing"]),
        ({"name": []}, ["name", "selects nothing"]),
    ],
)
def test_a_bad_option_fails_before_any_request(em, run, options, words):
    result = run(**options)
    assert [word for word in words if word not in result["msg"]] == []
    assert em.counters.requests == 0


@pytest.mark.parametrize(
    ("user", "allowed"), [("reader", False), ("operator", True), ("both", True), ("restricted", False)]
)
@pytest.mark.parametrize("query", ["as resource", "refused"])
@pytest.mark.parametrize("options", [{}, {"id": True}])
def test_each_role_gives_plans_or_names_the_role_that_is_missing(em, plans, run, user, allowed, query, options):
    em.behaviour.role_query = query
    result = run(username=user, **{name: [plans["first"].id] for name in options})
    if allowed:
        assert len(result["failover_plans"]) == (1 if options else 3)
        assert ("warnings" in result) == (query == "refused" and not options)
    else:
        assert (result["error"]["kind"], result["error"]["status"]) == ("permission", 403)
        assert f"Check that {user} has the role VM Restore Operator in Enterprise Manager" in result["msg"]
        assert "warnings" not in result
    assert em.counters.live_logons == 0
