# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans in action: start, test, undo, the tasks they give, the sessions they begin, the points they use."""

from __future__ import annotations

import http.client
import json
import time
from datetime import datetime, timedelta
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from emulator import Emulator
from emulator.clock import format_time

NAMESPACE = "{http://www.veeam.com/ent/v1.0}"
PLANS = "/api/cloud/cloudFailoverPlans"
SESSIONS = "/api/cloud/failoverSessions"
POINTS = "/api/cloud/vmReplicaPoints"
TASKS = "/api/tasks"
ID = "33333333-5555-4222-8333-44444444444e"
XML = {"Content-Type": "application/xml"}
JSON = {"Content-Type": "application/json", "Accept": "application/json"}
VMS = ({"name": "db", "duration": 20}, {"name": "web", "duration": 30}, {"name": "mail", "duration": 10})
LOST = (http.client.HTTPException, OSError)


def spec(content="<StartNow>true</StartNow>", name="CloudFailoverPlanManagementSpec"):
    return f'<{name} xmlns="http://www.veeam.com/ent/v1.0">{content}</{name}>'


def add(em, **options):
    return em.world.add_plan(**{"name": "Acme", "vms": VMS, "id": ID, **options})


def act(client, action="start", body=None, headers=None, plan=ID):
    if body is None and action == "start":
        body = spec()
    return client.request("POST", f"{PLANS}/{plan}?action={action}", XML if headers is None else headers, body)


def read(node):
    """A task as its parts: ``related`` is the path of the link to a session, ``success`` None without a Result."""
    result = node.find(f"{NAMESPACE}Result")
    related = [link.get("Href") for link in node.iter(f"{NAMESPACE}Link") if link.get("Rel") == "Related"]
    return SimpleNamespace(
        id=node.findtext(f"{NAMESPACE}TaskId"),
        state=node.findtext(f"{NAMESPACE}State"),
        operation=node.findtext(f"{NAMESPACE}Operation"),
        success=None if result is None else result.get("Success"),
        message=None if result is None else result.findtext(f"{NAMESPACE}Message"),
        related=urlsplit(related[0]).path if related else None,
    )


def task(client, number=1):
    reply = client.get(f"{TASKS}/task-{number}")
    assert reply.status == 200
    return read(reply.xml)


def texts(node, *names):
    return tuple(node.findtext(NAMESPACE + name) for name in names)


def session(client, path):
    """State, result and message of a session, and its tasks as (VM, state, result, message, name of the point)."""
    node = client.get(f"{path}?format=Entity").xml
    vms = []
    for found in node.find(f"{NAMESPACE}CloudFailoverTasks"):
        point = found.find(f"{NAMESPACE}VmReplicaPointLink").get("Name")
        vms.append((found.get("VmName"), *texts(found, "State", "Result", "FailureMessage"), point))
    return (*texts(node, "State", "Result", "FailureMessage"), vms)


def run(em, client, action="start", number=1, **options):
    """Do an action, wait for its task and give the path of its session."""
    assert act(client, action, **options).status == 202
    em.clock.advance(em.behaviour.undo_seconds + em.behaviour.refresh_seconds if action == "undo" else 8)
    found = task(client, number)
    assert (found.state, found.success) == ("Finished", "true")
    return found.related


def states(client, path):
    """How many points of a session's VMs are in which state."""
    node = client.get(f"{path}?format=Entity").xml
    found = []
    for link in node.iter(f"{NAMESPACE}VmReplicaPointLink"):
        point = client.get(urlsplit(link.get("Href")).path + "?format=Entity").xml
        found.append((point.get("VmDisplayName"), point.findtext(f"{NAMESPACE}State")))
    return found


# Tasks


@pytest.mark.parametrize("action", ["start", "test"])
def test_life_of_a_task(em, client, action):
    add(em)
    reply = act(client, action)
    assert reply.status == 202
    assert reply.xml.tag == f"{NAMESPACE}Task"
    first = read(reply.xml)
    assert first == task(client)
    assert (first.id, first.state, first.operation) == ("task-1", "Running", "StartCloudFailoverPlan")
    assert (first.success, first.related) == (None, None)
    em.clock.advance(4)
    found = task(client)
    assert (found.state, found.success, found.message) == ("OperationFinished", "true", "OperationFinished")
    assert found.related is None
    em.clock.advance(4)
    found = task(client)
    assert (found.state, found.success, found.message) == ("Finished", "true", "Ok")
    assert found.related == f"{SESSIONS}/{em.world.sessions[0].id}"


def test_an_undo_has_no_session(em, client):
    add(em)
    run(em, client)
    em.clock.advance(60)
    assert read(act(client, "undo").xml).operation == "UndoCloudFailoverPlan"
    em.clock.advance(63)
    assert task(client, 2).state == "OperationFinished"
    em.clock.advance(1)
    found = task(client, 2)
    assert (found.state, found.success, found.related) == ("Finished", "true", None)
    assert len(em.world.sessions) == 1


