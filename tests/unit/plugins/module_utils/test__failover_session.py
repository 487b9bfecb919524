# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts, times and criteria by themselves; what is asked of a server is in test__find.py."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils import _failover_session as fs
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils import _xml
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._client import OptionError

REPLIES = Path(__file__).resolve().parents[3] / "emulator" / "replies"
GUID = "475420ee-d045-4493-9869-0a970e08f6f9"
NOW = datetime(2026, 3, 8, 12, 0, 0, 250000)


def facts(
    inner="",
    attributes=f'UID="urn:veeam:CloudFailoverSession:{GUID}" Name="Plan" Href="/api/cloud/failoverSessions/{GUID}"',
):
    body = f'<CloudFailoverSession Type="CloudFailoverSession" {attributes}>{inner}</CloudFailoverSession>'
    return fs.session_facts(_xml.parse(body.encode()).items[0])


# The documented reply


def test_the_documented_entity_gives_the_documented_facts():
    document = _xml.parse(REPLIES.joinpath("failoverSession_entity.xml").read_bytes())
    assert fs.session_facts(document.items[0]) == {
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
    document = _xml.parse(REPLIES.joinpath("failoverSessions.xml").read_bytes())
    assert document.shape == _xml.REFERENCES
    assert [(item["UID"].rpartition(":")[2], item["Name"]) for item in document.items] == [
        ("475420ee-d045-4493-9869-0a970e08f6f9", "ABC Company Failover Plan"),
        ("10c5b348-dcbb-4d50-8b37-0e0fb4daf0ef", "ABC Company Cloud Failover Plan"),
        ("030015e0-8f8f-469a-93e1-10b680b46887", "UCM Company Full SIte Failover"),
        ("15db3c3b-b561-4115-a3e3-24a7bfc50c35", "ABC Company Failover Plan"),
        ("77becc1b-d82e-46c8-93e7-2b59f6d31192", "ABC Company Failover Plan"),
    ]
    assert all(_xml.text(item, "State") is None for item in document.items)


# Times


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2015-12-07T17:38:16Z", "2015-12-07T17:38:16.000000Z"),
        ("2015-12-07T17:38:16.5Z", "2015-12-07T17:38:16.500000Z"),
        ("2015-12-07T17:38:03.62Z", "2015-12-07T17:38:03.620000Z"),
        ("2015-12-07T17:38:03.103Z", "2015-12-07T17:38:03.103000Z"),
        ("2015-12-07T17:38:03.3899Z", "2015-12-07T17:38:03.389900Z"),
        ("2015-12-07T17:38:03.38995Z", "2015-12-07T17:38:03.389950Z"),
        ("2015-12-07T17:38:03.389954Z", "2015-12-07T17:38:03.389954Z"),
        ("2015-12-07T17:38:03.7418767Z", "2015-12-07T17:38:03.741876Z"),
        ("2015-12-07T17:38:03.10659559Z", "2015-12-07T17:38:03.106595Z"),
        ("2015-12-07T17:38:16.999999999Z", "2015-12-07T17:38:16.999999Z"),
        ("2015-12-07T17:38:16", "2015-12-07T17:38:16.000000Z"),
        ("2015-12-07 17:38:16.25", "2015-12-07T17:38:16.250000Z"),
        ("2015-12-07t17:38:16z", "2015-12-07T17:38:16.000000Z"),
        ("2015-12-07T17:38:16+02:00", "2015-12-07T15:38:16.000000Z"),
        ("2015-12-07T17:38:16.5-0330", "2015-12-07T21:08:16.500000Z"),
        ("2016-01-01T01:00:00+05:45", "2015-12-31T19:15:00.000000Z"),
        ("1753-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00", None),
        ("1900-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59.9999999Z", None),
        ("1969-12-31T23:59:59Z", None),
        ("1970-01-01T00:00:00Z", None),
        ("9998-12-31T23:59:59Z", "9998-12-31T23:59:59.000000Z"),
        ("2026-02-30T00:00:00Z", None),
        ("2026-13-01T00:00:00Z", None),
        ("2026-01-01T24:00:01Z", None),
        ("2026-01-01", None),
        ("2026-01-01T00:00Z", "2026-01-01T00:00:00.000000Z"),
        ("2026-01-01T02:30+02", "2026-01-01T00:30:00.000000Z"),
        ("1971-01-01T00:00:00Z", "1971-01-01T00:00:00.000000Z"),
        ("2026-01-01T00Z", None),
        ("yesterday", None),
        ("", None),
        (" ", None),
        (None, None),
        ("2026-01-01T00:00:00Z and more", None),
    ],
)
def test_moment(written, expected):
    assert fs.timestamp(fs.moment(written)) == expected


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
            f'Href="/api/cloud/failoverSessions/{GUID}"',
            (GUID, f"urn:veeam:CloudFailoverSession:{GUID}", f"/api/cloud/failoverSessions/{GUID}"),
        ),
    ],
)
def test_identity(attributes, expected):
    fact = facts(attributes=attributes)
    assert (fact["id"], fact["uid"], fact["href"]) == expected


