# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.bodies import (
    ids_by_state,
    masked,
    session_of_body,
)


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


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("see https://u:p@h/x, https://v:q@i:9398", "see https://u:********@h/x, https://v:********@i:9398"),
        ("https://u:p@ss@h/x", "https://u:********@h/x"),
        ("https://u:p/ss@h", "https://u:********@h"),
        ("https://u:p#w?d:@h", "https://u:********@h"),
        ("https://ada@example.com:p@h", "https://ada@example.com:********@h"),
        ("https://:p@h", "https://:********@h"),
        ("https://u:********@h", "https://u:********@h"),
        ("https://em:9398/api?x=1 mail ada@example.com", "https://em:9398/api?x=1 mail ada@example.com"),
        ("https://u@h/x and 12:30 and a@b:c", "https://u@h/x and 12:30 and a@b:c"),
    ],
)
def test_a_password_in_a_url_is_masked_whatever_is_in_it(text, kept):
    assert masked({"a": [text, None]}, str) == {"a": [kept, None]}


@pytest.mark.parametrize(
    "text", ["https://u:" * 100_000, "a:" * 500_000, "@" + "https://u:p " * 80_000, "://" * 300_000]
)
def test_a_long_text_is_searched_once(text):
    """A search that starts again at each colon takes minutes."""
    assert masked(text, str) == text