def test_tasks_in_json(em, client):
    add(em)
    first = act(client, body='{"StartNow": true}', headers=JSON).json
    assert (first["TaskId"], first["State"], first["Result"]) == ("task-1", "Running", None)
    em.clock.advance(8)
    (found,) = client.get(TASKS, Accept="application/json").json["Tasks"]
    assert found["Result"] == {"Success": True, "Message": "Ok"}
    assert [link["Rel"] for link in found["Links"]] == ["Delete", "Related"]


def test_tasks_are_counted_and_seen_by_logon_and_die_with_it(em, client, connect):
    add(em)
    other = connect(em)
    other.log_on()
    for dummy in range(2):
        act(client)
    act(other, "test")
    assert [read(node).id for node in client.get(TASKS).xml] == ["task-1", "task-2"]
    assert [read(node).id for node in other.get(TASKS).xml] == ["task-1"]
    missing = other.get(f"{TASKS}/task-2")
    assert missing.status == 500
    assert missing.xml.get("Message") == "There is no task with id [task-2] in current rest session"
    client.log_on()  # another logon of the same user
    assert list(client.get(TASKS).xml) == []
    assert client.get(f"{TASKS}/task-1").status == 500
    act(client)
    assert task(client).id == "task-1"


def test_a_task_can_be_deleted_and_what_it_began_goes_on(em, client):
    add(em)
    act(client)
    assert client.request("DELETE", f"{TASKS}/task-1").status == 204
    assert client.get(f"{TASKS}/task-1").status == client.request("DELETE", f"{TASKS}/task-1").status == 500
    em.clock.advance(60)
    assert session(client, f"{SESSIONS}/{em.world.sessions[0].id}")[:2] == ("Stopped", "Success")
    act(client)
    assert task(client, 2).id == "task-2"


def test_a_new_task_may_not_be_found_at_first(em, client):
    em.behaviour.hidden_task_reads = 2
    add(em)
    assert act(client).status == 202
    assert list(client.get(TASKS).xml) == []
    assert [client.get(f"{TASKS}/task-1").status for dummy in range(4)] == [500, 500, 200, 200]


def test_two_states_only_as_in_9x(em, client):
    em.behaviour.operation_finished = False
    add(em)
    act(client)
    found = []
    for dummy in range(3):
        found.append(task(client).state)
        em.clock.advance(4)
    assert found == ["Running", "Running", "Finished"]


def test_switches_of_a_task(em, client):
    add(em)
    em.behaviour.early_result = False
    em.behaviour.session_link = "left out"
    em.behaviour.task_message = ""
    em.behaviour.true_word = "1"
    em.behaviour.task_seconds, em.behaviour.refresh_seconds = 1, 0.5
    act(client)
    em.clock.advance(1.01)
    assert (task(client).state, task(client).success) == ("OperationFinished", None)
    em.clock.advance(0.5)
    found = task(client)
    assert (found.state, found.success, found.message, found.related) == ("Finished", "1", "", None)
    assert client.get(f"{TASKS}/task-1", Accept="application/json").json["Result"]["Success"] == "1"
    em.behaviour.true_word = "True"
    assert task(client).success == "True"


def test_the_link_may_come_later(em, client):
    em.behaviour.link_delay_seconds = 5
    add(em)
    act(client)
    em.clock.advance(8)
    assert (task(client).state, task(client).related) == ("Finished", None)
    em.clock.advance(5)
    assert task(client).related == f"{SESSIONS}/{em.world.sessions[0].id}"


# What is asked for


@pytest.mark.parametrize(
    "body",
    [
        spec(),
        spec("<StartNow>1</StartNow>"),
        spec("<StartNow>true</StartNow><StartDate>2001-01-01T00:00:00Z</StartDate>"),
        spec("<StartNow>false</StartNow><StartDate>2999-01-01T00:00:00Z</StartDate>"),
        spec("<StartDate>2999-01-01T00:00:00Z</StartDate>"),
    ],
)
def test_bodies_that_are_understood(em, client, body):
    add(em)
    run(em, client, body=body)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<",
        spec(""),
        spec("<StartNow>yes</StartNow>"),
        spec("<StartNow>false</StartNow>"),
        spec("<StartDate>soon</StartDate>"),
        spec("<StartDate>2999-01-01T00:00:00Z</StartDate><StartNow>false</StartNow>"),
        spec("<StartNow>true</StartNow><StartNow>true</StartNow>"),
        spec("<Start>true</Start>"),
        spec(name="CloudFailoverPlan"),
        spec().replace(' xmlns="http://www.veeam.com/ent/v1.0"', ""),
        '{"StartNow": true}',
    ],
)
def test_xml_bodies_that_are_refused(em, client, body):
    add(em)
    reply = act(client, body=body)
    assert (reply.status, reply.xml.tag) == (400, f"{NAMESPACE}Error")
    assert reply.xml.get("Message")
    assert em.world.sessions == ()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('{"StartNow": true}', 202),
        ('{"startNow": true, "StartDate": null}', 202),
        ('{"StartDate": "2999-01-01T00:00:00Z"}', 202),
        (spec(), 400),
        ("{}", 400),
        ("[]", 400),
        ('{"StartNow": false}', 400),
        ('{"StartNow": 7}', 400),
    ],
)
def test_json_bodies(em, client, body, status):
    add(em)
    assert act(client, body=body, headers=JSON).status == status
    assert len(em.world.sessions) == (status == 202)


