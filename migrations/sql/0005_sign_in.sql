-- Sign-in that counts failures where no rollback reaches, throttles, locks out, and lets an account
-- whose password was reset do nothing but choose a new one.

ALTER TABLE users ADD COLUMN must_change_password BOOLEAN DEFAULT false NOT NULL,
    ADD COLUMN locked BOOLEAN DEFAULT false NOT NULL,
    ADD COLUMN unlocked_at timestamptz;

INSERT INTO settings (name, value, minimum, maximum, description) VALUES
    ('failed_sign_ins_max', 5, 1, 1000,
     'Failed sign-ins in a row, with one name from one computer, after which it is locked out'),
    ('lock_out_s', 900, 0, 604800,
     'Seconds such a lock-out lasts; 0: until an admin unlocks the account'),
    ('sign_ins_per_minute', 20, 1, 100000,
     'Failed sign-ins a minute, with whatever name, after which a computer has to wait'),
    ('user_sign_ins_per_minute', 120, 1, 100000,
     'Sign-ins a minute that one account may make');
CREATE INDEX ix_sign_ins_user_id_created_at ON sign_ins (user_id, created_at);

-- A fixed pool of counters: what a sequence counted stays counted when the transaction is rolled
-- back; a sequence made in that transaction would go. The pool is a hash table with open addresses:
-- a value is tenths of seconds since 1970 (when the count began) * 2^27 + the mark of whom it counts
-- * 2^17 + the count, so that one nextval() is one step nobody can come between.
CREATE SCHEMA attempts;
DO $$
BEGIN
    FOR i IN 0..255 LOOP
        EXECUTE format('CREATE SEQUENCE attempts.name_%s MINVALUE 0; SELECT setval(%L, 0)',
            i, 'attempts.name_' || i);
    END LOOP;
    FOR i IN 0..63 LOOP
        EXECUTE format('CREATE SEQUENCE attempts.address_%s MINVALUE 0; SELECT setval(%L, 0)',
            i, 'attempts.address_' || i);
    END LOOP;
END
$$;
-- Nobody may read it: who knew it could choose names that share a counter with somebody else's.
CREATE TABLE attempts.secret (key BYTEA NOT NULL);
INSERT INTO attempts.secret VALUES (gen_random_bytes(32));
-- Every failure ever gets a number; those that committed are in the table until a sign-in moves
-- them into the audit trail. A number without a row was rolled back.
CREATE SEQUENCE attempts.failures MINVALUE 0;
SELECT setval('attempts.failures', 0);
CREATE TABLE attempts.failed (
    number BIGINT NOT NULL,
    at timestamptz DEFAULT clock_timestamp() NOT NULL,
    name TEXT NOT NULL,
    client_address INET,
    program TEXT NOT NULL,
    workstation TEXT NOT NULL,
    reason TEXT NOT NULL,
    CONSTRAINT pk_failed PRIMARY KEY (number)
);
-- Attempts that were refused before any password was looked at: there may be very many, so they
-- leave no more than this number and a line in the server's log.
CREATE SEQUENCE attempts.refused MINVALUE 0;
SELECT setval('attempts.refused', 0);
CREATE TABLE attempts.accounted (number BIGINT NOT NULL, refused BIGINT NOT NULL);
INSERT INTO attempts.accounted VALUES (0, 0);
COMMENT ON TABLE attempts.accounted IS
    'How many failures, and how many refusals, the audit trail tells of; one row.';

GRANT USAGE ON SCHEMA attempts TO <<broker>>;
GRANT SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA attempts TO <<broker>>;
GRANT INSERT ON attempts.failed TO <<broker>>;

CREATE FUNCTION setting_value(setting text) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT value FROM settings WHERE name = setting $$;

CREATE FUNCTION epoch_ms(moment timestamptz) RETURNS bigint
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$ SELECT floor(extract(epoch FROM moment) * 1000)::bigint $$;

