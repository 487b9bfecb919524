# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A history as JSON Lines: export for auditors and backups, import to move it to another database.

The first line is ``{"head", "history": 1, "store_id"}``, each other one a record with its eight columns. ``body``
is a string, the bytes that ``digest`` is of. docs/history.md shows how to check such a file without this collection.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from itertools import islice
from typing import Any

from .errors import HistoryError, NoHistoryError
from .records import FIRST_HASH, Head, canonical, index_row
from .schema import RECORD_COLUMNS
from .store import PAGE, Store, connect
from .verify import check_record

FORMAT = 1


_COLUMNS = RECORD_COLUMNS.split(", ")
_TYPES = [int] + [str] * 7


def export(store: Store, path: str) -> int:
    """Write all records to a file for this user only, as a whole or not at all.

    :returns: the number of records.
    :raises HistoryError: the store cannot be read, or the file cannot be written.
    """
    if os.path.realpath(path) == store.location:
        hint = "Nothing was written. Give another file as export"
        raise HistoryError("The export would replace the history itself", hint, path)
    head = store.head()
    start = {"history": FORMAT, "store_id": store.store_id, "head": head}
    count, unfinished = 0, ""
    try:
        folder = os.path.dirname(os.path.abspath(path))
        handle, unfinished = tempfile.mkstemp(dir=folder, prefix=".history-")  # mode 0600
        with open(handle, "w", encoding="ascii") as file:
            file.write(canonical(start) + "\n")
            for rows in store.raw_pages(until=head["sequence"]):
                count += len(rows)
                file.writelines(canonical(dict(zip(_COLUMNS, row))) + "\n" for row in rows)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except (OSError, TypeError) as exc:
        why = getattr(exc, "strerror", "a value is not text; check the history with verify")
        problem = f"The export could not be written ({why})"
        raise HistoryError(problem, "Check the folder, its permissions and its free space", path) from None
    finally:
        with suppress(OSError):  # after the replacement it has this name no longer
            os.unlink(unfinished)
    return count


def import_records(
    path: str, location: str, password: str | None = None, *, keep: bool = True
) -> tuple[dict[str, int], Head]:
    """Create a store from an export: same id, sequences and hashes, so that heads that were noted still hold.

    For a user this is the option ``import_from`` of failover_history, which then reads no EM. All or nothing.

    :arg path: the export.
    :arg location: of the new store; see :func:`open_store`.
    :arg keep: False for check mode, which creates nothing.
    :returns: the number of records by kind, and the head.
    :raises HistoryError: the file is not a whole export, or there is a history at the location already.
    """
    try:
        with ExitStack() as stack:
            lines = _lines(stack.enter_context(open(path, encoding="ascii")), path)
            store = None
            with suppress(NoHistoryError):  # no file yet, and none may be created
                store = stack.enter_context(Store(connect(location, password, create=keep)))
            start = next(lines, {})
            if start.get("history") != FORMAT or not isinstance(start.get("store_id"), str) or "head" not in start:
                hint = "Nothing was imported. Give another file"
                raise HistoryError("The file is not an export of a history", hint, path)
            if store:
                stack.enter_context(store.transaction(keep))
                if store.version():
                    hint = "Nothing was imported. Give a new file or an empty database"
                    raise HistoryError("There is a history already, and an import replaces none", hint, store.location)
                store.create(0, start["store_id"])
            counts = Counter[str]()
            head = Head(sequence=0, hash=FIRST_HASH)
            for rows, index in _pages(lines, start["store_id"], path):
                if store:
                    store.insert(rows, index)
                counts.update(row[1] for row in rows)
                head = Head(sequence=rows[-1][0], hash=rows[-1][7])
            if start["head"] != head:
                raise _broken(f"It ends with record {head['sequence']}, but its first line names another head", path)
            return dict(counts), head
    except (OSError, UnicodeDecodeError) as exc:
        problem = f"The export cannot be read ({getattr(exc, 'strerror', None) or 'it is not ASCII'})"
        raise HistoryError(problem, "Nothing was imported. Check the file", path) from None


def _pages(
    lines: Iterator[dict[str, Any]], store_id: str, path: str
) -> Iterator[tuple[list[list[Any]], list[tuple[Any, ...]]]]:
    """The rows of all records, checked, and those of the index for them."""
    sequence, previous = 0, FIRST_HASH
    while page := list(islice(lines, PAGE)):
        rows: list[list[Any]] = [[line.get(name) for name in _COLUMNS] for line in page]
        index = []
        for row in rows:
            if [type(value) for value in row] != _TYPES:
                raise _broken(f"What follows record {sequence} is not a record", path)
            problems, body = check_record(store_id, row, sequence, previous)
            if problems or body is None:
                raise _broken(problems[0][:-1], path)
            if row[1] == "session":
                index.append(index_row(row[0], row[2], row[3], body))
            sequence, previous = row[0], row[7]
        yield rows, index


def _lines(file: Iterator[str], path: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(file, 1):
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise _broken(f"Line {number} is not a JSON object", path)
        yield value


def _broken(problem: str, path: str) -> HistoryError:
    return HistoryError(
        f"The export is damaged: {problem}", "Nothing was imported. Export again, or give another file", path
    )
