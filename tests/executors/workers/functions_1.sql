-- The tables and functions of workers as their first version made them, in the schema SCHEMA: what `install` has to go on with.

CREATE TABLE "SCHEMA".worker_role (
    role name NOT NULL,
    backend text NOT NULL,
    PRIMARY KEY (role, backend)
);
CREATE TABLE "SCHEMA".worker (
    worker_id text PRIMARY KEY,
    role name NOT NULL,
    backend text NOT NULL,
    host text NOT NULL,
    process_id integer NOT NULL,
    version text NOT NULL,
    protocol integer NOT NULL,
    width integer NOT NULL CHECK (width > 0),
    digest text NOT NULL,
    lease_seconds double precision NOT NULL CHECK (lease_seconds > 0),
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    left_at timestamptz
);
CREATE TABLE "SCHEMA".call (
    call_id uuid PRIMARY KEY,
    run_id text NOT NULL,
    token bigint,
    lineage text NOT NULL,
    operation_id text,
    address text,
    backend text NOT NULL,
    digest text NOT NULL,
    protocol integer NOT NULL,
    body bytea NOT NULL,
    offered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    worker_id text,
    claimed_at timestamptz,
    lease_until timestamptz,
    given_up_at timestamptz,
    finished_at timestamptz,
    outcome bytea,
    CHECK ((worker_id IS NULL) = (claimed_at IS NULL)),
    CHECK ((worker_id IS NULL) = (lease_until IS NULL)),
    CHECK ((finished_at IS NULL) = (outcome IS NULL)),
    CHECK ((operation_id IS NULL) = (address IS NULL)),
    CHECK (operation_id IS NULL OR token IS NOT NULL)
);
CREATE INDEX call_run ON "SCHEMA".call (run_id);
CREATE INDEX call_waiting ON "SCHEMA".call (backend, offered_at)
    WHERE worker_id IS NULL AND given_up_at IS NULL;
CREATE INDEX call_running ON "SCHEMA".call (backend)
    WHERE worker_id IS NOT NULL AND finished_at IS NULL AND given_up_at IS NULL;
CREATE UNIQUE INDEX call_address ON "SCHEMA".call (address)
    WHERE worker_id IS NOT NULL AND finished_at IS NULL AND given_up_at IS NULL;

