# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import sqlite3
import stat
from pathlib import Path

import pytest
import yaml
from ansible_collections.dr_runbook.veeam_em.plugins.modules import failover_history_info, failover_session_info


def test_criteria_select_as_they_do_in_em(em, run_module, record, read):
    em.reset(sessions=40, tasks=1)
    record()
    for options in ({"result": ["Failed"]}, {"latest_per_plan": True}, {"limit": 3, "sort_order": "ascending"}):
        ids = [session["id"] for session in run_module("failover_session_info", **options)["failover_sessions"]]
        assert [session["id"] for session in read(**options)["failover_sessions"]] == ids
        assert ids


def test_a_bad_criterion_is_refused(read):
    assert "limit" in read(limit=0)["msg"]


def test_verify_finds_what_was_changed_and_the_task_fails(em, record, read, store):
    em.reset(sessions=5)
    head = record()["head"]
    assert read(expected_head=head)["verified"] is True
    assert read()["verified"] is None
    # Who may write the file can take the triggers away.
    with sqlite3.connect(store) as database:
        database.execute("DROP TRIGGER record_update")
        database.execute("UPDATE record SET body = replace(body, 'Success', 'Failed') WHERE kind = 'session'")
    result = read(verify=True)
    assert result["failed"] and result["verified"] is False
    assert result["problems"][0] in result["msg"] and "its content does not match its digest" in result["msg"]
    assert store in result["msg"]


def test_a_cut_tail_is_found_by_the_head_that_was_noted(em, record, read, store):
    record()
    head = record()["head"]
    with sqlite3.connect(store) as database:
        database.execute("DROP TRIGGER record_delete")
        database.execute("DELETE FROM record WHERE sequence = ?", [head["sequence"]])
    assert read(verify=True)["verified"] is True
    result = read(expected_head=head)
    assert result["failed"] and "newer records were removed" in result["msg"]


def test_export_is_for_this_user_only_and_not_in_check_mode(em, record, read, tmp_path):
    em.reset(sessions=3)
    head = record()["head"]
    path = Path(tmp_path / "export.jsonl")
    assert read(check_mode=True, export=str(path))["exported"] is None
    assert not path.exists()
    assert read(export=str(path), limit=1)["exported"] == head["sequence"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert (lines[0]["head"], lines[-1]["hash"]) == (head, head["hash"])


def test_an_export_does_not_replace_the_history(em, record, read, store, tmp_path):
    record()
    (tmp_path / "link").symlink_to(tmp_path)
    for path in (store, str(tmp_path / "link" / "history.db")):
        assert "would replace the history itself" in read(export=path)["msg"]
    assert read(verify=True)["verified"] is True


@pytest.mark.parametrize("options", [{}, {"check_mode": True}])
def test_where_there_is_no_history_it_says_so(read, store, options):
    result = read(**options)
    assert result["failed"] and result["msg"].startswith("There is no history yet.") and store in result["msg"]
    assert not Path(store).exists()


@pytest.mark.parametrize("em_name", [7, [750]])
def test_the_name_of_an_em_is_a_text(record, read, em_name):
    record()
    assert "em_name: " in read(em_name=em_name)["msg"]


def test_an_em_that_the_history_does_not_know_is_warned_of(record, read):
    record()
    result = read(em_name=["127.0.0.1", "emm"])
    (warning,) = result["warnings"]
    assert "no records of Enterprise Manager 'emm' (em_name)" in warning and "with looks: '127.0.0.1'" in warning
    assert "warnings" not in read(em_name="127.0.0.1")
    record(look=False, em_name="by hand", notes=[{"type": "comment", "plan": "Acme", "by": "J. Doe", "text": "x"}])
    assert "warnings" not in read(em_name="by hand")


def test_many_looks_are_cut(em, record, read, monkeypatch):
    from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history import looks as module

    monkeypatch.setattr(module, "MAX_LISTED", 2)
    heads = [record()["head"]["sequence"] for dummy in range(3)]
    looks = read()["looks"]
    assert len(looks) == 2 and heads == sorted(heads)
    assert looks == sorted(looks, key=lambda look: look["seen_at"], reverse=True)
    assert len(read(created_after="52w")["looks"]) == 3
    assert read(created_before="52w")["looks"] == []


def test_every_documented_result_is_returned_and_no_other(em, record, read):
    plan = em.world.add_plan("Acme", ["db"])
    em.run_by_others(plan, "start")
    em.clock.advance(3600)
    record()
    documented = yaml.safe_load(failover_history_info.RETURN)
    result = read(verify=True)
    assert set(documented) - {"msg"} == set(result) - {"invocation", "changed"}
    facts = {"tasks_kept_at", *yaml.safe_load(failover_session_info.RETURN)["failover_sessions"]["contains"]}
    described = {**documented["failover_sessions"]["contains"]}
    assert set(result["failover_sessions"][0]) | {"tasks_kept_at"} == facts | set(described)
    for name in ("failover_plans", "looks"):
        assert set(result[name][0]) == set(documented[name]["contains"]), name
    (version,) = result["failover_plans"][0]["versions"]
    assert set(version) == set(documented["failover_plans"]["contains"]["versions"]["contains"])
    assert set(result["points"][0]) == {
        *("em_name", "seen_at", "id", "name", "vm_name", "backup_server", "creation_time", "state")
    }
