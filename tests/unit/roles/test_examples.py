# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The examples of the roles, run as ansible-doc shows them, in folders of the test."""

from __future__ import annotations

import json
from pathlib import Path

import programs
import pytest
import yaml
from emulator import Behaviour, Emulator

REPO = Path(__file__).resolve().parents[3]
FOLDERS = {"/srv/failover-reports": "reports", "/var/lib/dr": ".", "/var/lib/node_exporter/textfile": "."}
ORDER = ("failover_history", "failover_run", "failover_report", "failover_readiness")
AFTERWARDS = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.copy:
        content: "{{ {'run': failover_run_result, 'history': failover_history_result, 'readiness': failover_readiness_result,
          'files': failover_report_files} | to_json }}"
        dest: "{{ playbook_dir }}/results.json"
        mode: "0600"
"""


@pytest.mark.matrix  # a minute of a processor; the examples of the pages of the roles run in make test
def test_the_examples_run_one_after_the_other(tmp_path):
    for role in ORDER:
        spec = yaml.safe_load((REPO / "roles" / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
        text = spec["argument_specs"]["main"]["examples"]
        for folder, mine in FOLDERS.items():
            text = text.replace(folder, str(tmp_path / mine))
        (tmp_path / f"{role}.yml").write_text(text)
    (tmp_path / "afterwards.yml").write_text(AFTERWARDS)
    with Emulator(documented=False, sessions=0, clock_rate=60, behaviour=Behaviour(collect_days=1)) as em:
        vms = [{"name": "dc01", "duration": 60}, {"name": "web01", "duration": 90}]
        em.world.add_plan("ABC Company Failover Plan", vms, tenant="ABC Company")
        environment = programs.ansible_environment(
            tmp_path / "home",
            VEEAM_EM_URL=em.url,
            VEEAM_EM_USERNAME="admin",
            VEEAM_EM_PASSWORD="Passw0rd!",
            VEEAM_EM_STORE=str(tmp_path / "history.db"),
        )
        books = [f"{name}.yml" for name in (*ORDER, "afterwards")]
        options = {"failover_run_poll_interval": 1, "failover_run_trgets": {"rto": "1s"}, "failover_report_owner": ""}
        command = ["ansible-playbook", *books, "-e", json.dumps(options)]
        done = programs.run(command, cwd=tmp_path, env=environment)
    output = " ".join(done.output.split())
    assert done.returncode == 0, done.output
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["run"]["passed"] is True
    assert results["history"]["gap"] is None
    assert results["readiness"]["failing"] == []
    assert set(results["readiness"]["files"]) == {"html", "csv", "vms.csv", "json"}
    assert all(Path(path).is_file() for path in results["files"].values())
    # By failover_run and by failover_readiness.
    assert output.count("has the variables failover_report_owner, failover_run_trgets. Check their names") == 2