CREATE FUNCTION wait_for(moment timestamptz) RETURNS text
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN s <= 90 THEN format('try again in %s seconds', s)
        ELSE format('try again in %s minutes', ceil(s / 60.0)) END
    FROM (SELECT greatest(ceil(extract(epoch FROM moment - clock_timestamp())), 1)::bigint) AS t (s)
$$;
COMMENT ON FUNCTION wait_for IS 'The end of a sentence that says when to try again.';

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

CREATE FUNCTION attempt(kind text, subject text, most bigint, lasts_s bigint, forgiven_at timestamptz)
RETURNS timestamptz
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    place record;
    began_ms bigint;
    mark bigint;
    failures bigint;
    now_ms bigint;
BEGIN
    LOOP
        now_ms := epoch_ms(clock_timestamp());
        SELECT * INTO place FROM attempt_place(kind, subject, lasts_s);
        SELECT * INTO began_ms, mark, failures FROM attempt_read(place.counter);
        IF failures = 0 OR began_ms <= epoch_ms(forgiven_at)
           OR lasts_s > 0 AND began_ms + lasts_s * 1000 <= now_ms THEN
            began_ms := now_ms;
            mark := place.mark;
            failures := 0;
            PERFORM attempt_write(place.counter, began_ms, mark, failures);
        END IF;
        IF failures < most THEN
            failures := nextval(place.counter) & 131071;
            IF failures = most THEN
                -- The last one there is: from here on the time runs.
                PERFORM attempt_write(place.counter, now_ms, mark, failures);
            END IF;
            IF failures <= most THEN
                RETURN NULL;
            END IF;
        END IF;
        -- Of those that are being checked right now one may be right, and then this one may go on:
        -- the same person's other windows and scripts sign in at the same moment.
        IF now_ms - began_ms > 2000 THEN
            RETURN CASE WHEN lasts_s = 0 THEN 'infinity'
                ELSE to_timestamp((began_ms + lasts_s * 1000) / 1000.0) END;
        END IF;
        PERFORM pg_sleep(0.05);
    END LOOP;
END
$$;
COMMENT ON FUNCTION attempt IS
    'Counts an attempt before it is made; NULL: make it; a time: refused until then, when `most` failed within `lasts_s` seconds (0: for ever) and since `forgiven_at`.';

