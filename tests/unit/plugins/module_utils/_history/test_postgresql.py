# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import sys
import threading
from pathlib import Path

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import OptionError
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history import postgresql
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.errors import HistoryError
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.options import open_history
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.store import open_store
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.verify import verify

REPO = Path(__file__).resolve().parents[5]
SCRIPT = (REPO / postgresql.SCRIPT).read_text(encoding="utf-8")


@pytest.fixture
def database(postgres):
    return postgres.new_database()


def refused(location, password=None, **options):
    with pytest.raises(HistoryError) as caught:
        open_store(location, password, create=True, **options)
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith(")")
    return sentence


# URL and password


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://awx:geheim@db.example.com:5433/dr",
        "postgres://awx:geh%40eim@db/dr?sslmode=verify-full",
        "postgresql://:geheim@db/dr",
        "postgresql://db/dr?user=awx&password=geheim",
        "POSTGRESQL://awx:geh@eim@db/dr",
        "postgresql://awx:geh/eim@db/dr",
        "postgresql://awx:geh?eim@db/dr",
        "postgresql://db/dr?password=geh@eim",
    ],
)
def test_a_password_in_the_url_is_refused_and_never_shown(url):
    with pytest.raises(OptionError, match="store: '...' cannot be used. It contains a password") as caught:
        open_history({"store": url}.get)
    assert not any(part in str(caught.value) for part in ("geh", "eim"))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("POSTGRESQL://awx@[::1]:5432/dr", "POSTGRESQL://awx@[::1]:5432/dr"),
        ("postgresql://db:5433/dr", "postgresql://db:5433/dr"),
        ("postgresql:///dr?host=/run/geheim", "postgresql:///dr"),
    ],
)
def test_messages_show_the_url_without_its_options_and_no_password(url, shown, monkeypatch):
    import psycopg

    def refuse(**options):
        raise psycopg.OperationalError(f"no connection for {options.get('password')} \n\tat all")

    monkeypatch.setattr(psycopg, "connect", refuse)
    sentence = refused(url, "geheim")
    assert sentence.endswith(f" ({shown})") and "geheim" not in sentence


def test_what_psycopg_is_given(monkeypatch):
    import psycopg

    given = {}

    def connect(**options):
        given.update(options)
        raise psycopg.OperationalError("no")

    monkeypatch.setattr(psycopg, "connect", connect)
    refused("postgresql://awx@db/dr?sslmode=verify-full&connect_timeout=3", "secret")
    assert (given["user"], given["host"], given["dbname"]) == ("awx", "db", "dr")
    assert (given["password"], given["sslmode"], int(given["connect_timeout"])) == ("secret", "verify-full", 3)
    given.clear()
    refused("postgresql://awx@db/dr", "")
    assert ("password" in given, int(given["connect_timeout"])) == (False, 10)


@pytest.mark.parametrize("url", ["postgresql://db:port/dr", "postgresql://db/dr?no=such", "postgresql://[::1/dr"])
def test_a_url_that_cannot_be_read(url):
    assert re.match("The URL of the history cannot be read|The history cannot be opened", refused(url))


