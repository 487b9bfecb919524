# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The expressions in roles/failover_run/vars/main.yml, above all the one that decides whether something is undone."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible.utils.unsafe_proxy import wrap_var
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.options import name_of_em
from templating import trust_as_template

ROLE = Path(__file__).resolve().parents[3] / "roles" / "failover_run"
VARS = yaml.safe_load((ROLE / "vars" / "main.yml").read_text(encoding="utf-8"))


def templated(name, **variables):
    """A variable of the role, with others in place of those that the role itself has."""
    return template(VARS[name], **variables)


def template(expression, **variables):
    role = {key: trust_as_template(value) for key, value in VARS.items()}
    return Templar(loader=DataLoader(), variables={**role, **variables}).template(trust_as_template(expression))


STATES = {
    "none listed": [],
    "not readable": ["", ""],
    "unknown": ["Unknown"],
    "ready": ["Ready", "Ready"],
    "failover": ["Failover", "Failover"],
    "one in failover": ["Ready", "Failover"],
    "one in failover, one unknown": ["Unknown", "Failover"],
    "one ready, one unknown": ["Ready", "Unknown"],
    "one ready, one not readable": ["Ready", ""],
    "failback": ["Failback", "Ready"],
    "permanent": ["PermanentFailover"],
    "one in failover, one in failback": ["Failover", "Failback"],
}
KNOWN = {"ready", "failover", "one in failover", "one in failover, one unknown"}
IN_FAILOVER = {"failover", "one in failover", "one in failover, one unknown"}


@pytest.mark.parametrize("states", STATES)
def test_only_the_own_test_is_undone_and_by_default_only_if_it_left_something(states):
    wanted = {
        (action, undo_test, source)
        for action, undo_test, source in itertools.product(
            ("test", "start", ""), ("auto", "always", "never"), ("task", "inferred", "")
        )
        if templated(
            "failover_run_undo_wanted",
            failover_run_session_action=action,
            failover_run_undo_test=undo_test,
            failover_run_session_source=source,
            failover_run_point_states=STATES[states],
            failover_run_in_failover_before="no",
        )
        is True
    }
    always = {("test", "always", "task")} if states in KNOWN else set()
    assert wanted == always | ({("test", "auto", "task")} if states in IN_FAILOVER else set())


@pytest.mark.parametrize("states", STATES)
def test_what_the_points_say(states):
    in_failover = states in IN_FAILOVER or states == "one in failover, one in failback"
    said = "failover" if in_failover else "ready" if states == "ready" else "unknown"
    assert templated("failover_run_points_say", failover_run_point_states=STATES[states]) == said


def seen(points, seen_at="2026-03-02T08:00:00.000000Z", **more):
    """Facts of a run: a VM for each of these replica points."""
    tasks = [{"vm_name": f"vm{number}", "replica_point": point} for number, point in enumerate(points)]
    run = {"action": "test", "session_source": "task", "points_seen_at": seen_at, "vms_in_failover": []}
    return {**run, "session": {"tasks": tasks, "finished": True}, **more}


def test_a_state_counts_only_if_it_is_known_when_it_was_seen():
    points = [{"state": "Failover"}, {"state": None}, None, {"name": "without a state"}]
    assert templated("failover_run_point_states", failover_run_seen=seen(points)) == ["Failover", "", "", ""]
    for seen_at in (None, ""):
        assert templated("failover_run_point_states", failover_run_seen=seen(points, seen_at)) == []


@pytest.mark.parametrize(
    ("before", "wanted"),
    [([], ["auto", "always"]), (["db"], []), (None, []), ("left out", [])],
    ids=str,
)
def test_a_failover_that_was_there_before_the_test_is_not_undone_with_it(before, wanted):
    run = seen([{"state": "Failover"}], vms_in_failover=before)
    if before == "left out":
        del run["vms_in_failover"]
    for undo_test in ("auto", "always", "never"):
        options = {"failover_run_seen": run, "failover_run_undo_test": undo_test}
        assert templated("failover_run_undo_wanted", **options) is (undo_test in wanted)


def test_the_action_is_that_of_the_run_and_not_the_option():
    """A real failover that was handed over is not taken for a test because the job template of a drill has read it."""
    run = seen([{"state": "Failover"}], action="start")
    options = {"failover_run_action": "test", "failover_run_undo_test": "always"}
    assert templated("failover_run_undo_wanted", failover_run_seen=run, **options) is False
    assert templated("failover_run_undo_wanted", failover_run_seen={**run, "action": "test"}, **options) is True


