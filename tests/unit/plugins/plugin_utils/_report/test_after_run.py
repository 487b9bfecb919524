# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is in failover after the run."""

from __future__ import annotations

import csv
import io
import json

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.plugin_utils._report.after_run import NEXT_STEPS
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.plugin_utils._report.reports import (
    BAD,
    EMPTY,
    GOOD,
    MANY,
    RUNNING,
    SEEN,
    Page,
    make,
    page,
    plan,
    seen,
    session,
    task,
    texts,
)

READ = "points seen Ready at 2026-03-02 08:10:46 UTC."


NOT_READ = "the restore points were not read."


MESSAGE = "<script>the server</script>"


def after(facts, of_plan=None, **context):
    """What the JSON says of what is left, after checks of what holds for each page."""
    made = texts(make(facts, None, of_plan, context))
    found = json.loads(made["json"])["after_run"]
    text = Page(made["html"]).text
    assert f"What is in failover after the run {' '.join(found['text'].split())}" in text
    assert f"{found['label']} {found['word']}" in text
    assert "<script>" not in made["html"]
    rows = list(csv.DictReader(io.StringIO(made["csv"])))
    told = {True: "yes", False: "no", None: ""}
    by_name = {row["vm"]: row for row in rows}
    for vm in found["vms"]:
        assert by_name[vm["name"]]["in_failover"] == told[vm["in_failover"]]
        assert by_name[vm["name"]]["restore_point_state"] == (vm["point_state"] or "")
        assert bool(vm["in_failover_known_by"]) == (vm["in_failover"] is not None)
    return found


@pytest.mark.parametrize(
    ("states", "context", "clean", "word", "text"),
    [
        (("Ready", "Ready"), {"points_seen_at": SEEN}, True, "Nothing in failover", f"A test leaves nothing in failover; {READ}"),
        # Why nothing was undone is said twice by nobody.
        (
            ("Ready", "Ready"),
            {"points_seen_at": SEEN, "undo": {"done": False, "needed": False, "message": "Nothing to undo."}},
            True,
            "Nothing in failover",
            f"A test leaves nothing in failover; {READ}",
        ),
        (
            ("Ready", "Ready"),
            {"points_seen_at": SEEN, "undo": {"done": False, "needed": None, "message": MESSAGE}},
            True,
            "Nothing in failover",
            f"A test leaves nothing in failover; {READ} {MESSAGE}.",
        ),
        (
            ("Ready", "Ready"),
            {"points_seen_at": SEEN, "session_source": "inferred"},
            True,
            "Nothing in failover",
            f"No VM of this session is in failover; {READ}",
        ),
        # States of which nobody knows when they were seen are none.
        (("Ready", "Ready"), {}, None, "Not known", f"It is not known whether VMs are still in failover: {NOT_READ}"),
        (
            (None, None),
            {"undo": {"done": False, "needed": None, "message": MESSAGE}},
            None,
            "Not known",
            f"It is not known whether VMs are still in failover: {NOT_READ} {MESSAGE}.",
        ),
        (
            ("Ready", "Unknown"),
            {"points_seen_at": SEEN},
            None,
            "Not known",
            "It is not known whether VMs are still in failover: Enterprise Manager gives no state for the point of web01.",
        ),
        (
            (None, "Odd"),
            {"points_seen_at": SEEN},
            None,
            "Not known",
            "It is not known whether VMs are still in failover: Enterprise Manager gives no state for the points of dc01, web01.",
        ),
        (
            ("Ready", "Failover"),
            {"points_seen_at": SEEN, "undo": {"done": False, "needed": True, "message": MESSAGE}},
            False,
            "Still in failover",
            f"Still in failover: web01; points seen at 2026-03-02 08:10:46 UTC. {MESSAGE}.",
        ),
        (
            ("PermanentFailover", "Failback"),
            {"points_seen_at": SEEN},
            False,
            "Still in failover",
            "Still in failover: dc01 (PermanentFailover), web01 (Failback); points seen at 2026-03-02 08:10:46 UTC. "
            "It is not recorded whether an undo was tried.",
        ),
    ],
)  # fmt: skip
def test_what_a_test_leaves(states, context, clean, word, text):
    found = after(seen(GOOD, *states), action="test", **context)
    assert (found["label"], found["clean"], found["word"], found["text"]) == ("Clean-up", clean, word, text)
    assert found["next_steps"] is None
    shown = page(seen(GOOD, *states), action="test", **context)
    # What a test should not leave stands beside the verdict, too.
    beside = shown.split('<section class="verdict')[1].split("</section>")[0]
    assert (Page(f"<p>{text.split(':')[0].split(';')[0]}</p>").text in beside) == (clean is not True)


