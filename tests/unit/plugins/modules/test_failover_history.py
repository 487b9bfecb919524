# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import os
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import OptionError
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.criteria import SessionCriteria
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.sessions import SessionReader
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.times import format_time, utc_now
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.handed_over import handed_over
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.recorder import Recorder
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.session_log import SessionLog
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.sqlite import Sqlite
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.store import open_store
from ansible_collections.dr_runbook.veeam_em.plugins.modules import failover_history

NONE = {"look": 0, "session": 0, "plan": 0, "points": 0, "run": 0, "verdict": 0, "note": 0}
GUID = "475420ee-d045-4493-9869-0a970e08f6f9"
PASSWORD = "Passw0rd!"
NO_EM = {"url": None, "username": None, "password": None, "em_name": "em", "look": False}
NOTE = {"type": "comment", "session_id": GUID, "by": "J. Doe", "text": "All went well"}


def moments(result, name="looks"):
    return [item["seen_at"] for item in result[name]]


def hours(em, count):
    em.clock.advance(3600 * count)


# Looks


def test_recording_twice_adds_a_look_and_nothing_else(em, record, read):
    em.reset(sessions=30, tasks=2)
    plan = em.world.add_plan("Acme", ["db", "web"])
    em.world.points.use(em.world.points.all()[0], plan, GUID, em.clock.now())
    first = record()
    assert (first["changed"], first["recorded"]["session"]) == (True, 30)
    second = record()
    assert (second["changed"], second["recorded"]) == (False, {**NONE, "look": 1})
    assert second["head"]["sequence"] == first["head"]["sequence"] + 1 == sum(first["recorded"].values()) + 1
    history = read(verify=True)
    assert (history["verified"], history["head"], len(history["looks"])) == (True, second["head"], 2)
    assert [look["complete"] for look in history["looks"]] == [True, True]
    assert "warnings" not in first and "warnings" not in second


def test_a_session_that_ends_keeps_the_vms_that_em_drops(em, record, read):
    em.clock.rate = 0
    em.behaviour.finished_tasks = "drop"
    session = em.world.add_session(tasks=[{"vm_name": "db", "duration": 60}, {"vm_name": "web", "duration": 60}])
    em.clock.advance(30)
    record()
    working = read()["failover_sessions"][0]
    assert (working["state"], working["progress"], len(working["tasks"])) == ("Working", None, 2)
    em.clock.advance(20)
    assert record()["changed"] is False  # its progress is another one, and that is not recorded
    hours(em, 1)
    for again in range(3):
        assert record()["recorded"]["session"] == (0 if again else 1)
        hours(em, 1)
    (ended,) = read(id=[session.id])["failover_sessions"]
    assert (ended["state"], ended["result"], ended["task_summary"]["total"]) == ("Stopped", "Success", 2)
    assert [task["vm_name"] for task in ended["tasks"]] == ["db", "web"]
    # The second look was the last one for which EM listed them.
    assert ended["tasks_kept_at"] == moments(read())[-2]


def test_vms_that_only_the_event_source_has_seen_were_listed_when_it_saw_them(em, record, read, connect, store):
    em.clock.rate = 0
    em.behaviour.finished_tasks = "drop"
    record()
    hours(em, 1)
    em.world.add_session(tasks=[{"vm_name": "db", "duration": 60}])
    em.clock.advance(30)
    with connect() as client:
        (working,) = SessionReader(client).list_sessions(SessionCriteria(utc_now())).sessions
    seen_at = format_time(em.clock.now())
    log = SessionLog(lambda: open_store(store), "127.0.0.1", str, pytest.fail)
    log.add(working, seen_at)
    log.record()
    hours(em, 1)
    record()
    (ended,) = read()["failover_sessions"]
    assert (ended["state"], [task["vm_name"] for task in ended["tasks"]]) == ("Stopped", ["db"])
    assert ended["tasks_kept_at"] == seen_at