@pytest.mark.parametrize(
    ("run", "undo_test", "told"),
    [
        (seen([{"state": "Ready"}]), "auto", "A test leaves nothing in failover, and all replica points were Ready at 2026-03-02T08:00"),
        (seen([{"state": "Ready"}], action="start"), "auto", "No undo was requested. After a real failover, that is for people"),
        (seen([{"state": "Failover"}], session_source="inferred"), "always", "did not link its task to the session"),
        (seen([{"state": "Failover"}]), "never", "No undo was requested, since failover_run_undo_test is never."),
        (seen([{"state": "Failover"}], None), "auto", "the state of their replica points is not known. Refused."),
        (seen([{"state": "Unknown"}]), "auto", "the state of their replica points is not known."),
        (seen([{"state": "Ready"}, {"state": None}]), "auto", "the state of some replica points is not known."),
        (seen([{"state": "Failover"}], vms_in_failover=["db", "web"]), "auto", "already in failover before the test: db, web"),
        (seen([{"state": "Failover"}], vms_in_failover=["db"]), "always", "An undo would affect that failover"),
        (seen([{"state": "Failover"}], vms_in_failover=None), "auto", "not known whether VMs were already in failover before the test"),
        (seen([{"state": "Failback"}]), "auto", "replica points are in state Failback, which a test never leaves behind"),
        (seen([], session={"tasks": [], "finished": False}), "auto", "Nothing was undone, since the run had not finished"),
    ],
)  # fmt: skip
def test_why_nothing_was_undone(run, undo_test, told):
    more = {"failover_run_undo_test": undo_test, "failover_run_read_problem": "Refused."}
    assert told in templated("failover_run_why_not_undone", failover_run_seen=run, **more)


RUN = {"id": "2", "name": "Acme", "backup_server": {"name": "vbr"}}
BEFORE = {**RUN, "id": "1", "kind": "test", "finished": True}
ACME = {"name": "Acme", "backup_server": {"name": "vbr"}, "deleted": False}


@pytest.mark.parametrize(
    ("plans", "previous"),
    [
        ([ACME], BEFORE),
        ([ACME, {**ACME, "deleted": True}], BEFORE),  # deleted and created again
        ([ACME, {**ACME, "backup_server": {"name": "other"}}], BEFORE),
        ([ACME, ACME], {}),
    ],
)
def test_the_run_before_is_known_unless_plans_share_name_and_server(plans, previous):
    earlier = {"failover_sessions": [RUN, BEFORE], "failover_plans": plans}
    seen = {"session": RUN}
    assert templated("failover_run_previous", failover_run_earlier=earlier, failover_run_seen=seen) == previous


@pytest.mark.parametrize("url", ["https://em.example.com:9398", "https://[2001:db8::1]", None])
@pytest.mark.parametrize("em_name", ["site A, left", "", None])
def test_the_run_before_is_read_by_the_name_that_the_run_is_recorded_by(em_name, url):
    read, *dummy = yaml.safe_load((ROLE / "tasks" / "report.yml").read_text(encoding="utf-8"))[0]["block"]
    (expression,) = read["dr_runbook.veeam_em.failover_history_info"]["em_name"]
    known = {"failover_history_em_name": em_name, "failover_run_seen": {"url": url}}
    assert template(expression, **known) == (name_of_em(em_name, url) if em_name or url else "")


def test_names_do_not_reach_the_terminal_as_they_are():
    name = wrap_var("\x9b31mred\u202etxt\x1b[2J\nline {{ 1 }}")
    seen = {"session": {"id": "1", "name": name}, "action": "test", "session_source": "task", "known_sessions": []}
    reason = {
        "code": "rpo_unknown",
        "text": wrap_var(f"The RPO of {name} cannot be checked."),
        "hint": "Set point_utc_offset.",
    }
    verdict = {
        "passed": False,
        "reasons": [reason, reason],
        "markdown": "a\nVMs: 1 failed.",
        "vms": [{"name": name, "result": "Failed"}],
    }
    plan = {"name": name, "actions": ["test"]}
    left = {"after_run": {"text": ""}}
    more = {
        "failover_run_seen": seen, "failover_run_verdict": verdict, "failover_run_report": False, "failover_run_must_pass": False,
        "failover_run_plan_name": name, "failover_run_vm_names": [name], "failover_run_misfits": [name], "failover_run_running": {},
        "failover_run_confirmed": "", "failover_run_action": "test", "failover_run_judged_by": {}, "ansible_check_mode": True,
        "failover_run_plans": {"failover_plans": [plan]}, "failover_run_undo_test": "auto", "failover_run_left": left,
        "failover_run_preflight": {"already_running": False, "vms_in_failover": [name], "plan": plan, "may_read_points": True},
        "failover_run_unknown_variables": [],
    }  # fmt: skip
    failure = templated("failover_run_failure", **more)
    texts = [
        failure,
        *templated("failover_run_block", **more),
        *templated("failover_run_refused", **more),
        *templated("failover_run_remarks", **more),
    ]
    assert all(text.isprintable() for text in texts), texts
    assert failure.count("Set point_utc_offset.") == 1
    assert sum("31mred txt [2J line {{ 1 }}" in text for text in texts) >= 5
