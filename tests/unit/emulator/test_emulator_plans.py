# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cloud failover plans: shapes, query, switches, the world behind them, and the plans to begin with."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest
from emulator import Emulator
from emulator.sample_data import DOCUMENTED_SERVER, PLAN_NAMES, documented_plans, documented_sessions
from emulator.world import PlanVm

NAMESPACE = "{http://www.veeam.com/ent/v1.0}"
LIST = "/api/cloud/cloudFailoverPlans"
SESSIONS = "/api/cloud/failoverSessions"
TYPE = "CloudFailoverPlan"
ID = "33333333-5555-4222-8333-44444444444e"
UNKNOWN = "99999999-1111-4222-8333-444444444444"


def add(em, **options):
    """A plan of which everything is known."""
    return em.world.add_plan(
        **{
            "name": "R&D <Plan>",
            "vms": [{"name": "db", "id": "vm-1"}, {"name": "web", "id": "vm-2"}],
            "tenant": {"id": "77777777-1111-4222-8333-444444444444", "name": "Acme"},
            "backup_server": {"id": "8fff3b8e-c3f1-4ef5-aecc-561f07bf9982", "name": "172.17.53.48"},
            "id": ID,
            "description": "a < b",
            **options,
        }
    )


def links(node):
    """Links as (Rel, Type, path and query, Name)."""
    found = []
    for link in node.find(f"{NAMESPACE}Links"):
        parts = urlsplit(link.get("Href"))
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        found.append((link.get("Rel"), link.get("Type"), path, link.get("Name")))
    return found


def vms(node):
    """VMs anywhere below, by their Type, as (tag, end of Href, FailoverPlanVMId, Name, Order)."""
    found = []
    for vm in node.iter():
        if vm.get("Type") == "CloudFailoveredVm":
            texts = [vm.findtext(NAMESPACE + name) for name in ("FailoverPlanVMId", "Name", "Order")]
            found.append((vm.tag.removeprefix(NAMESPACE), vm.get("Href").partition("/api")[2], *texts))
    return found


def served(tag):
    """What ``vms`` finds for the VMs of ``add``."""
    base = f"/cloud/cloudFailoverPlans/{ID}/includes"
    return [(tag, f"{base}/vm-1", "vm-1", "db", "0"), (tag, f"{base}/vm-2", "vm-2", "web", "1")]


@pytest.mark.parametrize(
    ("path", "root", "steps"),
    [
        (LIST, "EntityReferences", 1),
        (f"{LIST}?format=Entities", "EntityReferences", 1),
        (f"{LIST}/{ID}", "EntityRef", 0),
        (f"/api/query?type={TYPE}", "QueryResult", 2),
    ],
)
def test_references(em, client, path, root, steps):
    add(em)
    node = client.get(path).xml
    assert node.tag == NAMESPACE + root
    for dummy in range(steps):
        node = node[0]
    assert node.get("Type") == "CloudFailoverPlanReference"
    assert node.get("Href") == f"https://em-internal:9398{LIST}/{ID}"
    assert (node.get("Name"), node.get("UID")) == ("R&D <Plan>", f"urn:veeam:CloudFailoverPlan:{ID}")
    tenant = "/api/cloud/tenants/77777777-1111-4222-8333-444444444444?format=Entity"
    server = "/api/backupServers/8fff3b8e-c3f1-4ef5-aecc-561f07bf9982"
    assert links(node) == [
        ("Up", "BackupServerReference", server, "172.17.53.48"),
        ("Alternate", TYPE, f"{LIST}/{ID}?format=Entity", "R&D <Plan>"),
        ("Related", "CloudTenant", tenant, "Acme"),
    ]