def test_a_session_without_any_id_is_refused():
    with pytest.raises(ValueError, match="neither a UID nor an Href"):
        facts(attributes='Name="Plan"')


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
            "replica_point": {"id": "c1beab6b-2b18-47f1-9e71-354ab8a49fc2", "name": "db@2026-03-02 05:00:10"},
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


# Criteria


def criteria(**options):
    return fs.Criteria.from_options(options.get, NOW)


def test_defaults_select_everything_newest_first():
    chosen = criteria()
    assert chosen == fs.Criteria(now=NOW)
    assert chosen.descending
    assert chosen.page_size == 100
    assert chosen.limit is None


@pytest.mark.parametrize(
    "given",
    [
        GUID,
        GUID.upper(),
        f" {GUID} ",
        f"urn:veeam:CloudFailoverSession:{GUID}",
        f"https://em.example.com:9398/api/cloud/failoverSessions/{GUID}",
        f"https://em.example.com:9398/api/cloud/failoverSessions/{GUID}?format=Entity",
        f"/api/cloud/failoverSessions/{GUID}/",
    ],
)
def test_an_id_is_a_guid_a_urn_or_an_href(given):
    assert criteria(id=[given]).ids == (GUID,)


@pytest.mark.parametrize(
    "given",
    ["not-an-id", "", "475420ee", GUID + "0", f"x{GUID}", f"/api/backupServers/{GUID}", f"{GUID},{GUID}", None, 7],
)
def test_other_ids_are_refused(given):
    with pytest.raises(OptionError, match="^id: .*GUID") as refusal:
        criteria(id=[given])
    assert refusal.value.option == "id"


def test_an_id_given_twice_counts_once():
    assert criteria(id=[GUID, GUID.upper()]).ids == (GUID,)


@pytest.mark.parametrize(
    ("given", "names"),
    [("A, B", {"A, B"}), (["A", "B, C"], {"A", "B, C"}), (2024, {"2024"}), ([7, "7"], {"7"}), (None, None)],
)
def test_a_name_is_not_split_at_commas(given, names):
    assert criteria(name=given).names == names


@pytest.mark.parametrize("given", ["", " ", True, 1.5, {"a": 1}, ["A", None], [["A"]]])
def test_other_names_are_refused(given):
    with pytest.raises(OptionError, match="^name: .*Give a name or a list of names"):
        criteria(name=given)


@pytest.mark.parametrize("option", ["id", "name", "state", "result", "backup_server"])
def test_an_empty_list_is_refused(option):
    with pytest.raises(OptionError, match=f"^{option}: .*selects nothing"):
        criteria(**{option: []})