def test_without_all_sessions_nothing_is_recorded(em, record, read):
    em.reset(sessions=250)
    em.faults.add("status", path="/query", query="CloudFailoverSession.*page=3", status=500, times=None)
    result = record()
    assert result["failed"] and result["changed"] is False
    assert (result["error"]["kind"], result["error"]["status"]) == ("server", 500)
    em.faults.clear()
    assert read()["head"]["sequence"] == 0
    assert record()["recorded"]["session"] == 250


@pytest.mark.parametrize(
    ("user", "missing", "roles"),
    [
        ("admin", [], []),
        ("reader", ["data_age", "plans"], ["Portal Administrator", "VM Restore Operator"]),
        ("operator", ["data_age", "points"], ["Portal Administrator", "Portal User"]),
        ("both", ["data_age"], ["Portal Administrator"]),
    ],
)
@pytest.mark.parametrize("role_query", ["as resource", "refused"])
def test_what_may_not_be_read_is_left_out_and_named(em, record, read, user, missing, roles, role_query):
    em.behaviour.role_query = role_query
    em.reset(sessions=3, tasks=1)
    em.behaviour.role_query = role_query
    result = record(username=user)
    assert (result["changed"], result["recorded"]["session"]) == (True, 3)
    (look,) = read()["looks"]
    if role_query == "refused" and user != "admin" and "points" not in missing:
        missing = [*missing, "points"]  # those that are not ready can only be queried
    assert (look["complete"], look["missing"]) == (not missing, missing)
    said = " ".join(result.get("warnings", ()))
    assert [role for role in roles if f"has the role {role}" not in said] == []
    assert [session["kind"] for session in read()["failover_sessions"]] == ["unknown"] * 3


@pytest.mark.parametrize(("offset", "clock"), [(-86400, "em"), (None, "local")])
def test_the_time_of_a_look_is_that_of_em(em, record, read, offset, clock):
    em.behaviour.date_offset = offset
    record()
    (look,) = read()["looks"]
    assert look["clock"] == clock
    ahead = em.clock.now() - timedelta(seconds=30)
    shown = ahead - timedelta(days=1) if clock == "em" else ahead
    assert shown.isoformat() < look["seen_at"] < (shown + timedelta(minutes=10)).isoformat()


def test_looks_that_are_far_apart_leave_a_gap(em, record, read):
    assert record()["gap"] is None
    hours(em, 29 * 24)
    assert record()["gap"] is None
    hours(em, 31 * 24)
    gap = record()["gap"]
    history = read()
    assert gap == dict(zip(("to", "from"), moments(history)))
    assert history["gaps"] == [{"em_name": "127.0.0.1", **gap}]
    # What looks at the last day only misses what was before.
    hours(em, 48)
    assert record(created_after=f"{em.clock.now() - timedelta(hours=1):%Y-%m-%dT%H:%MZ}")["gap"]["from"] == gap["to"]
    assert len(read()["gaps"]) == 2


def test_a_look_while_ems_clock_was_ahead_hides_no_gap(em, record, read):
    em.reset(sessions=1)
    first = record()
    hours(em, 24 * 3650)
    record()
    hours(em, -24 * 3610)
    assert (first["gap"], record()["gap"]["from"]) == (None, moments(read())[-1])


def test_of_two_looks_at_once_none_hides_the_newer_state(em, record, read, connect, store, monkeypatch):
    em.clock.rate = 0
    em.world.add_session(tasks=[{"vm_name": "db", "duration": 60}])
    record()
    append, looked = Recorder.append, []

    def overtaken(recorder, records, keep):
        if not looked:
            looked.append(True)
            hours(em, 1)
            with open_store(store) as other, connect() as client:
                faster = Recorder(other, "127.0.0.1")
                append(faster, faster.look(client, SessionCriteria(utc_now())).records)
        return append(recorder, records, keep)

    em.clock.advance(5)
    em.world.add_session()  # something new for both
    monkeypatch.setattr(Recorder, "append", overtaken)
    assert record()["recorded"] == {**NONE, "look": 1}
    assert [session["state"] for session in read(verify=True)["failover_sessions"]] == ["Stopped", "Stopped"]


