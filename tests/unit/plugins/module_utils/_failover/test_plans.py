# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans by name, with their VMs: what EM may do to them. Real HTTP against the emulator."""

from __future__ import annotations

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import (
    EmAmbiguousError,
    EmNotFoundError,
    EmPermissionError,
    EmProtocolError,
)
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.criteria import PlanCriteria
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.plans import PlanReader, plan_facts

PLANS = "/api/cloud/cloudFailoverPlans"


@pytest.fixture
def connect(connect):
    """As a user who may read plans."""
    return lambda **options: connect(**{"username": "operator", **options})


def queries(em):
    return [request for request in em.requests if request.path == "/api/query"]


def test_facts_of_a_plan(em, connect):
    plan = em.world.add_plan(
        "Acme", ["web", "db"], tenant={"id": "11111111-1111-4111-8111-111111111111", "name": "ACME Inc"}
    )
    with connect() as client:
        found = PlanReader(client).plans_named({"Acme"})
    assert found == [
        {
            "id": plan.id,
            "name": "Acme",
            "tenant": {"id": "11111111-1111-4111-8111-111111111111", "name": "ACME Inc"},
            "backup_server": {"id": em.world.default_server.id, "name": em.world.default_server.name},
            "vms": [{"id": vm.id, "name": vm.name, "order": order} for order, vm in enumerate(plan.vms)],
        }
    ]


def test_vms_come_in_the_order_of_the_plan(em, connect):
    em.world.add_plan(
        "Acme", [{"name": "late", "order": 2}, {"name": "none", "order": None}, {"name": "first", "order": 0}]
    )
    with connect() as client:
        (plan,) = PlanReader(client).plans_named({"Acme"})
    assert [vm["name"] for vm in plan["vms"]] == ["first", "late", "none"]


@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"ignore_format": True},
        {"ignore_format": True, "plan_references": "as printed"},
        {"plan_vms": "left out"},
        {"refuse_query_type": 400},
        {"refuse_query_type": 404, "ignore_format": True},
        {"xml_prefix": "v", "bom": True},
        {"case_sensitive": True},
    ],
    ids=str,
)
def test_plans_are_found_whatever_em_does(em, connect, switches):
    names = ["Acme", 'R&D "Ω" <Plan> 50%', "O'Brien; Sons, (Ltd)", "Plan with  two spaces"]
    for name in [*names, "acme", "other"]:
        em.world.add_plan(name, [f"vm of {name}"])
    for switch, value in switches.items():
        setattr(em.behaviour, switch, value)
    with connect(warn=lambda sentence: None) as client:
        found = PlanReader(client).plans_named(names)
        assert [plan["name"] for plan in PlanReader(client).plans_named(["Acme"])] == ["Acme"]
    assert sorted((plan["name"], [vm["name"] for vm in plan["vms"]]) for plan in found) == sorted(
        (name, [f"vm of {name}"]) for name in names
    )


def test_many_names_cost_one_query(em, connect):
    for number in range(90):
        em.world.add_plan(f"Plan {number}", ["vm"])
    with connect() as client:
        assert len(PlanReader(client).plans_named([f"Plan {number}" for number in range(80)])) == 80
    assert len(queries(em)) == 1
    assert "filter=" in queries(em)[0].query


def test_names_too_long_for_a_url_are_filtered_here(em, connect):
    names = [f"{number} " + "x" * 200 for number in range(60)]
    for name in [*names, "other"]:
        em.world.add_plan(name, ["vm"])
    with connect() as client:
        assert sorted(plan["name"] for plan in PlanReader(client).plans_named(names)) == sorted(names)
    assert "filter=" not in queries(em)[0].query


def test_the_collection_of_plans_is_not_said_to_cover_30_days(em, connect):
    em.world.add_plan("Acme", ["vm"])
    em.behaviour.refuse_query_type = 501
    said = []
    with connect(warn=said.append) as client:
        assert len(PlanReader(client).plans_named(["Acme"])) == 1
    assert f"Reading the list {PLANS} instead." in said[-1]
    assert "30 days" not in said[-1]


def test_plans_that_may_be_listed_and_not_queried(em, connect):
    for name in ("Acme", "other"):
        em.world.add_plan(name, ["vm"])
    em.behaviour.role_query = "refused"
    said = []
    with connect(warn=said.append) as client:
        (plan,) = PlanReader(client).plans_named(["Acme"])
        assert PlanReader(client).find_plan(plan["id"])[0]["name"] == "Acme"
    assert "EM forbids operator to query CloudFailoverPlan (HTTP 403: Access is denied" in said[-1]
    assert said[-1].endswith(f"Reading the list {PLANS} instead.")


