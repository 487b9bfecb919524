# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import random
from hashlib import sha256

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.criteria import SessionCriteria
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.facts import newest_per_plan, sort_key
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.times import utc_now
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history import conditions
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history import store as module
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.errors import HistoryError
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.records import FACTS, FIRST_HASH, NewRecord
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.store import open_store
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.verify import verify

ALL = SessionCriteria.from_options({}.get)


def facts(records, name):
    return [record.body[name] for record in records]


# Append


def test_a_new_history_is_empty(store):
    assert store.head() == {"sequence": 0, "hash": FIRST_HASH}
    assert list(store.records("look")) == store.sessions(ALL) == list(store.newest("session")) == []


def test_trying_to_append_leaves_nothing(store, make):
    for records in ([], [make.session(1)]):
        store.append(records)
        head = store.head()
        store.check_writable()
        assert store.head() == head
    assert verify(store) == [] and len(store.query("SELECT * FROM record")) == 1


def test_what_is_recorded_twice_is_there_once_but_each_look(store, make):
    session = make.session(1)
    assert store.append([make.look(), session]) == {"look": 1, "session": 1}
    assert store.append([make.look(), session, session]) == {"look": 1}
    look = make.look()
    assert store.append([look]) == store.append([look]) == {"look": 1}  # EM's clock has seconds
    assert len(list(store.records("look"))) == 4
    assert verify(store) == []


def test_a_state_that_comes_back_is_recorded_again(store, make):
    states = ["Ready", "Failover", "Failover", "Ready", "Ready", "Failover", "Ready", "Ready"]
    added = [store.append([make.record("points", state=state)]).get("points", 0) for state in states]
    assert added == [1, 1, 0, 1, 0, 1, 1, 0]
    assert facts(store.records("points"), "state") == [states[place] for place in (0, 1, 3, 5, 6)]
    assert facts(store.newest("points"), "state") == ["Ready"]
    assert store.append([make.record("points", state=state) for state in states]) == {"points": 4}
    assert verify(store) == []


def test_the_bytes_of_digest_and_hash_are_those_that_the_guide_describes(store, make):
    store.append([make.record("verdict", text="Grüße"), NewRecord("note", "em/a", "2026", {"text": "\ud800"})])
    previous = "0" * 64
    for row in store.query("SELECT sequence, kind, subject, at, digest, body, previous_hash, hash FROM record"):
        sequence, kind, subject, at, digest, body, previous_hash, current = row
        assert digest == sha256(body.encode()).hexdigest()
        text = json.dumps([store.store_id, sequence, kind, subject, at, digest, previous], separators=(",", ":"))
        assert (previous_hash, current) == (previous, sha256(text.encode()).hexdigest())
        previous = current
    assert body == r'{"text":"\ud800"}'


def test_nothing_is_left_of_an_append_that_fails(store, make, monkeypatch):
    store.append([make.session(1)])
    head = store.head()
    with pytest.raises(ValueError):
        store.append([make.look(), make.record("note", number=float("nan"))])
    insert = store.insert

    def broken(records, index):
        insert(records, index)
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "insert", broken)
    with pytest.raises(KeyboardInterrupt):
        store.append([make.look(), make.session(2)])
    monkeypatch.undo()
    assert store.head() == head
    assert store.append([make.look(), make.session(2)]) == {"look": 1, "session": 1}
    assert verify(store) == []


# Read


def test_newest_is_by_subject_and_em(store, make, monkeypatch):
    monkeypatch.setattr(module, "PAGE", 2)
    monkeypatch.setattr(conditions, "BATCH", 2)
    for version in range(3):
        store.append(
            make.record("plan", identity, em, version=version) for identity in "abc" for em in ("em", "e", "em2")
        )
    store.append([make.record("plan", "a", "em", version="last")])
    assert len(list(store.newest("plan"))) == 9
    assert facts(store.newest("plan", em_name="em"), "version") == [2, 2, "last"]
    assert {record.subject for record in store.newest("plan", em_name="e")} == {"e/a", "e/b", "e/c"}
    chosen = store.newest("plan", ["em/a", "em2/b", "em/nothing", "em2/c"], "em")
    assert [record.subject for record in chosen] == ["em/a"]
    assert list(store.newest("plan", [])) == list(store.newest("session")) == []


