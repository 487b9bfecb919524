# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Polls of sessions, and the events they give. No I/O, so polls are tables; what may go wrong in between is drawn."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from itertools import islice

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._events.state import EventState
from hypothesis import given
from hypothesis import strategies as st

EM = "https://em.example.com:9398"
SINCE = "2026-03-01T00:00:00.000000Z"


def vm(name="db", result="None", state=None, point="p1", **more):
    state = state or ("Working" if result == "None" else "Stopped")
    finished = state == "Stopped"
    point = point and {"id": point, "name": f"{name}@2026-03-02 05:00:00"}
    return {"vm_name": name, "result": result, "state": state, "finished": finished, "replica_point": point, **more}


def session(state="Working", result="None", *vms, guid="s1", progress=0, created="2026-03-02T08:00:00.000000Z"):
    finished = state == "Stopped"
    return {
        "id": guid,
        "name": f"Plan of {guid}",
        "state": state,
        "result": result,
        "progress": progress,
        "creation_time": created,
        "end_time": "2026-03-02T09:00:00.000000Z" if finished else None,
        "finished": finished,
        "tasks": list(vms),
        "task_summary": {"total": len(vms)},
    }


def poll(known, *facts, seen_at="2026-03-02T10:00:00.000000Z", since=SINCE, **more):
    return list(known.changes(facts, seen_at, since, "scope", **more))


def short(event):
    return event["event"] + (f" {event['vm']['vm_name']}" if "vm" in event else "")


STOPPED = session("Stopped", "Success")
RUNNING = session("Working", "None", vm())
DB_FAILED = session("Working", "None", vm(result="Failed"))

TABLE = {
    "a run": [
        (session("Starting"), ["started"]),
        (session("Starting"), []),
        (session("Working"), ["changed"]),
        (session("Working", "None", vm()), ["changed"]),
        (session("Working", "None", vm(), progress=50), []),
        (session("Working", "None", vm(state="Stopping")), ["changed"]),
        (session("Working", "None", vm(result="Failed"), vm("web")), ["changed", "vm_failed db"]),
        (session("Working", "None", vm(result="Failed"), vm("web")), []),
        (session("Stopping", "None", vm(result="Failed"), vm("web", "Success")), ["changed"]),
        (session("Stopped", "Warning", vm(result="Failed"), vm("web", "Success")), ["finished"]),
        (session("Stopped", "Warning", vm(result="Failed"), vm("web", "Success")), []),
    ],
    "first seen when it is over": [(session("Stopped", "Failed", vm(result="Failed")), ["vm_failed db", "finished"])],
    "over, but the result comes later": [
        (session("Stopped", "None"), []),
        (session("Stopped", "Failed"), ["finished"]),
    ],
    "over, and no result comes": [
        (RUNNING, ["started"]),
        (session("Stopped", "None"), []),
        (session("Stopped", "None"), []),
        (session("Stopped", "None"), ["finished"]),
        (session("Stopped", "Success"), []),
    ],
    "what EM says of an end is not corrected": [
        (STOPPED, ["finished"]),
        (session("Stopped", "Failed", vm(result="Failed")), []),
        (RUNNING, []),
    ],
    "a VM that fails is not the first": [
        (session("Working", "None", vm(), vm("web", "Success"), vm("sql", "Failed")), ["started", "vm_failed sql"]),
    ],
    "two VMs change places": [
        (session("Working", "None", vm("db", state="Working"), vm("web", state="Starting")), ["started"]),
        (session("Working", "None", vm("db", state="Starting"), vm("web", state="Working")), ["changed"]),
    ],
    "VMs of one name whose points have no ids": [
        (
            session("Working", "None", vm(result="Failed", replica_point={"id": None, "name": "a"})),
            ["started", "vm_failed db"],
        ),
        (session("Working", "None", vm(result="Failed", replica_point={"id": None, "name": "b"})), ["vm_failed db"]),
    ],
    "VMs vanish while it runs": [(RUNNING, ["started"]), (session("Working"), []), (RUNNING, [])],
    "VMs that failed vanish and come back": [
        (DB_FAILED, ["started", "vm_failed db"]),
        (session("Working"), []),
        (DB_FAILED, []),
    ],
    "VMs of one name are told apart by their points": [
        (
            session("Working", "None", vm(result="Failed"), vm(result="Failed", point="p2")),
            ["started", "vm_failed db", "vm_failed db"],
        )
    ],
    "VMs without a point": [
        (session("Working", "None", vm(result="Failed", point=None)), ["started", "vm_failed db"]),
        (session("Working", "None", vm(result="Failed", point=None)), []),
    ],
    "a VM has failed and is still stopping": [
        (session("Working", "None", vm(result="Failed", state="Stopping")), ["started", "vm_failed db"]),
        (DB_FAILED, ["changed"]),
    ],
    "a warning is no failure": [(session("Working", "None", vm(result="Warning")), ["started"])],
    "an unknown state runs": [(session("Pausing"), ["started"]), (session("Resuming"), ["changed"])],
}