def test_two_ems_in_one_history(em, record, read):
    em.reset(sessions=2)
    record(em_name="north")
    em.reset(sessions=3)
    record(em_name="south")
    assert len(read()["failover_sessions"]) == 5
    assert {session["em_name"] for session in read(em_name="south")["failover_sessions"]} == {"south"}
    assert [look["em_name"] for look in read(em_name=["north", "nowhere"])["looks"]] == ["north"]


def test_a_plan_has_versions_and_may_be_deleted(em, record, read):
    plan = em.world.add_plan("Acme", ["db"], pre_command=r"C:\scripts\secret.ps1")
    other = em.world.add_plan("Other", ["web"])
    record()
    hours(em, 1)
    em.world.change_plan(plan, pre_command=r"C:\other.ps1")
    assert record()["recorded"]["plan"] == 0
    em.world.change_plan(plan, vms=["db", "web"])
    em.world.remove_plan(other)
    assert record()["recorded"]["plan"] == 2
    assert record()["changed"] is False
    plans = {plan["name"]: plan for plan in read()["failover_plans"]}
    assert [[vm["name"] for vm in one["vms"]] for one in plans["Acme"]["versions"]] == [["db", "web"], ["db"]]
    assert [plans[name]["deleted"] for name in ("Acme", "Other")] == [False, True]
    assert len({one["digest"] for one in plans["Acme"]["versions"]}) == 2
    assert [plan["name"] for plan in read(name="Other")["failover_plans"]] == ["Other"]


# Replica points, and what they say about a run


@pytest.fixture
def run(em, run_module):
    """Run a plan in the emulator, and let an hour pass."""
    em.clock.rate = 0
    plan = em.world.add_plan("Acme", ["db", "web"])

    def call(action="test"):
        em.run_by_others(plan, action)
        hours(em, 1)
        return plan

    return call


@pytest.mark.parametrize("copy", ["live", "collected"])
@pytest.mark.parametrize(("action", "kind", "state"), [("test", "test", "Ready"), ("start", "failover", "Failover")])
def test_the_kind_of_a_run_in_the_console_is_seen_by_its_points(em, run, record, read, copy, action, kind, state):
    em.behaviour.copy = copy
    run(action)
    record()
    (session,) = read()["failover_sessions"]
    assert (session["kind"], session["kind_basis"]) == (kind, "inferred")
    assert [task["replica_point"]["state"] for task in session["tasks"]] == [state, state]
    assert all(task["replica_point"]["creation_time"] for task in session["tasks"])
    for dummy in range(3):  # later runs and looks change nothing about that
        run("undo" if action == "start" else "test")
        record()
    assert read(sort_order="ascending", limit=1)["failover_sessions"][0]["kind"] in (kind, "unknown")


@pytest.mark.parametrize(("looks", "kind"), [(1, "test"), (0, "unknown")])
def test_a_failover_by_another_plan_of_the_same_vm_is_not_taken_for_this_run(em, record, read, looks, kind):
    em.clock.rate = 0
    plan = em.world.add_plan("Full site", ["db"])
    point = em.world.points.history(plan, plan.vms[0], em.clock.now())[0]
    vms = [{"vm_name": "db", "duration": 60, "replica_point": {"id": point.id, "name": point.name}}]
    em.world.add_session(name="Full site", tasks=vms)
    for dummy in range(looks):
        hours(em, 1)
        record()
    hours(em, 1)
    other = em.world.add_session(name="Databases only", tasks=vms)
    hours(em, 1)
    em.world.points.use(point, plan, other.id, em.clock.now())
    record()
    kinds = {session["name"]: session["kind"] for session in read()["failover_sessions"]}
    assert kinds == {"Full site": kind, "Databases only": "failover"}