def test_accept_decides_how_the_body_is_read(em, client):
    add(em)
    reply = act(client, headers={**XML, "Accept": "application/json"})
    assert (reply.status, reply.json["Message"]) == (400, "Node [root] does not exist.")
    assert act(client, headers={"Content-Type": "text/plain"}).status == 400
    assert act(client, headers={"Content-Type": "text/xml; charset=utf-8"}).status == 202


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{PLANS}/{ID}?action=explode", 400),
        (f"{PLANS}/{ID}?action=", 405),
        (f"{PLANS}/{ID}", 405),
        (f"{PLANS}/99999999-1111-4222-8333-444444444444?action=start", 404),
        (f"{PLANS}/x?action=start", 400),
        (f"{PLANS}/{ID.upper()}/?Action=TEST", 202),
    ],
)
def test_odd_paths(em, client, path, status):
    add(em)
    assert client.request("POST", path, XML).status == status


@pytest.mark.parametrize("action", ["start", "test", "undo"])
def test_administrators_and_restore_operators_may_act(em, connect, action):
    add(em)
    for user in ("reader", "restricted"):
        client = connect(em, user=user)
        client.log_on()
        assert act(client, action).status == 403
    assert act(connect(em), action).status == 401
    assert em.runs == [] and em.world.sessions == ()
    for user in ("admin", "operator", "both"):
        client = connect(em, user=user)
        client.log_on()
        assert act(client, action).status == 202
        assert task(client).id == "task-1"
    assert len(em.runs) == 3


# The session


def test_the_session_of_a_start(em, client):
    add(em, vms=[{"name": "db", "duration": 20}, {"name": "web", "duration": 30}, {"name": "mail", "duration": 10}])
    em.behaviour.parallel_vms = 2
    em.behaviour.failing_vms = "WEB"
    act(client)
    path = f"{SESSIONS}/{em.world.sessions[0].id}"
    assert session(client, path) == ("Starting", "None", None, [])
    em.clock.advance(8)
    assert task(client).related == path
    state, result, dummy, vms = session(client, path)
    assert (state, result) == ("Working", "None")
    assert [vm[:3] for vm in vms] == [("db", "Working", "None"), ("web", "Working", "None")]
    em.clock.advance(18)
    assert [vm[:3] for vm in session(client, path)[3]] == [
        ("db", "Stopped", "Success"),
        ("web", "Working", "None"),
        ("mail", "Working", "None"),
    ]
    em.clock.advance(20)
    state, result, message, vms = session(client, path)
    assert (state, result, message) == ("Stopped", "Warning", None)
    assert [vm[:3] for vm in vms] == [(n, "Stopped", r) for n, r in zip(("db", "web", "mail"), RESULTS, strict=True)]
    assert vms[1][3] and vms[0][3] is None
    assert all(vm[4].startswith(f"{vm[0]}@2") for vm in vms)


RESULTS = ("Success", "Failed", "Success")


@pytest.mark.parametrize(
    ("switches", "expected"),
    [
        ({}, ("Success", None)),
        ({"failing_vms": "*"}, ("Failed", "3 of 3 VMs failed")),
        ({"failing_vms": "x, d*"}, ("Warning", None)),
        ({"failing_vms": "db", "partial_result": "Failed"}, ("Failed", "1 of 3 VMs failed")),
        ({"warning_vms": "db,web"}, ("Warning", None)),
        ({"warning_vms": "db", "partial_result": "Failed"}, ("Warning", None)),
    ],
)
def test_the_result_is_that_of_the_vms(em, client, switches, expected):
    for name, value in switches.items():
        setattr(em.behaviour, name, value)
    add(em)
    path = run(em, client)
    em.clock.advance(60)
    assert session(client, path)[:3] == ("Stopped", *expected)