def test_without_psycopg(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    sentence = refused("postgresql://awx@db/dr", "geheim")
    assert f"needs the Python library psycopg 3, which {sys.executable} does not have. Install it" in sentence
    assert f"{sys.executable} -m pip install 'psycopg[binary]'. (postgresql://awx@db/dr)" in sentence


def test_wrong_password(postgres, database):
    url = postgres.url(database, "guarded")
    sentence = refused(url, "geheim")
    assert "cannot be opened: PostgreSQL says" in sentence and "password authentication failed" in sentence
    assert "Check host, port, database, user and store_password" in sentence and "geheim" not in sentence
    assert "password" in refused(url)
    assert "does not allow this to its user. Have the owner" in refused(url, "correct")


def test_missing_database_and_server(postgres, tmp_path):
    assert 'database "none" does not exist' in refused(postgres.url("none"))
    assert "cannot be opened: PostgreSQL says" in refused(f"postgresql://awx@/dr?host={tmp_path}")


# Failures while it is open


def test_a_server_that_goes_away(postgres, database, make):
    url = postgres.url(database)
    with open_store(url, create=True) as store:
        store.append([make.session(1)])
        head = store.head()
        insert = store.insert

        def gone(records, index):
            insert(records, index)
            postgres.end_connections(database)

        store.insert = gone
        with pytest.raises(HistoryError, match="lost its connection. Record again when the database is back"):
            store.append([make.look(), make.session(2)])
        with pytest.raises(HistoryError, match="lost its connection|cannot be used"):
            store.head()
    with open_store(url) as store:
        assert store.head() == head and verify(store) == []
        assert store.append([make.look(), make.session(2)]) == {"look": 1, "session": 1}


def test_another_writer_that_does_not_let_go(postgres, database, make, monkeypatch):
    monkeypatch.setattr(postgresql, "BUSY_SECONDS", 0.1)
    with open_store(postgres.url(database), create=True) as store, open_store(postgres.url(database)) as other:
        with other.transaction():
            with pytest.raises(HistoryError, match="is in use: another process has locked it for more than"):
                store.append([make.session(1)])
            assert store.head()["sequence"] == 0
        assert store.append([make.session(1)]) == {"session": 1}


def test_a_standby(postgres, database, make):
    with open_store(postgres.url(database), create=True):
        pass
    postgres.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    with (
        open_store(postgres.url(database), create=True) as store,
        pytest.raises(HistoryError, match="is read-only. Nothing"),
    ):
        store.append([make.session(1)])


def test_a_default_isolation_level_does_not_hide_what_others_wrote(postgres, database, make):
    postgres.execute(f"ALTER DATABASE {database} SET default_transaction_isolation = 'repeatable read'")
    with open_store(postgres.url(database), create=True) as store, open_store(postgres.url(database)) as other:
        with other.transaction():
            writer = threading.Thread(target=store.append, args=([make.session(1)],))
            writer.start()
            other.insert(
                [(1, "note", "em/a", "2026", "d", "{}", "0" * 64, "h")],
                [],
            )
        writer.join()
        assert other.head()["sequence"] == 2


def test_tables_of_another_application(postgres, database):
    postgres.execute("CREATE TABLE hosts (name text)", database, "owner")
    with open_store(postgres.url(database), create=True):
        pass  # side by side
    other = postgres.new_database()
    postgres.execute("CREATE TABLE record (id int)", other, "owner")
    assert "belongs to another application. Give another file or database" in refused(postgres.url(other))


# The script for the owner

CATALOG = {
    "columns": "SELECT table_name, column_name, ordinal_position, data_type, is_nullable, collation_name"
    " FROM information_schema.columns WHERE table_schema = 'public'",
    "indexes": "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "views": "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public'",
    "triggers": "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    "functions": "SELECT proname, regexp_replace(prosrc, '\\s+', ' ', 'g'), proconfig::text FROM pg_proc"
    " WHERE pronamespace = 'public'::regnamespace",
    "store": "SELECT key, CASE key WHEN 'id' THEN length(value)::text ELSE value END FROM store",
}


def test_the_script_creates_what_the_collection_creates(postgres, database):
    postgres.execute(SCRIPT, database, "owner")
    other = postgres.new_database()
    with open_store(postgres.url(other), create=True):
        pass
    for name, sql in CATALOG.items():
        assert sorted(postgres.execute(sql, database)) == sorted(postgres.execute(sql, other)), name


@pytest.fixture
def writer(postgres, database):
    """The URL of a role with the permissions that the script gives, on tables of another."""
    postgres.execute(SCRIPT, database, "owner")
    name = f"writer_{database}"
    postgres.execute(f"CREATE ROLE {name} LOGIN; GRANT history_writer TO {name}")
    return postgres.url(database, name)


def test_a_writer_records_and_reads(writer, make):
    with open_store(writer, create=True) as store:
        assert store.append([make.look(), make.session(1)]) == {"look": 1, "session": 1}
        assert store.append([make.look(), make.session(1)]) == {"look": 1}
        assert verify(store, store.head()) == []
        assert len(store.query("SELECT * FROM newest_session_of_plan")) == 1


def test_who_may_only_read_is_told_so_before_anything_is_recorded(postgres, database, writer):
    name = f"reader_{database}"
    tables = "store, record, session_index"
    postgres.execute(f"CREATE ROLE {name} LOGIN; GRANT SELECT ON {tables} TO {name}", database, "owner")
    with open_store(postgres.url(database, name)) as store, pytest.raises(HistoryError, match="does not allow this"):
        store.check_writable()


FORBIDDEN = [
    *(
        statement.format(table=table)
        for table in ("record", "session_index", "store")
        for statement in (
            "ALTER TABLE {table} DISABLE TRIGGER ALL",
            "DROP TRIGGER {table}_change ON {table}",
            "DROP TABLE {table} CASCADE",
            "ALTER TABLE {table} RENAME TO other",
            "CREATE TRIGGER other BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION history_refuse()",
            "CREATE RULE other AS ON INSERT TO {table} DO INSTEAD NOTHING",
            "UPDATE {table} SET sequence = 1",
            "DELETE FROM {table}",
            "TRUNCATE {table} CASCADE",
        )
    ),
    "SET session_replication_role = replica",
    "DROP FUNCTION history_refuse() CASCADE",
    "CREATE OR REPLACE FUNCTION history_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
    "INSERT INTO store VALUES ('schema_9', 'x')",
    "SET ROLE owner",
]


def test_a_writer_cannot_lift_the_triggers(writer, make):
    with open_store(writer) as store:
        store.append([make.session(1)])
        for statement in FORBIDDEN:
            with pytest.raises(HistoryError):
                store.query(statement)
            assert verify(store) == [], statement
        assert store.append([make.session(2)]) == {"session": 1}


def test_tables_of_the_writer_do_not_deceive_the_triggers(writer, make):
    with open_store(writer) as store:
        store.append([make.session(1)])
        store.database.execute("CREATE TEMPORARY TABLE record AS SELECT * FROM record")
        store.database.execute("DELETE FROM pg_temp.record")
        with pytest.raises(HistoryError, match="append-only"):
            store.query(f"INSERT INTO public.record VALUES (1, 'note', 'x', 'x', 'x', 'x', '{'0' * 64}', 'x')")


def test_who_may_not_create_the_tables_gets_the_script(postgres, database):
    postgres.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC", database)
    postgres.execute(f"CREATE ROLE nobody_{database} LOGIN")
    sentence = refused(postgres.url(database, f"nobody_{database}"))
    assert "Have the owner of the database run extensions/history/postgresql.sql of this collection" in sentence


def test_the_script_after_the_tables(postgres, database, make):
    """Also twice, and where the owner has recorded or imported before there was a writer."""
    with open_store(postgres.url(database), create=True) as store:
        store.append([make.session(1)])
        identity = store.store_id
    for dummy in range(2):
        postgres.execute(SCRIPT, database, "owner")
    with open_store(postgres.url(database)) as store:
        assert store.store_id == identity and store.head()["sequence"] == 1