@pytest.mark.parametrize(
    ("path", "root", "steps", "vm_tag"),
    [
        (f"{LIST}/{ID}?format=Entity", TYPE, 0, "CloudFailoverPlanVm"),
        (f"{LIST}?format=entity", "CloudFailoverPlans", 1, "CloudFailoveredVm"),
        (f"/api/query?type={TYPE}&format=Entities", "QueryResult", 3, "CloudFailoveredVm"),
    ],
)
def test_entities(em, client, path, root, steps, vm_tag):
    add(em)
    node = client.get(path).xml
    assert node.tag == NAMESPACE + root
    for dummy in range(steps):
        node = node[0]
    assert (node.tag, node.get("Type")) == (NAMESPACE + TYPE, TYPE)
    assert node.get("Href") == f"https://em-internal:9398{LIST}/{ID}?format=Entity"
    assert (node.get("Name"), node.get("UID")) == ("R&D <Plan>", f"urn:veeam:CloudFailoverPlan:{ID}")
    reference = ("CloudFailoverPlanReference", f"{LIST}/{ID}", "R&D <Plan>")
    assert links(node)[1:] == [
        ("Alternate", *reference),
        ("Edit", *reference),
        ("Start", None, f"{LIST}/{ID}?action=start", None),
        ("Test", None, f"{LIST}/{ID}?action=test", None),
        ("Undo", None, f"{LIST}/{ID}?action=undo", None),
        ("Delete", *reference),
    ]
    assert links(node)[0][0] == "Up"
    assert [(child.tag.removeprefix(NAMESPACE), child.text) for child in node[1:4]] == [
        ("TenantUid", "urn:veeam:CloudTenant:77777777-1111-4222-8333-444444444444"),
        ("TenantName", "Acme"),
        ("Description", "a < b"),
    ]
    info = node.find(f"{NAMESPACE}CloudFailoverPlanInfo/{NAMESPACE}Includes")
    assert vms(info) == served(vm_tag)


def test_includes(em, client):
    add(em)
    path = f"{LIST}/{ID}/includes"
    for found in (client.get(path), client.get(f"{path}?format=Entity")):
        assert found.xml.tag == f"{NAMESPACE}CloudFailoveredVms"
        assert vms(found.xml) == served("CloudFailoveredVm")
    listed = client.get(path, Accept="application/json").json
    assert [vm["Order"] for vm in listed["CloudFailoveredVms"]] == [0, 1]


def test_vms_stand_as_they_were_given(em, client):
    plan = em.world.add_plan(vms=["a", {"name": "b", "order": 0}, PlanVm("own", None, None)])
    found = client.get(f"{LIST}/{plan.id}/includes").xml
    assert [vm[3:] for vm in vms(found)] == [("a", "0"), ("b", "0"), (None, None)]
    assert len({vm[2] for vm in vms(found)}) == 3


def test_scripts(em, client):
    add(em, pre_command=r"C:\pre.bat")
    options = client.get(f"{LIST}/{ID}?format=Entity").xml.find(f"{NAMESPACE}CloudFailoverPlanOptions")
    assert [(node.tag.removeprefix(NAMESPACE), node.text) for node in options] == [
        ("PostFailoverPlanCommandEnabled", "false"),
        ("PostFailoverPlanCommand", None),
        ("PreFailoverPlanCommandEnabled", "true"),
        ("PreFailoverPlanCommand", r"C:\pre.bat"),
    ]


def test_json_of_version_12(em, client):
    add(em, description=None)
    client.headers["Accept"] = "application/json"
    entity = client.get(f"{LIST}/{ID}?format=Entity").json
    assert (entity["Type"], entity["TenantName"], entity["Description"]) == (TYPE, "Acme", None)
    assert entity["CloudFailoverPlanOptions"]["PreFailoverPlanCommandEnabled"] is False
    assert [vm["Name"] for vm in entity["CloudFailoverPlanInfo"]["Includes"]["CloudFailoverPlanVms"]] == ["db", "web"]
    (listed,) = client.get(f"{LIST}?format=Entity").json["CloudFailoverPlans"]
    assert [vm["Order"] for vm in listed["CloudFailoverPlanInfo"]["Includes"]["CloudFailoveredVms"]] == [0, 1]
    members = client.query(type=TYPE, format="Entities").json["Entities"]
    assert members.pop("CloudFailoverPlans") == {"CloudFailoverPlans": [listed]}
    assert "CloudFailoverSessions" in members and set(members.values()) == {None}
    assert client.query(type=TYPE).json["Refs"]["Refs"] == client.get(LIST).json["Refs"]