def test_a_plan_can_say_what_becomes_of_its_vms(em, client):
    vms = [{"name": "db", "result": "Failed", "failure_message": "no disk"}, {"name": "web", "result": "Warning"}]
    add(em, vms=vms)
    path = run(em, client)
    em.clock.advance(200)
    found = session(client, path)[3]
    assert [vm[2] for vm in found] == ["Failed", "Warning"]
    assert found[0][3] == "no disk" and "web" in found[1][3]


def spans(em):
    """(VM, begin, end) of the newest session's tasks, in seconds from its creation."""
    return [(t.vm_name, t.start_offset, t.start_offset + t.duration) for t in em.world.sessions[-1].tasks]


def test_vms_begin_by_their_order_and_wait_for_a_place(em, client):
    vms = [{"name": name, "order": order, "duration": 10} for name, order in (("c", 2), ("a", 0), ("d", 3), ("b", 1))]
    add(em, vms=vms)
    em.behaviour.parallel_vms = 1
    act(client)
    assert spans(em) == [("a", 4.0, 14.0), ("b", 14.0, 24.0), ("c", 24.0, 34.0), ("d", 34.0, 44.0)]
    em.behaviour.parallel_vms = 3
    act(client)
    assert [span[:2] for span in spans(em)] == [("a", 4.0), ("b", 4.3), ("c", 4.6), ("d", 14.0)]


def test_ten_vms_at_once(em, client):
    add(em, vms=[{"name": f"vm{n}", "duration": 30} for n in range(11)])
    act(client)
    assert [span[1] for span in spans(em)] == [4.0, 4.3, 4.6, 4.9, 5.2, 5.5, 5.8, 6.1, 6.4, 6.7, 34.0]


def test_delays_count_from_the_vm_before_in_the_plans_order(em, client):
    vms = [
        {"name": "c", "order": 2, "delay": 5, "duration": 10},
        {"name": "a", "order": 0, "delay": 7, "duration": 40},
        {"name": "b", "order": 1, "delay": 20, "duration": 10},
    ]
    add(em, vms=vms)
    act(client)
    assert [span[:2] for span in spans(em)] == [("a", 4.0), ("b", 24.0), ("c", 29.0)]
    em.behaviour.parallel_vms = 1  # a place may come later than the delay
    act(client)
    assert [span[:2] for span in spans(em)] == [("a", 4.0), ("b", 44.0), ("c", 54.0)]


def test_waiting_vms_can_be_listed_as_starting(em, client):
    em.behaviour.parallel_vms = 1
    em.behaviour.waiting_vms = "starting"
    add(em)
    path = run(em, client)
    assert [vm[1] for vm in session(client, path)[3]] == ["Working", "Starting", "Starting"]
    em.clock.advance(20)
    assert [vm[1] for vm in session(client, path)[3]] == ["Stopped", "Working", "Starting"]
    em.clock.advance(60)
    assert session(client, path)[:2] == ("Stopped", "Success")


def test_a_failure_can_end_the_rest(em, client):
    em.behaviour.parallel_vms = 1
    em.behaviour.stop_on_failure = True
    em.behaviour.failing_vms = "web"
    add(em)
    path = run(em, client)
    em.clock.advance(100)
    assert [vm[0] for vm in session(client, path)[3]] == ["db", "web"]


def test_times_and_messages_come_from_the_seed(connect):
    found = []
    for seed in (1, 1, 2):
        with Emulator(sessions=0, documented=False, seed=seed) as em:
            add(em, vms=["db", "web", "mail", "dc"])
            em.behaviour.failing_vms = "web"
            client = connect(em)
            client.log_on()
            act(client)
            found.append([(*span, t.failure_message) for span, t in zip(spans(em), em.world.sessions[0].tasks)])
    assert found[0] == found[1] != found[2]
    assert all(40 <= end - begin <= 150 for dummy, begin, end, dummy2 in found[0])


def test_the_result_may_come_after_the_end(em, client):
    em.clock.rate = 0
    em.behaviour.result_lag_seconds = 10
    add(em, vms=[{"name": "db", "duration": 20, "result": "Failed"}])
    path = run(em, client)
    em.clock.advance(18)  # 4 + 20 + 2 s after the start
    assert session(client, path)[:3] == ("Stopped", "None", None)
    assert client.query("State==Stopped").names == client.query("Result==None").names == ["Acme"]
    assert client.query("Result==Failed").names == []
    em.clock.advance(9.9)
    assert session(client, path)[1] == "None"
    em.clock.advance(0.1)
    assert session(client, path)[:3] == ("Stopped", "Failed", "1 of 1 VMs failed")
    assert client.query("Result==Failed").names == ["Acme"]
    assert client.query("Result==None").names == []