@pytest.mark.parametrize(("action", "label"), [("test", "Test undone"), ("start", "Failover undone"), (None, "Undone")])
@pytest.mark.parametrize("states", [("Failover", "Failover"), (None, None)])
def test_what_was_undone(action, label, states):
    # The states were read before the undo.
    facts = seen(GOOD, *states)
    found = after(facts, action=action, points_seen_at=SEEN, undo={"done": True, "needed": True, "message": ""})
    assert (found["label"], found["clean"], found["text"]) == (label, True, f"{label}: Yes.")
    assert {vm["in_failover_known_by"] for vm in found["vms"]} == {"undo"}
    assert "still failed over" not in page(facts, action=action, undo={"done": True})


def test_a_test_that_has_not_ended_has_left_nothing_yet():
    found = after(seen(RUNNING, "Ready", "Ready"), action="test", points_seen_at=SEEN)
    assert (found["clean"], found["text"]) == (
        None,
        "It is not known whether VMs are still in failover: the run had not finished when it was read.",
    )


def test_a_test_without_vms_leaves_it_open():
    found = after(EMPTY, plan("dc01"), action="test", points_seen_at=SEEN)
    assert found["clean"] is None
    assert found["text"].endswith("Enterprise Manager lists no VM of this run.")
    assert found["vms"] == []


@pytest.mark.parametrize("action", [None, "undo"])
def test_what_is_left_after_anything_else(action):
    assert (
        after(seen(GOOD, "Ready", "Ready"), action=action, points_seen_at=SEEN)["text"]
        == f"Nothing is in failover; {READ}"
    )
    assert after(seen(GOOD, "Ready", "Failover"), action=action, points_seen_at=SEEN)["clean"] is False
    # A success of an undo, or of who knows what, says nothing.
    assert after(GOOD, action=action)["clean"] is None


def up(found):
    return {vm["name"]: (vm["in_failover"], vm["in_failover_known_by"]) for vm in found["vms"]}


def test_states_of_points_decide_what_is_up_after_a_failover():
    found = after(
        seen(BAD, "Failover", "Failover", "Ready"),
        plan("dc01", "web01", "web02", "db01"),
        action="start",
        points_seen_at=SEEN,
    )
    assert up(found) == {
        "dc01": (True, "replica_point"),
        "web01": (True, "replica_point"),
        "web02": (False, "replica_point"),
        "db01": (False, "result"),
    }
    assert (found["label"], found["word"], found["clean"]) == ("Clean-up", "2 VMs in failover", False)
    assert found["text"] == (
        "Up in failover: dc01, web01. Not up: web02, db01. By the states of their restore points, seen at 2026-03-02 08:10:46 UTC. "
        "Of the others this is known from the results of the run only, and not from the states of their restore points. "
        "It is not recorded whether the failover was undone."
    )
    assert found["next_steps"] == NEXT_STEPS


def test_without_states_the_results_say_what_is_up_and_that_is_said():
    found = after(BAD, action="start", undo={"done": False, "needed": True, "message": None})
    assert up(found) == {"dc01": (True, "result"), "web01": (True, "result"), "web02": (False, "result")}
    assert found["text"] == (
        "Up in failover: dc01, web01. Not up: web02. This is known from the results of the run only, and not from the states of "
        "their restore points. The VMs are still failed over; no undo was requested."
    )
    # Why there was no undo is said in the words of who knows it.
    told = after(BAD, action="start", undo={"done": False, "message": "An undo is for people to decide."})["text"]
    assert told.endswith("restore points. An undo is for people to decide.")


def test_a_point_contradicts_a_result():
    found = after(seen(BAD, "Ready", "Unknown", "Failover"), action="start", points_seen_at=SEEN)
    assert up(found) == {"dc01": (None, None), "web01": (True, "result"), "web02": (True, "replica_point")}
    assert (
        "dc01 came up in this run, but the restore point is Ready: it was undone or failed back since, or"
        in found["text"]
    )


def test_a_result_of_a_session_that_may_be_somebody_elses_says_nothing():
    found = after(BAD, action="start", session_source="inferred")
    assert set(up(found).values()) == {(None, None)}
    assert (found["clean"], found["word"]) == (None, "Not known")
    assert found["text"].startswith("Not known: dc01, web01, web02.")


def test_a_failover_that_still_runs():
    found = after(
        seen(RUNNING, "Ready", "Failover"), plan("dc01", "web01", "web02"), action="start", points_seen_at=SEEN
    )
    assert up(found) == {"dc01": (None, None), "web01": (True, "replica_point")}
    assert found["next_steps"] is None


def test_a_failover_that_came_to_nothing():
    facts = session(task("a", 1, 2, "Failed"), result="Failed")
    found = after(facts, action="start")
    assert (found["clean"], found["word"]) == (True, "Nothing in failover")
    assert found["next_steps"]
    html = page(facts, action="start")
    assert "Not up: a." in html.split('<section class="verdict')[1].split("</section>")[0]
    assert after(EMPTY, plan("a"), action="start")["text"].startswith("It is not known which VMs are up in failover: ")


def test_many_vms_are_counted_in_the_sentence_and_listed_in_the_table():
    facts = seen(MANY, *["Failover"] * 200)
    found = after(facts, action="start", points_seen_at=SEEN)
    assert "vm-009 and 190 more." in found["text"]
    assert len(found["vms"]) == 200
