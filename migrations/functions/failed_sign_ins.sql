-- Failed sign-ins are counted where no rollback reaches: they make a name wait, then lock it out.

CREATE FUNCTION epoch_ms(moment timestamptz) RETURNS bigint
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$ SELECT floor(extract(epoch FROM moment) * 1000)::bigint $$;

CREATE FUNCTION attempt_key(subject text) RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT hmac(convert_to(subject, 'UTF8'), key, 'sha256') FROM attempts.secret $$;
COMMENT ON FUNCTION attempt_key IS 'Where whose attempts are counted; nobody outside can foresee it.';

CREATE FUNCTION attempt_read(counter regclass, OUT began_ms bigint, OUT mark bigint, OUT failures bigint)
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$ SELECT (v >> 27) * 100, (v >> 17) & 1023, v & 131071 FROM pg_sequence_last_value(counter) AS v $$;

CREATE FUNCTION attempt_write(counter regclass, began_ms bigint, mark bigint, failures bigint) RETURNS void
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$ SELECT setval(counter, ((began_ms / 100) << 27) | (mark << 17) | failures) $$;

-- Whoever fails gets one of four places, marked as their own; only when all four are taken do they
-- share the first one with its owner.
CREATE FUNCTION attempt_place(kind text, subject text, lasts_s bigint, OUT counter regclass, OUT mark bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    key constant bytea := attempt_key(kind || ':' || subject);
    size constant integer := CASE kind WHEN 'name' THEN 256 ELSE 64 END;
    place regclass;
    found record;
    first regclass;
    free regclass;
BEGIN
    mark := 1 + (get_byte(key, 8) * 256 + get_byte(key, 9)) % 1023;
    FOR i IN 0..3 LOOP
        place := format('attempts.%s_%s', kind, (get_byte(key, 2 * i) * 256 + get_byte(key, 2 * i + 1)) % size);
        SELECT * INTO found FROM attempt_read(place);
        IF found.mark = mark THEN
            counter := place;
            RETURN;
        END IF;
        first := coalesce(first, place);
        IF free IS NULL AND (found.failures = 0 OR lasts_s > 0
                             AND found.began_ms + lasts_s * 1000 <= epoch_ms(clock_timestamp())) THEN
            free := place;
        END IF;
    END LOOP;
    counter := coalesce(free, first);
END
$$;
COMMENT ON FUNCTION attempt_place IS 'The counter for this name or address, and the mark by which it is known as theirs.';

-- One at a time: of two who find a time to be over, the second would forget what the first counted.
-- The lock goes with the inner transaction, which is always given up: nothing that ends the call keeps
-- it, and no open transaction keeps others waiting. What is counted stays all the same.
CREATE FUNCTION attempt_count(kind text, subject text, most bigint, lasts_s bigint, forgiven_at timestamptz,
                              OUT counted boolean, OUT began_ms bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    now_ms bigint;
    place record;
    seen record;
    failures bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(attempts_lock());
    now_ms := epoch_ms(clock_timestamp());
    SELECT * INTO place FROM attempt_place(kind, subject, lasts_s);
    SELECT * INTO seen FROM attempt_read(place.counter);
    began_ms := seen.began_ms;
    failures := seen.failures;
    IF failures = 0 OR began_ms <= epoch_ms(forgiven_at)
       OR lasts_s > 0 AND began_ms + lasts_s * 1000 <= now_ms THEN
        -- Kept in tenths of a second: in the tenth of the forgiving it would be forgiven as well.
        began_ms := greatest(now_ms, (epoch_ms(forgiven_at) / 100 + 1) * 100);
        failures := 0;
        seen.mark := place.mark;
    END IF;
    counted := failures < most;
    IF counted THEN
        -- With the last one there is, the time begins to run.
        PERFORM attempt_write(place.counter,
            CASE WHEN failures + 1 = most THEN greatest(now_ms, began_ms) ELSE began_ms END,
            seen.mark, failures + 1);
    END IF;
    RAISE EXCEPTION USING ERRCODE = 'GG099';
EXCEPTION WHEN SQLSTATE 'GG099' THEN
    RETURN;
END
$$;
COMMENT ON FUNCTION attempt_count IS
    'Counts one more if `most` allow it; else since when they are counted.';
ALTER FUNCTION attempt_count OWNER TO <<broker>>;

CREATE FUNCTION attempts_lock() RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT 'attempts.failed'::regclass::bigint $$;
ALTER FUNCTION attempts_lock OWNER TO <<broker>>;

CREATE FUNCTION attempt(kind text, subject text, most bigint, lasts_s bigint, forgiven_at timestamptz)
RETURNS timestamptz
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    tried record;
BEGIN
    LOOP
        SELECT * INTO tried FROM attempt_count(kind, subject, most, lasts_s, forgiven_at);
        IF tried.counted THEN
            RETURN NULL;
        END IF;
        -- Of those that are being checked right now one may be right, and then this one may go on:
        -- the same person's other windows and scripts sign in at the same moment.
        IF epoch_ms(clock_timestamp()) - tried.began_ms > 2000 THEN
            RETURN CASE WHEN lasts_s = 0 THEN 'infinity'
                ELSE to_timestamp((tried.began_ms + lasts_s * 1000) / 1000.0) END;
        END IF;
        PERFORM pg_sleep(0.05);
    END LOOP;
END
$$;
COMMENT ON FUNCTION attempt IS
    'Counts an attempt before it is made; NULL: make it; a time: refused until then, when `most` failed within `lasts_s` seconds (0: for ever) and since `forgiven_at`.';
ALTER FUNCTION attempt OWNER TO <<broker>>;

CREATE FUNCTION attempt_was_right(kind text, subject text, lasts_s bigint, all_forgiven boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    place record;
    seen record;
BEGIN
    PERFORM pg_advisory_xact_lock(attempts_lock());
    SELECT * INTO place FROM attempt_place(kind, subject, lasts_s);
    SELECT * INTO seen FROM attempt_read(place.counter);
    IF seen.failures > 0 THEN
        -- Of a place that is shared, no more than this attempt is one's own to take back.
        PERFORM attempt_write(place.counter, seen.began_ms, seen.mark,
            CASE WHEN all_forgiven AND seen.mark = place.mark THEN 0 ELSE seen.failures - 1 END);
    END IF;
    RAISE EXCEPTION USING ERRCODE = 'GG099';
EXCEPTION WHEN SQLSTATE 'GG099' THEN
    RETURN;
END
$$;
COMMENT ON FUNCTION attempt_was_right IS 'Takes back what attempt() counted, or all of one''s own: only failures count.';
ALTER FUNCTION attempt_was_right OWNER TO <<broker>>;

CREATE FUNCTION forgive_attempts(user_name text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT attempt_was_right('address', address, 60, false),
        attempt_was_right('name', lower(user_name) || '@' || address, setting_value('lock_out_s'), true)
    FROM coalesce(host(inet_client_addr()), 'local') AS address
$$;
COMMENT ON FUNCTION forgive_attempts IS
    'What check_password() counted, and failures before it with this name from here, counts no more.';
ALTER FUNCTION forgive_attempts OWNER TO <<broker>>;

-- Whoever knew a right password and was refused is told of like whoever guessed wrong.
CREATE FUNCTION note_failure(said_name text, program text, workstation text, reason text, unseen boolean)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RAISE LOG 'ggnet: failed sign-in as % from %: %',
        quote_literal(said_name), coalesce(host(inet_client_addr()), 'local'), reason;
    IF unseen THEN
        PERFORM nextval('attempts.refused');
    ELSE
        INSERT INTO attempts.failed (number, name, client_address, program, workstation, reason)
        VALUES (nextval('attempts.failures'), said_name, inet_client_addr(),
                coalesce(left(program, 64), ''), coalesce(left(workstation, 64), ''), reason);
    END IF;
END
$$;
COMMENT ON FUNCTION note_failure IS
    'Tells the server''s log and, unless it was refused unseen, keeps a record for the audit trail.';
ALTER FUNCTION note_failure OWNER TO <<broker>>;

-- Moves committed failures into the audit trail, the oldest first and so many at a time that no
-- sign-in takes long, and says how many were rolled back and how many were refused unseen. One
-- sign-in at a time does it and nobody waits for it: whoever holds a transaction open must not hold
-- up others.
CREATE FUNCTION account_for_failures() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    at_once constant integer := 500;
    before attempts.accounted;
    total bigint;
    refused_total bigint;
    kept bigint := 0;
    gone attempts.failed;
BEGIN
    SELECT * INTO before FROM attempts.accounted FOR UPDATE SKIP LOCKED;
    SELECT last_value INTO total FROM attempts.failures;
    SELECT last_value INTO refused_total FROM attempts.refused;
    IF before IS NULL OR (before.number, before.refused) = (total, refused_total) THEN
        RETURN;
    END IF;
    -- One by one: rows of one statement would each ask for a link of the audit chain of their own.
    FOR gone IN
        WITH oldest AS (
            DELETE FROM attempts.failed
            WHERE number IN (SELECT f.number FROM attempts.failed f ORDER BY f.number LIMIT at_once)
            RETURNING *)
        SELECT * FROM oldest ORDER BY number
    LOOP
        INSERT INTO audit (at, severity, user_name, client_address, program, verb, noun, object_name,
                           changes)
        VALUES (gone.at, 'WARNING', '', gone.client_address, gone.program, 'fail', 'sign-in', gone.name,
                jsonb_build_object('reason', jsonb_build_array(NULL, gone.reason),
                                   'workstation', jsonb_build_array(NULL, gone.workstation)));
        kept := kept + 1;
    END LOOP;
    -- Who fails in a transaction that goes on holds the table from before the number is drawn: what
    -- is missing may still come, and is told of when it has not.
    IF kept = at_once OR EXISTS (SELECT FROM pg_locks
                                 WHERE relation = 'attempts.failed'::regclass AND mode = 'RowExclusiveLock'
                                   AND pid <> pg_backend_pid()
                                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
    THEN
        total := before.number + kept;
    END IF;
    IF total - before.number > kept THEN
        INSERT INTO audit (severity, user_name, verb, noun, changes)
        VALUES ('CRITICAL', '', 'fail', 'sign-in',
                jsonb_build_object('not_recorded', jsonb_build_array(NULL, total - before.number - kept)));
    END IF;
    IF refused_total > before.refused THEN
        INSERT INTO audit (severity, user_name, verb, noun, changes)
        VALUES ('WARNING', '', 'fail', 'sign-in',
                jsonb_build_object('refused_unseen', jsonb_build_array(NULL, refused_total - before.refused)));
    END IF;
    UPDATE attempts.accounted SET number = total, refused = refused_total;
END
$$;
COMMENT ON FUNCTION account_for_failures IS
    'Writes failed sign-ins into the audit trail, and how many of them left no record of their own.';

CREATE FUNCTION refused_until(user_name text, client_address inet, forgiven_at timestamptz)
RETURNS timestamptz
LANGUAGE sql VOLATILE SET search_path = pg_catalog, public, pg_temp
AS $$
    -- Where check_password() counts, and as attempt() reads it.
    SELECT CASE WHEN lasts_s = 0 THEN 'infinity' ELSE began + make_interval(secs => lasts_s) END
    FROM setting_value('lock_out_s') AS lasts_s
    CROSS JOIN LATERAL attempt_place(
        'name', lower(user_name) || '@' || coalesce(host(client_address), 'local'), lasts_s) AS place
    CROSS JOIN LATERAL attempt_read(place.counter) AS seen
    CROSS JOIN LATERAL to_timestamp(seen.began_ms / 1000.0) AS began
    WHERE seen.failures >= setting_value('failed_sign_ins_max')
        AND (began <= forgiven_at) IS NOT TRUE
        AND (lasts_s = 0 OR began + make_interval(secs => lasts_s) > clock_timestamp())
$$;
COMMENT ON FUNCTION refused_until IS
    'Until when this name is locked out from this computer (infinity: until it is unlocked); NULL: it is not.';

-- Guesses that were rolled back leave no record, but the lock-out: so every computer that an
-- user was ever signed in from is looked at as well.
CREATE FUNCTION failed_sign_ins()
RETURNS TABLE (account bigint, client_address text, workstation text, failures bigint,
               last_at timestamptz, refused boolean, until timestamptz)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    WITH failed AS MATERIALIZED (
        SELECT lower(f.name) AS name, f.client_address, f.workstation, f.at FROM attempts.failed f
        UNION ALL
        SELECT lower(a.object_name), a.client_address, a.changes -> 'workstation' ->> 1, a.at
        FROM audit a WHERE a.user_name = '' AND a.noun = 'sign-in' AND a.verb = 'fail'
    ), signed_in AS MATERIALIZED (
        SELECT s.user_id, s.client_address, max(s.created_at) AS at FROM sign_ins s GROUP BY 1, 2
    ), places AS (
        SELECT u.id, f.client_address FROM users u JOIN failed f ON f.name = lower(u.name)
        UNION SELECT s.user_id, s.client_address FROM signed_in s
        UNION SELECT u.id, NULL FROM users u
    )
    SELECT u.id, host(p.client_address), seen.workstation, seen.failures, seen.last_at,
        lock.until IS NOT NULL, nullif(lock.until, 'infinity')
    FROM places p JOIN users u ON u.id = p.id
    LEFT JOIN signed_in s ON s.user_id = u.id AND s.client_address IS NOT DISTINCT FROM p.client_address
    CROSS JOIN LATERAL (
        SELECT count(*) AS failures, max(f.at) AS last_at,
            (array_agg(f.workstation ORDER BY f.at DESC))[1] AS workstation
        FROM failed f
        WHERE f.name = lower(u.name) AND f.client_address IS NOT DISTINCT FROM p.client_address
            AND f.at > greatest(clock_timestamp() - interval '1 day', u.unlocked_at, s.at)
    ) AS seen
    CROSS JOIN LATERAL (SELECT refused_until(u.name, p.client_address, u.unlocked_at)) AS lock (until)
    WHERE seen.failures > 0 OR lock.until IS NOT NULL
    ORDER BY u.id, seen.last_at DESC NULLS LAST
$$;
COMMENT ON FUNCTION failed_sign_ins IS
    'For each user and computer: sign-ins that failed within a day and since the last right one, and whether it is locked out.';