@pytest.mark.parametrize("query", ["as resource", "refused"])
def test_plans_that_may_not_be_listed_either(em, connect, query):
    em.world.add_plan("Acme", ["vm"])
    em.behaviour.role_query = query
    said = []
    with (
        pytest.raises(EmPermissionError, match="Check that reader has the role VM Restore Operator in") as failure,
        connect(username="reader", warn=said.append) as client,
    ):
        PlanReader(client).plans_named(["Acme"])
    assert failure.value.url == f"{em.url}{PLANS}?format=Entity"
    assert [sentence for sentence in said if "clear text" not in sentence] == []


def test_what_is_concluded_has_no_status(em, connect):
    for tenant in ("A", "B"):
        em.world.add_plan("Acme", ["vm"], tenant=tenant)
    with connect() as client:
        with pytest.raises(EmNotFoundError) as absent:
            PlanReader(client).find_plan("Borealis")
        with pytest.raises(EmAmbiguousError) as several:
            PlanReader(client).find_plan("Acme")
    assert (absent.value.status, several.value.status) == (None, None)


def test_a_plan_without_vms(em, connect):
    em.world.add_plan("Acme", [])
    for containers in ("element", "omit"):
        em.behaviour.empty_containers = containers
        with connect() as client:
            (plan,) = PlanReader(client).plans_named(["Acme"])
        assert plan["vms"] == []


def test_another_document_than_the_vms_is_an_error(em, connect):
    plan = em.world.add_plan("Acme", ["vm"])
    em.behaviour.plan_vms = "left out"
    for fault in ("html", "garbage"):
        em.faults.add(fault, path=f"{PLANS}/{plan.id}/includes", times=1)
        with connect() as client, pytest.raises(EmProtocolError, match="Read cloud failover plans failed"):
            PlanReader(client).plans_named(["Acme"])
    em.faults.add("status", status=404, path=f"{PLANS}/{plan.id}/includes")
    with connect() as client, pytest.raises(EmNotFoundError, match="answered with HTTP 404.*/includes"):
        PlanReader(client).plans_named(["Acme"])


def test_a_list_in_the_place_of_one_plan_is_an_error(em, connect):
    plan = em.world.add_plan("Acme", ["vm"])
    em.faults.add(
        "reply", path=f"{PLANS}/{plan.id}$", body='<CloudFailoverPlans xmlns="http://www.veeam.com/ent/v1.0"/>'
    )
    criteria = PlanCriteria.from_options({"id": [plan.id]}.get)
    with connect() as client, pytest.raises(EmProtocolError, match="CloudFailoverPlans that is not the entity"):
        PlanReader(client).list_plans(criteria)


@pytest.mark.parametrize(
    "links", [[], [{"Rel": "Up", "Type": "CloudTenantReference"}, {"Rel": "Related", "Type": "BackupServer"}]]
)
def test_a_plan_without_a_tenant_has_none(links):
    item = {"UID": "urn:veeam:CloudFailoverPlan:11111111-1111-4111-8111-111111111111", "Links": {"Link": links}}
    assert plan_facts(item)["tenant"] is None


# Names that were meant


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (
            "abc DR",
            r"named 'abc DR'. 'ABC\\xa0DR' .id {id}. differs only in blanks, case or Unicode form: give the id.* Check plan",
        ),
        ("ABC\u00a0DRs", r"named 'ABC\\xa0DRs'. Did you mean 'ABC\\xa0DR'\? Check plan"),
        ("Borealis", r"named 'Borealis'. Check plan"),
    ],
)
def test_a_plan_that_may_have_been_meant(em, connect, wanted, said):
    plan = em.world.add_plan("ABC\u00a0DR", ["vm"])
    with connect() as client, pytest.raises(EmNotFoundError, match=said.format(id=plan.id)) as failure:
        PlanReader(client).find_plan(wanted)
    assert failure.value.status is None


def test_a_tenant_or_backup_server_that_may_have_been_meant(em, connect):
    em.world.add_plan("Acme", ["vm"], tenant="ABC Company", backup_server="vbr1.example.net")
    with connect() as client:
        with pytest.raises(EmNotFoundError, match=r"of tenant ABC, but has .* Did you mean 'ABC Company'\? Check plan"):
            PlanReader(client).find_plan("Acme", tenant="ABC")
        with pytest.raises(
            EmNotFoundError,
            match="'vbr1.example.net' differs only in .* form: give the name exactly. Check",
        ):
            PlanReader(client).find_plan("Acme", server="VBR1.example.net")


def test_no_plan_is_suggested_where_plans_may_not_be_read(em, connect):
    em.world.add_plan("Acme Plan", ["vm"])
    said = []
    with connect(username="reader", warn=said.append) as client:
        assert PlanReader(client).similar_names(["Acme"]) == ""
    with connect() as client:
        assert PlanReader(client).similar_names(["Acme", "No", "Acme Plan"]) == "For 'Acme': Did you mean 'Acme Plan'?"
    assert len(said) == 1  # clear text