def test_points_that_are_ready_again_are_recorded(em, run, record, read):
    run("start")
    record()
    assert [point["state"] for point in read()["points"]] == ["Failover", "Failover"]
    run("undo")
    assert record()["recorded"] == {**NONE, "look": 1, "points": 2}
    assert [point["state"] for point in read()["points"]] == ["Ready", "Ready"]
    assert record()["changed"] is False


def test_points_are_read_a_hundred_at_a_time_and_only_where_something_happened(em, record):
    em.world.add_session(state="Stopped", tasks=[{"vm_name": f"vm{number}"} for number in range(250)])
    hours(em, 1)
    record()
    queries = [entry.query for entry in em.requests if "CloudVmReplicaPoint" in entry.query]
    assert len(queries) == 1 + 3 and "State" in queries[0]
    em.requests.clear()
    record()
    assert len([entry for entry in em.requests if "CloudVmReplicaPoint" in entry.query]) == 1


@pytest.mark.parametrize("points_after_test", ["ready", "failover"])
def test_points_that_stay_in_failover_are_not_called_a_test(em, run, record, read, points_after_test):
    em.behaviour.points_after_test = points_after_test
    run("test")
    record()
    kind = read()["failover_sessions"][0]["kind"]
    assert kind == ("test" if points_after_test == "ready" else "failover")


def test_an_em_that_ignores_the_filter_makes_the_look_incomplete(em, run, record, read):
    run("test")
    every = em.world.points.all()
    em.faults.add("reply", path="/query", query="State", body=_points(every[:3]), times=None)
    result = record()
    assert result["recorded"]["points"] == 2  # those of the run, by their ids
    (look,) = read()["looks"]
    assert (look["complete"], look["missing"]) == (False, ["points"])
    assert "does not filter them by their state" in result["warnings"][0]
    assert read()["points_seen_at"] == look["seen_at"]
    hours(em, 1)
    record()
    assert read()["points_seen_at"] == look["seen_at"]  # this look has read none


def _points(points):
    items = "".join(
        f'<Entity Type="CloudVmReplicaPoint" UID="urn:veeam:CloudVmReplicaPoint:{point.id}" Name="{point.name}">'
        f"<State>{point.state}</State></Entity>"
        for point in points
    )
    entities = f"<CloudVmReplicaPoints>{items.replace('Entity', 'CloudVmReplicaPoint')}</CloudVmReplicaPoints>"
    return f'<QueryResult><Entities>{entities}</Entities><PagingInfo PageNum="1" PageSize="100" PagesCount="1"/></QueryResult>'


def test_what_is_handed_over_decides_the_kind(em, run, record, read):
    run("start")
    (found,) = (record(), read()["failover_sessions"])[1]
    assert found["kind"] == "failover"
    note = {"type": "kind", "session_id": found["id"], "by": "J. Doe", "text": "It was an exercise", "kind": "test"}
    record(notes=[note])
    (found,) = read()["failover_sessions"]
    assert (found["kind"], found["kind_basis"], found["run"]) == ("test", "recorded", None)
    ours = {"session_id": found["id"], "action": "start", "session_source": "task", "operator": "jdoe"}
    assert record(runs=[ours])["recorded"]["run"] == 1
    (found,) = read()["failover_sessions"]
    assert (found["kind"], found["run"]) == ("failover", ours)


# What is handed over