def test_json_of_version_13(em13, client13):
    add(em13)
    entity = client13.get(f"{LIST}/{ID}?format=Entity", Accept="application/json").json
    assert entity["uid"] == f"urn:veeam:CloudFailoverPlan:{ID}"
    assert entity["cloudFailoverPlanOptions"]["postFailoverPlanCommandEnabled"] is False
    assert entity["cloudFailoverPlanInfo"]["includes"]["cloudFailoverPlanVms"][0]["failoverPlanVMId"] == "vm-1"
    assert client13.get(f"{LIST}/{ID}?format=Entity").xml.get("Name") == "R&D <Plan>"


def test_raw_values_are_served_verbatim_and_queried(em, client):
    raw = {"TenantName": "Odd", "TenantUid": None, "CloudFailoverPlanInfo": None, "UID": "odd", "Extra": "x"}
    add(em, raw=raw)
    entity = client.get(f"{LIST}/{ID}?format=Entity").xml
    assert (entity.findtext(f"{NAMESPACE}TenantName"), entity.findtext(f"{NAMESPACE}Extra")) == ("Odd", "x")
    assert entity.find(f"{NAMESPACE}TenantUid") is entity.find(f"{NAMESPACE}CloudFailoverPlanInfo") is None
    assert entity.get("UID") == client.get(f"{LIST}/{ID}").xml.get("UID") == "odd"
    assert client.query("CloudTenantName==Odd", type=TYPE).names == ["R&D <Plan>"]
    assert client.query("CloudTenantName==Acme", type=TYPE).names == []


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (f"UID=={ID}", ["R&D <Plan>"]),
        (f'UID=="urn:veeam:CloudFailoverPlan:{ID}"', ["R&D <Plan>"]),
        ('Name=="r&d <plan>"', ["R&D <Plan>"]),
        ('Description=="a < b"', ["R&D <Plan>"]),
        ('Description!="a < b"', ["other"]),  # it has none
        ('CloudTenantUid=="urn:veeam:CloudTenant:77777777-1111-4222-8333-444444444444"', ["R&D <Plan>"]),
        ("CloudTenantName==Borealis", ["other"]),
        ("BackupServerUid==8fff3b8e-c3f1-4ef5-aecc-561f07bf9982", ["R&D <Plan>"]),
        ("BackupServerName==vbr2;CloudTenantName==Borealis", ["other"]),
        ("BackupServerName==vbr2;CloudTenantName==Acme", []),
    ],
)
def test_all_fields_can_be_filtered(em, client, expression, expected):
    add(em)
    em.world.add_plan(name="other", tenant="Borealis", backup_server="vbr2")
    assert client.query(expression, type=TYPE).names == expected


def test_each_type_has_its_own_fields(em, client):
    assert client.query("State==Stopped", type=TYPE).status == 400
    assert client.query("CloudTenantName==Acme").status == 400
    assert client.query(type=TYPE, sortAsc="CreationTime").status == 400


def test_sort_and_pages(em, client):
    for name in ("b", "a", "c"):
        em.world.add_plan(name=name, tenant="Acme")
    em.world.add_session(name="a session")
    assert client.query(type=TYPE).names == ["b", "a", "c"]
    page = client.query("CloudTenantName==Acme", type=TYPE, sortDesc="Name", format="Entities", pageSize=2)
    assert page.names == ["c", "b"]
    assert page.xml.find(f"{NAMESPACE}PagingInfo").get("PagesCount") == "2"
    parts = urlsplit(page.page_links["Next"])
    assert "type=CloudFailoverPlan&" in parts.query
    assert client.get(f"{parts.path}?{parts.query}").names == ["a"]


