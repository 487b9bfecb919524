# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What docs/history.md shows works, and the messages that it explains are those that the code prints."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.export import export
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.records import NewRecord, subject_of
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.store import open_store

REPO = Path(__file__).resolve().parents[3]
GUIDE = (REPO / "docs" / "history.md").read_text(encoding="utf-8")
SOURCES = "".join(path.read_text(encoding="utf-8") for path in (REPO / "plugins/module_utils/_history").glob("*.py"))
AT = "2026-03-01T08:00:00.000000Z"
PLAN = "11111111-d045-4493-9869-0a970e08f6f9"


def code(language):
    (block,) = re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    return block


def records():
    vms = [{"vm_name": "Größe", "result": "Success"}, {"vm_name": "web01", "result": "Failed"}]
    facts = {"id": PLAN, "name": "Acme", "creation_time": AT, "tasks": vms}
    yield NewRecord("look", subject_of("em", AT), AT, {"complete": True})
    yield NewRecord("session", subject_of("em", PLAN), AT, facts)
    yield NewRecord("plan", subject_of("em", PLAN), AT, {"name": "Acme"})


@pytest.fixture
def check(tmp_path):
    """Run the guide's program on an export, changed or as it is; returns its exit status and what it says."""
    program = tmp_path / "check_history.py"
    program.write_text(code("python"), encoding="utf-8")
    path = tmp_path / "history.jsonl"
    with open_store(str(tmp_path / "history.db"), create=True) as store:
        store.append(records())
        export(store, str(path))

    def run(change=lambda lines: lines, *arguments):
        lines = change(path.read_text(encoding="ascii").splitlines())
        (tmp_path / "given.jsonl").write_text("\n".join(lines), encoding="ascii")
        command = [sys.executable, str(program), str(tmp_path / "given.jsonl"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    run.head = json.loads(path.read_text(encoding="ascii").splitlines()[0])["head"]
    return run


def test_the_check_by_hand_accepts_what_is_whole(check):
    head = check.head["hash"]
    assert check() == (0, f"3 records hold. Head: 3 {head}\n")
    assert check(lambda lines: lines, "3", head)[0] == 0


@pytest.mark.parametrize("column", ["sequence", "kind", "subject", "at", "digest", "body", "previous_hash", "hash"])
def test_the_check_by_hand_finds_each_change(check, column):
    def change(lines):
        record = json.loads(lines[2])
        record[column] = 7 if column == "sequence" else record[column] + "x"
        return [*lines[:2], json.dumps(record), *lines[3:]]

    assert check(change) == (1, "Record 2 was changed, or one before it is missing\n")


def test_the_check_by_hand_finds_what_is_missing(check):
    head = check.head["hash"]
    assert check(lambda lines: [*lines[:2], *lines[3:]])[0] == 1
    assert check(lambda lines: lines[:-1])[0] == 0  # as the guide says: only the head shows it
    assert check(lambda lines: lines[:-1], "3", head) == (1, "Record 3 is missing or another one\n")
    assert check(lambda lines: lines, "3", "0" * 64)[0] == 1


def test_the_check_by_hand_is_short():
    assert len([line for line in code("python").splitlines() if line and not line.startswith(("#", "import"))]) <= 20


def test_the_query_and_the_views(postgres):
    database = postgres.new_database()
    with open_store(postgres.url(database), create=True) as store:
        store.append(records())
    rows = postgres.execute(code("sql"), database, "owner")
    assert [(plan, vm, result) for plan, dummy, vm, result in rows] == [
        ("Acme", "Größe", "Success"),
        ("Acme", "web01", "Failed"),
    ]
    for view, columns in re.findall(r"^\| `(newest_session|newest_plan|look)` \|.*\| (.*) \|$", GUIDE, re.MULTILINE):
        names = set(re.findall(r"`(\w+)`", columns))
        sql = f"SELECT column_name FROM information_schema.columns WHERE table_name = '{view}'"
        assert {name for (name,) in postgres.execute(sql, database)} == names


def test_the_messages_are_those_of_the_code():
    table = GUIDE.partition("## When it cannot be used")[2]
    messages = re.findall(r"^\| ([A-Z].*?) \|", table, re.MULTILINE)[1:]
    assert len(messages) > 15
    text = re.sub(r'"\s*\n\s*f?"', "", SOURCES).replace("{BUSY_SECONDS:g}", "30")
    for message in messages:
        parts = message.removeprefix("The history ").split("...")
        assert all(part.strip() in text for part in parts), message


def test_each_problem_of_a_database_is_explained():
    from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history import postgresql, sqlite

    problems = [problem for dummy, problem, hint in sqlite._PROBLEMS]
    problems += [problem for problem, hint in postgresql._PROBLEMS.values()]
    unexplained = [
        problem
        for problem in problems
        if not any(part in GUIDE for part in (problem, problem.partition(":")[0])) and "append-only" not in problem
    ]
    assert not unexplained