def test_runs_verdicts_and_notes_without_em(em, record, read):
    run = {"session_id": f"urn:veeam:CloudFailoverSession:{GUID.upper()}", "action": "test", "session_source": "task"}
    verdict = {"passed": True, "session": {"id": GUID, "name": "Acme"}, "reasons": []}
    finding = {
        **NOTE,
        "type": "finding",
        "severity": "high",
        "action": "Fix it",
        "owner": "Storage",
        "due": "2027-03-31",
    }
    waiver = {
        "type": "waiver",
        "plan": "Acme / full site",
        "by": "J. Doe",
        "text": "Migrated",
        "until": "2027-01-01T00:00+01:00",
    }
    options = {**NO_EM, "runs": [run], "verdicts": [verdict], "notes": [NOTE, finding, waiver]}
    assert record(**options)["recorded"] == {**NONE, "run": 1, "verdict": 1, "note": 3}
    # All of them again, in another order, and one more, twice.
    another = {**NOTE, "text": "Another one"}
    again = {**options, "notes": [waiver, finding, another, NOTE, another]}
    assert record(**again)["recorded"] == {**NONE, "note": 1}
    assert (record(**again)["changed"], em.requests) == (False, [])
    notes = read()["notes"]
    assert [note["type"] for note in notes] == ["waiver"]  # the session of the others was never seen
    assert notes[0]["until"] == "2026-12-31T23:00:00.000000Z"


def test_what_is_handed_over_belongs_to_its_session(em, record, read):
    session = em.world.add_session(state="Stopped")
    verdict = {"passed": False, "session": {"id": session.id}}
    record(verdicts=[verdict], notes=[{**NOTE, "session_id": session.id}])
    history = read()
    assert history["failover_sessions"][0]["verdict"] == verdict
    (note,) = history["notes"]
    assert (note["text"], note["em_name"], note["seen_at"]) == (NOTE["text"], "127.0.0.1", moments(history)[0])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"runs": [{"action": "test"}]}, ["runs[0][session_id]", "GUID"]),
        ({"store": "/tmp/a\x07b"}, ["store", "control character"]),
        ({"runs": [{"session_id": GUID, "action": "restart"}]}, ["runs[0][action]", "start, test or undo"]),
        ({"runs": [{"session_id": GUID, "action": ["test"]}]}, ["runs[0][action]: a list of 1", "start, test or undo"]),
        ({"runs": [{"session_id": GUID, "action": "test", "session_source": "guess"}]}, ["runs[0][session_source]"]),
        ({"runs": [{"session_id": GUID, "action": "test", "undo": True}]}, ["runs[0][undo]", "dictionary"]),
        ({"verdicts": [{"session": {"id": GUID}, "passed": False, "reasons": ["slow"]}]}, ["verdicts[0][reasons]"]),
        ({"verdicts": [{"passed": True}]}, ["verdicts[0][session][id]", "GUID"]),
        ({"verdicts": [{"session": {"id": GUID}}]}, ["verdicts[0][passed]", "failover_verdict"]),
        ({"notes": [{**NOTE, "type": "remark"}]}, ["notes[0][type]", "waiver"]),
        ({"notes": [{**NOTE, "type": {"kind": 1}}]}, ["notes[0][type]: a dictionary", "waiver"]),
        ({"notes": [NOTE, {**NOTE, "by": " "}]}, ["notes[1][by]", "needs by, text"]),
        ({"notes": [{**NOTE, "type": "waiver"}]}, ["notes[0][until]", "needs by, text, until"]),
        ({"notes": [{**NOTE, "type": "waiver", "until": "soon"}]}, ["notes[0][until]", "2027-03-31"]),
        ({"notes": [{**NOTE, "type": "waiver", "until": "2027-02-30"}]}, ["notes[0][until]", "2027-03-31"]),
        ({"notes": [{**NOTE, "type": "waiver", "until": "2027-02-01T12:00"}]}, ["notes[0][until]", "zone"]),
        ({"notes": [{**NOTE, "type": "finding", "severity": "high"}]}, ["notes[0][action]", "owner, due"]),
        ({"notes": [{**NOTE, "until": "2027-03-31"}]}, ["notes[0][until]", "no such key"]),
        ({"notes": [{**NOTE, "plan": "Acme"}]}, ["notes[0][session_id]", "either"]),
        ({"notes": [{**NOTE, "session_id": None}]}, ["notes[0][session_id]", "either"]),
        ({"notes": [{**NOTE, "session_id": "Acme"}]}, ["notes[0][session_id]", "GUID"]),
        ({"notes": [{**NOTE, "type": "kind", "kind": "drill"}]}, ["notes[0][kind]", "failover, test, undo"]),
        ({"em_name": "a/b"}, ["em_name", "slashes"]),
        ({"em_name": None}, ["em_name", "url"]),
        ({"em_name": 7}, ["em_name: 7", "quote it"]),
        ({"page_size": 0}, ["page_size", "1 to 1000"]),
        ({"created_after": "soon"}, ["created_after", "7d"]),
        ({"store": None}, ["store", "VEEAM_EM_STORE"]),
        ({"import_from": "/nowhere", "notes": [NOTE]}, ["notes", "another task"]),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_happens(em, record, store, monkeypatch, options, words):
    monkeypatch.delenv("VEEAM_EM_STORE", raising=False)
    result = record(**{**NO_EM, **options})
    assert result["failed"] and not result.get("changed")
    assert [word for word in words if word not in result["msg"]] == []
    assert "error" not in result and not os.path.exists(store) and em.requests == []


