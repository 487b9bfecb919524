# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drills by the role failover_run in real runs of ansible-playbook, while somebody else runs the plan.

One run for each rule; test_runs_of_others.py has the variants, with the role's own expressions. What the integration target
role_failover_run shows too is for the matrix. A minute of the
emulator's clock passes in a second. Its log tells what really happened.
"""

from __future__ import annotations

import json
import re

import programs
import pytest
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.plugin_utils._report.reports import make
from emulator import Behaviour, Emulator

PLANS = "/cloudFailoverPlans/"

HEAD = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  tasks:
"""
DRILL = """
    - ansible.builtin.include_role:
        name: dr_runbook.veeam_em.failover_run
      vars:
        failover_run_plan: Acme
        failover_run_poll_interval: 1
        failover_run_report: false
        failover_run_must_pass: false
    - ansible.builtin.copy:
        content: "{{ failover_run_result | to_json }}"
        dest: "{{ playbook_dir }}/result.json"
      when: not ansible_check_mode
"""


@pytest.fixture(scope="module")
def server():
    with Emulator(documented=False, sessions=0, clock_rate=60, behaviour=Behaviour(collect_days=1)) as running:
        yield running


@pytest.fixture
def em(server):
    server.reset(sessions=0)
    server.world.add_plan("Acme", [{"name": "db", "duration": 60}, {"name": "web", "duration": 90}], tenant="A")
    yield server
    server.faults.clear()


@pytest.fixture
def play(em, tmp_path):
    """Run tasks with ansible-playbook; returns its exit code, its output as one line, and the result of the role."""

    def call(tasks, *options, user="admin"):
        (tmp_path / "book.yml").write_text(HEAD + tasks)
        settings = {"VEEAM_EM_URL": em.url, "VEEAM_EM_USERNAME": user, "VEEAM_EM_PASSWORD": "Passw0rd!"}
        environment = programs.ansible_environment(tmp_path / "home", **settings)
        done = programs.run(["ansible-playbook", "book.yml", *options], cwd=tmp_path, env=environment)
        result = tmp_path / "result.json"
        found = json.loads(result.read_text()) if result.exists() else None
        assert em.counters.live_logons == 0
        if found and found.get("verdict"):
            given = ("action", "session_source", "undo")  # the report of each run is as its schema says
            make(found["session"], found["verdict"], found["plan"], {name: found[name] for name in given})
        return done.returncode, " ".join(done.output.split()), found

    return call


def carried_out(em, by):
    return [(run.action, run.session_id) for run in em.runs if run.by == by and run.refused is None]


def test_a_start_by_others_after_a_lost_test_does_not_pass_and_is_not_undone(em, play):
    rule = {"method": "POST", "path": PLANS, "query": "action=test", "times": 1}
    em.faults.add("run_by_others", plan="Acme", run="start", delay=3, **rule)
    em.faults.add("drop", **rule)
    code, output, result = play(DRILL)
    assert carried_out(em, "api") == []
    assert [run.action for run in em.runs] == ["start"]
    assert code == 0, output
    assert (result["passed"], result["undone"], result["session_source"]) == (False, False, "inferred")
    assert result["session"]["id"] == em.runs[0].session_id
    assert [reason["code"] for reason in result["verdict"]["reasons"]] == ["session_inferred"]


def test_a_start_by_others_during_the_drill_is_not_undone(em, play):
    em.behaviour.points_after_test = "failover"
    rule = {"method": "POST", "path": PLANS, "query": "action=test", "times": 1}
    em.faults.add("run_by_others", plan="Acme", run="start", delay=30, **rule)
    code, output, result = play(DRILL)
    (ours,), (theirs,) = carried_out(em, "api"), carried_out(em, "others")
    assert ours == ("test", result["session"]["id"])
    assert code == 0, output
    assert (result["passed"], result["undone"], result["session_source"]) == (False, False, "task")
    assert (result["undo"]["done"], result["undo"]["needed"]) == (False, True)
    assert "Nothing was undone" in result["undo"]["message"]
    assert theirs[1] in result["undo"]["message"]


