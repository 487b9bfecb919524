-- The history of dr_runbook.veeam_em in PostgreSQL 13 or later: tables, and a role for those who write it.
--
-- Run it once as the owner, in the database (and schema) that is to hold the history, with any client:
--
--   psql "host=db.example.com dbname=dr user=dr_owner" -f postgresql.sql
--   GRANT history_writer TO awx;
--
-- The owner should be nobody's daily user: owners and superusers can remove the triggers, writers cannot. To create the
-- role, the user needs CREATEROLE. Run it again after an update of the collection, or after failover_history or an
-- import has created the tables; what is there stays as it is.

BEGIN;

DO $history$
BEGIN
  PERFORM pg_advisory_xact_lock(28273251938823778);
  IF to_regclass(format('%I.store', current_schema())) IS NULL THEN
    CREATE TABLE store (key TEXT COLLATE "C" PRIMARY KEY, value TEXT COLLATE "C" NOT NULL);

    CREATE TABLE record (
      sequence BIGINT PRIMARY KEY,
      kind TEXT COLLATE "C" NOT NULL,
      subject TEXT COLLATE "C" NOT NULL,
      at TEXT COLLATE "C" NOT NULL,
      digest TEXT COLLATE "C" NOT NULL,
      body TEXT COLLATE "C" NOT NULL,
      previous_hash TEXT COLLATE "C" NOT NULL,
      hash TEXT COLLATE "C" NOT NULL,
      UNIQUE (kind, subject, digest)
    );

    CREATE INDEX record_subject ON record (kind, subject, sequence);

    CREATE TABLE session_index (
      sequence BIGINT PRIMARY KEY,
      em_name TEXT COLLATE "C" NOT NULL,
      session_id TEXT COLLATE "C" NOT NULL,
      plan TEXT COLLATE "C",
      backup_server_id TEXT COLLATE "C",
      backup_server TEXT COLLATE "C",
      state TEXT COLLATE "C",
      result TEXT COLLATE "C",
      creation_time TEXT COLLATE "C",
      end_time TEXT COLLATE "C",
      seen_at TEXT COLLATE "C" NOT NULL
    );

    CREATE INDEX session_index_session ON session_index (session_id, em_name, sequence);

    CREATE INDEX session_index_plan ON session_index (plan, creation_time);

    CREATE INDEX session_index_created ON session_index (creation_time, session_id);

    CREATE INDEX session_index_ended ON session_index (end_time);

    CREATE VIEW newest_session AS
    SELECT * FROM session_index i
    WHERE NOT EXISTS (SELECT 1 FROM session_index n
      WHERE n.session_id = i.session_id AND n.em_name = i.em_name AND n.sequence > i.sequence);

    CREATE VIEW newest_session_of_plan AS
    SELECT sequence, em_name, session_id, plan, backup_server_id, backup_server, state, result, creation_time, end_time, seen_at FROM (
      SELECT s.*, ROW_NUMBER() OVER (
        PARTITION BY em_name, plan, COALESCE(backup_server_id, backup_server)
        ORDER BY COALESCE(creation_time, '') DESC, session_id DESC) AS place
      FROM newest_session s) ranked
    WHERE place = 1;

    CREATE VIEW newest_plan AS
    SELECT sequence, substr(subject, 1, length(subject) - 37) AS em_name, substr(subject, length(subject) - 35) AS plan_id,
      at AS seen_at, digest, body
    FROM record r
    WHERE kind = 'plan' AND NOT EXISTS (SELECT 1 FROM record n
      WHERE n.kind = 'plan' AND n.subject = r.subject AND n.sequence > r.sequence);

    CREATE VIEW look AS
    SELECT sequence, substr(subject, 1, length(subject) - length(at) - 1) AS em_name, at, body, hash
    FROM record WHERE kind = 'look';

    CREATE FUNCTION history_refuse() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
    BEGIN RAISE EXCEPTION 'the history is append-only'; END $$;

    CREATE FUNCTION history_check_store() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
    DECLARE refused boolean;
    BEGIN
      EXECUTE format($q$SELECT EXISTS (SELECT 1 FROM %1$I.store WHERE key = ($1).key)$q$, TG_TABLE_SCHEMA) INTO refused USING NEW;
      IF refused THEN RAISE EXCEPTION 'the history is append-only'; END IF;
      RETURN NEW;
    END $$;

    CREATE TRIGGER store_change BEFORE UPDATE OR DELETE OR TRUNCATE ON store FOR EACH STATEMENT EXECUTE FUNCTION history_refuse();

    CREATE TRIGGER store_insert BEFORE INSERT ON store FOR EACH ROW EXECUTE FUNCTION history_check_store();

    CREATE FUNCTION history_check_record() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
    DECLARE refused boolean;
    BEGIN
      EXECUTE format($q$SELECT ($1).sequence <> (SELECT COALESCE(MAX(sequence), 0) + 1 FROM %1$I.record)
      OR ($1).previous_hash <> COALESCE((SELECT hash FROM %1$I.record ORDER BY sequence DESC LIMIT 1), '0000000000000000000000000000000000000000000000000000000000000000')
      OR EXISTS (SELECT 1 FROM %1$I.record WHERE kind = ($1).kind AND subject = ($1).subject AND digest = ($1).digest)$q$, TG_TABLE_SCHEMA) INTO refused USING NEW;
      IF refused THEN RAISE EXCEPTION 'the history is append-only'; END IF;
      RETURN NEW;
    END $$;

    CREATE TRIGGER record_change BEFORE UPDATE OR DELETE OR TRUNCATE ON record FOR EACH STATEMENT EXECUTE FUNCTION history_refuse();

    CREATE TRIGGER record_insert BEFORE INSERT ON record FOR EACH ROW EXECUTE FUNCTION history_check_record();

    CREATE FUNCTION history_check_session_index() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
    DECLARE refused boolean;
    BEGIN
      EXECUTE format($q$SELECT EXISTS (SELECT 1 FROM %1$I.session_index WHERE sequence = ($1).sequence)
      OR NOT EXISTS (SELECT 1 FROM %1$I.record WHERE sequence = ($1).sequence AND kind = 'session')$q$, TG_TABLE_SCHEMA) INTO refused USING NEW;
      IF refused THEN RAISE EXCEPTION 'the history is append-only'; END IF;
      RETURN NEW;
    END $$;

    CREATE TRIGGER session_index_change BEFORE UPDATE OR DELETE OR TRUNCATE ON session_index FOR EACH STATEMENT EXECUTE FUNCTION history_refuse();

    CREATE TRIGGER session_index_insert BEFORE INSERT ON session_index FOR EACH ROW EXECUTE FUNCTION history_check_session_index();

    INSERT INTO store (key, value) VALUES ('id', replace(gen_random_uuid()::text, '-', '')), ('schema_1', 'applied');
  END IF;

  IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'history_writer') THEN
    CREATE ROLE history_writer NOLOGIN;
  END IF;
  EXECUTE format('GRANT USAGE ON SCHEMA %I TO history_writer', current_schema());
END $history$;

GRANT SELECT ON store, newest_session, newest_session_of_plan, newest_plan, look TO history_writer;
GRANT SELECT, INSERT ON record, session_index TO history_writer;

COMMIT;
