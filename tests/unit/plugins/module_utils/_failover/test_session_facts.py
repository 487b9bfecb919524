# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The facts of a session, from what EM sends."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import xml
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.session_facts import session_facts

REPLIES = Path(__file__).resolve().parents[4] / "emulator" / "replies"
GUID = "475420ee-d045-4493-9869-0a970e08f6f9"
NOW = datetime(2026, 3, 8, 12, 0, 0, 250000)


def facts(
    inner="",
    attributes=f'UID="urn:veeam:CloudFailoverSession:{GUID}" Name="Plan" Href="/api/cloud/failoverSessions/{GUID}"',
):
    body = f'<CloudFailoverSession Type="CloudFailoverSession" {attributes}>{inner}</CloudFailoverSession>'
    return session_facts(xml.parse(body.encode()).items[0])


# The documented reply


def test_the_documented_entity_gives_the_documented_facts():
    document = xml.parse(REPLIES.joinpath("failoverSession_entity.xml").read_bytes())
    assert session_facts(document.items[0]) == {
        "id": "475420ee-d045-4493-9869-0a970e08f6f9",
        "uid": "urn:veeam:CloudFailoverSession:475420ee-d045-4493-9869-0a970e08f6f9",
        "name": "ABC Company Failover Plan",
        "job_type": "FailoverPlan",
        "state": "Stopped",
        "result": "Success",
        "progress": 100,
        "failure_message": None,
        "creation_time": "2015-12-07T17:38:16.000000Z",
        "end_time": "2015-12-07T17:39:36.000000Z",
        "duration": 80.0,
        "finished": True,
        "succeeded": True,
        "backup_server": {"id": "8fff3b8e-c3f1-4ef5-aecc-561f07bf9982", "name": "172.17.53.48"},
        "href": "/api/cloud/failoverSessions/475420ee-d045-4493-9869-0a970e08f6f9",
        "tasks": [],
        "task_summary": {"total": 0, "success": 0, "warning": 0, "failed": 0, "running": 0, "other": 0},
    }


def test_the_documented_references_are_found():
    document = xml.parse(REPLIES.joinpath("failoverSessions.xml").read_bytes())
    assert document.shape == xml.ENTITIES
    assert [(item["UID"].rpartition(":")[2], item["Name"]) for item in document.items] == [
        ("475420ee-d045-4493-9869-0a970e08f6f9", "ABC Company Failover Plan"),
        ("10c5b348-dcbb-4d50-8b37-0e0fb4daf0ef", "ABC Company Cloud Failover Plan"),
        ("030015e0-8f8f-469a-93e1-10b680b46887", "UCM Company Full SIte Failover"),
        ("15db3c3b-b561-4115-a3e3-24a7bfc50c35", "ABC Company Failover Plan"),
        ("77becc1b-d82e-46c8-93e7-2b59f6d31192", "ABC Company Failover Plan"),
    ]
    assert all(xml.text(item, "State") is None for item in document.items)


# Times


def run(start="2026-03-02T08:00:00Z", end="2026-03-02T08:00:10.5Z", state="Stopped", result="Success"):
    parts = {"CreationTimeUTC": start, "EndTimeUTC": end, "State": state, "Result": result}
    return facts("".join(f"<{name}>{value}</{name}>" for name, value in parts.items() if value is not None))


@pytest.mark.parametrize(
    ("changes", "end_time", "duration"),
    [
        ({}, "2026-03-02T08:00:10.500000Z", 10.5),
        ({"end": "2026-03-02T08:00:00Z"}, "2026-03-02T08:00:00.000000Z", 0.0),
        ({"end": "2026-03-02T07:59:59.999Z"}, "2026-03-02T07:59:59.999000Z", None),
        ({"end": None}, None, None),
        ({"end": ""}, None, None),
        ({"end": "1753-01-01T00:00:00Z"}, None, None),
        ({"end": "nonsense"}, None, None),
        ({"start": None}, "2026-03-02T08:00:10.500000Z", None),
        ({"start": "0001-01-01T00:00:00Z"}, "2026-03-02T08:00:10.500000Z", None),
        ({"state": "Working", "result": "None", "end": None}, None, None),
        ({"state": "Working", "result": "None"}, None, None),
        ({"state": "Stopping"}, None, None),
    ],
)
def test_end_and_duration(changes, end_time, duration):
    fact = run(**changes)
    assert (fact["end_time"], fact["duration"]) == (end_time, duration)