@pytest.mark.matrix
def test_a_real_failover_that_was_there_before_is_not_undone(em, play):
    em.run_by_others("Acme")
    em.clock.advance(1000)
    preflight_misses_it = {"status": 400, "query": "CloudVmReplicaPoint.*State==", "times": 1}
    em.faults.add("status", **preflight_misses_it)
    code, output, result = play(DRILL, "-e", "failover_run_undo_test=always")
    assert code == 0, output
    assert [run.action for run in em.runs] == ["start", "test"]
    assert (result["undone"], result["undo"]["done"], result["undo"]["needed"]) == (False, False, None)
    assert "VMs with these names were already in failover before the test: db, web" in result["undo"]["message"]


@pytest.mark.matrix
def test_a_drill_that_leaves_nothing_in_failover_passes_although_em_refuses_to_undo_it(em, play):
    code, output, result = play(DRILL, "-e", "failover_run_undo_test=always")
    assert code == 0, output
    assert (result["passed"], result["undone"], result["problems"]) == (True, False, [])
    assert (result["undo"]["done"], result["undo"]["needed"]) == (False, False)
    assert [(run.action, run.refused is None) for run in em.runs] == [("test", True), ("undo", False)]


@pytest.mark.matrix
def test_a_drill_that_leaves_vms_in_failover_is_undone(em, play):
    em.behaviour.points_after_test = "failover"
    code, output, result = play(DRILL)
    assert code == 0, output
    assert (result["passed"], result["undone"], result["undo"]["needed"]) == (True, True, True)
    assert em.runs[1].undone == (result["session"]["id"],)


@pytest.mark.parametrize("options", [pytest.param(["--check"], marks=pytest.mark.matrix), []], ids=str)
def test_an_rpo_that_cannot_be_judged_is_refused_before_anything_starts(em, play, options):
    targets = json.dumps({"failover_run_targets": {"rpo": "24h"}})
    code, output, result = play(DRILL, *options, "-e", targets, user="operator")
    assert (code != 0, result, em.runs) == (True, None, []), output
    assert "Nothing was started. To allow reading replica points, give the user the role Portal User" in output
    assert "point_utc_offset" in output


# Runs that Ansible would repeat

REPEATED = [
    {"until": "run is succeeded", "retries": 2, "delay": 0},
    {"until": "run is succeeded", "delay": 0},
    {"retries": 2, "delay": 0},
    {"retries": "{{ 1 + 1 }}", "delay": 0},
    {"until": "run is succeeded", "retries": 2, "delay": 0, "loop": ["test", "start"]},
]


def test_a_plan_is_not_run_again_and_again(em, play):
    em.behaviour.failing_vms = "*"
    start = {"dr_runbook.veeam_em.failover_plan": {"plan": "Acme", "action": "start", "poll_interval": 1}}
    tasks = [{**start, "register": "run", "ignore_errors": True, **keywords} for keywords in REPEATED]
    code, output, dummy = play("".join(f"    - {json.dumps(task)}\n" for task in tasks))
    assert code == 0, output
    assert (em.counters.requests, em.runs) == (0, [])
    assert re.search(rf"ok={len(REPEATED)} .*ignored={len(REPEATED)}", output)
    assert output.count("failover_plan cannot be used with until or retries") >= len(REPEATED)
    assert "Nothing was started" in output


def test_a_time_limit_is_reported_alike_in_headline_and_result(em, play):
    em.clock.rate = 1
    em.behaviour.task_seconds = em.behaviour.refresh_seconds = 0
    tasks = """
    - dr_runbook.veeam_em.failover_plan:
        plan: Acme
        action: start
        poll_interval: 1
        wait_timeout: 6
      register: run
      ignore_errors: true
    - ansible.builtin.copy:
        content: "{{ run | to_json }}"
        dest: "{{ playbook_dir }}/result.json"
"""
    code, output, result = play(tasks)
    assert code == 0, output
    assert result["error"]["kind"] == "wait_timeout"
    assert "The run goes on in EM" in result["msg"]
    # From ansible-core 2.19 on there is a headline, and it is made of the exception if a result has one.
    before, dummy, after = result["msg"].partition(" seconds")
    assert f"{before} seconds" in output
    waited = int(before.rpartition(" ")[2])
    assert waited >= 6
    assert re.findall(r"after (\d+) seconds", output) == [str(waited)] * output.count(before)
    assert after