@pytest.mark.parametrize("kept", [False, True], ids=["in this process", "kept as text between polls"])
@pytest.mark.parametrize("steps", TABLE.values(), ids=TABLE)
def test_events(steps, kept):
    known = EventState()
    poll(known)
    for number, (fact, expected) in enumerate(steps):
        if kept:
            known = EventState.from_text(known.to_text(EM), EM)
        assert [short(event) for event in poll(known, fact)] == expected, number


def test_an_event_holds_the_facts_and_shares_them_with_nobody():
    known = EventState()
    fact = session("Working", "None", vm(result="Failed", failure_message="no memory"))
    started, failed = poll(known, fact)
    assert set(started) == {"event", "session"}
    assert set(failed) == {"event", "session", "vm"}
    assert failed["session"] == {**fact, "tasks_kept_at": None}
    assert failed["vm"] == fact["tasks"][0]
    started["session"]["tasks"].clear()
    failed["session"]["state"] = failed["vm"]["result"] = "spoilt"
    assert poll(known, fact) == []


def test_vms_that_em_drops_at_the_end_are_kept():
    known = EventState()
    poll(known, session("Working", "None", vm(result="Failed")), seen_at="2026-03-02T08:30:00.000000Z")
    known = EventState.from_text(known.to_text(EM), EM)
    (finished,) = poll(known, session("Stopped", "Warning"))
    assert finished["session"]["tasks"] == [vm(result="Failed")]
    assert finished["session"]["task_summary"] == {"total": 1}
    assert finished["session"]["tasks_kept_at"] == "2026-03-02T08:30:00.000000Z"


def test_what_is_past_is_remembered_before_anything_is_reported():
    known = EventState()
    old = session("Stopped", "Failed", vm(result="Failed"), guid="old")
    events = known.changes([session(guid="a"), old], SINCE, SINCE, "scope", lambda fact: fact["id"] == "old")
    assert next(events)["session"]["id"] == "a"
    events.close()
    assert [short(event) for event in poll(known, old, session(guid="a"))] == ["started"]


def test_a_first_poll_is_remembered_before_anything_is_reported():
    """What is past is known from then on, so that nothing else is: also not what ends without a time before it is reported."""
    known = EventState()
    known.started = SINCE
    events = known.changes([session(guid="a"), session(guid="b")], SINCE, SINCE, "scope", lambda fact: True)
    next(events)
    events.close()
    known = EventState.from_text(known.to_text(EM), EM)
    assert (known.scope, known.started) == ("scope", SINCE)
    assert [short(event) for event in poll(known, {**STOPPED, "id": "b", "end_time": None})] == ["finished"]


def test_a_poll_that_was_not_reported_to_its_end_is_reported_again_from_there():
    known = EventState()
    poll(known, session(guid="old", created="2026-03-01T00:00:00.000000Z"))
    facts = [session("Stopped", "Success", guid=guid) for guid in "abc"]
    events = known.changes(facts, SINCE, "2026-03-02T00:00:00.000000Z", "other")
    assert [event["session"]["id"] for event in islice(events, 2)] == ["a", "b"]
    events.close()
    # b was given away, but nobody knows whether it has arrived. The window has not moved, or c could be outside.
    assert (known.newest, known.since) == ("2026-03-01T00:00:00.000000Z", SINCE)
    assert [event["session"]["id"] for event in poll(known, *facts)] == ["b", "c"]