def test_a_session_may_be_listed_late(em, client):
    em.behaviour.list_delay = 100
    add(em)
    path = run(em, client)
    query = {"filter": 'Name=="Acme"', "sortDesc": "CreationTime"}
    assert session(client, path)[0] == "Working"
    assert client.get(SESSIONS).names == client.query(**query).names == []
    em.clock.advance(91)
    assert client.query(**query).names == []
    em.clock.advance(2)
    assert client.get(SESSIONS).names == client.query(**query).names == ["Acme"]


def test_a_session_may_be_listed_after_its_end(em, client):
    later = em.clock.now() + timedelta(seconds=50)
    em.world.add_session(name="Acme", state="Stopped", listed_from=later)
    em.world.add_session(name="Other", creation_time="2026-03-01")
    assert client.query("State==Stopped").names == ["Other"]
    em.clock.advance(51)
    assert client.query("State==Stopped").names == ["Acme", "Other"]


def test_the_task_list_may_be_dropped_at_the_end(em, client):
    em.behaviour.finished_tasks = "drop"
    add(em)
    path = run(em, client)
    assert len(session(client, path)[3]) == 3
    em.clock.advance(60)
    assert session(client, path) == ("Stopped", "Success", None, [])


# Points


def test_points_of_a_start_are_the_newest_and_in_failover_until_the_undo(em, client):
    add(em)
    path = run(em, client)
    assert states(client, path) == [("db", "Failover"), ("web", "Failover"), ("mail", "Failover")]
    em.clock.advance(60)
    act(client, "undo")
    assert len(client.query("State==Failover", type="CloudVmReplicaPoint").names) == 3
    em.clock.advance(59)
    assert {state for dummy, state in states(client, path)} == {"Failover"}
    em.clock.advance(2)
    assert {state for dummy, state in states(client, path)} == {"Ready"}
    assert client.query("State==Failover", type="CloudVmReplicaPoint").names == []


def test_points_of_vms_that_failed_or_have_not_started_are_ready(em, client):
    em.behaviour.failing_vms = "db"
    em.behaviour.parallel_vms = 2
    add(em)
    path = run(em, client)
    assert states(client, path) == [("db", "Ready"), ("web", "Failover")]


def test_start_date_picks_older_points(em, client):
    add(em)
    now = em.clock.now()
    for number, hours in enumerate((0, 24), 1):
        body = spec(f"<StartDate>{format_time(now - timedelta(hours=hours))}</StartDate>")
        run(em, client, body=body, number=number)
    newest, older = (em.world.sessions[n].tasks[0].replica_point.name for n in (0, 1))
    moments = [datetime.fromisoformat(name.removeprefix("db@")) for name in (newest, older)]
    assert moments[0] - moments[1] == timedelta(hours=24)
    assert timedelta(minutes=20) < now.replace(tzinfo=None) - moments[0] < timedelta(hours=4)


def test_start_date_before_all_points_fails_the_task(em, client):
    add(em)
    assert act(client, body=spec("<StartDate>2001-01-01</StartDate>")).status == 202
    em.clock.advance(4)
    found = task(client)
    assert (found.state, found.success, found.related) == ("Finished", "false", None)
    assert "restore point" in found.message and "db" in found.message
    assert em.world.sessions == ()


def test_points_on_the_wire(em, client):
    add(em, vms=["db"])
    assert len(client.get(POINTS).names) == 42
    path = run(em, client)
    found = client.query('State==Failover;VmName=="db"', type="CloudVmReplicaPoint", format="Entities").xml
    (point,) = found.find(f"{NAMESPACE}Entities/{NAMESPACE}CloudVmReplicaPoints")
    assert (point.tag, point.get("Type")) == (f"{NAMESPACE}CloudReplica", "CloudVmReplicaPoint")
    link = next(client.get(f"{path}?format=Entity").xml.iter(f"{NAMESPACE}VmReplicaPointLink"))
    where = urlsplit(link.get("Href")).path
    single = client.get(f"{where}?format=Entity").xml
    assert single.tag == f"{NAMESPACE}CloudVmReplicaPoint"
    assert single.get("Name") == link.get("Name") == point.get("Name")
    assert [up.get("Type") for up in single.iter(f"{NAMESPACE}Link") if up.get("Rel") == "Up"] == [
        "BackupServerReference",
        "CloudReplicaReference",
    ]
    taken = single.findtext(f"{NAMESPACE}CreationTimeUTC")
    assert single.get("Name") == "db@" + taken.replace("T", " ").rstrip("Z")
    assert client.get(where).xml.tag == f"{NAMESPACE}EntityRef"
    assert client.get(f"{POINTS}/99999999-1111-4222-8333-444444444444").status == 404
    em.clock.advance(-4)
    assert client.query("State==Failover", type="CloudVmReplicaPoint").names == [point.get("Name")]
    em.clock.advance(-4)
    assert client.query("State==Failover", type="CloudVmReplicaPoint").names == []


