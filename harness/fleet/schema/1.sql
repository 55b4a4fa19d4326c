-- The fleet's tables, functions and rights, version 1. Applied once, by `harness store init`.
--
-- Agents and submitters write through functions alone, which see to it that each writes only what
-- is its own. Times are the server's: nobody else's clock decides on a lease.
--
-- Codes of refusals: EH001 the name is taken, EH002 the share is not held any more, EH003 nothing of
-- that name is yours, EH004 too large, EH005 another launch is stored in its place, EH006 files are
-- gone.

CREATE SCHEMA fleet;

CREATE TABLE fleet.about (
    version integer NOT NULL,
    term interval NOT NULL DEFAULT '5 minutes',  -- of a lease
    limit_bytes bigint NOT NULL                  -- of one share's files
);

CREATE TABLE fleet.agents (
    name text PRIMARY KEY,      -- the login of its lab
    instance text NOT NULL,     -- one workspace on one machine
    machine text NOT NULL,
    harness text NOT NULL,
    format integer NOT NULL,    -- of the shares that it understands
    started timestamptz NOT NULL DEFAULT now(),
    seen timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE fleet.devices (
    name text PRIMARY KEY,
    agent text NOT NULL REFERENCES fleet.agents ON DELETE CASCADE,
    host text NOT NULL,
    profile jsonb NOT NULL
);

CREATE TABLE fleet.shares (
    id text PRIMARY KEY,
    run_id text COLLATE "C" NOT NULL REFERENCES runs (id),
    agent text NOT NULL REFERENCES fleet.agents,
    host text NOT NULL,
    submitter text NOT NULL DEFAULT session_user,
    format integer NOT NULL,
    harness text NOT NULL,
    content text NOT NULL,
    files jsonb NOT NULL,       -- [{"sha256": …, "size": …, "chunks": […]}]
    cases jsonb NOT NULL,       -- case id to device
    priority integer NOT NULL,
    deadline timestamptz,
    submitted timestamptz NOT NULL DEFAULT now(),
    state text NOT NULL DEFAULT 'waiting' CHECK
        (state IN ('waiting', 'measuring', 'cancelling', 'done', 'failed', 'cancelled')),
    reason text NOT NULL DEFAULT '',
    instance text,
    fence integer NOT NULL DEFAULT 0,
    lease_until timestamptz,
    begun timestamptz,
    ended timestamptz
);
CREATE INDEX ON fleet.shares (run_id);
CREATE INDEX ON fleet.shares (agent, state);

-- Known by its content: a chunk cannot be other than its name says.
CREATE TABLE fleet.chunks (
    hash text PRIMARY KEY,
    content bytea NOT NULL CHECK (octet_length(content) <= 1048576),
    used timestamptz NOT NULL DEFAULT now(),
    CHECK (hash = encode(sha256(content), 'hex'))
);
ALTER TABLE fleet.chunks ALTER content SET STORAGE EXTERNAL;  -- models do not compress

CREATE TABLE fleet.uses (
    share text NOT NULL REFERENCES fleet.shares ON DELETE CASCADE,
    chunk text NOT NULL REFERENCES fleet.chunks,
    PRIMARY KEY (share, chunk)
);
CREATE INDEX ON fleet.uses (chunk);

-- What agents call.

CREATE FUNCTION fleet.hello(
    of_instance text, on_machine text, of_harness text, of_format integer, its_devices jsonb
) RETURNS text[] LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, fleet, pg_temp AS $$
DECLARE
    other agents;
    refused text[];
BEGIN
    INSERT INTO agents AS known (name, instance, machine, harness, format)
    VALUES (session_user, of_instance, on_machine, of_harness, of_format)
    ON CONFLICT (name) DO UPDATE
        SET instance = excluded.instance, machine = excluded.machine, seen = now(),
            harness = excluded.harness, format = excluded.format,
            started = CASE WHEN known.instance = excluded.instance THEN known.started ELSE now() END
        WHERE known.instance = excluded.instance OR known.seen < now() - interval '1 minute';
    IF NOT FOUND THEN
        SELECT * INTO other FROM agents WHERE name = session_user;
        RAISE EXCEPTION USING ERRCODE = 'EH001', MESSAGE = other.machine;
    END IF;
    SELECT coalesce(array_agg(name ORDER BY name), '{}') INTO refused
        FROM devices WHERE agent <> session_user AND its_devices ? name;
    DELETE FROM devices WHERE agent = session_user AND NOT its_devices ? name;
    INSERT INTO devices (name, agent, host, profile)
        SELECT key, session_user, value ->> 'host', value -> 'profile'
        FROM jsonb_each(its_devices) WHERE key <> ALL (refused)
    ON CONFLICT (name) DO UPDATE SET host = excluded.host, profile = excluded.profile
        WHERE devices.agent = session_user
            AND (devices.host, devices.profile) IS DISTINCT FROM (excluded.host, excluded.profile);
    RETURN refused;
END $$;

CREATE FUNCTION fleet.goodbye(of_instance text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, fleet, pg_temp AS $$
    UPDATE agents SET seen = now() - interval '1 minute'
        WHERE name = session_user AND instance = of_instance;
$$;

-- Lets an agent hear of a share, through the queue: in turns with others of the same host.
CREATE FUNCTION fleet.enqueue(of_share text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, fleet, public, pg_temp AS $$
    SELECT procrastinate_defer_jobs_v1(array_agg(ROW(
        agent || '/' || host, 'measure', priority, agent || '/' || host, id,
        jsonb_build_object('share', id), NULL)::procrastinate_job_to_defer_v1))
    FROM shares WHERE id = of_share AND NOT EXISTS (
        SELECT FROM procrastinate_jobs WHERE queueing_lock = of_share AND status = 'todo');
$$;

-- Whether a run is over for an agent: nobody comes for what it left on devices.
CREATE FUNCTION fleet.over(of_run text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, fleet, pg_temp AS $$
    SELECT coalesce(bool_and(ended IS NOT NULL), false)
    FROM shares WHERE run_id = of_run AND agent = session_user;
$$;

-- Where all of a run's shares have ended, it has.
CREATE FUNCTION fleet.finish(of_run text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, fleet, public, pg_temp AS $$
DECLARE
    at text := to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US+00:00');
BEGIN
    PERFORM FROM runs WHERE id = of_run FOR UPDATE;
    UPDATE runs
        SET finished = at,
            record = (record::jsonb || jsonb_build_object('finished', at))::text
        WHERE id = of_run AND NOT EXISTS (
            SELECT FROM shares
            WHERE run_id = of_run AND state IN ('waiting', 'measuring', 'cancelling')
        );
END $$;

CREATE FUNCTION fleet.settle(of_share text, how text, why text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, fleet, pg_temp AS $$
DECLARE
    its_run text;
BEGIN
    UPDATE shares SET state = how, reason = left(why, 1000), ended = now(), lease_until = NULL
        WHERE id = of_share RETURNING run_id INTO its_run;
    PERFORM finish(its_run);
END $$;

-- Ends what nobody else will: past its deadline, or cancelled and its agent gone.
CREATE FUNCTION fleet.tidy() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, fleet, pg_temp AS $$
DECLARE
    each shares;
BEGIN
    FOR each IN
        SELECT * FROM shares
        WHERE state IN ('waiting', 'measuring', 'cancelling')
            AND (state = 'cancelling' OR deadline < now())
            AND coalesce(lease_until, '-infinity') < now()
        FOR UPDATE SKIP LOCKED
    LOOP
        PERFORM settle(each.id, 'cancelled', CASE WHEN each.state <> 'cancelling'
            THEN 'its deadline passed' ELSE each.reason END);
    END LOOP;
END $$;

CREATE FUNCTION fleet.claim(of_share text, of_instance text)
RETURNS TABLE (state text, fence integer, format integer, harness text, content text, files jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, fleet, pg_temp AS $$
#variable_conflict use_column
DECLARE
    its shares;
BEGIN
    PERFORM tidy();
    SELECT * INTO its FROM shares WHERE id = of_share AND agent = session_user FOR UPDATE;
    IF its.id IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'EH003', MESSAGE = of_share;
    END IF;
    IF its.state NOT IN ('waiting', 'measuring', 'cancelling') THEN
        RETURN QUERY SELECT its.state, NULL::integer, NULL::integer, NULL, NULL, NULL::jsonb;
        RETURN;
    END IF;
    IF its.instance <> of_instance AND its.lease_until > now() THEN
        RETURN QUERY SELECT 'held', NULL::integer, NULL::integer, NULL, NULL, NULL::jsonb;
        RETURN;
    END IF;
    UPDATE shares SET
        state = CASE state WHEN 'waiting' THEN 'measuring' ELSE state END,
        fence = shares.fence + 1,
        instance = of_instance,
        lease_until = now() + (SELECT term FROM about),
        begun = coalesce(begun, now())
    WHERE id = of_share RETURNING * INTO its;
    RETURN QUERY
        SELECT its.state, its.fence, its.format, its.harness, its.content, its.files;
END $$;

-- The share, where a caller holds it; all that writes to it in turns.
CREATE FUNCTION fleet.held(of_share text, by_fence integer) RETURNS fleet.shares
LANGUAGE plpgsql SET search_path = pg_catalog, fleet, pg_temp AS $$
DECLARE
    its shares;
BEGIN
    SELECT * INTO its FROM shares
        WHERE id = of_share AND agent = session_user AND fence = by_fence
            AND state IN ('measuring', 'cancelling')
        FOR UPDATE;
    IF its.id IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'EH002', MESSAGE = of_share;
    END IF;
    RETURN its;
END $$;

CREATE FUNCTION fleet.renew(of_share text, by_fence integer) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, fleet, pg_temp AS $$
DECLARE
    its shares := held(of_share, by_fence);
BEGIN
    UPDATE shares SET
        lease_until = now() + (SELECT term FROM about),
        state = CASE WHEN its.deadline < now() THEN 'cancelling' ELSE state END,
        reason = CASE WHEN its.deadline < now() THEN 'its deadline passed' ELSE reason END
    WHERE id = of_share RETURNING * INTO its;
    RETURN its.state;
END $$;

-- Stores a launch once. Its identity is made here: an agent cannot name another's.
CREATE FUNCTION fleet.add(
    of_share text, by_fence integer, its_case text, its_slot integer, its_attempt integer,
    its_status text, its_wall_s double precision, its_category text, its_start text,
    its_record text
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, fleet, public, pg_temp AS $$
DECLARE
    its shares := held(of_share, by_fence);
    its_id text := its.run_id || '-' || its_case || '-' || its_slot || '-' || its_attempt;
    -- PostgreSQL's JSON has no character U+0000, which a device may well print.
    said json := regexp_replace(its_record, '(?<!\\)((?:\\\\)*)\\u0000', '\1\\ufffd', 'g');
BEGIN
    IF NOT its.cases ? its_case OR said ->> 'id' IS DISTINCT FROM its_id
        OR said ->> 'case_id' IS DISTINCT FROM its_case THEN
        RAISE EXCEPTION USING ERRCODE = 'EH003', MESSAGE = its_id;
    END IF;
    INSERT INTO launches (id, run_id, case_id, slot, attempt, status, wall_s, device, category,
                          started, record)
        VALUES (its_id, its.run_id, its_case, its_slot, its_attempt, its_status, its_wall_s,
                its.cases ->> its_case, its_category, its_start, its_record)
        ON CONFLICT (id) DO NOTHING;
    IF NOT FOUND AND its_record <> (SELECT record FROM launches WHERE id = its_id) THEN
        RAISE EXCEPTION USING ERRCODE = 'EH005', MESSAGE = its_id;
    END IF;
END $$;

CREATE FUNCTION fleet.launches(of_share text, by_fence integer) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, fleet, public, pg_temp AS $$
DECLARE
    its shares := held(of_share, by_fence);
BEGIN
    RETURN QUERY SELECT record::text FROM launches
        WHERE run_id = its.run_id AND its.cases ? case_id;
END $$;

CREATE FUNCTION fleet.note(
    of_share text, by_fence integer, its_device text, its_time text, its_kind text,
    its_detail text
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, fleet, public, pg_temp AS $$
DECLARE
    its shares := held(of_share, by_fence);
BEGIN
    IF NOT EXISTS (SELECT FROM jsonb_each_text(its.cases) WHERE value = its_device) THEN
        RAISE EXCEPTION USING ERRCODE = 'EH003', MESSAGE = its_device;
    END IF;
    INSERT INTO device_events (device, at, run_id, kind, detail)
        SELECT its_device, its_time, its.run_id, its_kind, its_detail
        WHERE NOT EXISTS (
            SELECT FROM device_events WHERE (device, at, run_id, kind, detail)
                = (its_device, its_time, its.run_id, its_kind, its_detail)
        );
END $$;

-- Puts what became known of a share's cases and devices into its run, and touches nothing else.
CREATE FUNCTION fleet.report(of_share text, by_fence integer, its_cases jsonb, its_devices jsonb)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, fleet, public, pg_temp AS $$
DECLARE
    its shares := held(of_share, by_fence);
    run jsonb;
BEGIN
    IF EXISTS (SELECT FROM jsonb_object_keys(its_cases) AS key WHERE NOT its.cases ? key)
        OR EXISTS (
            SELECT FROM jsonb_object_keys(its_devices) AS key
            WHERE key NOT IN (SELECT value FROM jsonb_each_text(its.cases))
        ) THEN
        RAISE EXCEPTION USING ERRCODE = 'EH003', MESSAGE = of_share;
    END IF;
    SELECT record::jsonb INTO run FROM runs WHERE id = its.run_id FOR UPDATE;
    UPDATE runs SET record = (run || jsonb_build_object(
        -- 'ids' is the run's cases' identities, in their order: see fleet.submit.
        'cases', (
            SELECT jsonb_agg(each || coalesce(its_cases -> id, '{}') || jsonb_build_object(
                'case', each -> 'case') ORDER BY place)
            FROM jsonb_array_elements(run -> 'cases') WITH ORDINALITY AS a (each, place)
            JOIN jsonb_array_elements_text((SELECT ids FROM runs_cases WHERE run_id = its.run_id))
                WITH ORDINALITY AS b (id, place) USING (place)
        ),
        'devices', (
            SELECT jsonb_agg(each || coalesce(its_devices -> (each ->> 'name'), '{}')
                || jsonb_build_object('name', each -> 'name') ORDER BY place)
            FROM jsonb_array_elements(run -> 'devices') WITH ORDINALITY AS a (each, place)
        )
    ))::text WHERE id = its.run_id;
END $$;

CREATE FUNCTION fleet.leave(of_share text, by_fence integer, how text, why text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, fleet, pg_temp AS $$
DECLARE
    its shares := held(of_share, by_fence);
BEGIN
    IF how = 'waiting' THEN  -- its agent ends, and the next one goes on
        UPDATE shares SET lease_until = NULL WHERE id = of_share;
    ELSIF how IN ('done', 'failed', 'cancelled') THEN
        PERFORM settle(of_share, how, coalesce(nullif(why, ''), its.reason));
    ELSE
        RAISE EXCEPTION USING ERRCODE = 'EH003', MESSAGE = how;
    END IF;
END $$;

CREATE FUNCTION fleet.fetch(of_share text, wanted text) RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, fleet, pg_temp AS $$
    SELECT chunks.content FROM chunks
    JOIN uses ON chunk = hash JOIN shares ON shares.id = share
    WHERE hash = wanted AND share = of_share AND agent = session_user;
$$;

-- What submitters call.

CREATE TABLE fleet.runs_cases (
    run_id text COLLATE "C" PRIMARY KEY REFERENCES runs (id),
    ids jsonb NOT NULL
);

CREATE FUNCTION fleet.missing(wanted text[]) RETURNS text[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, fleet, pg_temp AS $$
BEGIN
    -- In use from now on, so that none is collected before its share is there.
    UPDATE chunks SET used = now() WHERE hash = ANY (wanted);
    RETURN (SELECT coalesce(array_agg(each), '{}') FROM unnest(wanted) AS each
            WHERE each NOT IN (SELECT hash FROM chunks WHERE hash = ANY (wanted)));
END $$;

CREATE FUNCTION fleet.put(its_content bytea) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, fleet, pg_temp AS $$
    INSERT INTO chunks (hash, content) VALUES (encode(sha256(its_content), 'hex'), its_content)
        ON CONFLICT (hash) DO UPDATE SET used = now();
$$;

CREATE FUNCTION fleet.submit(
    of_run text, of_campaign text, its_start text, its_record text, its_ids jsonb,
    its_shares jsonb, its_priority integer, its_deadline interval
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, fleet, public, pg_temp AS $$
DECLARE
    each jsonb;
    bytes bigint;
BEGIN
    INSERT INTO runs (id, campaign, started, record)
        VALUES (of_run, of_campaign, its_start, its_record);
    INSERT INTO runs_cases VALUES (of_run, its_ids);
    FOR each IN SELECT * FROM jsonb_array_elements(its_shares) LOOP
        INSERT INTO shares (id, run_id, agent, host, format, harness, content, files, cases,
                            priority, deadline)
            VALUES (each ->> 'id', of_run, each ->> 'agent', each ->> 'host',
                    (each ->> 'format')::integer, each ->> 'harness', each ->> 'content',
                    each -> 'files', each -> 'cases', its_priority, now() + its_deadline);
        INSERT INTO uses SELECT DISTINCT each ->> 'id', chunk
            FROM jsonb_array_elements(each -> 'files') AS file,
                jsonb_array_elements_text(file -> 'chunks') AS chunk;
        SELECT coalesce(sum(octet_length(content)), 0) INTO bytes
            FROM uses JOIN chunks ON hash = chunk WHERE share = each ->> 'id';
        IF bytes > (SELECT limit_bytes FROM about) THEN
            RAISE EXCEPTION USING ERRCODE = 'EH004', MESSAGE = bytes::text;
        END IF;
        PERFORM enqueue(each ->> 'id');
    END LOOP;
END $$;

CREATE FUNCTION fleet.cancel(of_run text, why text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, fleet, pg_temp AS $$
DECLARE
    each shares;
    cancelled integer := 0;
BEGIN
    FOR each IN
        SELECT * FROM shares WHERE run_id = of_run AND submitter = session_user
            AND state IN ('waiting', 'measuring') FOR UPDATE
    LOOP
        cancelled := cancelled + 1;
        IF each.lease_until > now() THEN
            UPDATE shares SET state = 'cancelling', reason = left(why, 1000) WHERE id = each.id;
        ELSE
            PERFORM settle(each.id, 'cancelled', why);
        END IF;
    END LOOP;
    RETURN cancelled;
END $$;

CREATE FUNCTION fleet.retry(of_run text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, fleet, public, pg_temp AS $$
DECLARE
    each shares;
    again integer := 0;
BEGIN
    FOR each IN
        SELECT * FROM shares WHERE run_id = of_run AND submitter = session_user
            AND ended IS NOT NULL FOR UPDATE
    LOOP
        INSERT INTO uses SELECT DISTINCT each.id, hash
            FROM jsonb_array_elements(each.files) AS file,
                jsonb_array_elements_text(file -> 'chunks') AS chunk
            JOIN chunks ON hash = chunk
            ON CONFLICT DO NOTHING;
        IF EXISTS (
            SELECT FROM jsonb_array_elements(each.files) AS file,
                jsonb_array_elements_text(file -> 'chunks') AS chunk
            WHERE chunk NOT IN (SELECT uses.chunk FROM uses WHERE share = each.id)
        ) THEN
            RAISE EXCEPTION USING ERRCODE = 'EH006', MESSAGE = of_run;
        END IF;
        UPDATE shares SET state = 'waiting', reason = '', ended = NULL, deadline = NULL
            WHERE id = each.id;
        PERFORM enqueue(each.id);
        again := again + 1;
    END LOOP;
    IF again > 0 THEN
        UPDATE runs SET finished = NULL, record = (record::jsonb || '{"finished": null}')::text
            WHERE id = of_run;
    END IF;
    RETURN again;
END $$;

-- What the owner calls.

CREATE FUNCTION fleet.collect(older interval) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, fleet, pg_temp AS $$
DECLARE
    removed bigint;
BEGIN
    DELETE FROM uses USING shares WHERE shares.id = share AND ended < now() - older;
    WITH gone AS (
        DELETE FROM chunks WHERE used < now() - interval '1 hour'
            AND NOT EXISTS (SELECT FROM uses WHERE chunk = hash)
        RETURNING octet_length(content) AS bytes
    ) SELECT coalesce(sum(bytes), 0) INTO removed FROM gone;
    RETURN removed;
END $$;

-- Of many runs, the newest is asked for most.
CREATE INDEX IF NOT EXISTS ix_fleet_runs_started ON runs (started DESC);

-- What anybody may read: shares without what they hold.
CREATE VIEW fleet.jobs AS
    SELECT id, run_id, agent, host, submitter, harness, cases, priority, deadline, submitted, state,
        reason, fence, lease_until, lease_until > now() AS alive, begun, ended
    FROM fleet.shares;

DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['edge_read', 'edge_submit', 'edge_agent'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
        END IF;
    END LOOP;
END $$;
GRANT edge_read TO edge_submit;

-- Else anybody could put functions where those of the owner look for them.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA fleet FROM PUBLIC;
GRANT USAGE ON SCHEMA fleet TO edge_read, edge_agent;
GRANT SELECT ON fleet.about TO edge_read, edge_agent;
GRANT SELECT ON runs, launches, imported, device_events, alembic_version TO edge_read;
GRANT SELECT ON fleet.agents, fleet.devices, fleet.jobs TO edge_read;
GRANT EXECUTE ON FUNCTION fleet.tidy TO edge_read, edge_agent;
GRANT EXECUTE ON FUNCTION fleet.hello, fleet.goodbye, fleet.claim, fleet.renew, fleet.add,
    fleet.launches, fleet.note, fleet.over, fleet.report, fleet.leave, fleet.fetch TO edge_agent;
GRANT EXECUTE ON FUNCTION fleet.missing, fleet.put, fleet.submit, fleet.cancel, fleet.retry
    TO edge_submit;

-- The queue is procrastinate's; an agent sees its own jobs. It only says that there is something to
-- do: who measures is decided by fleet.claim.
GRANT SELECT, INSERT, UPDATE, DELETE ON procrastinate_workers TO edge_agent;
GRANT SELECT, UPDATE ON procrastinate_jobs TO edge_agent;
GRANT SELECT, INSERT ON procrastinate_events TO edge_agent;
GRANT SELECT, UPDATE ON procrastinate_periodic_defers TO edge_agent;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO edge_agent;
ALTER TABLE procrastinate_jobs ENABLE ROW LEVEL SECURITY;
CREATE POLICY edge_agent ON procrastinate_jobs TO edge_agent
    USING (split_part(queue_name, '/', 1) = session_user);

INSERT INTO fleet.about (version, limit_bytes) VALUES (1, 2147483648);
