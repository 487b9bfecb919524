# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store in PostgreSQL (from 13, with psycopg 3): opening it, its lock, what its errors mean."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .._api.redaction import Redactor
from .errors import HistoryError

if TYPE_CHECKING:
    import psycopg

SCRIPT = "extensions/history/postgresql.sql"
BUSY_SECONDS = 30
LOCK = 0x64725F72756E62
"""Number of the advisory lock that whoever writes a history of this database holds."""
DEFAULTS = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "application_name": "dr_runbook.veeam_em",
}
"""What libpq is given where the query of the URL does not; all but the last bound the time without an answer."""

# By SQLSTATE, also the beginning of one: the problem, what to do.
_PROBLEMS = {
    "55P03": (
        f"is in use: another process has locked it for more than {BUSY_SECONDS:g} seconds",
        "Nothing was recorded. Try again when that process has finished",
    ),
    "42501": (
        "does not allow this to its user",
        f"Have the owner of the database run {SCRIPT} of this collection, which creates the tables and grants what a writer needs",
    ),
    "25006": ("is read-only", "Nothing was recorded. Give the primary server, not a standby"),
    "53100": (
        "could not be written: the server's disk is full",
        "Nothing was recorded. Free some space and record again",
    ),
    "P0001": ("refused a change: the history is append-only", "Nothing was changed"),
    "08": ("has lost its connection", "Record again when the database is back; nothing is recorded twice"),
    "57P": ("has lost its connection", "Record again when the database is back; nothing is recorded twice"),
}


class Postgresql:
    """A connection to a database.

    :arg url: a URL of libpq without a password; see options.py.
    :raises HistoryError: it cannot be opened.
    """

    dialect = "postgresql"

    def __init__(self, url: str, password: str | None) -> None:
        self.location = url.partition("?")[0]
        try:
            import psycopg
            from psycopg.conninfo import conninfo_to_dict
        except ImportError:
            problem = (
                f"A history in PostgreSQL needs the Python library psycopg 3, which {sys.executable} does not have"
            )
            hint = f"Install it with {sys.executable} -m pip install 'psycopg[binary]'"
            raise HistoryError(problem, hint, self.location) from None
        self.Error = psycopg.Error
        self._redactor = Redactor()
        try:
            options: dict[str, Any] = {**DEFAULTS, **conninfo_to_dict(url)}
        except psycopg.Error:
            raise HistoryError(
                "The URL of the history cannot be read",
                "Give postgresql://user@host:5432/database, the password as store_password, and special characters escaped (%40 for @)",
                self.location,
            ) from None
        if password:
            options["password"] = password
            self._redactor.add(password)
        try:
            # Without prepared statements, which a pooler between may not carry.
            self._connection = psycopg.connect(
                **options, autocommit=True, client_encoding="UTF8", prepare_threshold=None
            )
        except psycopg.Error as exc:
            raise HistoryError(
                f"The history cannot be opened: PostgreSQL says '{self._words(exc)}'",
                "Check host, port, database, user and store_password",
                self.location,
            ) from None

    def execute(self, sql: str, values: Sequence[Any] = ()) -> psycopg.Cursor[tuple[Any, ...]]:
        return self._connection.execute(_marks(sql), values or None)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(_marks(sql), rows)

    def begin(self) -> None:
        """Start a transaction that alone may write, and sees what others have written before."""
        self.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        self.execute(f"SET LOCAL lock_timeout = '{BUSY_SECONDS}s'")
        self.execute(f"SELECT pg_advisory_xact_lock({LOCK})")

    def tables(self) -> set[str]:
        """Names of the tables of the schema that could be ours; a database may hold others."""
        sql = (
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace::regnamespace::text = quote_ident(current_schema())"
            " AND relname IN ('store', 'record', 'session_index')"
        )
        return {name for (name,) in self.execute(sql)}

    def close(self) -> None:
        self._connection.close()

    def explain(self, exc: Exception) -> HistoryError:
        """The sentence for an error of PostgreSQL; one without SQLSTATE is of the connection."""
        state = getattr(exc, "sqlstate", None) or ("08" if self._connection.broken else "")
        for start, (problem, hint) in _PROBLEMS.items():
            if state.startswith(start):
                return HistoryError(f"The history {problem}", hint, self.location)
        problem = f"The history cannot be used: PostgreSQL says '{self._words(exc)}'"
        return HistoryError(problem, "Nothing was recorded. Check the database", self.location)

    def _words(self, exc: Exception) -> str:
        return self._redactor.redact(str(exc))


def _marks(sql: str) -> str:
    """The marks of values as psycopg has them."""
    return sql.replace("?", "%s")
