# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A drill in any schedule: runs by others at any moment, lost replies, lost tasks, a late copy, outages and restarts.

The emulator's own log tells what really happened. What must hold for each schedule is in :func:`check`.
The same schedules are tried on each run. ``SCHEDULES=2000`` (``make fuzz-runs``) tries so many, and others each time.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, fields
from datetime import timedelta

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.filter.failover_verdict import failover_verdict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PLANS = "/cloudFailoverPlans/"
MANY = int(os.environ.get("SCHEDULES", "0"))
PLAIN = settings(
    max_examples=MANY or 50,
    derandomize=not MANY,
    database=None,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


# What a schedule is made of


@dataclass(frozen=True)
class Theirs:
    """A run by somebody else.

    :ivar when: ``before`` the drill, ``at the request`` or ``at the undo`` (just before EM handles it), ``after ...``
        (just after it), ``during`` the run, ``between`` it and the role's last look, ``after the look``.
    :ivar delay: seconds from then on; for ``before``, seconds before the drill.
    :ivar late: seconds by which EM's copy is late with it: with its session and the states of the points.
    """

    run: str
    when: str
    delay: float = 0
    late: float = 0

    def __repr__(self):
        late = f", which EM shows {self.late:g} s later" if self.late else ""
        return f"<{self.run} {self.when}{f' + {self.delay:g} s' if self.delay else ''}{late}>"


@dataclass(frozen=True)
class Schedule:
    """A drill and its circumstances; what is as usual is not shown.

    :ivar request: what happens to our start or test: ``lost`` before EM has it or ``done, reply lost``, a 401 or 500.
    :ivar undo_request: the same for our undo.
    :ivar task: EM's task is ``lost`` for good, ``hidden`` at first, or gone with the logon after so many readings.
    :ivar late: seconds by which EM's copy is late with our own runs.
    :ivar outage: from when on and for how long EM is away, and how it then comes back.
    """

    front_end: str = "module"
    action: str = "test"
    undo_test: str = "auto"
    points_after_test: str = "ready"
    others: tuple[Theirs, ...] = ()
    request: str = "fine"
    undo_request: str = "fine"
    linked: bool = True
    undo_session: str = "none"
    task: str = "fine"
    task_seconds: float = 4
    late: float = 0
    outage: tuple[float, float, str] | None = None
    second_start: str = "accept"
    undo_while_running: str = "refuse"
    failing: bool = False
    wait_timeout: int = 900

    def __repr__(self):
        unusual = [item for item in fields(self) if getattr(self, item.name) != item.default]
        return f"Schedule({', '.join(f'{item.name}={getattr(self, item.name)!r}' for item in unusual)})"


SECONDS = st.sampled_from([0, 0.5, 1, 3, 7, 12, 20, 30, 45, 70, 120])
OTHERS = st.builds(
    Theirs,
    run=st.sampled_from(["start", "start", "start", "test", "undo"]),
    when=st.sampled_from(
        [
            *("before", "at the request", "after the request", "during", "between"),
            *("after the look", "at the undo", "after the undo"),
        ]
    ),
    delay=SECONDS,
    late=st.one_of(st.just(0), st.sampled_from([0, 3, 12, 30, 90, 900])),
)
FATES = ("lost", "done, reply lost", "401", "500", "403", "fails")
ODDITIES = {
    "undo_test": ("always", "never"),
    "request": FATES,
    "undo_request": FATES,
    "linked": (False,),
    "undo_session": ("unlinked", "linked"),
    "task": ("lost", "hidden", "gone 0", "gone 1", "gone 2"),
    "task_seconds": (0, 40),
    "late": (3, 12, 30, 90, 900),
    "outage": tuple((at, long, how) for at in (2, 20, 70) for long in (0, 30) for how in ("restart", "503", "drop")),
    "second_start": ("refuse",),
    "undo_while_running": ("accept",),
    "failing": (True,),
    "wait_timeout": (40,),
}


def schedule_of(usual, odd):
    """A schedule in which some things are odd: where all are, nothing comes of it."""
    return Schedule(**{**usual, **dict(odd)})


SCHEDULES = st.builds(
    schedule_of,
    st.fixed_dictionaries(
        {
            "front_end": st.sampled_from(["module", "action plugin"]),
            "action": st.sampled_from(["test", "test", "test", "test", "start"]),
            "points_after_test": st.sampled_from(["ready", "failover"]),
            "others": st.lists(OTHERS, max_size=3).map(tuple),
        }
    ),
    st.lists(
        st.sampled_from([*sorted(ODDITIES), "undo_request"]).flatmap(
            lambda name: st.tuples(st.just(name), st.sampled_from(ODDITIES[name]))
        ),
        max_size=3,
        unique_by=lambda item: item[0],
    ),
)


# Carrying one out


def prepare(schedule, em, fake_clock):
    em.reset(sessions=0)
    em.clock.rate = 0
    fake_clock.events.clear()
    plan = em.world.add_plan("Acme", [{"name": "db", "duration": 20}, {"name": "web", "duration": 40}], tenant="A")
    behaviour = em.behaviour
    behaviour.points_after_test = schedule.points_after_test
    behaviour.session_link = "served" if schedule.linked else "left out"
    behaviour.undo_session = schedule.undo_session
    behaviour.task_seconds = schedule.task_seconds
    behaviour.undo_seconds = 30
    behaviour.second_start = schedule.second_start
    behaviour.undo_while_running = schedule.undo_while_running
    behaviour.list_delay = schedule.late
    behaviour.failing_vms = "web" if schedule.failing else ""
    behaviour.hidden_task_reads = {"hidden": 2, "lost": 10**6}.get(schedule.task, 0)
    for theirs in schedule.others:
        if theirs.when == "before":
            em.run_by_others(plan, theirs.run, 0, theirs.late)
            fake_clock.sleep(theirs.delay)
    for theirs in schedule.others:
        if theirs.when.endswith(("the request", "the undo")):
            query = "action=undo" if theirs.when.endswith("undo") else f"action={schedule.action}"
            when = "after" if theirs.when.startswith("after") else "before"
            rule = {"method": "POST", "path": PLANS, "query": query, "times": 1, "list_delay": theirs.late}
            em.faults.add("run_by_others", plan=plan, run=theirs.run, delay=theirs.delay, when=when, **rule)
    refusals = {}
    for action, fate in ((schedule.action, schedule.request), ("undo", schedule.undo_request)):
        rule = {"method": "POST", "path": PLANS, "query": f"action={action}", "times": 1}
        if fate == "lost":
            em.faults.add("drop", **rule)
        elif fate == "done, reply lost":
            em.faults.add("drop_after_handling", **rule)
        elif fate == "401":
            em.faults.add("expire", **rule)
        elif fate == "500":
            em.faults.add("status", status=500, **rule)
        elif fate in ("403", "fails"):
            refusals[action] = 403 if fate == "403" else "It is locked"
    em.world.change_plan(plan, refuse=refusals)
    if schedule.task.startswith("gone"):
        em.faults.add("expire", path="/tasks/", times=1, after=int(schedule.task[-1]))


def plan_outage(schedule, em, fake_clock):
    if schedule.outage is None:
        return
    at, length, how = schedule.outage
    if length and how != "restart":
        fake_clock.at(fake_clock.now + at, lambda: em.outage(3600, how))
    fake_clock.at(fake_clock.now + at + length, lambda: (em.outage(0), em.restart() if how == "restart" else None))


def happen(schedule, em, fake_clock, when):
    """Let others do what they do at this moment, and some time pass."""
    for theirs in schedule.others:
        if theirs.when == when:
            em.run_by_others("Acme", theirs.run, 0, theirs.late)
            fake_clock.sleep(theirs.delay)


@dataclass
class Carried:
    """What came of it, and what the server's log says."""

    drill: object
    points: str
    runs: list
    sessions: dict
    posts: list


def carried_out(schedule, em, fake_clock, call, drill, role):
    prepare(schedule, em, fake_clock)
    plan_outage(schedule, em, fake_clock)
    for theirs in schedule.others:
        if theirs.when == "during":
            em.run_by_others("Acme", theirs.run, theirs.delay, theirs.late)
    try:
        done = drill(
            call,
            schedule.action,
            schedule.undo_test,
            between=lambda: happen(schedule, em, fake_clock, "between"),
            before_undo=lambda: happen(schedule, em, fake_clock, "after the look"),
            wait_timeout=schedule.wait_timeout,
        )
    finally:
        em.outage(0)
    points = role.points_say(done.seen) if done.seen else "unknown"
    posts = [item for item in em.requests if item.method == "POST" and PLANS.lower() in item.path.lower()]
    return Carried(done, points, em.runs, {item.id: item for item in em.world.sessions}, posts)


# What must hold


def check(schedule, carried):
    """The invariants, and the words for what happened."""
    done, runs = carried.drill, carried.runs
    action, undo = schedule.action, "undo"
    ours = {name: [run for run in runs if run.by == "api" and run.action == name] for name in (action, undo)}
    acted = {name: [run for run in found if run.refused is None] for name, found in ours.items()}

    # Each action at most once, and no undo that the role has not decided on.
    assert len(ours[action]) <= 1
    assert len(ours[undo]) <= bool(done.wanted)
    assert {run.action for run in runs if run.by == "api"} <= {action, undo}

    # "changed" is true exactly where EM may have acted: a request came that it did not refuse at once.
    for result, name in ((done.test, action), (done.undo, undo)):
        if result is not None:
            asked = [item.status for item in carried.posts if item.query == f"action={name}"]
            may_have = any(status is None or status < 300 or status >= 500 for status in asked)
            assert result["changed"] is may_have, f"{name}: changed is {result['changed']}, EM was asked: {asked}"

    # Whose session it is: EM's task is right, and who guesses says so.
    session, source = done.test.get("failover_session"), done.test["session_source"]
    our_session = acted[action][0].session_id if acted[action] else None
    if source == "task":
        assert session["id"] == our_session
    assert (source is None) == (session is None or done.test["already_running"])

    # No success that EM has not said.
    if session and not done.test.get("failed"):
        real = carried.sessions[session["id"]]
        assert session["finished"]
        assert session["result"] == real.result
        assert real.result in ("Success", "Warning")
    if session and done.test["session_source"] != "task" and not done.test["already_running"]:
        assert not passes(done.test)
    if done.undo is not None and not done.undo.get("failed"):
        assert done.undo["task"]["success"] is True
        assert acted[undo]
        own = done.undo["failover_session"]
        assert own is None or own["id"] == acted[undo][0].session_id

    # What was undone: our own run, and nothing that could have been seen.
    for run in acted[undo]:
        assert source == "task"
        (request,) = [item for item in carried.posts if item.query == "action=undo" and item.status != 401]
        seen = [other for other in runs[: request.runs] if other is not run and shown(carried, other, run.moment)]
        assert not {run.session_id for run in seen[:-1] if run.action == "start"} & set(run.undone), "was there before"
        newest = seen[-1] if seen else None
        assert newest is not None
        assert newest.session_id == our_session, f"undone though {newest} could be seen"
        if schedule.points_after_test == "ready" and schedule.undo_test == "auto":
            assert not run.undone, f"a real failover was undone: {run.undone}"
    return words(schedule, carried)


def shown(carried, run, moment):
    """Whether EM's copy showed a run with a session at a moment."""
    if run.session_id is None or run.action == "undo":
        return False
    listed_from = carried.sessions[run.session_id].listed_from
    return listed_from is None or listed_from <= moment + timedelta(microseconds=1)


def passes(result):
    facts = {"plan": result["plan"], "session_source": result["session_source"]}
    return failover_verdict(result["failover_session"], **facts)["passed"]


def words(schedule, carried):
    done = carried.drill

    def end(result):
        return result["error"]["kind"] if result.get("failed") else "success"

    yield f"{schedule.action}: {end(done.test)}"
    yield f"session: {'joined' if done.test['already_running'] else done.test['session_source']}"
    yield f"points: {carried.points}"
    yield f"undo: {end(done.undo)}" if done.undo else f"undo: {'not wanted' if done.seen else 'not reached'}"
    for run in carried.runs:
        if run.by == "others":
            yield f"others: {run.action}{' refused' if run.refused else ''}"


def told(carried):
    """What happened, for somebody who has to understand why it must not."""
    began = carried.runs[0].moment if carried.runs else None
    lines = [
        f"{(run.moment - began).total_seconds():+8.1f} s  {run.by}: {run.action} -> {run.session_id}"
        + (f", undid {run.undone}" if run.undone else "")
        + (f", refused: {run.refused}" if run.refused else "")
        for run in carried.runs
    ]
    done = carried.drill
    for name, result in (("test or start", done.test), ("undo", done.undo)):
        if result:
            facts = {key: result.get(key) for key in ("changed", "session_source", "already_running", "task", "msg")}
            lines.append(f"{name}: session {(result.get('failover_session') or {}).get('id')}, {facts}")
    return "\n".join([*lines, f"points: {carried.points}, undo wanted: {done.wanted}"])


@pytest.fixture
def calls(run_module, run_action):
    return {"module": run_module, "action plugin": run_action}


def test_nothing_of_others_is_undone_and_no_success_is_assumed(em, fake_clock, calls, drill, role, capsys):
    happened = Counter()

    @PLAIN
    @given(SCHEDULES)
    def each(schedule):
        carried = carried_out(schedule, em, fake_clock, calls[schedule.front_end], drill, role)
        try:
            happened.update(["schedules", *check(schedule, carried)])
        except AssertionError as exc:
            raise AssertionError(f"{schedule}\n{told(carried)}\n{exc}") from exc

    each()
    if MANY:
        with capsys.disabled():
            print(f"\n{happened.pop('schedules')} schedules, in which there was so often")
            print("\n".join(f"{number:6} {word}" for word, number in sorted(happened.items())))
        return
    # Else the schedules would be of no use. Chance may leave a word out where they are others each time.
    for word in (
        *(
            "test: success",
            "test: run_failed",
            "start: success",
            "session: task",
            "session: inferred",
            "session: joined",
        ),
        *(
            "points: ready",
            "points: failover",
            "undo: success",
            "undo: superseded",
            "undo: not wanted",
            "others: start",
        ),
    ):
        assert happened[word], word