# The window


NOW = datetime(2026, 3, 10)


@pytest.mark.parametrize(
    ("newest", "since", "start", "expected"),
    [
        (None, None, None, None),
        (None, "2026-03-01T00:00:00.000000Z", None, "2026-03-01T00:00:00.000000Z"),
        ("2026-03-05T00:00:00.000000Z", None, None, "2026-03-04T00:00:00.000000Z"),
        ("2026-03-05T00:00:00.000000Z", "2026-03-04T12:00:00.000000Z", None, "2026-03-04T12:00:00.000000Z"),
        ("2099-03-05T00:00:00.000000Z", None, None, "2026-03-09T00:00:00.000000Z"),
        (None, None, datetime(2026, 3, 8), "2026-03-07T00:00:00.000000Z"),
        ("2026-03-05T00:00:00.000000Z", None, datetime(2026, 3, 8), "2026-03-07T00:00:00.000000Z"),
        ("2026-03-09T00:00:00.000000Z", None, datetime(2026, 3, 8), "2026-03-08T00:00:00.000000Z"),
        (None, "2026-03-01T00:00:00.000000Z", datetime(2026, 3, 8), "2026-03-01T00:00:00.000000Z"),
    ],
    ids=[
        "nothing known",
        "nothing newer",
        "EM's newest",
        "never back",
        "EM's clock is ahead",
        "the first start",
        "an old newest",
        "a newest since the start",
        "only at first",
    ],
)
def test_the_window(newest, since, start, expected):
    known = EventState()
    known.newest, known.since = newest, since
    assert known.active_since(NOW, timedelta(days=1), start) == expected


def test_only_what_is_not_listed_and_too_old_is_forgotten():
    known = EventState()
    facts = [STOPPED, session(guid="running")]
    poll(known, *facts)
    poll(known, since="2026-03-02T09:00:00.000000Z")  # EM lists nothing, for whatever reason
    assert set(known.sessions) == {"s1", "running"}
    poll(known, STOPPED, since="2026-03-02T09:00:01.000000Z")
    assert set(known.sessions) == {"s1", "running"}
    assert known.unlisted([STOPPED]) == ("running",)
    poll(known, since="2026-03-02T09:00:01.000000Z")
    assert set(known.sessions) == {"running"}


def test_an_end_without_a_time_is_remembered_in_case_the_time_comes():
    known = EventState()
    ended = session("Stopped", "Success", guid="long", created="2026-01-01T00:00:00.000000Z")
    poll(known, session(guid="long", created=ended["creation_time"]), RUNNING)
    assert [short(event) for event in poll(known, {**ended, "end_time": None})] == ["finished"]
    poll(known, since="2026-03-02T07:00:00.000000Z")
    assert poll(known, ended) == []
    for since in ("2026-03-02T10:00:00.000000Z", "2026-03-02T10:00:01.000000Z"):
        assert "long" in known.sessions
        poll(known, since=since)
    assert "long" not in known.sessions


def test_what_em_does_not_know_any_more_is_forgotten_when_it_is_too_old():
    known = EventState()
    poll(known, RUNNING)
    assert known.forget(["s1", "unknown"]) == []
    poll(known, since="2026-03-02T08:00:01.000000Z")
    assert known.forget(["s1"]) == ["s1 of plan Plan of s1"]
    assert known.sessions == {}
    assert known.forget(["s1"]) == []


def test_sessions_that_are_not_wanted_any_more_are_not_asked_for():
    known = EventState()
    poll(known, STOPPED, session(guid="a"), session(guid="b"))
    known.keep(lambda fact: fact["id"] == "a")
    assert set(known.sessions) == {"s1", "a"}


# As text


def test_the_text_is_small():
    known = EventState()
    poll(known, *(session("Stopped", "Success", *[vm()] * 50, guid=f"{number:036}") for number in range(100)))
    assert len(known.to_text(EM)) < 300 * 100


