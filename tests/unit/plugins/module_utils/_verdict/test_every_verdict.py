# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

import json

from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._verdict.evaluate import evaluate
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.module_utils._verdict.verdict_facts import (
    KEPT,
    QUICK,
    judged,
    plan,
    session,
    task,
)
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.sampled_from(["db01", "db02", "web01", "app", "", None, "db[1]", "{{ x }}"])


SECONDS = st.one_of(st.integers(0, 100), st.sampled_from([0.5, 1, 1.001, 99.5, 100]))


ODD_SECONDS = st.one_of(SECONDS, st.none(), st.integers(-50, 200), st.sampled_from([-0.5, -1.5, 101]))


STATES = st.sampled_from(["Stopped"] * 4 + ["Starting", "Working", "Stopping", "Pausing", None, 3])


RESULTS = st.sampled_from(["Success"] * 3 + ["Warning", "Failed", "None", "Odd", None])


POINTS = st.one_of(
    st.none(),
    st.integers(0, 12).map(lambda hour: f"vm@2026-03-02 {hour:02}:00:00"),
    st.sampled_from(["", "vm", "vm@soon", "vm@0001-01-01 00:00:00", "vm@9999-12-31 23:59:59"]),
)


@st.composite
def good_sessions(draw):
    """As EM would have it: all went well, or some VMs failed and the session says so."""
    tasks = []
    for name in draw(st.lists(st.sampled_from(["db01", "db02", "web01", "app"]), max_size=4)):
        start, end = sorted(draw(st.tuples(SECONDS, SECONDS)))
        result = draw(st.sampled_from(["Success"] * 4 + ["Warning", "Failed"]))
        tasks.append(task(name, start, end, result, point=draw(POINTS)))
    kept_at = draw(st.sampled_from([None, KEPT["tasks_kept_at"]])) if tasks else None
    for item in tasks if kept_at else []:
        if item["result"] == "Success" and draw(st.booleans()):
            item.update(state="Working", result="None", end_time=None)
    words = ["None", "Success", "Warning", "Failed"]
    worst = max((words.index(item["result"]) for item in tasks), default=1) or 1
    return session(*tasks, result=words[worst], tasks_kept_at=kept_at)


ODD_TASKS = st.builds(task, NAMES, ODD_SECONDS, ODD_SECONDS, RESULTS, STATES, point=POINTS)


ODD_SESSIONS = st.builds(
    lambda tasks, **more: session(*tasks, **more),
    st.lists(ODD_TASKS, max_size=5),
    start=ODD_SECONDS,
    end=ODD_SECONDS,
    result=RESULTS,
    state=STATES,
    tasks_kept_at=st.sampled_from([None, None, KEPT["tasks_kept_at"]]),
)


SESSIONS = st.one_of(good_sessions(), ODD_SESSIONS)


DURATIONS = st.one_of(st.integers(1, 200), st.sampled_from(["50s", "1m", "2h", "1d"]))


PLANS = st.builds(
    lambda vms, name: plan(*vms, name=name),
    st.lists(st.tuples(NAMES, st.one_of(st.none(), st.integers(0, 3))), max_size=5),
    st.sampled_from(["Plan", "Plan", "Plan", "Other", None]),
)


PATTERNS = st.sampled_from(["*", "db*", "db0?", "db01", "web*", "db[1]", "nothing", "[", "**"])


TARGETS = st.fixed_dictionaries(
    {},
    optional={
        "rto": DURATIONS,
        "vm_rto": st.dictionaries(PATTERNS, DURATIONS, max_size=4),
        "rpo": DURATIONS,
        "required_vms": st.lists(st.sampled_from(["db01", "web01", "nothing"]), max_size=2),
        "max_failed": st.integers(0, 3),
        "allow_warnings": st.booleans(),
        "plan": PLANS,
        "point_utc_offset": st.sampled_from(["Z", "+01:00", "-14:00", "+14:00"]),
    },
)


@QUICK
@given(SESSIONS, TARGETS, st.randoms(use_true_random=False))
def test_every_verdict(facts, targets, random):
    before = json.dumps([facts, targets])
    verdict = judged(facts, **targets)
    assert json.dumps([facts, targets]) == before
    shuffled = {**facts, "tasks": random.sample(facts["tasks"], len(facts["tasks"]))}
    assert evaluate(shuffled, targets) == verdict
    assert json.dumps(evaluate(dict(sorted(facts.items())), dict(sorted(targets.items())))) == json.dumps(verdict)


@QUICK
@given(good_sessions(), TARGETS)
def test_fewer_targets_are_easier(facts, targets):
    passed = judged(facts, **targets)["passed"]
    for name in targets:
        if name == "point_utc_offset":
            continue
        fewer = {key: value for key, value in targets.items() if key != name}
        if name == "max_failed":
            fewer["max_failed"] = targets["max_failed"] + 1
        assert judged(facts, **fewer)["passed"] or not passed


@QUICK
@given(good_sessions(), st.data())
def test_what_is_taken_away_from_a_session_never_makes_it_pass(facts, data):
    """Targets that are missed for lack of time or of success are not met by a session that says less."""
    targets = data.draw(TARGETS.filter(lambda targets: {"vm_rto", "rpo", "required_vms"} & set(targets)))
    if judged(facts, **targets)["passed"] or not facts["tasks"]:
        return
    victim = data.draw(st.sampled_from([facts, *facts["tasks"]]))
    if facts["tasks_kept_at"]:
        return  # a VM without an end is then covered by the session's success
    key = data.draw(st.sampled_from(["state", "result", "creation_time", "end_time"]))
    if victim is not facts and key == "creation_time" and "plan" in targets:
        return  # a start that is unknown is another reason than a start that is too early
    if key == "result" and victim.get("result") == "Failed":
        return  # likewise
    poorer = json.loads(json.dumps(facts))
    place = poorer if victim is facts else poorer["tasks"][facts["tasks"].index(victim)]
    place[key] = None
    assert not judged(poorer, **targets)["passed"]
