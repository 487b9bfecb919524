# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drills by the role failover_run in real runs of ansible-playbook, while somebody else runs the plan.

A minute of the emulator's clock passes in a second. Its log tells what really happened.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from emulator import Emulator

REPO = Path(__file__).resolve().parents[3]
COLLECTIONS = os.environ.get("ANSIBLE_COLLECTIONS_PATH") or str(REPO / ".ansible" / "collections")
PLAYBOOK = Path(sys.executable).parent / "ansible-playbook"
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
    with Emulator(documented=False, sessions=0, clock_rate=60) as running:
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
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("VEEAM_EM_", "ANSIBLE_"))
        }
        environment = {
            "VEEAM_EM_URL": em.url,
            "VEEAM_EM_USERNAME": user,
            "VEEAM_EM_PASSWORD": "Passw0rd!",
            "ANSIBLE_COLLECTIONS_PATH": COLLECTIONS,
            "ANSIBLE_HOME": str(tmp_path / "home"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_NOCOLOR": "1",
            "LC_ALL": "C.UTF-8",
        }
        command = [str(PLAYBOOK), "book.yml", *options]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**inherited, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=180,
            check=False,
        )
        result = tmp_path / "result.json"
        found = json.loads(result.read_text()) if result.exists() else None
        assert em.counters.live_logons == 0
        return done.returncode, " ".join(done.stdout.split()), found

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


@pytest.mark.parametrize("points_after_test", ["ready", "failover"])
def test_a_start_by_others_during_the_drill_is_not_undone(em, play, points_after_test):
    em.behaviour.points_after_test = points_after_test
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


@pytest.mark.parametrize("undo_test", ["auto", "always"])
def test_a_real_failover_that_was_there_before_is_not_undone(em, play, undo_test):
    em.run_by_others("Acme")
    em.clock.advance(1000)
    em.faults.add(
        "status", status=400, query="CloudVmReplicaPoint.*State==", times=1
    )  # so that the preflight misses it
    code, output, result = play(DRILL, "-e", f"failover_run_undo_test={undo_test}")
    assert code == 0, output
    assert [run.action for run in em.runs] == ["start", "test"]
    assert (result["undone"], result["undo"]["done"], result["undo"]["needed"]) == (False, False, None)
    assert "VMs with these names were already in failover before the test: db, web" in result["undo"]["message"]


@pytest.mark.parametrize("undo_test", ["auto", "always"])
def test_a_drill_that_leaves_nothing_in_failover_passes(em, play, undo_test):
    code, output, result = play(DRILL, "-e", f"failover_run_undo_test={undo_test}")
    assert code == 0, output
    assert (result["passed"], result["undone"], result["problems"]) == (True, False, [])
    assert (result["undo"]["done"], result["undo"]["needed"]) == (False, False)
    assert [(run.action, run.refused is None) for run in em.runs] == [
        ("test", True),
        *([("undo", False)] if undo_test == "always" else []),
    ]


def test_a_drill_that_leaves_vms_in_failover_is_undone(em, play):
    em.behaviour.points_after_test = "failover"
    code, output, result = play(DRILL)
    assert code == 0, output
    assert (result["passed"], result["undone"], result["undo"]["needed"]) == (True, True, True)
    assert em.runs[1].undone == (result["session"]["id"],)


@pytest.mark.parametrize("options", [["--check"], []], ids=str)
def test_an_rpo_that_cannot_be_judged_is_refused_before_anything_starts(em, play, options):
    targets = json.dumps({"failover_run_targets": {"rpo": "24h"}})
    code, output, result = play(DRILL, *options, "-e", targets, user="operator")
    assert (code != 0, result, em.runs) == (True, None, []), output
    assert "Nothing was started. To allow reading replica points, give the user the role Portal User" in output
    assert "point_utc_offset" in output


# Runs that Ansible would repeat


@pytest.mark.parametrize(
    "keywords",
    [
        {"until": "run is succeeded", "retries": 2, "delay": 0},
        {"until": "run is succeeded", "delay": 0},
        {"retries": 2, "delay": 0},
        {"retries": "{{ 1 + 1 }}", "delay": 0},
        {"until": "run is succeeded", "retries": 2, "delay": 0, "loop": ["test", "start"]},
    ],
    ids=str,
)
def test_a_plan_is_not_run_again_and_again(em, play, keywords):
    em.behaviour.failing_vms = "*"
    task = {
        "dr_runbook.veeam_em.failover_plan": {"plan": "Acme", "action": "start", "poll_interval": 1},
        "register": "run",
        **keywords,
    }
    code, output, dummy = play(f"    - {json.dumps(task)}\n")
    assert code != 0
    assert (em.counters.requests, em.runs) == (0, [])
    assert "failover_plan cannot be used with until or retries" in output
    assert "Nothing was started" in output


def test_a_time_that_is_over_is_told_alike_in_headline_and_result(em, play):
    em.clock.rate = 1
    tasks = """
    - dr_runbook.veeam_em.failover_plan:
        plan: Acme
        action: start
        poll_interval: 1
        wait_timeout: 12
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
    assert 10 <= waited <= 20
    assert re.findall(r"after (\d+) seconds", output) == [str(waited)] * output.count(before)
    assert after