@pytest.mark.parametrize(
    ("option", "item", "words"),
    [
        ("runs", {"session_id": GUID, "action": "test", "vms": [{"rto": float("nan")}]}, r"runs\[0\]: .* NaN"),
        ("notes", {"type": "comment", "plan": "a\ud800", "by": "J.", "text": "x"}, r"notes\[0\]\[plan\]: .* not UTF-8"),
    ],
)
def test_what_newer_releases_of_ansible_core_refuse_before_the_module_starts(option, item, words):
    with pytest.raises(OptionError, match=words):
        handed_over("em", "2026-03-01T00:00:00.000000Z", {option: [item]}.get)


@pytest.mark.parametrize("em_name", [None, "em"])
def test_a_look_needs_em(record, em_name):
    result = record(url=None, em_name=em_name)
    assert result["failed"] and result["msg"].startswith("Not set: url.") and "VEEAM_EM_URL" in result["msg"]


@pytest.mark.parametrize(
    ("option", "items"),
    [
        ("verdicts", [{"session": {"id": GUID}, "passed": passed} for passed in (False, True)]),
        ("runs", [{"session_id": GUID, "action": "test", "undo": {"done": done}} for done in (False, True)]),
        ("notes", [{**NOTE, "type": "kind", "kind": kind} for kind in ("test", "failover")]),
    ],
)
def test_what_is_handed_over_again_after_another_counts(em, record, read, option, items):
    """Else the history would go on saying what was true in between."""
    first, second = items
    for item in (first, second, NOTE, first):
        other = item is NOTE
        assert record(**NO_EM, **{"notes" if other else option: [item]})["changed"] is True
    assert record(**NO_EM, **{option: [first]})["changed"] is False


def test_a_look_at_some_sessions_makes_no_gap_that_a_later_one_fills(em, record, read):
    record()
    em.clock.advance(7200)
    record(created_after=f"{em.clock.now() - timedelta(hours=1):%Y-%m-%dT%H:%MZ}")
    assert len(read()["gaps"]) == 1
    em.clock.advance(3600)
    record()
    assert read()["gaps"] == []


def test_an_empty_name_of_an_em_is_none(em, record, read):
    em.world.add_session("Acme", state="Stopped")
    record()
    assert len(read(em_name=[""])["failover_sessions"]) == len(read()["failover_sessions"]) == 1


# Check mode, secrets, moving


