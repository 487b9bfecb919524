# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.kind import Sighting, next_runs, run_kind
from hypothesis import given, settings
from hypothesis import strategies as st

STATES = ("Ready", "Failover", "Failback", "PermanentFailover", "Unknown")
START = datetime(2026, 3, 1, 22)
SERVER = {"id": None, "name": "vbr01"}


def hour(hours):
    return (START + timedelta(hours=hours)).isoformat(timespec="microseconds") + "Z"


def session(created=0, end=1.0, vms=("db", "web"), points=True, **facts):
    """A run from hour ``created`` to hour ``end``, whose VMs have points of their own name."""
    tasks = [
        {
            "vm_name": vm,
            "replica_point": {"id": vm, "name": None, "creation_time": None, "state": None} if points else None,
        }
        for vm in vms
    ]
    end_time = None if end is None else hour(end)
    about = {"id": f"id-{created}", "name": "Acme", "backup_server": SERVER, "creation_time": hour(created)}
    return {**about, "end_time": end_time, "finished": end is not None, "tasks": tasks, **facts}


def saw(at, collected_at="soon", **states):
    """A look at hour ``at``; EM's copy is of a quarter of an hour before, or of hour ``collected_at``."""
    collected = {"soon": hour(at - 0.25), None: None}.get(collected_at) or (collected_at and hour(collected_at))
    return Sighting(hour(at), collected, states)


NOTE = {"kind": "test", "by": "jdoe", "text": "Quarterly test"}


@pytest.mark.parametrize(
    ("run", "note", "kind", "reason"),
    [
        ({"action": "start", "session_source": "task"}, None, "failover", "the action start"),
        ({"action": "test", "session_source": "task"}, None, "test", "the action test"),
        ({"action": "undo", "session_source": "task"}, None, "undo", "the action undo"),
        ({"action": "test"}, None, "test", "the action test"),
        (None, NOTE, "test", "Noted by jdoe: Quarterly test"),
        ({"action": "start", "session_source": "inferred"}, NOTE, "test", "Noted by jdoe"),
        ({"action": "start", "session_source": "task"}, NOTE, "failover", "A note by jdoe calls it test"),
    ],
)
def test_what_was_recorded_counts_whatever_was_seen(run, note, kind, reason):
    for end in (1.0, None):
        result = run_kind(session(end=end), run, note, [saw(2, db="Failover", web="Unknown")], None, True)
        assert (result["kind"], result["kind_basis"]) == (kind, "recorded")
        assert reason in " ".join(result["kind_reasons"])