CREATE FUNCTION "SCHEMA".may_begin(run_token bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    -- The row is held until the claim is durable: whoever takes the lock over waits for it.
    PERFORM FROM "SCHEMA".lease
        WHERE token = run_token AND clock_timestamp() < heartbeat_at + make_interval(secs => duration_seconds)
        FOR KEY SHARE;
    RETURN FOUND;
END $$;

CREATE FUNCTION "SCHEMA".own_worker(worker_name text) RETURNS "SCHEMA".worker LANGUAGE plpgsql AS $$
DECLARE found_worker "SCHEMA".worker;
BEGIN
    SELECT * INTO found_worker FROM "SCHEMA".worker WHERE worker_id = worker_name AND role = session_user;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no worker of this name belongs to %', session_user USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN found_worker;
END $$;

CREATE FUNCTION "SCHEMA".has_room(backend_name text, is_question boolean, places integer) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    -- Claims on one backend take turns, so that all its workers together never make more calls than it is wide.
    PERFORM pg_advisory_xact_lock(hashtextextended(backend_name, '"SCHEMA".call'::regclass::oid::bigint));
    RETURN places > (
        SELECT count(*) FROM "SCHEMA".call
        WHERE backend = backend_name AND worker_id IS NOT NULL AND finished_at IS NULL AND given_up_at IS NULL
            AND lease_until > clock_timestamp() AND (operation_id IS NULL) = is_question
    );
END $$;

CREATE FUNCTION "SCHEMA".serve(
    worker_name text, backend_name text, on_host text, process integer, release text, speaks integer,
    places integer, spec_digest text, lease double precision
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT pg_has_role(session_user, current_user, 'MEMBER')
        AND NOT EXISTS (
            SELECT FROM "SCHEMA".worker_role WHERE role = session_user AND worker_role.backend = backend_name
        )
    THEN
        RAISE EXCEPTION '% does not serve backend %', session_user, backend_name
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF lease > 86400.0 THEN
        RAISE EXCEPTION 'a lease of % seconds is too long', lease USING ERRCODE = 'insufficient_privilege';
    END IF;
    DELETE FROM "SCHEMA".worker
        WHERE backend = backend_name AND coalesce(left_at, heartbeat_at) < clock_timestamp() - interval '7 days';
    INSERT INTO "SCHEMA".worker
            (worker_id, role, backend, host, process_id, version, protocol, width, digest, lease_seconds)
        VALUES (worker_name, session_user, backend_name, on_host, process, release, speaks, places, spec_digest, lease);
END $$;

CREATE FUNCTION "SCHEMA".waiting(worker_name text, at_most integer) RETURNS SETOF uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE me "SCHEMA".worker := "SCHEMA".own_worker(worker_name);
BEGIN
    -- Whom others are just claiming is left to them.
    RETURN QUERY SELECT call_id FROM "SCHEMA".call
        WHERE call.backend = me.backend AND worker_id IS NULL AND given_up_at IS NULL
            AND call.digest = me.digest AND call.protocol = me.protocol
        ORDER BY offered_at LIMIT at_most FOR UPDATE SKIP LOCKED;
END $$;

CREATE FUNCTION "SCHEMA".claim(
    worker_name text, chosen uuid,
    OUT answer text, OUT body bytea, OUT token bigint, OUT lineage text
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    me "SCHEMA".worker := "SCHEMA".own_worker(worker_name);
    found_call "SCHEMA".call;
BEGIN
    SELECT * INTO found_call FROM "SCHEMA".call WHERE call_id = chosen FOR UPDATE;
    answer := CASE
        WHEN NOT FOUND THEN 'unknown'
        WHEN found_call.backend <> me.backend THEN 'foreign'
        WHEN found_call.finished_at IS NOT NULL THEN 'done'
        WHEN found_call.given_up_at IS NOT NULL THEN 'cancelled'
        WHEN found_call.worker_id = me.worker_id AND found_call.lease_until > clock_timestamp() THEN 'mine'
        WHEN found_call.worker_id IS NOT NULL THEN 'busy'
        WHEN found_call.protocol <> me.protocol THEN 'version'
        WHEN found_call.digest <> me.digest THEN 'manifest'
        WHEN me.left_at IS NOT NULL THEN 'left'
        WHEN found_call.token IS NOT NULL AND NOT "SCHEMA".may_begin(found_call.token) THEN 'fenced'
        WHEN found_call.operation_id IS NOT NULL
            AND NOT EXISTS (SELECT FROM "SCHEMA".operation WHERE operation_id = found_call.operation_id)
            THEN 'cancelled'
        WHEN NOT "SCHEMA".has_room(
            me.backend, found_call.operation_id IS NULL,
            CASE WHEN found_call.operation_id IS NULL THEN 2 ELSE me.width END
        ) THEN 'full'
        ELSE 'go'
    END;
    IF answer IN ('go', 'mine') THEN
        BEGIN
            UPDATE "SCHEMA".call SET worker_id = me.worker_id, claimed_at = coalesce(claimed_at, clock_timestamp()),
                    lease_until = clock_timestamp() + make_interval(secs => me.lease_seconds)
                WHERE call_id = chosen;
        EXCEPTION WHEN unique_violation THEN
            answer := 'conflict';
        END;
    END IF;
    IF answer IN ('go', 'mine') THEN
        body := found_call.body;
        token := found_call.token;
        lineage := found_call.lineage;
    END IF;
END $$;

CREATE FUNCTION "SCHEMA".renew(worker_name text, running uuid[]) RETURNS SETOF uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE me "SCHEMA".worker := "SCHEMA".own_worker(worker_name);
BEGIN
    UPDATE "SCHEMA".worker SET heartbeat_at = clock_timestamp() WHERE worker_id = me.worker_id;
    -- What was given up is still under way until the worker says otherwise: the next run waits for it.
    UPDATE "SCHEMA".call SET lease_until = clock_timestamp() + make_interval(secs => me.lease_seconds)
        WHERE call_id = ANY (running) AND worker_id = me.worker_id AND finished_at IS NULL;
    RETURN QUERY SELECT call_id FROM "SCHEMA".call
        WHERE call_id = ANY (running) AND worker_id = me.worker_id AND finished_at IS NULL AND given_up_at IS NULL;
END $$;

CREATE FUNCTION "SCHEMA".finish(worker_name text, chosen uuid, result bytea) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    me "SCHEMA".worker := "SCHEMA".own_worker(worker_name);
    found_call "SCHEMA".call;
BEGIN
    SELECT * INTO found_call FROM "SCHEMA".call WHERE call_id = chosen AND worker_id = me.worker_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'fenced';
    END IF;
    IF found_call.finished_at IS NULL THEN
        -- Of a call that was given up, too: nobody waits for it, and the next run learns that it has ended, and how.
        UPDATE "SCHEMA".call SET finished_at = clock_timestamp(), outcome = result WHERE call_id = chosen;
    END IF;
    RETURN CASE
        WHEN found_call.given_up_at IS NOT NULL THEN 'fenced'
        WHEN found_call.finished_at IS NOT NULL THEN 'already'
        ELSE 'recorded'
    END;
END $$;

CREATE FUNCTION "SCHEMA".leave(worker_name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE me "SCHEMA".worker := "SCHEMA".own_worker(worker_name);
BEGIN
    UPDATE "SCHEMA".worker SET left_at = clock_timestamp() WHERE worker_id = me.worker_id AND left_at IS NULL;
END $$;

REVOKE ALL ON FUNCTION "SCHEMA".may_begin(bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION "SCHEMA".own_worker(text) FROM PUBLIC;

REVOKE ALL ON FUNCTION "SCHEMA".has_room(text, boolean, integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION "SCHEMA".serve(text, text, text, integer, text, integer, integer, text, double precision) FROM PUBLIC;

REVOKE ALL ON FUNCTION "SCHEMA".waiting(text, integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION "SCHEMA".claim(text, uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION "SCHEMA".renew(text, uuid[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION "SCHEMA".finish(text, uuid, bytea) FROM PUBLIC;

REVOKE ALL ON FUNCTION "SCHEMA".leave(text) FROM PUBLIC;

COMMENT ON TABLE "SCHEMA".call IS 'sharectl workers 1';
