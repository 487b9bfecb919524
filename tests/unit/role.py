# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role failover_run without Ansible's execution: its own expressions, templated in this process."""

from __future__ import annotations

from pathlib import Path

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from templating import trust_as_template

REPO = Path(__file__).resolve().parents[2]


def _templates(node):
    """The texts of a role's file as templates, which ansible-core 2.19 and later trust only if they are told to."""
    if isinstance(node, dict):
        return {name: _templates(value) for name, value in node.items()}
    if isinstance(node, list):
        return [_templates(value) for value in node]
    return trust_as_template(node) if isinstance(node, str) else node


def _task_variables(node):
    """The variables that the tasks of a file have of their own."""
    if isinstance(node, list):
        return {name: value for item in node for name, value in _task_variables(item).items()}
    if not isinstance(node, dict):
        return {}
    found = dict(node.get("vars", {}))
    for block in ("block", "rescue", "always"):
        found.update(_task_variables(node.get(block, [])))
    return found


class Role:
    """What the role failover_run makes of results: what it hands from step to step, and whether it undoes."""

    def __init__(self):
        def read(name):
            return yaml.safe_load((REPO / "roles" / "failover_run" / name).read_text(encoding="utf-8"))

        known = {**read("defaults/main.yml"), **read("vars/main.yml")}
        for name in ("run", "read"):
            known.update(_task_variables(read(f"tasks/{name}.yml")))
        self._known = _templates(known)

    def _template(self, expression, **variables):
        templar = Templar(loader=DataLoader(), variables={**self._known, **variables})
        return templar.template(trust_as_template("{{ " + expression + " }}"))

    def seen(self, run, action="test"):
        """What the steps after the run work on."""
        return self._template("failover_run_facts", failover_run_run=run, failover_run_action=action)

    def read_again(self, seen, read):
        """The same, after the reading that comes immediately before the decision."""
        news = self._template("failover_run_news", failover_run_seen=seen, failover_run_read=read)
        return {**seen, **news}

    def wants_undo(self, seen, undo_test="auto"):
        return self._template(
            "failover_run_undo_wanted | bool", failover_run_seen=seen, failover_run_undo_test=undo_test
        )

    def points_say(self, seen):
        return self._template("failover_run_points_say", failover_run_seen=seen)