@pytest.mark.parametrize(
    ("sightings", "until", "kind"),
    [
        ([saw(2, db="Ready", web="Ready")], None, "test"),
        ([saw(25, db="Ready", web="Ready")], None, "test"),
        ([saw(25.001, db="Ready", web="Ready")], None, "unknown"),  # more than 24 hours after the end
        ([saw(2, db="Ready")], None, "unknown"),  # one of two
        ([saw(2, db="Ready"), saw(3, web="Ready")], None, "unknown"),  # never all at once
        ([saw(2, db="Ready", web="Unknown")], None, "unknown"),
        ([saw(2, db="Ready", web="Ready", other="Failover")], None, "test"),  # a VM of another plan
        ([saw(1.1, 0.9, db="Ready", web="Ready")], None, "unknown"),  # a copy from before the end
        ([saw(2, None, db="Ready", web="Ready")], None, "unknown"),  # nobody knows from when the copy is
        ([saw(2, db="Ready", web="Ready")], hour(2), "unknown"),  # the plan ran again
        ([saw(2, db="Ready", web="Ready")], hour(2.5), "test"),
        ([saw(2, db="Ready", web="Failover")], None, "failover"),
        ([saw(2, None, web="Failback")], None, "failover"),
        ([saw(900, web="PermanentFailover")], None, "failover"),
        ([saw(0.5, web="Failover")], None, "unknown"),  # while it ran
        ([saw(1.1, 0.9, web="Failover")], None, "unknown"),
        ([saw(2, web="Failover")], hour(1.5), "unknown"),
        (
            [saw(2, web="Failover"), saw(9, db="Ready", web="Ready")],
            None,
            "failover",
        ),  # and undone by nobody knows whom
        ([saw(2, db="Ready", web="Ready"), saw(9, web="Failover")], None, "unknown"),  # of which run?
        ([saw(2, web="Failover"), saw(9, db="Ready", web="Ready")], hour(8), "failover"),
        ([], None, "unknown"),
    ],
)
def test_states_of_replica_points_show_the_kind(sightings, until, kind):
    basis = "none" if kind == "unknown" else "inferred"
    result = run_kind(session(), {"action": "test", "session_source": "inferred"}, None, sightings, until, True)
    assert (result["kind"], result["kind_basis"]) == (kind, basis)
    assert len(result["kind_reasons"]) == 1 and result["kind_reasons"][0].endswith(".")


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (session(end=None), "The run has not ended."),
        (session(end_time=None), "EM does not say when the run ended."),
        (session(vms=()), "The VMs of the run are not known."),
        (session(points=False), "The replica points of these VMs are not known: db, web."),
    ],
)
def test_what_is_missing_is_said(facts, reason):
    result = run_kind(facts, None, None, [saw(2, db="Ready", web="Ready")], None, False)
    assert result == {"kind": "unknown", "kind_basis": "none", "kind_reasons": [reason]}


def test_the_plan_is_run_again_by_its_next_session():
    first, other, elsewhere, last = (
        session(),
        session(3, name="Other"),
        session(2, backup_server={"id": None, "name": "vbr02"}),
        session(5),
    )
    unknown = session(4, backup_server=None)  # may be a run of this plan
    assert next_runs([last, other, first, elsewhere]) == {"id-0": hour(5)}
    assert next_runs([last, other, first, elsewhere, unknown]) == {"id-0": hour(4), "id-2": hour(4), "id-4": hour(5)}


HOURS = st.integers(-4, 130).map(lambda quarters: quarters / 4)
SIGHTINGS = st.builds(
    Sighting,
    HOURS.map(hour),
    st.none() | HOURS.map(hour),
    st.dictionaries(st.sampled_from(["db", "web"]), st.sampled_from(STATES)),
)


@settings(max_examples=2 * settings().max_examples)
@given(
    st.lists(SIGHTINGS, max_size=4).map(lambda seen: sorted(seen, key=lambda one: one.at)),
    st.none() | HOURS.map(hour),
    st.sampled_from([0.0, 1.0, 4.0]),
)
def test_the_rules_read_once_more(sightings, until, end):
    """As the table says it, step by step."""
    points = {"db", "web"}
    test, failover_since = False, None
    for sighting in sorted(sightings, key=lambda sighting: sighting.at):
        moment = datetime.fromisoformat(sighting.at[:-1])
        ended = START + timedelta(hours=end)
        copied = sighting.collected_at and datetime.fromisoformat(sighting.collected_at[:-1])
        if moment < ended or (copied and copied < ended):
            continue
        if until and moment >= datetime.fromisoformat(until[:-1]):
            continue
        if set(sighting.states.values()) & {"Failover", "Failback", "PermanentFailover"}:
            failover_since = failover_since or moment
        undone = failover_since and failover_since < moment  # Ready after that says so
        if not undone and copied and moment - ended <= timedelta(days=1) and set(sighting.states) == points:
            test = test or set(sighting.states.values()) == {"Ready"}
    failover = failover_since is not None
    expected = "unknown" if failover == test else "failover" if failover else "test"
    ever = any(set(sighting.states.values()) & {"Failover", "Failback", "PermanentFailover"} for sighting in sightings)
    for in_failover in (True, ever):
        assert run_kind(session(end=end), None, None, sightings, until, in_failover)["kind"] == expected
