# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history import export as module
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.errors import HistoryError
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.export import export, import_records
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.records import FIRST_HASH, hash_of, sha256
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.schema import RECORD_COLUMNS
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.store import open_store
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.verify import verify


@pytest.fixture
def exported(tmp_path, make, monkeypatch):
    """A file of eight records, and the head of its history."""
    monkeypatch.setattr(module, "PAGE", 3)
    with open_store(str(tmp_path / "first.db"), create=True) as store:
        for number in range(4):
            store.append([make.look(), make.session(number, name="Grüße")])
        path = tmp_path / "history.jsonl"
        assert export(store, str(path)) == 8
        return path, store.head()


def test_an_export_is_for_its_user_only_and_whole(exported, tmp_path):
    path, head = exported
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    start, *records = map(json.loads, path.read_text(encoding="ascii").splitlines())
    assert start["head"] == head and len(records) == 8
    assert sorted(os.listdir(tmp_path)) == ["first.db", "history.jsonl"]


def test_sha256sum_agrees(exported):
    line = json.loads(exported[0].read_text(encoding="ascii").splitlines()[4])
    done = subprocess.run(["sha256sum"], input=line["body"].encode(), capture_output=True, check=True)
    assert done.stdout.split()[0].decode() == line["digest"]


@pytest.mark.parametrize("there", [False, True])
def test_an_export_that_cannot_be_written(file, tmp_path, make, monkeypatch, there):
    path = tmp_path / "history.jsonl"
    if there:
        path.write_text("before", encoding="ascii")

    def full(handle):
        raise OSError(28, "No space left on device")

    with open_store(file, create=True) as store:
        store.append([make.session(1)])
        with monkeypatch.context() as patch:
            patch.setattr(module.os, "fsync", full)
            with pytest.raises(HistoryError, match="could not be written .No space left on device.. Check the folder"):
                export(store, str(path))
        for bad in (tmp_path, tmp_path / "none" / "x"):
            with pytest.raises(HistoryError, match="could not be written"):
                export(store, str(bad))
    assert not there or path.read_text(encoding="ascii") == "before"
    assert set(os.listdir(tmp_path)) == {"history.db", *(["history.jsonl"] if there else [])}


def test_a_history_moves_to_another_database(exported, location, tmp_path, make):
    path, head = exported
    assert import_records(str(path), location) == ({"look": 4, "session": 4}, head)
    with open_store(location) as store:
        assert store.head() == head and verify(store, head) == []
        again = tmp_path / "again.jsonl"
        export(store, str(again))
        assert again.read_bytes() == path.read_bytes()
        assert store.append([make.session(3, name="Grüße"), make.session(9)]) == {"session": 1}


def test_an_import_replaces_nothing(exported, location, make):
    with open_store(location, create=True) as store:
        with pytest.raises(
            HistoryError, match="There is a history already, and an import replaces none. Nothing was imp"
        ):
            import_records(str(exported[0]), location)
        assert store.head()["sequence"] == 0


def changed(lines, place, **values):
    return [*lines[:place], json.dumps({**json.loads(lines[place]), **values}), *lines[place + 1 :]]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda lines: lines[:-1], "It ends with record 7, but its first line names another head"),
        (lambda lines: lines[1:], "not an export of a history"),
        (lambda lines: [], "not an export of a history"),
        (lambda lines: ["x", *lines], "Line 1 is not a JSON object"),
        (lambda lines: ["[]", *lines], "Line 1 is not a JSON object"),
        (lambda lines: [*lines[:4], lines[4][:99]], "Line 5 is not a JSON object"),
        (lambda lines: [*lines[:4], *lines[5:]], "Record 4 is missing before record 5"),
        (lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]], "Record 4 is missing before record 5"),
        (lambda lines: changed(lines, 4, body="{}"), "Record 4 was changed: its content"),
        (lambda lines: changed(lines, 4, at="2026"), "Record 4 was changed: its kind"),
        (lambda lines: changed(lines, 4, sequence="4"), "What follows record 3 is not a record"),
        (lambda lines: changed(lines, 4, body=None), "What follows record 3 is not a record"),
        (lambda lines: changed(lines, 0, store_id="x"), "Record 1 was changed: its kind"),
        (lambda lines: changed(lines, 0, history=2), "not an export of a history"),
        (lambda lines: changed(lines, 0, head="x"), "but its first line names another head"),
        (lambda lines: [*lines[:4], "Grüße"], "it is not ASCII"),
    ],
)
def test_a_damaged_export(exported, file, change, problem):
    path, head = exported
    path.write_text("\n".join(change(path.read_text(encoding="ascii").splitlines())), encoding="utf-8")
    with pytest.raises(HistoryError) as caught:
        import_records(str(path), file)
    assert problem in str(caught.value)
    assert "Nothing was imported. " in str(caught.value)
    with pytest.raises(HistoryError, match="There is no history yet"):
        open_store(file)


@pytest.mark.parametrize("body", ["[]", "x", '{"backup_server": "x"}'])
def test_an_export_with_a_record_that_has_no_facts(tmp_path, file, body):
    digest = sha256(body)
    chain = hash_of("id", 1, "session", "em/x", "2026", digest, FIRST_HASH)
    record = [1, "session", "em/x", "2026", digest, body, FIRST_HASH, chain]
    start = {"history": 1, "store_id": "id", "head": {"sequence": 1, "hash": chain}}
    path = tmp_path / "crafted.jsonl"
    path.write_text(f"{json.dumps(start)}\n{json.dumps(dict(zip(RECORD_COLUMNS.split(', '), record)))}\n")
    words = "The export is damaged: Record 1 was not written by this collection: it does not have the facts of its kind. Nothing"
    with pytest.raises(HistoryError, match=words):
        import_records(str(path), file)


def test_an_export_that_cannot_be_read(tmp_path, file):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(HistoryError, match="The export cannot be read"):
            import_records(str(path), file)
    assert not Path(file).exists()