def test_who_reads_sees_what_there_was_at_the_beginning(store, location, make, monkeypatch):
    monkeypatch.setattr(module, "PAGE", 1)
    store.append([make.record("plan", name, version=1) for name in "abc"])
    reading = store.newest("plan")
    first = next(reading)
    with open_store(location) as other:
        other.append([make.record("plan", name, version=2) for name in "abcd"])
    assert facts([first, *reading], "version") == [1] * 3
    assert facts(store.newest("plan"), "version") == [2] * 4


def test_records_of_a_subject(store, make):
    store.append([make.record("run", name, step=step) for step in range(3) for name in "ab"])
    assert [record.sequence for record in store.records("run", ["em.example.com/b"])] == [2, 4, 6]


def some_sessions(random_):
    servers = [None, *({"id": id_, "name": name} for id_ in (None, "1", "2") for name in ("b1", "b2"))]
    times = [None, *(f"2026-03-01T00:00:0{second}.000000Z" for second in range(9))]
    for dummy in range(150):
        state = random_.choice(["Working", "Stopped", "Starting", None])
        yield (
            random_.randrange(60),
            {
                "name": random_.choice(["Acme", "acme", "Ümlaut", "A, B", None]),
                "backup_server": random_.choice(servers),
                "state": state,
                "result": random_.choice(["Success", "Failed", "None"]),
                "creation_time": random_.choice(times),
                "end_time": random_.choice(times),
                "finished": state == "Stopped",
            },
        )


def some_criteria(random_, ids):
    def some(values):
        return random_.choice([None, None, random_.sample(values, random_.randint(1, len(values)))])

    times = [None, None, None, *(f"2026-03-01T00:00:0{second}Z" for second in range(9))]
    options = {
        "id": random_.choice([None, None, random_.sample(ids, 20)]),
        "name": some(["Acme", "acme", "Ümlaut", "A, B", "none"]),
        "backup_server": some(["b1", "b2"]),
        "state": some(["Working", "Stopped"]),
        "result": some(["Success", "Failed", "None"]),
        "created_after": random_.choice(times),
        "ended_before": random_.choice(times),
        "limit": random_.choice([None, 1, 3, 100]),
        "latest_per_plan": random_.random() < 0.3,
        "sort_order": random_.choice(["ascending", "descending"]),
    }
    if not options["latest_per_plan"]:
        options.update({"created_before": None, "ended_after": None})
    return SessionCriteria.from_options(options.get)


def test_sessions_are_those_that_the_criteria_choose_from_the_newest_facts(store, make):
    random_ = random.Random(17)
    newest = {}
    for number, given in some_sessions(random_):
        record = make.session(number, **given)
        store.append([record])
        newest[record.body["id"]] = record.body
    ids = sorted(newest)
    for dummy in range(200):
        criteria = some_criteria(random_, ids)
        sessions = sorted(newest.values(), key=sort_key)
        if criteria.latest_per_plan:
            sessions = newest_per_plan(sessions)
        wanted = sorted(filter(criteria.matches, sessions), key=sort_key, reverse=criteria.descending)
        assert [record.body for record in store.sessions(criteria)] == wanted[: criteria.limit], criteria


def test_sessions_of_two_ems_are_kept_apart(store, make):
    store.append([make.session(1, em="one"), make.session(1, em="two", result="Failed"), make.session(2, em="two")])
    latest = SessionCriteria.from_options({"latest_per_plan": True}.get)
    assert len(store.sessions(ALL)) == 3
    assert [record.subject[:3] for record in store.sessions(ALL, ["one"])] == ["one"]
    assert sorted(record.sequence for record in store.sessions(latest)) == [1, 3]
    assert store.sessions(ALL, []) == []


def test_views_for_sql_and_grafana(store, make):
    plan = "11111111-d045-4493-9869-0a970e08f6f9"
    store.append([make.look("a/b"), make.session(1, state="Working"), make.session(2, result="Failed")])
    store.append([make.look("a/b"), make.session(1), make.record("plan", plan, "a/b", name="Acme")])
    rows = store.query("SELECT session_id, state, result FROM newest_session ORDER BY session_id")
    assert [row[1:] for row in rows] == [("Stopped", "Success"), ("Stopped", "Failed")]
    assert [row[0][7] for row in store.query("SELECT session_id FROM newest_session_of_plan")] == ["2"]
    assert store.query("SELECT em_name, at FROM look ORDER BY sequence")[1] == ("a/b", "2026-03-02T00:00:01.000000Z")
    ((em_name, plan_id, body),) = store.query("SELECT em_name, plan_id, body FROM newest_plan")
    assert (em_name, plan_id, json.loads(body)["name"]) == ("a/b", plan, "Acme")