@pytest.mark.parametrize(
    ("switch", "state", "success"), [("ready", "Ready", "false"), ("failover", "Failover", "true")]
)
def test_points_of_a_test(em, client, switch, state, success):
    if switch != "ready":
        em.behaviour.points_after_test = switch
    add(em)
    path = run(em, client, "test")
    for seconds in (0, 60):
        em.clock.advance(seconds)
        assert {found for dummy, found in states(client, path)} == {state}
    act(client, "undo")
    em.clock.advance(64)
    found = task(client, 2)
    assert (found.success, "nothing to undo" in found.message) == (success, success == "false")


def test_a_test_leaves_a_failover_as_it_is(em, client):
    add(em)
    path = run(em, client)
    em.clock.advance(60)
    run(em, client, "test", number=2)
    em.clock.advance(60)
    assert {state for dummy, state in states(client, path)} == {"Failover"}
    run(em, client, "undo", number=3)
    assert {state for dummy, state in states(client, path)} == {"Ready"}


def test_points_that_are_not_at_rest(em, client):
    add(em)
    em.world.add_plan(name="Other", vms=["dc"])
    path = run(em, client)
    page = client.query("State!=Ready", type="CloudVmReplicaPoint", format="Entities").xml
    (found,) = page.findall(f"{NAMESPACE}Entities/{NAMESPACE}CloudVmReplicaPoints")
    assert sorted(point.get("VmDisplayName") for point in found) == ["db", "mail", "web"]
    for point in found:
        assert point.tag == f"{NAMESPACE}CloudReplica" and point.get("Type") == "CloudVmReplicaPoint"
        assert point.findtext(f"{NAMESPACE}State") == "Failover"
        assert {node.tag.rpartition("}")[2] for node in point} == {"Links", "CreationTimeUTC", "PointType", "State"}
    ids = [link.get("Href").rpartition("/")[2] for link in points_of(client, path)]
    wanted = ",".join(f'UID=="urn:veeam:CloudVmReplicaPoint:{point}"' for point in ids)
    by_id = client.query(f"({wanted})", type="CloudVmReplicaPoint", format="Entities").xml
    assert {node.get("UID").rpartition(":")[2] for node in by_id.iter(f"{NAMESPACE}CloudReplica")} == set(ids)


def points_of(client, path):
    return client.get(f"{path}?format=Entity").xml.iter(f"{NAMESPACE}VmReplicaPointLink")


def test_points_that_tell_less(em, client):
    em.behaviour.point_states = "unknown"
    em.behaviour.point_times = "left out"
    add(em)
    path = run(em, client)
    assert {state for dummy, state in states(client, path)} == {"Unknown"}
    assert client.query("State==Ready", type="CloudVmReplicaPoint").names == []
    found = client.query("State!=Ready", type="CloudVmReplicaPoint", format="Entities", pageSize=1000).xml
    assert len(list(found.iter(f"{NAMESPACE}CloudReplica"))) == 3 * 42
    for node in (found, client.get(urlsplit(next(points_of(client, path)).get("Href")).path + "?format=Entity").xml):
        assert list(node.iter(f"{NAMESPACE}CreationTimeUTC")) == []
    assert {point.state for point in em.world.points.all()} == {"Ready", "Failover"}


# Refusals


@pytest.mark.parametrize("action", ["start", "test", "undo"])
def test_a_plan_may_refuse_at_once(em, client, action):
    add(em, refuse={action: 403})
    reply = act(client, action)
    assert (reply.status, "Acme" in reply.xml.get("Message")) == (403, True)
    other = "test" if action == "start" else "start"
    assert act(client, other).status == 202


@pytest.mark.parametrize("action", ["start", "test", "undo"])
def test_a_plan_may_refuse_by_its_task(em, client, action):
    em.behaviour.undo_of_nothing = "accept"
    plan = add(em, refuse={action: "No restore points"})
    assert act(client, action).status == 202
    em.clock.advance(3)
    assert task(client).state == "Running"
    em.clock.advance(1)
    found = task(client)
    assert (found.state, found.success, found.message) == ("Finished", "false", "No restore points")
    assert found.related is None and em.world.sessions == ()
    em.world.change_plan(plan, refuse={})
    assert act(client, action).status == 202
    em.clock.advance(64)
    assert task(client, 2).success == "true"


def test_a_plan_may_miss_links(em, client):
    plan = add(em, actions=["undo"])
    for path in (f"{PLANS}/{ID}?format=Entity", f"{PLANS}?format=Entity"):
        links = client.get(path).xml.iter(f"{NAMESPACE}Link")
        assert {link.get("Rel") for link in links} & {"Start", "Test", "Undo"} == {"Undo"}
    assert act(client).status == 403
    em.world.change_plan(plan, actions=["start", "undo"])
    assert act(client).status == 202