def test_check_mode_predicts_and_creates_nothing(em, record, read, store):
    em.reset(sessions=5, tasks=1)
    handed_over = {"notes": [NOTE], "runs": [{"session_id": GUID, "action": "test"}]}
    predicted = record(check_mode=True, **handed_over)
    assert not os.path.exists(store)
    assert predicted["head"] == {"sequence": 0, "hash": "0" * 64}
    real = record(**handed_over)
    assert {**predicted, "head": 0, "invocation": 0} == {**real, "head": 0, "invocation": 0}
    em.world.add_session(state="Stopped")
    predicted = record(check_mode=True, **handed_over)
    assert (predicted["recorded"], predicted["head"]) == ({**NONE, "look": 1, "session": 1}, real["head"])
    assert read()["head"] == real["head"]


@pytest.fixture
def written(store, monkeypatch):
    """All that is in the folder of the store whenever a transaction is about to end, and may be on the disk if the machine stops then.

    The cache is so small that most pages are written before the end.
    """
    found = {}
    execute = Sqlite.execute

    def watched(self, sql, values=()):
        if sql.startswith("BEGIN"):
            execute(self, "PRAGMA cache_size = 1")
        if sql in ("COMMIT", "ROLLBACK"):
            for path in Path(store).parent.iterdir():
                found[path.name] = found.get(path.name, b"") + path.read_bytes()
        return execute(self, sql, values)

    monkeypatch.setattr(Sqlite, "execute", watched)
    return found


def test_no_secret_is_recorded(em, record, read, store, written, tmp_path):
    """Also where a server repeats it, and where a playbook hands it over; not in a journal either, which a crash leaves behind."""
    basic = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
    command = r"C:\scripts\secret.ps1"
    plan = em.world.add_plan("Acme", ["db"], pre_command=command, description=f"with {PASSWORD}")
    em.world.add_session(
        state="Stopped",
        failure_message=f"Login with {PASSWORD} or Basic {basic} failed",
        tasks=[{"vm_name": f"db {PASSWORD}", "failure_message": basic}],
    )
    facts = {"id": plan.id, "pre_command": {"command": command}, "vms": []}
    handed_over = {
        "runs": [{"session_id": GUID, "action": "test", "plan": facts, "log": [f"p={PASSWORD}", "store_secret"]}],
        "verdicts": [
            {"passed": True, "session": {"id": GUID}, "plan": facts, "reasons": [{"message": f"with {basic}"}]}
        ],
        "notes": [{**NOTE, "text": f"Password {PASSWORD}, see https://jdoe:T1ck3t@tickets.example.com/CHG0042"}],
    }
    assert record(store_password="store_secret", **handed_over)["changed"] is True
    assert record(store_password="store_secret", **handed_over)["changed"] is False
    assert record(check_mode=True, store_password="store_secret", **handed_over)["changed"] is False
    assert all(part in written["history.db"] for part in (b"https://jdoe:********@tickets", b"********, see"))
    assert len(written["history.db-journal"]) > os.path.getsize(store) / 2
    (note,) = [note for note in read(export=str(tmp_path / "export"))["notes"] if note] or [None]
    files = [*(path.read_bytes() for path in tmp_path.iterdir()), *written.values()]
    assert len(files) == 4
    tokens = [
        value for entry in em.requests for name, value in entry.headers.items() if name.lower() == "x-restsvcsessionid"
    ]
    for secret in (PASSWORD, basic, command, "store_secret", "secret.ps1", "T1ck3t", *tokens):
        assert not any(secret.encode() in content for content in files), secret
        assert not any(secret.replace("\\", "\\\\").encode() in content for content in files), secret


def test_a_history_moves_by_export_and_import(em, record, read, tmp_path):
    em.reset(sessions=7, tasks=1)
    head = record(notes=[NOTE])["head"]
    export, moved = str(tmp_path / "export.jsonl"), str(tmp_path / "moved.db")
    before = read(export=export)
    assert before["exported"] == head["sequence"]
    options = {"store": moved, "import_from": export, **NO_EM, "look": None}
    foreseen = record(check_mode=True, **options)
    assert not os.path.exists(moved)
    result = record(**options)
    assert (result["changed"], result["head"], result["recorded"]["session"]) == (True, head, 7)
    assert {**foreseen, "invocation": None} == {**result, "invocation": None}
    after = read(store=moved, verify=True, expected_head=head)
    assert (after["verified"], after["failover_sessions"]) == (True, before["failover_sessions"])
    for again in (record(check_mode=True, **options), record(**options)):
        assert again["failed"] and "There is a history already" in again["msg"]