# Nothing is changed

VALUES = "kind, subject, at, digest, body, previous_hash, hash"
REFUSED = {
    "update": "UPDATE record SET body = '{}'",
    "update of one": "UPDATE record SET at = at WHERE sequence = 1",
    "update of nothing": "UPDATE record SET at = at WHERE sequence = 99",
    "delete": "DELETE FROM record WHERE sequence = 2",
    "gap": f"INSERT INTO record SELECT 9, {VALUES.replace('digest', 'hash')} FROM record WHERE sequence = 2",
    "no continuation": f"INSERT INTO record SELECT 3, {VALUES.replace('digest', 'hash')} FROM record WHERE sequence = 2",
    "double": f"INSERT INTO record SELECT 3, {VALUES.replace('previous_hash, hash', 'hash, hash')} FROM record WHERE sequence = 2",
    "upsert": f"INSERT INTO record SELECT sequence, {VALUES} FROM record WHERE true ON CONFLICT (sequence) DO UPDATE SET body = 'x'",
    "upsert of the digest": f"INSERT INTO record SELECT 3, {VALUES.replace('previous_hash, hash', 'hash, hash')} FROM record WHERE"
    " sequence = 2 ON CONFLICT (kind, subject, digest) DO UPDATE SET body = 'x'",
    "index update": "UPDATE session_index SET result = 'Success'",
    "index delete": "DELETE FROM session_index",
    "index upsert": "INSERT INTO session_index SELECT * FROM session_index WHERE true ON CONFLICT (sequence) DO UPDATE SET plan = 'x'",
    "index row of a look": "INSERT INTO session_index (sequence, em_name, session_id, seen_at) VALUES (1, 'a', 'b', 'c')",
    "index row ahead": "INSERT INTO session_index (sequence, em_name, session_id, seen_at) VALUES (9, 'a', 'b', 'c')",
    "store update": "UPDATE store SET value = '7'",
    "store delete": "DELETE FROM store",
    "store upsert": "INSERT INTO store VALUES ('id', 'x') ON CONFLICT (key) DO UPDATE SET value = 'x'",
}
REFUSED_BY_SQLITE = {
    "replace": f"REPLACE INTO record SELECT sequence, {VALUES.replace('body', 'digest')} FROM record",
    "or replace": f"INSERT OR REPLACE INTO record SELECT sequence, {VALUES} FROM record WHERE sequence = 2",
    "or replace by rowid": f"INSERT OR REPLACE INTO record (rowid, {VALUES}) SELECT sequence, {VALUES} FROM record WHERE sequence = 1",
    "or replace by digest": f"INSERT OR REPLACE INTO record SELECT 3, {VALUES.replace('previous_hash, hash', 'hash, hash')}"
    " FROM record WHERE sequence = 2",
    "or replace in the index": "INSERT OR REPLACE INTO session_index SELECT * FROM session_index",
    "or replace in store": "INSERT OR REPLACE INTO store VALUES ('id', 'x')",
    "or replace in store by rowid": "INSERT OR REPLACE INTO store (rowid, key, value) VALUES (1, 'x', 'x')",
    "update or replace": "UPDATE OR REPLACE record SET sequence = 1 WHERE sequence = 2",
    "update or ignore": "UPDATE OR IGNORE record SET body = 'x'",
}
REFUSED_BY_POSTGRESQL = {
    **{f"truncate {table}": f"TRUNCATE {table}" for table in ("record", "session_index", "store")},
    "truncate all": "TRUNCATE record, session_index, store CASCADE",
    "merge": "MERGE INTO record r USING record s ON r.sequence = s.sequence WHEN MATCHED THEN UPDATE SET body = 'x'",
}
TABLES = ("record", "session_index", "store")


def content(store):
    return [sorted(store.query(f"SELECT * FROM {table}"), key=str) for table in TABLES]


def test_sql_changes_nothing(store, make):
    store.append([make.look(), make.session(1)])
    before = content(store)
    own = REFUSED_BY_SQLITE if store.database.dialect == "sqlite" else REFUSED_BY_POSTGRESQL
    for name, statement in {**REFUSED, **own}.items():
        try:
            store.query(statement)
        except HistoryError as exc:
            refused = "append-only" in str(exc)
            assert refused or name == "or replace in store by rowid", (name, exc)
        else:
            # A trigger of SQLite fires for each row, so an update of none goes through.
            assert store.database.dialect == "sqlite" and name == "update of nothing"
        assert content(store) == before, name
    assert store.append([make.session(2)]) == {"session": 1}


