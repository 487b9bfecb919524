# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.bodies import ids_by_state, session_of_body


def test_a_point_without_id_or_state_is_not_said_to_have_one():
    points = [
        {"id": "b", "state": "Ready"},
        {"id": "a", "state": "Ready"},
        {"id": None, "state": "Ready"},
        {"id": "c", "state": None},
    ]
    assert ids_by_state(points) == {"Ready": ["a", "b"]}


def test_a_vm_without_a_restore_point_stays_without():
    body = {name: None for name in ("id", "uid", "name", "job_type", "backup_server", "task_summary")}
    task = {"vm_name": "db", "state": "Stopped", "replica_point": None}
    (facts,) = session_of_body({**body, "tasks": [task]}, "em", {})["tasks"]
    assert (facts["vm_name"], facts["state"], facts["replica_point"]) == ("db", "Stopped", None)