def test_refusals_are_checked():
    with Emulator(sessions=0, documented=False) as em:
        for options in ({"refuse": {"stop": 403}}, {"refuse": {"start": 999}}, {"actions": ["stop"]}):
            with pytest.raises(ValueError):
                em.world.add_plan(**options)
        with pytest.raises(ValueError):
            em.world.change_plan(em.world.add_plan(), actions=["stop"])


@pytest.mark.parametrize(("switch", "sessions", "success"), [("accept", 2, "true"), ("refuse", 1, "false")])
def test_a_second_start(em, client, switch, sessions, success):
    em.behaviour.second_start = switch
    add(em)
    run(em, client)
    act(client, "test")
    em.clock.advance(8)
    assert (len(em.world.sessions), task(client, 2).success) == (sessions, success)
    em.clock.advance(60)
    run(em, client, number=3)  # the plan is not running any more
    assert len(em.world.sessions) == sessions + 1


def test_a_plan_of_the_same_name_on_another_server_is_another(em, client):
    em.behaviour.second_start = "refuse"
    add(em)
    other = em.world.add_plan(name="Acme", vms=VMS, backup_server="vbr2")
    run(em, client)
    run(em, client, plan=other.id, number=2)


def test_undo_while_running(em, client):
    add(em)
    path = run(em, client)
    act(client, "undo")
    em.clock.advance(4)
    assert (task(client, 2).success, "running" in task(client, 2).message) == ("false", True)
    assert session(client, path)[0] == "Working"
    em.behaviour.undo_while_running = "accept"
    em.behaviour.undo_seconds = 5
    run(em, client, "undo", number=3)
    assert session(client, path)[:3] == ("Stopped", "Failed", "Stopped by an undo of the failover plan")
    assert {state for dummy, state in states(client, path)} == {"Ready"}


def test_undo_of_nothing(em, client):
    add(em)
    act(client, "undo")
    em.clock.advance(4)
    assert task(client).success == "false"
    em.behaviour.undo_of_nothing = "accept"
    run(em, client, "undo", number=2)


@pytest.mark.parametrize(("switch", "linked"), [("unlinked", False), ("linked", True)])
def test_undo_with_a_session(em, client, switch, linked):
    em.behaviour.undo_session = switch
    add(em)
    run(em, client)
    em.clock.advance(60)
    related = run(em, client, "undo", number=2)
    assert len(em.world.sessions) == 2
    assert related == (f"{SESSIONS}/{em.world.sessions[1].id}" if linked else None)
    em.clock.advance(10)
    path = f"{SESSIONS}/{em.world.sessions[1].id}?format=Entity"
    assert texts(client.get(path).xml, "State", "Result", "JobType") == ("Stopped", "Success", "FailoverPlan")


# Trouble on the way


@pytest.mark.parametrize(("fault", "sessions"), [("drop", 0), ("drop_after_handling", 1)])
def test_the_reply_to_a_start_is_lost(em, client, connect, fault, sessions):
    add(em)
    em.faults.add(fault, method="POST", path="cloudFailoverPlans", query="action=start", times=1)
    assert client.get(f"{PLANS}/{ID}").status == 200
    with pytest.raises(LOST):
        act(client)
    assert len(em.world.sessions) == sessions
    again = connect(em)
    again.token = client.token
    assert act(again).status == 202
    assert len(em.world.sessions) == sessions + 1


def test_restart_forgets_logons_and_tasks_but_no_data(em, client, connect):
    add(em)
    path = run(em, client)
    control = connect(em)
    assert control.request("POST", "/emulator/restart").status == 204
    assert client.get(f"{TASKS}/task-1").status == 401
    client.log_on()
    assert client.get(f"{TASKS}/task-1").status == 500
    assert session(client, path)[0] == "Working"
    em.clock.advance(60)
    assert session(client, path)[:2] == ("Stopped", "Success")


def test_outage_with_503(em, client, connect):
    control = connect(em)
    assert control.request("POST", "/emulator/outage", body='{"seconds": 60}').status == 204
    reply = client.get(PLANS)
    assert (reply.status, reply.xml.get("StatusCode")) == (503, "503")
    assert control.request("POST", "/emulator/outage", body='{"seconds": 0}').status == 204
    assert client.get(PLANS).status == 200
    em.outage(0.05)
    time.sleep(0.06)
    assert client.get(PLANS).status == 200
    em.outage(60, "drop")
    with pytest.raises(LOST):
        client.get(PLANS)
    em.reset()
    assert em.outage_now() is None


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("over_http", [False, True])
def test_outage_that_refuses_connections(connect, tls, over_http):
    with Emulator(sessions=0, tls=tls) as em:
        client = connect(em)
        client.log_on()
        if over_http:
            body = json.dumps({"seconds": 600, "kind": "refuse"})
            assert connect(em).request("POST", "/emulator/outage", body=body).status == 204
        else:
            em.outage(600, "refuse")
        with pytest.raises(ConnectionRefusedError):
            connect(em).get("/api")
        with pytest.raises(LOST):  # a connection from before
            client.get(PLANS)
        em.outage(0.1, "refuse")
        while True:
            again = connect(em)
            again.token = client.token
            try:
                assert again.get(PLANS).status == 200
                break
            except ConnectionRefusedError:
                time.sleep(0.02)