def test_kept_answers_and_texts_notice_changes(em, client):
    def names():
        return client.query(type=TYPE, sortAsc="Name", format="Entities").names

    assert names() == []
    plan = em.world.add_plan(name="b", vms=["x"])
    em.world.add_plan(name="a")
    assert names() == ["a", "b"]
    changed = em.world.change_plan(plan, name="B2", vms=["y", "z"], tenant="Borealis", backup_server="vbr2")
    assert (changed.id, em.world.plans[0]) == (plan.id, changed)
    assert (changed.tenant.name, changed.backup_server.name) == ("Borealis", "vbr2")
    assert names() == ["a", "B2"]
    found = client.query("CloudTenantName==Borealis", type=TYPE, format="Entities").xml
    assert [vm[3] for vm in vms(found)] == ["y", "z"]
    em.world.remove_plan(plan.id)
    assert names() == ["a"]
    with pytest.raises(KeyError):
        em.world.remove_plan(plan)
    with pytest.raises(KeyError):
        em.world.change_plan(plan, name="gone")


@pytest.mark.parametrize("path", [LIST, f"{LIST}?format=Entity", f"{LIST}/{ID}", f"{LIST}/{ID}/includes"])
def test_roles(em, connect, path):
    add(em)
    for user, status in (("operator", 200), ("both", 200), ("reader", 403), ("restricted", 403)):
        client = connect(em, user=user)
        client.log_on()
        assert client.get(path).status == client.query(type=TYPE).status == status
    assert connect(em).get(path).status == 401


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", [LIST, f"{LIST}/{ID}", f"{LIST}/{ID}/includes"])
def test_plans_are_read_only_but_for_their_actions(em, client, method, path):
    add(em)
    assert client.request(method, path).status == 405


def test_paths_in_any_case_are_counted_as_one(em, client):
    add(em)
    assert client.get(f"/API/Cloud/CLOUDFAILOVERPLANS/{ID.upper()}/Includes/").status == 200
    assert client.get(f"{LIST.lower()}/").names == ["R&D <Plan>"]
    assert em.counters.routes[f"GET {LIST}/{{id}}/includes"] == em.counters.routes[f"GET {LIST}"] == 1


@pytest.mark.parametrize("status", [404, 500, 400])
def test_unknown_and_malformed_ids(em, client, status):
    session = em.world.add_session()  # the id of a session is no id of a plan
    em.behaviour.unknown_id = status
    em.behaviour.malformed_id = 404 if status == 400 else status
    for plan_id in (UNKNOWN, session.id):
        for end in ("", "?format=Entity", "/includes"):
            reply = client.get(f"{LIST}/{plan_id}{end}")
            assert reply.status == status
            assert reply.xml.get("Message") == f"There is no CloudFailoverPlan with id [{plan_id}]"
    for end in ("", "/includes"):
        assert client.get(f"{LIST}/nonsense{end}").status == em.behaviour.malformed_id


def test_ignore_format(em, client):
    add(em)
    em.behaviour.ignore_format = True
    assert client.get(f"{LIST}?format=Entity").xml.tag == f"{NAMESPACE}EntityReferences"
    assert client.get(f"{LIST}/{ID}?format=Entity").xml.tag == f"{NAMESPACE}EntityRef"
    assert client.query(type=TYPE, format="Entities").xml[0].tag == f"{NAMESPACE}Refs"


def test_query_refusals(em, client):
    add(em)
    em.behaviour.refuse_uid_filter = True
    assert client.query(f"UID=={ID}", type=TYPE).status == 400
    assert client.query("BackupServerUid==8fff3b8e-c3f1-4ef5-aecc-561f07bf9982", type=TYPE).names == ["R&D <Plan>"]
    em.behaviour.refuse_query_type = 501
    assert client.query(type=TYPE).status == client.query().status == 501
    assert client.get(LIST).names == ["R&D <Plan>"]