CREATE FUNCTION attempt_was_right(kind text, subject text, lasts_s bigint, all_forgiven boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    place record;
    seen record;
BEGIN
    SELECT * INTO place FROM attempt_place(kind, subject, lasts_s);
    SELECT * INTO seen FROM attempt_read(place.counter);
    IF seen.failures > 0 THEN
        -- Of a place that is shared, no more than this attempt is one's own to take back.
        PERFORM attempt_write(place.counter, seen.began_ms, seen.mark,
            CASE WHEN all_forgiven AND seen.mark = place.mark THEN 0 ELSE seen.failures - 1 END);
    END IF;
END
$$;
COMMENT ON FUNCTION attempt_was_right IS 'Takes back what attempt() counted, or all of one''s own: only failures count.';

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

-- Roles whose time is over: their connections end, and they go.
CREATE FUNCTION clear_sign_ins() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    old record;
BEGIN
    FOR old IN
        SELECT s.id, s.role_name FROM sign_ins s
        WHERE s.expires_at < clock_timestamp() AND EXISTS
            (SELECT FROM pg_roles WHERE rolname = s.role_name)
        ORDER BY s.expires_at DESC LIMIT 20 FOR UPDATE SKIP LOCKED
    LOOP
        UPDATE sign_ins SET ended_at = coalesce(ended_at, expires_at) WHERE id = old.id;
        PERFORM disarm(old.role_name);
        PERFORM end_connections(ARRAY[old.role_name]);
        BEGIN
            -- Any role can own large objects and default privileges, and then is not dropped.
            EXECUTE format('GRANT %I TO %I', old.role_name, current_user);
            EXECUTE format('DROP OWNED BY %I', old.role_name);
            EXECUTE format('DROP ROLE %I', old.role_name);
        EXCEPTION WHEN dependent_objects_still_exist THEN
            -- What it owns in another database is out of reach; others can sign in all the same.
            RAISE LOG 'ggnet: % stays, without rights: %', old.role_name, SQLERRM;
        END;
    END LOOP;
END
$$;

CREATE FUNCTION group_of(account users) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT format('ggnet_%s_%s', CASE WHEN account.must_change_password THEN 'newcomer'
                                      ELSE lower(account.role::text) END, installation_id())
$$;
COMMENT ON FUNCTION group_of IS 'The group role that the sign-ins of an account belong to.';

CREATE FUNCTION open_sign_in(account users, program text, workstation text) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    sign_in uuid := gen_random_uuid();
    new_role text := 'ggnet_s_' || replace(sign_in::text, '-', '');
    secret text := encode(gen_random_bytes(24), 'hex');
    until timestamptz := clock_timestamp()
        + make_interval(hours => setting_value('sign_in_hours')::int);
BEGIN
    EXECUTE format('CREATE ROLE %I LOGIN PASSWORD %L VALID UNTIL %L CONNECTION LIMIT 16 IN ROLE %I',
        new_role, secret, until, group_of(account));
    -- For those who forget a transaction; tend_sign_ins() ends those who do it on purpose.
    EXECUTE format('ALTER ROLE %1$I SET idle_in_transaction_session_timeout = ''1min''; '
                   'ALTER ROLE %1$I SET lock_timeout = ''30s''', new_role);
    INSERT INTO sign_ins (id, user_id, role_name, program, workstation, client_address, expires_at)
    VALUES (sign_in, account.id, new_role, coalesce(left(program, 64), ''),
            coalesce(left(workstation, 64), ''), inet_client_addr(), until);
    UPDATE users SET last_sign_in_at = clock_timestamp() WHERE id = account.id;
    RETURN jsonb_build_object('ok', true, 'role_name', new_role, 'secret', secret,
        'expires_at', until, 'user_id', account.id, 'name', account.name, 'role', account.role,
        'must_change_password', account.must_change_password);
END
$$;

-- No reason when name and password are right; unseen: refused before the password was looked at.
CREATE FUNCTION check_password(account users, user_name text, password text,
                               OUT reason text, OUT unseen boolean)
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    -- Checked for unknown names, so that they take as long as known ones.
    nobody constant text := '$2a$11$CwTycUXWue0Thq9StjUM0uJ8r8Yf0Zl0k3z5pZyCkUeK8yVn1bq2K';
    address constant text := coalesce(host(inet_client_addr()), 'local');
    -- Name and address: nobody can lock others out of their accounts from another computer.
    by_name constant text := lower(user_name) || '@' || address;
    hash constant text := coalesce(account.password_hash, nobody);
    refused_until timestamptz;
BEGIN
    unseen := true;
    refused_until := attempt('address', address, setting_value('sign_ins_per_minute'), 60, NULL);
    IF refused_until IS NOT NULL THEN
        reason := format('Too many sign-ins from this computer have failed; %s.', wait_for(refused_until));
        RETURN;
    END IF;
    refused_until := attempt('name', by_name, setting_value('failed_sign_ins_max'),
                             setting_value('lock_out_s'), account.unlocked_at);
    IF refused_until IS NOT NULL THEN
        reason := format('Too many sign-ins with this name have failed; %s an admin to unlock the account.',
            CASE WHEN refused_until = 'infinity' THEN 'ask' ELSE wait_for(refused_until) || ', or ask' END);
        RETURN;
    END IF;
    unseen := false;
    -- bcrypt looks at the first 72 bytes alone.
    IF crypt(password, hash) <> hash OR octet_length(password) > 72 OR account.id IS NULL THEN
        reason := 'The name or the password is wrong.';
    END IF;
END
$$;

CREATE FUNCTION forgive_attempts(user_name text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT attempt_was_right('address', address, 60, false),
        attempt_was_right('name', lower(user_name) || '@' || address, setting_value('lock_out_s'), true)
    FROM coalesce(host(inet_client_addr()), 'local') AS address
$$;
COMMENT ON FUNCTION forgive_attempts IS
    'What check_password() counted, and failures before it with this name from here, counts no more.';

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

-- Answers {"ok": true, "role_name", "secret", "expires_at", "user_id", "name", "role",
-- "must_change_password"} or {"ok": false, "reason"}; never raises, so that what the attempt
-- recorded stays.
CREATE OR REPLACE FUNCTION login(user_name text, password text, program text, workstation text)
RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
-- Any role may set these for itself, the console's too, and then no sign-in's role could connect.
SET password_encryption = 'scram-sha-256' SET datestyle = 'ISO' SET timezone = 'UTC'
AS $$
DECLARE
    account users;
    given_name constant text := coalesce(user_name, '');
    said_name constant text := left(given_name, 64);
    reason text;
    unseen boolean;
    again_at timestamptz;
BEGIN
    SELECT * INTO account FROM users WHERE lower(name) = lower(given_name);
    SELECT * INTO reason, unseen FROM check_password(account, given_name, coalesce(password, ''));
    IF reason IS NULL AND account.disabled THEN
        reason := 'This account is disabled; an admin can enable it.';
    ELSIF reason IS NULL AND account.locked THEN
        reason := 'This account is locked; an admin can unlock it.';
    END IF;
    IF reason IS NULL THEN
        SELECT created_at + interval '1 minute' INTO again_at FROM sign_ins
        WHERE user_id = account.id AND created_at > clock_timestamp() - interval '1 minute'
        ORDER BY created_at DESC OFFSET setting_value('user_sign_ins_per_minute') - 1 LIMIT 1;
        IF again_at IS NOT NULL THEN
            reason := format('This account has signed in too often within a minute; %s.', wait_for(again_at));
            unseen := true;
            PERFORM forgive_attempts(given_name);
        END IF;
    END IF;
    IF reason IS NOT NULL THEN
        PERFORM note_failure(said_name, program, workstation, reason, unseen);
        RETURN jsonb_build_object('ok', false, 'reason', reason);
    END IF;
    PERFORM forgive_attempts(given_name);
    RAISE LOG 'ggnet: sign-in as % from %',
        quote_literal(said_name), coalesce(host(inet_client_addr()), 'local');
    PERFORM clear_sign_ins(), account_for_failures();
    RETURN open_sign_in(account, program, workstation);
EXCEPTION WHEN OTHERS THEN
    RAISE LOG 'ggnet: sign-in as % ended in % %', quote_literal(said_name), SQLSTATE, SQLERRM;
    RETURN jsonb_build_object('ok', false,
        'reason', 'The database could not make the sign-in; its log says why.');
END
$$;

GRANT CREATE ON SCHEMA public TO <<broker>>;
ALTER FUNCTION attempt(text, text, bigint, bigint, timestamptz) OWNER TO <<broker>>;
ALTER FUNCTION attempt_was_right(text, text, bigint, boolean) OWNER TO <<broker>>;
ALTER FUNCTION forgive_attempts(text) OWNER TO <<broker>>;
ALTER FUNCTION clear_sign_ins() OWNER TO <<broker>>;
ALTER FUNCTION open_sign_in(users, text, text) OWNER TO <<broker>>;
ALTER FUNCTION check_password(users, text, text) OWNER TO <<broker>>;
ALTER FUNCTION note_failure(text, text, text, text, boolean) OWNER TO <<broker>>;
REVOKE CREATE ON SCHEMA public FROM <<broker>>;
GRANT EXECUTE ON FUNCTION setting_value(text), epoch_ms(timestamptz), wait_for(timestamptz),
    account_for_failures(), group_of(users), attempt_key(text), attempt_read(regclass),
    attempt_write(regclass, bigint, bigint, bigint), attempt_place(text, text, bigint) TO <<broker>>;
