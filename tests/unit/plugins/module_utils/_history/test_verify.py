# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.criteria import SessionCriteria
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.errors import HistoryError
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.export import export
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.records import FIRST_HASH
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.schema import INDEX_COLUMNS, RECORD_COLUMNS
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.store import open_store
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.verify import verify

ANOTHER = "The session index says something else than record 4."


@pytest.fixture(autouse=True)
def filled(store, make):
    """Records 1 to 8; 2, 4, 6 and 8 are of sessions."""
    for number in range(4):
        store.append([make.look(), make.session(number)])
    assert verify(store, store.head()) == []


def test_a_value_of_a_record(store, without_triggers):
    without_triggers(store)
    for column in RECORD_COLUMNS.split(", ")[1:]:
        ((before,),) = store.query(f"SELECT {column} FROM record WHERE sequence = 4")
        changed = before.replace("Success", "Failed") if column == "body" else f"x{before[1:]}"
        for value, sound in ((changed, False), (before, True)):
            store.database.execute(f"UPDATE record SET {column} = ? WHERE sequence = 4", [value])
            problems = verify(store)
            assert (not problems) is sound, column
            assert all("4" in problem or "5" in problem for problem in problems)


def test_a_value_of_the_index(store, without_triggers):
    without_triggers(store)
    for column in INDEX_COLUMNS.split(", ")[1:]:
        ((before,),) = store.query(f"SELECT {column} FROM session_index WHERE sequence = 4")
        for value, problems in (("x", [ANOTHER]), (before, [])):
            store.database.execute(f"UPDATE session_index SET {column} = ? WHERE sequence = 4", [value])
            assert verify(store) == problems, column


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("DELETE FROM record WHERE sequence = 4", "Record 4 is missing before record 5."),
        ("DELETE FROM record WHERE sequence IN (1, 2, 3)", "Records 1 to 3 are missing before record 4."),
        ("UPDATE record SET sequence = 40 WHERE sequence = 8", "Records 8 to 39 are missing before record 40."),
        ("UPDATE record SET sequence = -1 WHERE sequence = 1", "Record 1 is missing before record -1."),
        ("DELETE FROM session_index WHERE sequence = 4", "The session index has no row for record 4."),
        (
            "UPDATE session_index SET sequence = 3 WHERE sequence = 4",
            "The session index has a row 3, but record 3 is not",
        ),
        ("UPDATE session_index SET sequence = 99 WHERE sequence = 8", "The session index has a row 99, but record 99"),
        ("UPDATE record SET body = '' WHERE sequence = 4", "Record 4 was changed: its content"),
        ("UPDATE record SET body = '[]' WHERE sequence = 4", "Record 4 was changed: its content"),
        ("UPDATE record SET body = ' ' || body WHERE sequence = 4", "Record 4 was changed: its content"),
        ("UPDATE record SET kind = 'note' WHERE sequence = 4", "Record 4 was changed: its kind"),
        ("UPDATE store SET value = 'x' WHERE key = 'id'", "Record 1 was changed: its kind"),
        ("UPDATE store SET value = 'x' WHERE key = 'schema_1'", "The table store was changed"),
        ("INSERT INTO store VALUES ('created', '2026')", "The table store was changed"),
        ("UPDATE record SET body = '{}' WHERE sequence = 4", "Record 4 was changed: its content"),
    ],
)
def test_other_changes(store, location, without_triggers, statement, problem):
    without_triggers(store, statement)
    with open_store(location, read_only=True) as changed:
        assert any(found.startswith(problem) for found in verify(changed))


def test_what_was_changed_is_not_read_either(store, location, without_triggers):
    """Without verify, too: what is left of a body that was changed may have another form, or say something else."""
    sessions = [record.body["id"] for record in store.sessions(SessionCriteria.from_options({}.get))]
    without_triggers(
        store, "DROP VIEW newest_session_of_plan", "DROP VIEW newest_session", "CREATE VIEW newest_session AS SELECT 1"
    )
    assert [record.body["id"] for record in store.sessions(SessionCriteria.from_options({}.get))] == sessions
    store.database.execute("UPDATE record SET body = '{}' WHERE sequence = 4")
    with pytest.raises(HistoryError, match="Record 4 of the history was changed and cannot be read"):
        store.sessions(SessionCriteria.from_options({}.get))


def test_bytes_that_are_no_text(store, tmp_path, without_triggers):
    if store.database.dialect == "sqlite":
        without_triggers(store, "UPDATE record SET body = CAST(x'ff7b7d' AS TEXT) WHERE sequence = 4")
        assert verify(store) == ["Record 4 was changed: its content does not match its digest."]
        store.query("UPDATE record SET at = x'00ff' WHERE sequence = 4")
        assert verify(store) == ["Record 4 was changed: not all of its values are text."]
        with pytest.raises(
            HistoryError, match="could not be written .a value is not text; check the history with verify"
        ):
            export(store, str(tmp_path / "history.jsonl"))


def test_a_cut_tail_is_found_by_the_head_only(store, without_triggers):
    head = store.head()
    without_triggers(store, "DELETE FROM record WHERE sequence > 6", "DELETE FROM session_index WHERE sequence > 6")
    assert verify(store) == verify(store, {"sequence": 0, "hash": FIRST_HASH}) == []
    (problem,) = verify(store, head)
    assert problem == "The history ends with record 6, before the expected head 8: newer records were removed."


def test_a_tail_that_was_written_anew_is_found_by_the_head_only(store, make, without_triggers):
    head = store.head()
    without_triggers(store, "DELETE FROM record WHERE sequence > 6", "DELETE FROM session_index WHERE sequence > 6")
    store.append([make.look(), make.session(3, result="Failed"), make.look()])
    assert verify(store) == []
    assert verify(store, head) == [
        "Record 8 does not have the hash of the expected head: it was replaced, or this is another history."
    ]


def test_an_older_head_still_holds(store, make):
    head = store.head()
    store.append([make.look()])
    assert verify(store, head) == []


def test_one_change_does_not_bring_a_thousand_sentences(store, location, make, without_triggers):
    store.append(make.session(number) for number in range(10, 50))
    without_triggers(store, "UPDATE store SET value = 'x' WHERE key = 'id'")
    with open_store(location, read_only=True) as changed:
        problems = verify(changed)
    assert len(problems) == 21 and problems[-1] == "There are more problems than these 20."