def test_one_type_can_be_refused_by_a_fault(em, client):
    em.faults.add("status", status=400, path="/query", query="type=CloudFailoverPlan(&|$)")
    assert client.query(type=TYPE, format="Entities").status == 400
    assert client.query(format="Entities").status == 200


def test_plan_vms(em, client):
    add(em)
    em.world.add_plan(name="served before")
    paths = (f"{LIST}?format=Entity", f"/api/query?type={TYPE}&format=Entities")
    for path in paths:
        assert len(list(client.get(path).xml.iter(f"{NAMESPACE}CloudFailoverPlanInfo"))) == 2
    em.behaviour.plan_vms = "left out"
    for path in paths:
        found = client.get(path)
        assert len(found.names) == 2
        assert not list(found.xml.iter(f"{NAMESPACE}CloudFailoverPlanInfo"))
    listed = client.get(f"{LIST}?format=Entity", Accept="application/json").json["CloudFailoverPlans"]
    assert [plan["CloudFailoverPlanInfo"] for plan in listed] == [None, None]
    assert vms(client.get(f"{LIST}/{ID}?format=Entity").xml) == served("CloudFailoverPlanVm")
    assert vms(client.get(f"{LIST}/{ID}/includes").xml) == served("CloudFailoveredVm")


def test_plan_references(em, client):
    add(em)
    before = client.get(LIST).xml[0]
    em.behaviour.plan_references = "as printed"
    printed = (
        client.get(LIST).xml[0],
        client.get(f"{LIST}/{ID}").xml,
        client.query(type=TYPE).xml[0][0],
    )
    for node in printed:
        assert (node.get("Type"), node.get("UID")) == ("FailoverPlanReference", f"urn:veeam:FailoverPlan:{ID}")
        assert node.get("Href").endswith(f":9398/api/managedServers/{ID}")
        assert links(node) == links(before)


def test_empty_containers(em, client):
    add(em, vms=())
    path = f"{LIST}/{ID}?format=Entity"
    includes = f"{NAMESPACE}CloudFailoverPlanInfo/{NAMESPACE}Includes"
    assert client.get(path).xml.find(includes) is not None
    em.behaviour.empty_containers = "omit"
    assert client.get(path).xml.find(includes) is None
    assert client.get(path, Accept="application/json").json["CloudFailoverPlanInfo"] == {"Includes": None}
    assert client.get(f"{LIST}/{ID}/includes").xml.tag == f"{NAMESPACE}CloudFailoveredVms"


def test_plans_in_lists_are_rendered_once(em, client):
    plan = add(em)
    bodies = {client.get(f"{LIST}?format=Entity").body for dummy in range(3)}
    assert len(bodies) == 1
    assert len(plan.memo["listed_plan_entity"]) == 1


def test_servers_and_tenants_by_name(em):
    world = em.world
    plan = add(em)
    assert world.add_session(backup_server="172.17.53.48").backup_server == plan.backup_server
    assert world.add_plan(backup_server="172.17.53.48", tenant="Acme").tenant == plan.tenant
    session = world.add_session(backup_server={"id": UNKNOWN, "name": "vbr9"})
    assert world.add_plan(backup_server="vbr9").backup_server == session.backup_server
    one, same, other = (world.add_plan(tenant="New", backup_server=name).tenant for name in ("vbr9", "vbr9", "vbr8"))
    assert one == same
    assert (one.name, one.id != other.id) == (other.name, True)


def test_mistakes_are_errors(em):
    add(em)
    with pytest.raises(ValueError):
        add(em)
    for options in ({"id": "x"}, {"vms": [{"id": "x"}]}, {"vms": [{"name": "a", "vm_name": "a"}]}):
        with pytest.raises(ValueError):
            em.world.add_plan(**options)
    assert len(em.world.plans) == 1


def test_plan_by_id_and_clear(em):
    plan = add(em)
    em.world.add_session()
    assert em.world.plan(ID.upper()) is plan
    em.world.clear()
    assert (em.world.plan(ID), em.world.plans, em.world.sessions) == (None, (), ())


