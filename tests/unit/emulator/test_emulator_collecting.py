# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""System sessions, collection on request, the copy that clients see, and what is forgotten, over the wire."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

import pytest

NAMESPACE = "{http://www.veeam.com/ent/v1.0}"
JOBS = "/api/systemSessions"
SERVERS = "/api/backupServers"
SESSIONS = "/api/cloud/failoverSessions"


@pytest.fixture(autouse=True)
def clock(em):
    em.clock.rate = 0
    em.logons.idle_seconds = 1e9
    yield em.clock
    em.clock.rate = 1


def value(job, name):
    return job.findtext(f"{NAMESPACE}{name}")


def moment(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def jobs(client, kind="CollectJob"):
    """The jobs of a type, newest first."""
    found = [job for job in client.get(JOBS).xml if kind is None or value(job, "SessionType") == kind]
    return sorted(found, key=lambda job: moment(value(job, "CreationTimeUTC")), reverse=True)


def collect(client, em):
    """Ask for a collection; the path of the task."""
    reply = client.request("POST", f"{SERVERS}/{em.world.default_server.id}?action=collect")
    assert reply.status == 202
    return f"/api/tasks/{reply.xml.findtext(f'{NAMESPACE}TaskId')}"


def task(client, path):
    found = client.get(path).xml
    result = found.find(f"{NAMESPACE}Result")
    success = None if result is None else result.get("Success")
    return found.findtext(f"{NAMESPACE}State"), success, found.findtext(f"{NAMESPACE}Operation")


def test_the_list_is_as_documented(client):
    root = client.get(JOBS).xml
    assert root.tag == f"{NAMESPACE}SystemSessions"
    assert {job.tag for job in root} == {f"{NAMESPACE}Sessions"}
    job = jobs(client)[0]
    assert job.get("Type") == "SystemSession"
    assert job.get("Name").startswith("Collect Job @")
    assert job.get("UID").startswith("urn:veeam:SystemSession:")
    assert value(job, "State") == "CompletedSuccessfully"
    assert job.findtext(f"{NAMESPACE}Result/{NAMESPACE}Result") == "CompletedSuccessfully"
    assert job.findtext(f"{NAMESPACE}Result/{NAMESPACE}IsCanceled") == "false"
    assert moment(value(job, "EndTimeUTC")) - moment(value(job, "CreationTimeUTC")) == timedelta(seconds=18)


def test_thirty_days_of_a_job_every_quarter_of_an_hour(client):
    times = [moment(value(job, "CreationTimeUTC")) for job in jobs(client)]
    assert len(times) == 2880
    assert {newer - older for newer, older in zip(times, times[1:])} == {timedelta(minutes=15)}
    assert len(jobs(client, None)) > 2900


def test_age_by_the_date_header(em, client):
    reply = client.get(JOBS)
    newest = max(
        moment(value(job, "CreationTimeUTC")) for job in reply.xml if value(job, "SessionType") == "CollectJob"
    )
    age = parsedate_to_datetime(reply.headers["date"]) - newest
    assert timedelta(minutes=7) - timedelta(seconds=1) <= age <= timedelta(minutes=7)


@pytest.mark.parametrize(("advance", "more"), [(0, 0), (480, 1), (8 * 60 + 900, 2), (31 * 86400, None)])
def test_the_schedule_goes_by_the_clock(em, client, advance, more):
    before = {job.get("UID") for job in jobs(client)}
    em.clock.advance(advance)
    now = jobs(client)
    assert len(now) in (2880, 2881)  # thirty days, of which both ends may count
    new = [job for job in now if job.get("UID") not in before]
    assert len(new) == (len(now) if more is None else more)


def test_without_a_schedule_none_begins(em, client):
    em.behaviour.collect_interval = None
    newest = jobs(client)[0].get("UID")
    em.clock.advance(3600)
    assert jobs(client)[0].get("UID") == newest


@pytest.mark.parametrize("state", ["CompletedSuccessfully", "CompletedWarning", "Failed"])
@pytest.mark.parametrize("words", ["as state", "as table"])
def test_collect(em, client, state, words):
    em.behaviour.collect_state = state
    em.behaviour.system_result = words
    before = {job.get("UID") for job in jobs(client)}
    path = collect(client, em)
    assert task(client, path) == ("Running", None, "CollectingBackupServer")
    em.clock.advance(2)
    assert task(client, path) == ("Finished", "true", "CollectingBackupServer")  # which means: started
    job = jobs(client)[0]
    assert job.get("UID") not in before
    assert value(job, "State") == "InProgress" and value(job, "EndTimeUTC") is None
    em.clock.advance(18)
    job = jobs(client)[0]
    assert value(job, "State") == state
    table = {"CompletedSuccessfully": "Success", "CompletedWarning": "Warning", "Failed": "Failed"}
    assert job.findtext(f"{NAMESPACE}Result/{NAMESPACE}Result") == (state if words == "as state" else table[state])


@pytest.mark.parametrize(
    ("second", "new", "success"), [("new", 2, "true"), ("join", 1, "true"), ("refuse", 1, "false")]
)
def test_second_collect(em, client, second, new, success):
    em.behaviour.second_collect = second
    before = len(jobs(client))
    collect(client, em)
    em.clock.advance(3)
    path = collect(client, em)
    em.clock.advance(3)
    assert task(client, path)[:2] == ("Finished", success)
    assert len(jobs(client)) == before + new


def test_a_job_may_never_end(em, client):
    em.behaviour.collect_seconds = None
    collect(client, em)
    em.clock.advance(14 * 60)
    assert {value(job, "State") for job in jobs(client)[:2]} == {"InProgress"}


@pytest.mark.parametrize(
    ("user", "servers", "listed"),
    [("admin", 200, 200), ("reader", 200, 403), ("operator", 403, 403), ("both", 200, 403), ("restricted", 403, 403)],
)
def test_roles(em, connect, user, servers, listed):
    client = connect(em, user=user)
    client.log_on()
    server = f"{SERVERS}/{em.world.default_server.id}"
    assert client.get(SERVERS).status == client.get(server).status == servers
    assert client.request("POST", f"{server}?action=collect").status == (202 if servers == 200 else 403)
    assert client.get(JOBS).status == listed


@pytest.mark.parametrize(("switch", "status"), [("all", 200), ("absent", 404)])
def test_who_may_read_system_sessions(em, connect, switch, status):
    em.behaviour.system_sessions = switch
    client = connect(em, user="restricted")
    client.log_on()
    assert client.get(JOBS).status == status


def test_one_system_session(em, client):
    job = em.collecting.add(raw={"State": "Strange", "EndTimeUTC": None})
    entity = client.get(f"{JOBS}/{job.id}?format=Entity").xml
    assert entity.tag == f"{NAMESPACE}SystemSession"
    assert (value(entity, "State"), value(entity, "EndTimeUTC")) == ("Strange", None)
    assert client.get(f"{JOBS}/{job.id}").xml.tag == f"{NAMESPACE}EntityRef"
    assert client.get(f"{JOBS}/99999999-1111-4222-8333-444444444444").status == 404


def test_system_sessions_as_json(client, client13):
    assert client.get(JOBS, Accept="application/json").json["Sessions"][0]["Type"] == "SystemSession"
    assert client13.get(JOBS, Accept="application/json").json["sessions"][0]["type"] == "SystemSession"


def test_backup_servers(em, client):
    em.world.add_session(backup_server="vbr7.example.net")
    assert set(client.get(SERVERS).names) == {"vbr7.example.net", em.world.default_server.name}
    root = client.get(f"{SERVERS}?format=Entity").xml
    assert root.tag == f"{NAMESPACE}BackupServers" and {node.tag for node in root} == {f"{NAMESPACE}BackupServer"}
    href = root[0].get("Href")
    assert client.get(href[href.index("/api") :]).xml.get("UID") == root[0].get("UID")


@pytest.mark.parametrize(("query", "status"), [("", 405), ("?action=quickbackup", 400)])
def test_other_actions(em, client, query, status):
    assert client.request("POST", f"{SERVERS}/{em.world.default_server.id}{query}").status == status


def test_control(em, client):
    made = client.request("POST", "/emulator/jobs", body='{"state": "Failed", "seconds": 0}').json["id"]
    assert jobs(client)[0].get("UID").endswith(made)
    assert client.request("DELETE", "/emulator/jobs").status == 204
    assert jobs(client, None) == []
    assert client.request("POST", "/emulator/jobs", body='{"creation_time": "never"}').status == 400


# The copy


def states(client):
    return [value(node, "State") for node in client.get(f"{SESSIONS}?format=Entity").xml]


def queried(client):
    return [
        value(node, "State") for node in client.query(format="Entities").xml.iter(f"{NAMESPACE}CloudFailoverSession")
    ]


def test_a_copy_shows_sessions_as_of_the_last_collection(em, client):
    em.behaviour.copy = "collected"
    em.behaviour.collect_interval = None
    session = em.world.add_session(tasks=[{"vm_name": "db", "duration": 300}])
    assert states(client) == queried(client) == []
    by_id = client.get(f"{SESSIONS}/{session.id}?format=Entity").xml
    assert value(by_id, "State") == "Starting"
    em.clock.advance(60)
    assert states(client) == queried(client) == []
    collect(client, em)
    em.clock.advance(19)
    assert states(client) == []  # the job still runs
    em.clock.advance(1)
    assert states(client) == queried(client) == ["Working"]
    em.clock.advance(600)
    assert states(client) == queried(client) == ["Working"]
    em.behaviour.collect_state = "Failed"
    collect(client, em)
    em.clock.advance(60)
    assert states(client) == ["Working"]  # what failed has brought nothing
    em.behaviour.copy = "live"
    assert states(client) == queried(client) == ["Stopped"]


def test_a_copy_shows_restore_points_as_of_the_last_collection(em, client):
    plan = em.world.add_plan(vms=[{"name": "db", "duration": 10}])

    def in_failover():
        found = client.query("State!=Ready", type="CloudVmReplicaPoint", format="Entities").xml
        return [value(node, "State") for node in found.iter(f"{NAMESPACE}CloudReplica")]

    em.behaviour.copy = "collected"
    client.request("POST", f"/api/cloud/cloudFailoverPlans/{plan.id}?action=start", body=START)
    em.clock.advance(60)
    assert in_failover() == []
    em.collecting.add(seconds=0)
    assert in_failover() == ["Failover"]
    client.request("POST", f"/api/cloud/cloudFailoverPlans/{plan.id}?action=undo")
    em.clock.advance(120)
    assert in_failover() == ["Failover"]
    em.collecting.add(seconds=0)
    assert in_failover() == []


START = (
    '<CloudFailoverPlanManagementSpec xmlns="http://www.veeam.com/ent/v1.0"><StartNow>true</StartNow>'
    "</CloudFailoverPlanManagementSpec>"
)

# What is forgotten


def test_retention(em, client):
    now = datetime.now(timezone.utc)
    ages = {
        days: em.world.add_session(name=str(days), creation_time=now - timedelta(days=days)) for days in (1, 40, 100)
    }
    assert client.query().names == ["1", "40", "100"]
    assert client.get(SESSIONS).names == ["1"]
    em.behaviour.retention_weeks = 13
    assert client.query().names == ["1", "40"]
    assert client.get(f"{SESSIONS}/{ages[100].id}").status == 404
    em.clock.advance(60 * 86400)
    assert client.query().names == ["1"]
    assert client.get(SESSIONS).names == []