# Several at once, and interrupted

PER_TIME = 41


def test_four_who_write_at_once(location, start_writer):
    writers = [start_writer(location, name, 6) for name in "abcd"]  # none has created it yet
    heads = [int(line) for writer in writers for line in writer.communicate()[0].split()]
    assert [writer.returncode for writer in writers] == [0] * 4
    with open_store(location) as store:
        subjects = [subject for (subject,) in store.query("SELECT subject FROM record ORDER BY sequence")]
        assert verify(store) == []
        assert store.head()["sequence"] == len(subjects) == len(set(subjects)) == 4 * 6 * PER_TIME
    # Each append was in one piece, and nobody was told of the head of another.
    assert sorted(heads)[-1] == len(subjects)
    pieces = [
        {subject.split("-")[0] for subject in subjects[at : at + PER_TIME]} for at in range(0, len(subjects), PER_TIME)
    ]
    assert all(len(names) == 1 for names in pieces)


def test_a_writer_that_is_killed(location, start_writer):
    told = 0
    for attempt in range(4):
        writer = start_writer(location, attempt, 1000)
        for dummy in range(attempt + 1):
            told = int(writer.stdout.readline())
        writer.kill()
        writer.communicate()
        with open_store(location, read_only=True) as store:
            assert store.head()["sequence"] >= told
            assert store.head()["sequence"] % PER_TIME == 0
            assert verify(store) == []
    assert start_writer(location, "last", 1).wait() == 0


@pytest.mark.parametrize("bad", [None, "{", "[]", "null"])
def test_a_record_that_cannot_be_read_is_named(store, make, without_triggers, bad):
    store.append([make.record("note", text="x")])
    without_triggers(store, f"UPDATE record SET body = '{bad}'")
    with pytest.raises(HistoryError, match="Record 1 of the history was changed and cannot be read"):
        list(store.records("note"))


POINT = {"id": "a", "name": "b"}
TASK = {"vm_name": "db", "replica_point": POINT, **dict.fromkeys(FACTS["session"] - {"id", "uid", "name", "job_type"})}
FORGED = [
    *((kind, {name: None for name in facts - {left_out}}) for kind, facts in FACTS.items() for left_out in facts),
    ("session", {**dict.fromkeys(FACTS["session"]), "tasks": None}),
    *(
        ("session", {**dict.fromkeys(FACTS["session"]), "tasks": [task]})
        for task in ("x", {"vm_name": "db"}, {**TASK, "replica_point": "x"}, {**TASK, "replica_point": {}})
    ),
    *((kind, {**dict.fromkeys(FACTS[kind]), "tasks": [], "backup_server": "x"}) for kind in ("plan", "points")),
]


@pytest.mark.parametrize(("kind", "body"), FORGED)
def test_a_record_that_was_forged_with_its_hashes_is_named(file, kind, body):
    """Whoever may write the store can append what this collection never would."""
    with open_store(file, create=True) as store:
        store.append([NewRecord(kind, "em/a", "2026", body)])
        (problem,) = verify(store)
        assert problem == "Record 1 was not written by this collection: it does not have the facts of its kind."
        with pytest.raises(HistoryError, match="Record 1 of the history was changed and cannot be read"):
            list(store.records(kind))
        assert store.append([NewRecord(kind, "em/b", "2026", {**dict.fromkeys(FACTS[kind]), "tasks": [TASK]})])
        assert len(list(store.records(kind, ["em/b"]))) == 1


def test_a_kind_of_its_own_order(store):
    """The subject of one kind does not meet the same subject of another."""
    store.append([NewRecord(kind, "em/x", "2026", {"a": 1}) for kind in ("run", "verdict", "note")])
    assert store.append([NewRecord("verdict", "em/x", "2026", {"a": 1})]) == {}


def test_a_name_with_bytes_that_are_not_utf_8(store, make):
    store.append([make.session(1)])
    with pytest.raises(HistoryError, match="bytes that are not UTF-8. Check names"):
        store.sessions(SessionCriteria(utc_now(), names=frozenset({"a\ud800"})))