def spoilt(change):
    known = EventState()
    poll(known, RUNNING)
    document = json.loads(known.to_text(EM))
    change(document)
    return json.dumps(document)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "damaged"),
        ("[]", "damaged"),
        ("{}", "damaged"),
        ("[" * 100000, "damaged"),
        (EventState().to_text(EM)[:-20], "damaged"),
        (spoilt(lambda document: document.update(format=1)), "another version"),
        (spoilt(lambda document: document["state"].update(other=None)), "damaged"),
        (
            EventState().to_text("https://other:9398"),
            "belongs to https://other:9398, not to https://em.example.com:9398",
        ),
    ],
)
def test_a_text_that_cannot_be_used(text, said):
    with pytest.raises(ValueError, match=said):
        EventState.from_text(text, EM)


# Whatever happens in between


@st.composite
def histories(draw):
    """Polls of three sessions that go on in their own time, each with how many events are taken, and what is done then."""
    polls = []
    stages = dict.fromkeys("abc", 0)
    for dummy in range(draw(st.integers(1, 12))):
        for guid in stages:
            stages[guid] += draw(st.integers(0, 2))
        shown = draw(st.sets(st.sampled_from("abc")))
        with_vms = draw(st.booleans())
        polls.append(
            (
                [stage(guid, stages[guid], with_vms) for guid in sorted(shown)],
                draw(st.one_of(st.none(), st.integers(0, 4))),
                draw(st.booleans()),
            )
        )
    return polls, [stage(guid, 99, False) for guid in "abc"]


def stage(guid, number, with_vms):
    vms = [vm("db", "Failed" if number > 2 else "None"), vm("web", "Failed" if number > 4 else "None")]
    state, result = ("Stopped", "Warning") if number > 6 else ("Working", "None")
    return session(state, result, *(vms if with_vms else ()), guid=guid)


@given(histories())
def test_every_end_is_reported_once_whatever_happens_in_between(history):
    polls, end = history
    known = EventState()
    reported = []
    for facts, taken, restarted in [*polls, (end, None, True), (end, None, False)]:
        events = known.changes(facts, SINCE, SINCE, "scope")
        # The last event that was taken may not have arrived: the source was cancelled before it knew.
        reported += [(event["session"]["id"], short(event)) for event in islice(events, taken)][: taken and taken - 1]
        events.close()
        if restarted:
            known = EventState.from_text(known.to_text(EM), EM)
    for guid in "abc":
        of_session = [event for owner, event in reported if owner == guid]
        assert of_session.count("finished") == 1
        assert of_session[-1] == "finished"
        assert of_session.count("started") <= 1
        assert "started" not in of_session[1:]
        assert of_session.count("vm_failed db") <= 1
        assert of_session.count("vm_failed web") <= 1


def test_only_what_runs_and_is_not_listed_is_asked_for_by_its_id():
    known = EventState()
    poll(known, RUNNING, session("Stopped", "Success", guid="s2"), session(guid="s3"))
    assert known.unlisted([RUNNING]) == ("s3",)
    assert known.unlisted([]) == ("s1", "s3")


@pytest.mark.parametrize("past", [True, False])
@pytest.mark.parametrize(
    ("created", "seen_at", "newest"),
    [
        ("2026-03-05T00:00:00.000000Z", "2026-03-02T10:00:00.000000Z", None),  # this machine's clock is behind
        ("2026-03-02T08:00:00.000000Z", "2026-03-02T10:00:00.000000Z", "2026-03-05T00:00:00.000000Z"),
        ("2026-03-02T08:00:00.000000Z", "2026-03-05T00:00:00.000000Z", None),
    ],
)
def test_a_session_without_an_end_is_remembered_from_the_latest_time_that_is_known(created, seen_at, newest, past):
    """EM may show its end later, and list it again."""
    known = EventState()
    known.newest = newest
    over = {**session("Stopped", "Success", created=created), "end_time": None}
    poll(known, over, seen_at=seen_at, is_past=lambda fact: past)
    poll(known, since="2026-03-04T00:00:00.000000Z")
    assert poll(known, over) == []
    poll(known, since="2026-03-06T00:00:00.000000Z")
    assert known.sessions == {}
