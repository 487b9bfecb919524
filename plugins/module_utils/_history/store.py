# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The store of the history: open it, append records in one transaction, read them back.

One code path for SQLite and PostgreSQL. Nothing that was recorded is ever changed; readers see what there was when they
started, however many write meanwhile.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, cast

from .._failover.criteria import SessionCriteria
from .._failover.facts import Session, newest_per_plan, sort_key
from .conditions import batches, one_of, session_terms
from .errors import HistoryError, NoHistoryError, OvertakenError
from .postgresql import Postgresql
from .records import (
    FIRST_HASH,
    KINDS,
    SEEN_AGAIN,
    STATES,
    Head,
    NewRecord,
    StoredRecord,
    body_of,
    canonical,
    hash_of,
    index_row,
    sha256,
    split_subject,
    subject_of,
)
from .schema import APPLIED, INDEX_COLUMNS, MIGRATIONS, NEWEST_SESSION, RECORD_COLUMNS
from .sqlite import Sqlite

PAGE = 1000
"""Rows that are read at a time: no read holds a lock for long."""


class Store:
    """A history, open. Make it with :func:`open_store`, use it with ``with``. One thread at a time.

    :ivar location: file or URL, fit to be shown.
    :ivar store_id: 32 hex digits, which each hash contains.
    """

    def __init__(self, database: Sqlite | Postgresql) -> None:
        self.database = database
        self.location = database.location
        self.store_id = ""

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *dummy: object) -> None:
        self.database.close()

    def head(self) -> Head:
        """The newest record, to be noted where nobody can change it."""
        rows = self.query("SELECT sequence, hash FROM record ORDER BY sequence DESC LIMIT 1")
        return {"sequence": rows[0][0], "hash": rows[0][1]} if rows else {"sequence": 0, "hash": FIRST_HASH}

    def check_writable(self) -> None:
        """Append a record and undo that, which leaves nothing behind.

        :raises HistoryError: this user cannot append.
        """
        self.append([NewRecord("look", subject_of("", ""), "", {})], keep=False)

    def append(self, records: Iterable[NewRecord], since: int | None = None, keep: bool = True) -> dict[str, int]:
        """Append what is new, all in one transaction.

        A record whose body equals the newest one of its kind and subject is left out, but a look is always recorded.

        :arg since: the sequence of the head before EM was read; None for what is not read from EM.
        :arg keep: whether to keep what was appended, and not undo it at once.
        :returns: the number of appended records by kind.
        :raises OvertakenError: another state of something was recorded since.
        :raises HistoryError: nothing was appended.
        """
        new = [(record, record.text, record.digest) for record in records]
        with self.transaction(keep):
            head = self.head()
            sequence, previous = head["sequence"], head["hash"]
            digests = self.digests(record for record, dummy, dummy in new)
            rows, index, counts = [], [], Counter[str]()
            for record, text, digest in new:
                known = digests.setdefault((record.kind, record.subject), {})
                newest = next(reversed(known), None)
                again = 0
                while digest in known and (digest != newest or record.kind == "look"):
                    again += 1
                    text = canonical({**record.body, SEEN_AGAIN: again})
                    digest = sha256(text)
                if digest in known:
                    continue
                if since is not None and newest and known[newest] > since and record.kind in STATES:
                    raise OvertakenError(self.location)
                known[digest] = 0
                sequence += 1
                current = hash_of(self.store_id, sequence, record.kind, record.subject, record.at, digest, previous)
                rows.append((sequence, record.kind, record.subject, record.at, digest, text, previous, current))
                previous = current
                counts[record.kind] += 1
                if record.kind == "session":
                    index.append(index_row(sequence, record.subject, record.at, record.body))
            self.insert(rows, index)
        return dict(counts)

    def digests(self, records: Iterable[NewRecord]) -> dict[tuple[str, str], dict[str, int]]:
        """The digests of all records of these kinds and subjects, oldest first, with their sequences."""
        subjects: dict[str, dict[str, None]] = {}
        for record in records:
            subjects.setdefault(record.kind, {})[record.subject] = None
        digests: dict[tuple[str, str], dict[str, int]] = {}
        for kind, wanted in subjects.items():
            for batch in batches(wanted):
                condition, values = one_of("subject", batch)
                sql = f"SELECT subject, digest, sequence FROM record WHERE kind = ? AND {condition} ORDER BY sequence"
                for subject, digest, sequence in self.query(sql, [kind, *values]):
                    digests.setdefault((kind, subject), {})[digest] = sequence
        return digests

    def insert(self, records: Sequence[Sequence[Any]], index: Sequence[Sequence[Any]]) -> None:
        """Insert rows as they are, inside of a transaction; the triggers see that they follow the head."""
        for table, columns, rows in (("record", RECORD_COLUMNS, records), ("session_index", INDEX_COLUMNS, index)):
            marks = ", ".join("?" for dummy in columns.split(","))
            if rows:
                self.database.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)

    def records(
        self, kind: str, subjects: Iterable[str] | None = None, em_name: str | None = None, newest: bool = False
    ) -> Iterator[StoredRecord]:
        """The records of a kind, oldest first (in batches of subjects where these are given).

        :arg em_name: only subjects of this EM.
        :arg newest: of each subject only the newest one.
        """
        until = self.head()["sequence"]
        terms, values = ["kind = ?"], [kind]
        if newest:
            terms.append(
                "NOT EXISTS (SELECT 1 FROM record n WHERE n.kind = r.kind AND n.subject = r.subject"
                f" AND n.sequence > r.sequence AND n.sequence <= {until})"
            )
        if em_name is not None:
            terms.append("substr(subject, 1, length(?)) = ?")
            values += [f"{em_name}/"] * 2
        for batch in [None] if subjects is None else batches(subjects):
            condition, wanted = ("1 = 1", []) if batch is None else one_of("subject", batch)
            for rows in self.raw_pages([*terms, condition], [*values, *wanted], until=until):
                yield from map(self._stored, rows)

    def newest(
        self, kind: str, subjects: Iterable[str] | None = None, em_name: str | None = None
    ) -> Iterator[StoredRecord]:
        """As :meth:`records`, the newest of each subject."""
        return self.records(kind, subjects, em_name, newest=True)

    def records_at(self, sequences: Collection[int]) -> list[StoredRecord]:
        """The records with these sequences."""
        condition, values = one_of("sequence", sequences)
        return list(map(self._stored, self.query(f"SELECT {RECORD_COLUMNS} FROM record WHERE {condition}", values)))

    def look_times(self, em_name: str) -> list[tuple[str, int]]:
        """The time and the sequence of each look at an EM, oldest first."""
        # "0" follows "/". The subjects are in the index, the looks themselves need not be read.
        sql = (
            "SELECT subject, sequence FROM record WHERE kind = 'look' AND subject >= ? AND subject < ?"
            " ORDER BY subject, sequence"
        )
        rows = self.query(sql, [f"{em_name}/", f"{em_name}0"])
        return [(split_subject(subject)[1], sequence) for subject, sequence in rows]

    def has_em(self, em_name: str) -> bool:
        """Whether there is any record of this EM."""
        condition, kinds = one_of("kind", KINDS)
        sql = f"SELECT 1 FROM record WHERE {condition} AND subject >= ? AND subject < ? LIMIT 1"
        return bool(self.query(sql, [*kinds, f"{em_name}/", f"{em_name}0"]))

    def em_names(self) -> list[str]:
        """The names of the EMs that were looked at."""
        names: list[str] = []
        sql = "SELECT MIN(subject) FROM record WHERE kind = 'look' AND subject > ?"
        while subject := self.query(sql, [f"{names[-1]}0" if names else ""])[0][0]:
            names.append(split_subject(subject)[0])
        return names

    def sessions(self, criteria: SessionCriteria, em_names: Collection[str] | None = None) -> list[StoredRecord]:
        """The newest record of each session for which all criteria hold, sorted and cut as they say.

        :arg em_names: only sessions of these EMs.
        """
        terms, values = session_terms(criteria, em_names)
        columns = ", ".join(f"r.{name}" for name in RECORD_COLUMNS.split(", "))
        sql = f"SELECT {columns} FROM ({NEWEST_SESSION}) s JOIN record r ON r.sequence = s.sequence WHERE "
        rows: list[tuple[Any, ...]] = []
        if criteria.latest_per_plan:
            for batch in batches(self._latest_per_plan(criteria, em_names)):
                condition, wanted = one_of("s.sequence", batch)
                rows += self.query(sql + condition, wanted)
        else:
            order = "DESC" if criteria.descending else "ASC"
            sql += " AND ".join(terms)
            nulls = "LAST" if criteria.descending else "FIRST"  # as the smallest value, in both databases
            sql += f" ORDER BY creation_time {order} NULLS {nulls}, session_id {order}"
            limit = "" if criteria.limit is None else f" LIMIT {criteria.limit}"
            rows = self.query(sql + limit, values)
        found = [record for record in map(self._stored, rows) if criteria.matches(cast(Session, record.body))]
        found.sort(key=lambda record: sort_key(cast(Session, record.body)), reverse=criteria.descending)
        return found[: criteria.limit]

    def session_facts(self, criteria: SessionCriteria, em_names: Collection[str] | None) -> dict[str, list[Any]]:
        """By EM, of each session what tells its plan and its place among its runs, and its sequence; oldest first.

        Only the criteria that the index has are used.
        """
        facts: dict[str, list[Any]] = {}
        terms, values = session_terms(criteria, em_names)
        sql = (
            "SELECT em_name, plan, session_id, backup_server_id, backup_server, creation_time, sequence"
            f" FROM ({NEWEST_SESSION}) s WHERE {' AND '.join(terms)} ORDER BY COALESCE(creation_time, ''), session_id"
        )
        for em_name, plan, session_id, server_id, server, creation_time, sequence in self.query(sql, values):
            reference = {"id": server_id, "name": server} if server_id or server else None
            fact = {"id": session_id, "name": plan, "creation_time": creation_time, "backup_server": reference}
            facts.setdefault(em_name, []).append({**fact, "sequence": sequence})
        return facts

    def _latest_per_plan(self, criteria: SessionCriteria, em_names: Collection[str] | None) -> list[int]:
        """The sequences of the newest session of each plan of each EM, whatever else is asked of it."""
        facts = self.session_facts(SessionCriteria(criteria.now, names=criteria.names), em_names)
        newest: Iterable[Any] = (fact for those in facts.values() for fact in newest_per_plan(those))
        return [fact["sequence"] for fact in newest]

    def _stored(self, row: Sequence[Any]) -> StoredRecord:
        sequence, kind, subject, at, digest, text, *dummy = row
        try:
            if sha256(text) != digest:
                raise ValueError
            return StoredRecord(sequence, kind, subject, at, digest, body_of(kind, text))
        except (TypeError, ValueError, AttributeError):
            problem = f"Record {sequence} of the history was changed and cannot be read"
            hint = "Check the history with verify, and restore it from a backup"
            raise HistoryError(problem, hint, self.location) from None

    # Below the records

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query.

        :raises HistoryError: the database refuses, is damaged or has gone away.
        """
        with self._explained():
            return self.database.execute(sql, values).fetchall()

    @contextmanager
    def transaction(self, keep: bool = True) -> Iterator[None]:
        """All that the block writes, or nothing of it; no other process writes meanwhile."""
        with self._explained():
            try:
                self.database.begin()
                yield
                self.database.execute("COMMIT" if keep else "ROLLBACK")
            except BaseException:
                with suppress(self.database.Error):  # already rolled back, or the connection is gone
                    self.database.execute("ROLLBACK")
                raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except self.database.Error as exc:
            raise self.database.explain(exc) from None
        except UnicodeEncodeError:
            hint = "Check names and other texts that are given as options"
            raise HistoryError("The history has no text with bytes that are not UTF-8", hint, self.location) from None

    def raw_pages(
        self, terms: Sequence[str] = (), values: Sequence[Any] = (), since: int = 0, until: int | None = None
    ) -> Iterator[list[tuple[Any, ...]]]:
        """Rows of ``record`` as they are, in pages, up to the record that is the newest now."""
        until = self.head()["sequence"] if until is None else until
        condition = " AND ".join([*terms, "sequence > ?", "sequence <= ?"])
        sql = f"SELECT {RECORD_COLUMNS} FROM record r WHERE {condition} ORDER BY sequence LIMIT {PAGE}"
        while rows := self.query(sql, [*values, since, until]):
            yield rows
            since = rows[-1][0]

    def migrate(self, create: bool) -> None:
        """Read what the store is; with ``create``, create what is missing.

        :raises HistoryError: it is missing and not to be created, or of another application or a newer release.
        """
        newest = len(MIGRATIONS[self.database.dialect])
        version = self.version()
        if version > newest:
            problem = f"The history was written by a newer release of this collection (schema {version}, here {newest})"
            raise HistoryError(problem, "Update the collection", self.location)
        if version < newest:
            if not create:
                raise NoHistoryError(self.location)
            with self.transaction():
                version = self.version()  # another process may have been faster
                self.create(version, os.urandom(16).hex())
        self.store_id = str(dict(self.query("SELECT key, value FROM store"))["id"])

    def create(self, version: int, store_id: str) -> None:
        """Run the migrations after this schema version, inside of a transaction.

        :arg store_id: of a new store.
        """
        for statements in MIGRATIONS[self.database.dialect][version:]:
            for statement in statements:
                self.database.execute(statement)
        self.store_id = store_id
        rows = self.facts()[version + 1 if version else 0 :]
        self.database.executemany("INSERT INTO store (key, value) VALUES (?, ?)", rows)

    def facts(self) -> list[tuple[str, str]]:
        """The rows of the table ``store``: the id, which each hash contains, and one for each migration. Nothing else is in it."""
        migrations = range(1, len(MIGRATIONS[self.database.dialect]) + 1)
        return [("id", self.store_id), *((f"schema_{number}", APPLIED) for number in migrations)]

    def version(self) -> int:
        """The schema version, 0 where there are no tables.

        :raises HistoryError: the tables are not of a history.
        """
        with self._explained():
            tables = self.database.tables()
        if not tables:
            return 0
        if {"store", "record", "session_index"} <= tables:
            keys = {key for (key,) in self.query("SELECT key FROM store")}
            if {"id", "schema_1"} <= keys:
                return sum(str(key).startswith("schema_") for key in keys)
        hint = "Give another file or database as store; this one was not changed"
        raise HistoryError("The database belongs to another application", hint, self.location)


def open_store(location: str, password: str | None = None, *, create: bool = False, read_only: bool = False) -> Store:
    """Open a history.

    :arg location: path of a file, or ``postgresql://user@host/database``.
    :arg password: of PostgreSQL.
    :arg create: create file and tables where they are missing, and migrate older ones.
    :arg read_only: nothing will be appended.
    :raises HistoryError: it cannot be opened.
    """
    store = Store(connect(location, password, create, read_only))
    try:
        store.migrate(create)
    except BaseException:
        store.database.close()
        raise
    return store


def connect(location: str, password: str | None, create: bool, read_only: bool = False) -> Sqlite | Postgresql:
    """A connection to the database of a history, whatever is in it."""
    if not location.strip():
        raise HistoryError("No store is given", "Give a file, or postgresql://user@host/database, as store", "store")
    if re.match("postgres(ql)?://", location, re.IGNORECASE):
        return Postgresql(location, password)
    if "://" in location:
        scheme = location.partition("://")[0]
        hint = "Give the path of a file, or postgresql://user@host/database"
        raise HistoryError(f"A history cannot be kept in {scheme}", hint, f"{scheme}://...")
    return Sqlite(location, create, read_only)