@pytest.mark.parametrize(
    ("option", "value", "accepted"),
    [
        ("limit", 0, "1 or more"),
        ("limit", -1, "1 or more"),
        ("page_size", 0, "1 to 1000"),
        ("page_size", 1001, "1 to 1000"),
        ("sort_order", "newest", "descending, ascending"),
        ("state", ["Running"], "Starting, Working, Stopping, Stopped"),
        ("result", ["success"], "None, Success, Warning, Failed"),
        ("name", [""], "Give a name"),
        ("backup_server", [" "], "Give a name"),
    ],
)
def test_values_out_of_range_are_refused(option, value, accepted):
    with pytest.raises(OptionError, match=accepted) as refusal:
        criteria(**{option: value})
    assert refusal.value.option == option


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2026-03-01T00:00:00Z", "2026-03-01T00:00:00.000000Z"),
        ("2026-03-01T01:00:00.5+01:00", "2026-03-01T00:00:00.500000Z"),
        ("2026-03-01 00:00:00+00:00", "2026-03-01T00:00:00.000000Z"),  # what YAML makes of a time without quotes
        ("90m", "2026-03-08T10:30:00.250000Z"),
        ("24h", "2026-03-07T12:00:00.250000Z"),
        ("7d", "2026-03-01T12:00:00.250000Z"),
        ("2w", "2026-02-22T12:00:00.250000Z"),
        ("15 S", "2026-03-08T11:59:45.250000Z"),
        ("0s", "2026-03-08T12:00:00.250000Z"),
    ],
)
@pytest.mark.parametrize("option", ["created_after", "created_before", "ended_after", "ended_before"])
def test_times_and_ages(option, given, expected):
    assert getattr(criteria(**{option: given}), option) == expected


@pytest.mark.parametrize(
    "given",
    [
        "yesterday",
        "",
        "2026-03-01",
        "2026-03-01T00:00:00",
        "7",
        "7x",
        "-7d",
        "7d2h",
        "999999w",
        "0001-01-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
    ],
)
def test_other_times_are_refused(given):
    with pytest.raises(OptionError, match="^created_after: .*ISO 8601 with zone.*7d") as refusal:
        criteria(created_after=given)
    assert refusal.value.option == "created_after"


FACT = run()


@pytest.mark.parametrize(
    ("options", "holds"),
    [
        ({}, True),
        ({"id": [GUID]}, True),
        ({"id": [GUID.replace("4", "5")]}, False),
        ({"name": ["Plan", "Other"]}, True),
        ({"name": ["plan"]}, False),
        ({"name": ["Plan "]}, False),
        ({"state": ["Working", "Stopped"]}, True),
        ({"state": ["Working"]}, False),
        ({"result": ["Success"]}, True),
        ({"result": ["None", "Failed"]}, False),
        ({"backup_server": ["s"]}, False),
        ({"created_after": "2026-03-02T08:00:00Z"}, True),
        ({"created_after": "2026-03-02T08:00:00.000001Z"}, False),
        ({"created_before": "2026-03-02T08:00:00Z"}, False),
        ({"created_before": "2026-03-02T08:00:00.000001Z"}, True),
        ({"ended_after": "2026-03-02T08:00:10.5Z"}, True),
        ({"ended_after": "2026-03-02T08:00:10.6Z"}, False),
        ({"ended_before": "2026-03-02T08:00:10.5Z"}, False),
        ({"ended_before": "2026-03-02T08:00:10.6Z"}, True),
        ({"name": ["Plan"], "result": ["Failed"]}, False),
    ],
)
def test_all_criteria_must_hold(options, holds):
    assert criteria(**options).hold_for(FACT) is holds


def test_a_running_session_has_not_ended():
    running = run(state="Working", result="None", end=None)
    assert not criteria(ended_before="2030-01-01T00:00:00Z").hold_for(running)
    assert not criteria(ended_after="2000-01-01T00:00:00Z").hold_for(running)
    assert criteria(result=["None"]).hold_for(running)


def test_a_backup_server_is_compared_by_name():
    fact = facts(
        f'<Links><Link Rel="Up" Type="BackupServerReference" Name="s" Href="/api/backupServers/{SERVER}"/></Links>'
    )
    assert criteria(backup_server=["s"]).hold_for(fact)
    assert not criteria(backup_server=["S"]).hold_for(fact)


@pytest.mark.parametrize(
    ("after", "before"), [("1d", "7d"), ("7d", "7d"), ("2026-03-02T00:00:00Z", "2026-03-01T00:00:00Z")]
)
@pytest.mark.parametrize("event", ["created", "ended"])
def test_a_window_in_which_nothing_can_be_is_refused(event, after, before):
    with pytest.raises(OptionError, match=f"^{event}_after: .*{event}_before"):
        criteria(**{f"{event}_after": after, f"{event}_before": before})


def test_one_now_for_all_ages_of_a_run():
    chosen = fs.Criteria.from_options({"created_after": "1h", "ended_after": "1h"}.get)
    assert chosen.created_after == chosen.ended_after
