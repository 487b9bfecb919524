# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find what was changed in a store: content, hashes, their chain, the index, what the store says of itself, a missing end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from .records import FIRST_HASH, Head, body_of, hash_of, index_row, sha256
from .schema import INDEX_COLUMNS
from .store import Store

MAX_PROBLEMS = 20
"""Problems that are named. One change can break everything behind it."""


def verify(store: Store, expected_head: Head | None = None) -> list[str]:
    """What does not hold, as sentences; none if all records are as they were recorded.

    :arg expected_head: a head that was noted before. Without one, it cannot be seen that the newest records were removed,
        or that everything was written anew. The id of an empty history is in no hash, but nobody has noted a head of it either.
    :raises HistoryError: the store cannot be read.
    """
    problems = list(islice(_problems(store, expected_head), MAX_PROBLEMS + 1))
    if len(problems) > MAX_PROBLEMS:
        problems[MAX_PROBLEMS:] = [f"There are more problems than these {MAX_PROBLEMS}."]
    return problems


def check_record(
    store_id: str, row: Sequence[Any], sequence: int, previous: str
) -> tuple[list[str], dict[str, Any] | None]:
    """What does not hold for one row of ``record``, and its body, None if that cannot be read.

    :arg sequence: of the row before.
    :arg previous: the hash of the row before.
    """
    number, kind, subject, at, digest, text, previous_hash, current = row
    problems, body = [], None
    if number != sequence + 1:
        missing = (
            f"Records {sequence + 1} to {number - 1} are" if number > sequence + 2 else f"Record {sequence + 1} is"
        )
        problems.append(f"{missing} missing before record {number}.")
    elif previous_hash != previous:
        problems.append(f"Record {number} does not continue the one before it: one of them was changed or replaced.")
    if not all(isinstance(value, str) for value in row[1:]):
        return [*problems, f"Record {number} was changed: not all of its values are text."], None
    if hash_of(store_id, number, kind, subject, at, digest, previous_hash) != current:
        problems.append(
            f"Record {number} was changed: its kind, subject, time, digest or hash, or the id of the store."
        )
    if sha256(text) != digest:
        return [*problems, f"Record {number} was changed: its content does not match its digest."], None
    try:
        body = body_of(kind, text)
    except ValueError:
        problems.append(f"Record {number} was not written by this collection: it does not have the facts of its kind.")
    return problems, body


def _problems(store: Store, expected_head: Head | None) -> Iterator[str]:
    sequence, previous = 0, FIRST_HASH
    for rows in store.raw_pages(since=-(2**62)):
        sql = f"SELECT {INDEX_COLUMNS} FROM session_index WHERE sequence BETWEEN ? AND ?"
        index = {row[0]: row for row in store.query(sql, [rows[0][0], rows[-1][0]])}
        for row in rows:
            problems, body = check_record(store.store_id, row, sequence, previous)
            yield from problems
            if row[1] == "session" and body:
                if row[0] not in index:
                    yield f"The session index has no row for record {row[0]}."
                elif tuple(index[row[0]]) != index_row(row[0], row[2], row[3], body):
                    yield f"The session index says something else than record {row[0]}."
            sequence, previous = row[0], row[7]
    surplus = (
        "SELECT sequence FROM session_index i WHERE NOT EXISTS"
        " (SELECT 1 FROM record r WHERE r.sequence = i.sequence AND r.kind = 'session') ORDER BY sequence"
    )
    for (number,) in store.query(surplus):
        yield f"The session index has a row {number}, but record {number} is not of a session, or is missing."
    if dict(store.query("SELECT key, value FROM store")) != dict(store.facts()):
        yield "The table store was changed: it does not have the values that it was created with."
    if expected_head is not None:
        yield from _head_problems(store, expected_head, sequence)


def _head_problems(store: Store, expected: Head, last: int) -> Iterator[str]:
    number = expected["sequence"]
    if number > last:
        yield f"The history ends with record {last}, before the expected head {number}: newer records were removed."
        return
    rows = store.query("SELECT hash FROM record WHERE sequence = ?", [number]) if number else [(FIRST_HASH,)]
    if rows != [(expected["hash"],)]:
        yield f"Record {number} does not have the hash of the expected head: it was replaced, or this is another history."