@pytest.mark.parametrize("check_mode", [True, False])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: lines[:-1], "its first line names another head"),
        (lambda lines: [line.replace("clock", "watch") for line in lines], "was changed: its content"),
        (lambda lines: ["{}", *lines[1:]], "is not an export of a history"),
        (lambda lines: None, "cannot be read"),
    ],
)
def test_check_mode_finds_what_an_import_would_refuse(em, record, read, tmp_path, check_mode, change, words):
    export, moved = tmp_path / "export.jsonl", str(tmp_path / "moved.db")
    record()
    read(export=str(export))
    lines = change(export.read_text(encoding="ascii").splitlines())
    export.unlink()
    if lines:
        export.write_text("\n".join(lines), encoding="ascii")
    result = record(check_mode=check_mode, store=moved, import_from=str(export), **NO_EM)
    assert result["failed"] and not result["changed"] and words in result["msg"]
    assert not check_mode or not os.path.exists(moved)


def test_every_documented_result_is_returned_and_no_other(em, record):
    documented = yaml.safe_load(failover_history.RETURN)
    result = record()
    assert set(result["recorded"]) == set(documented["recorded"]["contains"])
    assert set(result["head"]) == set(documented["head"]["contains"])
    assert set(documented) - {"error", "msg"} == set(result) - {"invocation", "warnings"}
    assert set(record(password="wrong")) - set(result) - {"failed"} == {"msg", "error"}


def test_a_file_that_is_no_history_is_left_alone(record, store):
    Path(store).write_text("Not a database at all, but long enough to be looked at as one. " * 20)
    result = record()
    assert result["failed"] and "is not a SQLite database" in result["msg"] and store in result["msg"]
    assert Path(store).read_text().startswith("Not a database")


@pytest.mark.parametrize("module", ["failover_history", "failover_history_info", "failover_session_info"])
@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:S3cr3t@db/dr",
        "postgresql://u:S3/cr3t?@db/dr",
        "postgresql://u@db/dr?sslmode=require&password=S3cr3t",
        "postgresql://u@db/dr?sslkey=/k.pem&sslpassword=S3cr3t",
    ],
)
def test_a_password_in_store_is_refused_and_not_shown_with_the_options(run_module, module, url):
    source = {"source": "history"} if module == "failover_session_info" else {}
    result = run_module(module, store=url, **source)
    cure = "key without a password" if "sslpassword" in url else "as store_password"
    assert "store: '...' cannot be used. It contains a password" in result["msg"] and cure in result["msg"]
    if "invocation" in result:  # newer cores add it elsewhere
        assert result["invocation"]["module_args"]["store"] == url.replace("S3cr3t", "********").replace(
            "S3/cr3t?", "********"
        )
    assert "S3cr3t" not in str(result) and "cr3t?" not in str(result)


def test_nothing_to_record_shows_whether_it_could_be(record, store):
    """The role failover_run asks that before it starts anything."""
    empty = {"sequence": 0, "hash": "0" * 64}
    for check_mode, exists in ((True, False), (False, True), (True, True)):
        result = record(check_mode=check_mode, **NO_EM)
        assert (result["changed"], result["head"], result["recorded"]) == (False, empty, NONE)
        assert Path(store).exists() is exists
    with closing(sqlite3.connect(store)) as database:
        database.execute(
            "CREATE TRIGGER full BEFORE INSERT ON record BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )
    for check_mode in (True, False):
        result = record(check_mode=check_mode, **NO_EM)
        assert result["failed"] and "could not be written: the disk is full" in result["msg"]