# State and result


@pytest.mark.parametrize(
    ("state", "result", "expected"),
    [
        ("Stopped", "Success", ("Stopped", "Success", True, True)),
        ("Stopped", "Warning", ("Stopped", "Warning", True, False)),
        ("Stopped", "Failed", ("Stopped", "Failed", True, False)),
        ("Stopped", "None", ("Stopped", "None", True, False)),
        ("Stopped", None, ("Stopped", "None", True, False)),
        ("Stopped", "", ("Stopped", "None", True, False)),
        ("Stopped", "Cancelled", ("Stopped", "Cancelled", True, False)),
        ("Working", "None", ("Working", "None", False, None)),
        ("Working", "Success", ("Working", "Success", False, None)),
        ("Working", None, ("Working", "None", False, None)),
        ("Starting", "None", ("Starting", "None", False, None)),
        ("Stopping", "Success", ("Stopping", "Success", False, None)),
        ("Pausing", "None", ("Pausing", "None", False, None)),
        ("stopped", "Success", ("stopped", "Success", False, None)),
    ],
)
def test_only_stopped_and_success_is_a_success(state, result, expected):
    fact = run(state=state, result=result)
    assert (fact["state"], fact["result"], fact["finished"], fact["succeeded"]) == expected


@pytest.mark.parametrize(
    ("written", "progress"), [("0", 0), ("100", 100), ("250", 250), ("", None), ("x", None), (None, None)]
)
def test_progress(written, progress):
    assert facts("" if written is None else f"<Progress>{written}</Progress>")["progress"] == progress


def test_a_failure_message_is_decoded_and_trimmed():
    assert facts("<FailureMessage>\n  Disk &lt;C&gt; &amp; D  </FailureMessage>")["failure_message"] == "Disk <C> & D"


# Identity


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (
            f'UID="urn:veeam:CloudFailoverSession:{GUID}"',
            (GUID, f"urn:veeam:CloudFailoverSession:{GUID}", f"/api/cloud/failoverSessions/{GUID}"),
        ),
        (
            f'UID="urn:veeam:FailoverPlan:{GUID.upper()}"',
            (GUID, f"urn:veeam:FailoverPlan:{GUID.upper()}", f"/api/cloud/failoverSessions/{GUID}"),
        ),
        (f'UID="{GUID}"', (GUID, GUID, f"/api/cloud/failoverSessions/{GUID}")),
        (
            f'Href="http://h:9399/api/x/{GUID}?format=Entity"',
            (GUID, f"urn:veeam:CloudFailoverSession:{GUID}", f"/api/x/{GUID}"),
        ),
        (
            f'UID="{GUID}" Href="http://h/api/x?from=http://other/path?y"',
            (GUID, GUID, "/api/x"),
        ),
        (
            f'Href="/api/cloud/failoverSessions/{GUID}"',
            (GUID, f"urn:veeam:CloudFailoverSession:{GUID}", f"/api/cloud/failoverSessions/{GUID}"),
        ),
    ],
)
def test_identity(attributes, expected):
    fact = facts(attributes=attributes)
    assert (fact["id"], fact["uid"], fact["href"]) == expected


@pytest.mark.parametrize("href", ["//evil/x", "/\\evil/x", "http://em//evil/x", "api/x", "evil:9398/x", "?x"])
def test_a_link_that_is_no_path_is_not_shown(href):
    assert facts(attributes=f'UID="{GUID}" Href="{href}"')["href"] == f"/api/cloud/failoverSessions/{GUID}"


def test_a_session_without_a_state_is_not_finished():
    fact = facts("<Result>Success</Result>")
    assert (fact["state"], fact["finished"], fact["succeeded"]) == (None, False, None)