def world(**options):
    return Emulator(**{"sessions": 253, "tasks": 3, "documented": False, **options}).world


@pytest.mark.parametrize("sessions", [3, 253])
def test_a_plan_for_each_name_and_server_of_the_generated_sessions(sessions):
    made = world(sessions=sessions)
    pairs = [(plan.name, plan.backup_server) for plan in made.plans]
    assert len(pairs) == len(set(pairs)) == len({plan.id for plan in made.plans})
    assert set(pairs) == {(session.name, session.backup_server) for session in made.sessions}
    for plan in made.plans:
        runs = [s for s in made.sessions if (s.name, s.backup_server) == (plan.name, plan.backup_server)]
        newest = max(runs, key=lambda session: session.creation_time)
        assert [vm.name for vm in plan.vms] == [task.vm_name for task in newest.tasks]
        assert [vm.order for vm in plan.vms] == [0, 1, 2]


def test_generated_plans_are_mixed():
    plans = world().plans
    assert {plan.name for plan in plans} == set(PLAN_NAMES)
    assert len({plan.tenant.name for plan in plans}) > 4
    assert len({plan.tenant for plan in plans}) == 2 * len({plan.tenant.name for plan in plans})
    for attribute in ("description", "pre_command"):
        assert len({getattr(plan, attribute) is None for plan in plans}) == 2


def test_the_same_plans_for_the_same_seed():
    assert world().plans == world().plans
    assert world(seed=2).plans != world().plans  # other VMs
    assert {plan.id for plan in world(seed=2).plans} == {plan.id for plan in world().plans}


def test_plans_left_the_generated_sessions_as_they_were():
    sessions = world(sessions=40).sessions
    assert [(session.id, session.name) for session in (sessions[0], sessions[-1])] == [
        ("b8b6d8fe-442e-4d43-b204-e52db2221a58", "Acme web tier"),
        ("11f10c60-a992-4b68-ab7f-ec926c931d1a", "Contoso databases"),
    ]


def test_documented_plans():
    plans = list(documented_plans())
    assert sorted(plan.name for plan in plans) == sorted({session.name for session in documented_sessions()})
    assert {plan.backup_server for plan in plans} == {DOCUMENTED_SERVER}
    first = plans[0]
    assert (first.id, first.name) == ("e7ca6822-a87f-443d-8aae-8005970543bf", "ABC Company Failover Plan")
    assert first.tenant.name == "ABC Company"
    assert [(vm.name, vm.order) for vm in first.vms] == [("srv38", 0), ("srv40", 1)]
    assert all(len(plan.vms) in (2, 3) for plan in plans)


@pytest.mark.parametrize(("documented", "left"), [(True, 3), (False, 0)])
def test_reset(documented, left):
    em = Emulator(sessions=20, documented=documented)
    before = em.world.plans
    assert len(before) > left
    own = em.world.add_plan(name="own")
    em.reset()
    assert em.world.plans == (*before, own)
    em.reset(sessions=0)
    assert em.world.plans == before[:left]
    em.reset(sessions=20)
    assert em.world.plans == before


def test_control(em, connect, client):
    control = connect(em)
    plan = {"name": "posted", "vms": ["a", {"name": "b", "order": 5}], "tenant": "Acme", "description": "by HTTP"}
    reply = control.request("POST", "/emulator/plans", body=json.dumps(plan))
    assert reply.status == 200
    found = client.get(f"{LIST}/{reply.json['id']}?format=Entity").xml
    assert (found.get("Name"), found.findtext(f"{NAMESPACE}TenantName")) == ("posted", "Acme")
    assert [vm[3:] for vm in vms(found)] == [("a", "0"), ("b", "5")]
    for wrong in ({"title": "x"}, {"vms": [{"title": "x"}]}, {"id": "x"}):
        assert control.request("POST", "/emulator/plans", body=json.dumps(wrong)).status == 400
    assert client.get(LIST).names == ["posted"]