def test_stopping_during_an_outage(connect):
    with Emulator(sessions=0) as em:
        em.outage(3600, "refuse")
    with Emulator(sessions=0) as em:
        em.restart(3600)
        with pytest.raises(ConnectionRefusedError):
            connect(em).get("/api")


@pytest.mark.parametrize("body", [{"seconds": 1, "kind": "explode"}, {"kind": "503"}, {"seconds": "x"}])
def test_mistakes_of_an_outage(em, connect, body):
    assert connect(em).request("POST", "/emulator/outage", body=json.dumps(body)).status == 400
    assert em.outage_now() is None


# Control, clock and the plan for a drill


def test_a_plan_is_changed_over_http(em, connect):
    add(em)
    control = connect(em)
    for body, status in (({"refuse": {"start": "No restore points"}}, 204), ({"colour": 1}, 400)):
        assert control.request("POST", f"/emulator/plans/{ID.upper()}", body=json.dumps(body)).status == status
    assert em.world.plan(ID).refuse == {"start": "No restore points"}
    assert control.request("POST", "/emulator/plans/x", body="{}").status == 400


def test_a_clock_that_runs_fast(connect):
    with Emulator(sessions=0, clock_rate=1000) as em:
        began = em.clock.now()
        time.sleep(0.05)
        assert timedelta(seconds=45) < em.clock.now() - began
        control = connect(em)
        assert control.request("POST", "/emulator/clock", body='{"rate": 0}').status == 204
        stopped = em.clock.now()
        assert stopped - began > timedelta(seconds=45)  # no leap back
        time.sleep(0.01)
        assert abs(em.clock.now() - stopped) < timedelta(microseconds=10)
        assert control.request("POST", "/emulator/clock", body='{"advance": 5, "rate": 2}').status == 204
        assert timedelta(seconds=5) <= em.clock.now() - stopped
        for body in ('{"rate": -1}', "{}", '{"speed": 2}'):
            assert control.request("POST", "/emulator/clock", body=body).status == 400
        em.reset()
        assert em.clock.rate == 1000


@pytest.mark.parametrize(("failing", "expected"), [("", "Success"), ("abc-mail01", "Warning")])
def test_the_plans_for_a_drill(connect, failing, expected):
    with Emulator(sessions=0, drill=True, clock_rate=600) as em:
        client = connect(em)
        client.log_on()
        plan = next(plan for plan in em.world.plans if plan.name == "ABC Company DR drill")
        assert len(plan.vms) == 8
        em.behaviour.failing_vms = failing
        act(client, plan=plan.id)
        while task(client).state != "Finished":
            time.sleep(0.02)
        path = task(client).related
        while session(client, path)[0] != "Stopped":
            time.sleep(0.02)
        result, dummy, vms = session(client, path)[1:]
        assert (result, ",".join(vm[0] for vm in vms if vm[2] != "Success"), len(vms)) == (expected, failing, 8)
        seconds = (em.world.sessions[-1].end_time - em.world.sessions[-1].creation_time).total_seconds()
        assert 220 < seconds < 260
        ends = {}
        for vm, (name, first, last) in zip(plan.vms, spans(em), strict=True):
            assert name == vm.name and all(first >= end for order, end in ends.items() if order < vm.order)
            ends[vm.order] = max(ends.get(vm.order, 0), last)
        act(client, "undo", plan=plan.id)
        while task(client, 2).state != "Finished":
            time.sleep(0.02)
        assert task(client, 2).success == "true"
        em.reset(sessions=1)
        names = [plan.name for plan in em.world.plans]
        assert "ABC Company DR drill" in names
        act(client_again(connect, em), plan=em.world.plans[names.index("ABC Company small site")].id)
        assert [span[0] for span in spans(em)] == ["abc-fs01", "abc-rds01"]
        assert all(15 < last - first < 25 for dummy, first, last in spans(em))


def client_again(connect, em):
    client = connect(em)
    client.log_on()
    return client


def test_new_requests_are_counted_by_route(em, client):
    add(em)
    act(client)
    task(client)
    client.get(f"{POINTS}/x")
    routes = em.counters.routes
    assert routes["POST /api/cloud/cloudFailoverPlans/{id}"] == 1
    assert routes["GET /api/tasks/{id}"] == routes["GET /api/cloud/vmReplicaPoints/{id}"] == 1
