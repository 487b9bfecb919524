# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store in a SQLite file: opening it, its lock, what its errors mean. The rollback journal stays: WAL needs shared memory."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .errors import HistoryError, NoHistoryError

if TYPE_CHECKING:
    import sqlite3

BUSY_SECONDS = 30.0
MIN_SIZE = 512
"""Bytes of the smallest database. SQLite takes what is very short for an empty one, and would write over it."""
NETWORK_FILE_SYSTEMS = re.compile(
    r"nfs4?|cifs|smb3?|smbfs|afs|ceph|lustre|gpfs|beegfs\w*|glusterfs|pvfs2|davfs|acfs|coda|ncpfs|"
    r"fuse\.(sshfs|glusterfs|ceph\w*|davfs2?|s3fs|gcsfuse|blobfuse2?|rclone|smbnetfs|goofys|juicefs|mount-s3|curlftpfs)"
)
"""Types of mounts on which several machines may write a file, and locks are not to be relied on."""
MOUNTS = "/proc/self/mountinfo"

# What SQLite says (Python 3.9 has no error codes): the problem, what to do.
_PROBLEMS = (
    ("is full", "could not be written: the disk is full", "Nothing was recorded. Free some space and record again"),
    (
        "readonly|read-only",
        "cannot be written: the file or its folder is read-only for this user",
        "Nothing was recorded. Check owner and permissions of both",
    ),
    (
        "locked|busy",
        f"is in use: another process has locked it for more than {BUSY_SECONDS:g} seconds",
        "Nothing was recorded. Try again when that process has finished",
    ),
    (
        "not a database",
        "is not a SQLite database",
        "Give another file as store; this one was not changed",
    ),
    (
        "malformed|corrupt|decode",
        "is damaged",
        "Nothing was recorded. Restore the file from a backup; export what can still be read first",
    ),
    (
        "unable to open",
        "cannot be opened by this user, or its journal cannot be created",
        "Check owner and permissions of the file and its folder",
    ),
    ("append-only", "refused a change: the history is append-only", "Nothing was changed"),
)


class Sqlite:
    """A connection to a file.

    :arg path: ``~`` and environment variables are expanded.
    :raises HistoryError: it cannot be opened.
    """

    dialect = "sqlite"

    def __init__(self, path: str, create: bool, read_only: bool) -> None:
        self.location = os.path.realpath(os.path.expanduser(os.path.expandvars(path)))
        try:
            import sqlite3
        except ImportError:
            problem = f"A history in a file needs the Python module sqlite3, which {sys.executable} does not have"
            hint = "Install the package of your system that has it, or use PostgreSQL (postgresql://user@host/database)"
            raise HistoryError(problem, hint, self.location) from None
        self.Error = sqlite3.Error
        folder = os.path.dirname(self.location)
        if not os.path.isdir(folder):
            raise HistoryError(
                f"The folder {folder} of the history does not exist", "Create it, or give another file", self.location
            )
        if os.path.isdir(self.location):
            raise HistoryError(
                "The history is a folder", "Give a file as store, such as history.db in it", self.location
            )
        _refuse_network(self.location)
        if create:
            self._create()
        elif not os.path.exists(self.location):
            raise NoHistoryError(self.location)
        if 0 < os.path.getsize(self.location) < MIN_SIZE:
            raise self.explain(sqlite3.DatabaseError("not a database"))
        try:
            self._connection = sqlite3.connect(
                f"file:{quote(self.location)}?mode=rw", uri=True, timeout=BUSY_SECONDS, isolation_level=None
            )
            # Bytes that are no UTF-8 can be in a file that somebody has changed, and verify is to find them.
            self._connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
            self.execute("PRAGMA synchronous=FULL")
            if read_only:
                # Not mode=ro: who opens the file after a writer was killed has to roll its journal back.
                self.execute("PRAGMA query_only=ON")
        except sqlite3.Error as exc:
            raise self.explain(exc) from None

    def _create(self) -> None:
        """An empty file for this user only."""
        try:
            with suppress(FileExistsError):
                os.close(os.open(self.location, os.O_CREAT | os.O_EXCL, 0o600))
        except OSError as exc:
            hint = "Check owner and permissions of its folder, or give another file"
            raise HistoryError(f"The history cannot be created ({exc.strerror})", hint, self.location) from None

    def execute(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        return self._connection.execute(sql, values)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        self._connection.executemany(sql, rows)

    def begin(self) -> None:
        """Start a transaction that alone may write."""
        self.execute("BEGIN IMMEDIATE")

    def tables(self) -> set[str]:
        """Names of all tables of the database."""
        return {name for (name,) in self.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}

    def close(self) -> None:
        self._connection.close()

    def explain(self, exc: Exception) -> HistoryError:
        """The sentence for an error of SQLite."""
        for pattern, problem, hint in _PROBLEMS:
            if re.search(pattern, str(exc)):
                return HistoryError(f"The history {problem}", hint, self.location)
        return HistoryError(
            f"The history cannot be used: SQLite says '{exc}'", "Check the file and its disk", self.location
        )


def _refuse_network(location: str) -> None:
    """Refuse a file on a network file system; a container may have the file alone mounted.

    On a platform that does not say what is mounted, nothing is refused.
    """
    try:
        lines = Path(MOUNTS).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return
    kind, longest = "", -1
    for line in lines:
        before, dummy, after = line.partition(" - ")
        point = re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), before.split()[4])
        inside = location == point or location.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= longest:  # of two on one point, the later one hides the other
            kind, longest = after.split()[0], len(point)
    if NETWORK_FILE_SYSTEMS.fullmatch(kind):
        raise HistoryError(
            f"The history cannot be on a network file system ({kind}), where locks do not protect it from two writers",
            "Give a file on a local disk, or PostgreSQL (postgresql://user@host/database)",
            location,
        )
