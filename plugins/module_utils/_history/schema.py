# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables, triggers and views of a store, as numbered migrations for SQLite (from 3.34) and PostgreSQL (from 13).

The table ``store`` has the id of the history and a row ``schema_N`` for each migration: their number is the schema version. Nothing
else is in it, so that each change shows: the id is in each hash, and the rest is always the same. Migrations are added, never changed.
extensions/history/postgresql.sql has the same statements for the owner of a database; a test compares them.
"""

from __future__ import annotations

from collections.abc import Iterator

from .records import FIRST_HASH

RECORD_COLUMNS = "sequence, kind, subject, at, digest, body, previous_hash, hash"
INDEX_COLUMNS = "sequence, em_name, session_id, plan, backup_server_id, backup_server, state, result, creation_time, end_time, seen_at"
APPLIED = "applied"
"""What ``store`` has as the value of each migration."""

NEWEST_SESSION = """SELECT * FROM session_index i
WHERE NOT EXISTS (SELECT 1 FROM session_index n
  WHERE n.session_id = i.session_id AND n.em_name = i.em_name AND n.sequence > i.sequence)"""
"""The row of each session as it was seen last. The store does not read the view of it: nothing shows whether a view was changed."""

# {text} is a type that sorts by bytes. {no_rowid}: in SQLite, INSERT OR REPLACE could name the rowid of a row to replace.
_CREATE = (
    "CREATE TABLE store (key {text} PRIMARY KEY, value {text} NOT NULL){no_rowid}",
    """CREATE TABLE record (
  sequence {whole} PRIMARY KEY,
  kind {text} NOT NULL,
  subject {text} NOT NULL,
  at {text} NOT NULL,
  digest {text} NOT NULL,
  body {text} NOT NULL,
  previous_hash {text} NOT NULL,
  hash {text} NOT NULL,
  UNIQUE (kind, subject, digest)
)""",
    "CREATE INDEX record_subject ON record (kind, subject, sequence)",
    """CREATE TABLE session_index (
  sequence {whole} PRIMARY KEY,
  em_name {text} NOT NULL,
  session_id {text} NOT NULL,
  plan {text},
  backup_server_id {text},
  backup_server {text},
  state {text},
  result {text},
  creation_time {text},
  end_time {text},
  seen_at {text} NOT NULL
)""",
    "CREATE INDEX session_index_session ON session_index (session_id, em_name, sequence)",
    "CREATE INDEX session_index_plan ON session_index (plan, creation_time)",
    "CREATE INDEX session_index_created ON session_index (creation_time, session_id)",
    "CREATE INDEX session_index_ended ON session_index (end_time)",
    f"CREATE VIEW newest_session AS\n{NEWEST_SESSION}",
    f"""CREATE VIEW newest_session_of_plan AS
SELECT {INDEX_COLUMNS} FROM (
  SELECT s.*, ROW_NUMBER() OVER (
    PARTITION BY em_name, plan, COALESCE(backup_server_id, backup_server)
    ORDER BY COALESCE(creation_time, '') DESC, session_id DESC) AS place
  FROM newest_session s) ranked
WHERE place = 1""",
    """CREATE VIEW newest_plan AS
SELECT sequence, substr(subject, 1, length(subject) - 37) AS em_name, substr(subject, length(subject) - 35) AS plan_id,
  at AS seen_at, digest, body
FROM record r
WHERE kind = 'plan' AND NOT EXISTS (SELECT 1 FROM record n
  WHERE n.kind = 'plan' AND n.subject = r.subject AND n.sequence > r.sequence)""",
    """CREATE VIEW look AS
SELECT sequence, substr(subject, 1, length(subject) - length(at) - 1) AS em_name, at, body, hash
FROM record WHERE kind = 'look'""",
)

# When an insert is refused: it would replace a row, or does not follow the newest one.
_REFUSED = {
    "store": "EXISTS (SELECT 1 FROM {store} WHERE key = {NEW}.key)",
    "record": f"""{{NEW}}.sequence <> (SELECT COALESCE(MAX(sequence), 0) + 1 FROM {{record}})
  OR {{NEW}}.previous_hash <> COALESCE((SELECT hash FROM {{record}} ORDER BY sequence DESC LIMIT 1), '{FIRST_HASH}')
  OR EXISTS (SELECT 1 FROM {{record}} WHERE kind = {{NEW}}.kind AND subject = {{NEW}}.subject AND digest = {{NEW}}.digest)""",
    "session_index": """EXISTS (SELECT 1 FROM {session_index} WHERE sequence = {NEW}.sequence)
  OR NOT EXISTS (SELECT 1 FROM {record} WHERE sequence = {NEW}.sequence AND kind = 'session')""",
}
_MESSAGE = "the history is append-only"


def _sqlite_triggers() -> Iterator[str]:
    for table, refused in _REFUSED.items():
        condition = refused.format(NEW="NEW", **{name: name for name in _REFUSED})
        for event, when in (("UPDATE", "1"), ("DELETE", "1"), ("INSERT", condition)):
            yield (
                f"CREATE TRIGGER {table}_{event.lower()} BEFORE {event} ON {table} WHEN {when}\n"
                f"BEGIN SELECT RAISE(ABORT, '{_MESSAGE}'); END"
            )


def _postgresql_triggers() -> Iterator[str]:
    """The tables are looked up in the schema of the trigger's own: a role may have temporary tables of the same name."""
    start = "RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$"
    yield f"CREATE FUNCTION history_refuse() {start}\nBEGIN RAISE EXCEPTION '{_MESSAGE}'; END $$"
    for table, refused in _REFUSED.items():
        condition = refused.format(NEW="($1)", **{name: f"%1$I.{name}" for name in _REFUSED})
        yield f"""CREATE FUNCTION history_check_{table}() {start}
DECLARE refused boolean;
BEGIN
  EXECUTE format($q$SELECT {condition}$q$, TG_TABLE_SCHEMA) INTO refused USING NEW;
  IF refused THEN RAISE EXCEPTION '{_MESSAGE}'; END IF;
  RETURN NEW;
END $$"""
        yield (
            f"CREATE TRIGGER {table}_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION history_refuse()"
        )
        yield (
            f"CREATE TRIGGER {table}_insert BEFORE INSERT ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION history_check_{table}()"
        )


def _statements(triggers: Iterator[str], **types: str) -> tuple[str, ...]:
    return (*(statement.format(**types) for statement in _CREATE), *triggers)


MIGRATIONS = {
    "sqlite": (_statements(_sqlite_triggers(), text="TEXT", whole="INTEGER", no_rowid=" WITHOUT ROWID"),),
    "postgresql": (_statements(_postgresql_triggers(), text='TEXT COLLATE "C"', whole="BIGINT", no_rowid=""),),
}
"""By database: for each schema version, from 1 on, the statements that lead to it."""