def test_name_falls_back_to_the_plan_name_of_old_schemas():
    assert facts(attributes=f'UID="{GUID}" CloudFailoverPlanName="Old"')["name"] == "Old"
    assert facts(attributes=f'UID="{GUID}" CloudFailoverPlanName="Old" Name="New"')["name"] == "New"
    assert facts(attributes=f'UID="{GUID}"')["name"] is None


SERVER = "8fff3b8e-c3f1-4ef5-aecc-561f07bf9982"


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        ("", None),
        ("<Links/>", None),
        (
            f'<Links><Link Rel="Up" Type="BackupServerReference" Name="s" Href="http://x/api/backupServers/{SERVER}"/></Links>',
            {"id": SERVER, "name": "s"},
        ),
        (f'<Links><Link Rel="Up" Name="s" Href="/api/backupServers/{SERVER}"/></Links>', {"id": SERVER, "name": "s"}),
        ('<Links><Link Rel="Up" Type="BackupServerReference" Name="s"/></Links>', {"id": None, "name": "s"}),
        (
            f'<Links><Link Rel="Alternate" Type="BackupServerReference" Name="s" Href="/api/backupServers/{SERVER}"/></Links>',
            None,
        ),
        (
            '<Links><Link Rel="Up" Type="CloudReplicaReference" Name="r" Href="/api/cloud/replicas/1"/>'
            f'<Link Href="/api/backupServers/{SERVER}" Name="s" Type="BackupServerReference" Rel="Up"/></Links>',
            {"id": SERVER, "name": "s"},
        ),
    ],
)
def test_backup_server(links, expected):
    assert facts(links)["backup_server"] == expected


# Tasks


def task(name, state="Stopped", result="Success", point=True):
    link = (
        '<VmReplicaPointLink Rel="Related" Type="CloudVmReplicaPointReference" Name="db@2026-03-02 05:00:10"'
        ' Href="https://em1:9398/api/cloud/vmReplicaPoints/c1beab6b-2b18-47f1-9e71-354ab8a49fc2"/>'
    )
    return (
        f'<CloudFailoverTasks VmName="{name}">{link if point else ""}<CreationTimeUTC>2026-03-02T08:00:06.11Z</CreationTimeUTC>'
        f"<EndTimeUTC>2026-03-02T08:00:08.11Z</EndTimeUTC><State>{state}</State><Result>{result}</Result><Progress>50</Progress>"
        "<FailureMessage>why</FailureMessage></CloudFailoverTasks>"
    )


def tasks(*each):
    return facts(f"<State>Working</State><CloudFailoverTasks>{''.join(each)}</CloudFailoverTasks>")


def test_one_task():
    fact = tasks(task("db"))
    assert fact["tasks"] == [
        {
            "vm_name": "db",
            "state": "Stopped",
            "result": "Success",
            "progress": 50,
            "failure_message": "why",
            "creation_time": "2026-03-02T08:00:06.110000Z",
            "end_time": "2026-03-02T08:00:08.110000Z",
            "duration": 2.0,
            "finished": True,
            "succeeded": True,
            "replica_point": {
                "id": "c1beab6b-2b18-47f1-9e71-354ab8a49fc2",
                "name": "db@2026-03-02 05:00:10",
                "creation_time": None,
                "state": None,
            },
        }
    ]


def test_a_task_without_replica_point():
    assert tasks(task("db", point=False))["tasks"][0]["replica_point"] is None


def test_two_tasks_of_one_name_are_both_kept():
    assert [item["vm_name"] for item in tasks(task("db"), task("db"))["tasks"]] == ["db", "db"]


def test_task_summary_counts_each_task_once():
    fact = tasks(
        task("a"),
        task("b"),
        task("c", result="Warning"),
        task("d", result="Failed"),
        task("e", result="Failed"),
        task("f", result="Failed"),
        task("g", result="None"),
        task("h", result="Other"),
        task("i", state="Working", result="None"),
        task("j", state="Starting", result="Success"),
        task("k", result="Running"),
    )
    assert fact["task_summary"] == {"total": 11, "success": 2, "warning": 1, "failed": 3, "running": 2, "other": 3}
