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

-- A fixed pool of counters, found by the hash of what is counted. What a sequence counted stays
-- counted when the transaction is rolled back; a sequence made in that transaction would go.
-- A value is milliseconds since 1970 (when the count began) * 2^20 + the count, so that one
-- nextval() is one step nobody can come between.
CREATE SCHEMA attempts;
DO $$
BEGIN
    FOR i IN 0..63 LOOP
        EXECUTE format('CREATE SEQUENCE attempts.name_%s MINVALUE 0; SELECT setval(%L, 0)',
            i, 'attempts.name_' || i);
    END LOOP;
    FOR i IN 0..15 LOOP
        EXECUTE format('CREATE SEQUENCE attempts.address_%s MINVALUE 0; SELECT setval(%L, 0)',
            i, 'attempts.address_' || i);
    END LOOP;
END
$$;
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
CREATE TABLE attempts.accounted (number BIGINT NOT NULL);
INSERT INTO attempts.accounted VALUES (0);
COMMENT ON TABLE attempts.accounted IS 'The newest failure that the audit trail tells of; one row.';

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

CREATE FUNCTION attempt(counter text, most bigint, lasts_s bigint, forgiven_at timestamptz)
RETURNS timestamptz
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    unit constant bigint := 1 << 20;
    key constant regclass := format('attempts.%I', counter)::regclass;
    value bigint;
    began_ms bigint;
    now_ms bigint;
BEGIN
    LOOP
        now_ms := epoch_ms(clock_timestamp());
        EXECUTE format('SELECT last_value FROM attempts.%I', counter) INTO value;
        began_ms := value / unit;
        IF (lasts_s > 0 AND began_ms + lasts_s * 1000 <= now_ms)
           OR began_ms <= epoch_ms(forgiven_at) THEN
            began_ms := now_ms;
            value := setval(key, now_ms * unit);
        END IF;
        IF value % unit < most THEN
            value := nextval(key) % unit;
            IF value = most THEN
                -- The last one there is: from here on the time runs.
                PERFORM setval(key, now_ms * unit + most);
            END IF;
            IF value <= most THEN
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

CREATE FUNCTION attempt_was_right(counter text, all_forgiven boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    unit constant bigint := 1 << 20;
    value bigint;
BEGIN
    EXECUTE format('SELECT last_value FROM attempts.%I', counter) INTO value;
    IF value % unit > 0 THEN
        PERFORM setval(format('attempts.%I', counter)::regclass,
            CASE WHEN all_forgiven THEN value - value % unit ELSE value - 1 END);
    END IF;
END
$$;
COMMENT ON FUNCTION attempt_was_right IS 'Takes back what attempt() counted, or all of it: only failures count.';

-- Ends what a sign-in has open, in whatever database; its owner may do it to sign-ins alone.
CREATE FUNCTION end_connections(role_names text[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT pg_terminate_backend(pid, 0) FROM pg_stat_activity
    WHERE usename = ANY (role_names) AND usename LIKE 'ggnet\_s\_%' AND pid <> pg_backend_pid()
$$;

-- Moves committed failures into the audit trail and says how many were rolled back. One sign-in at
-- a time does it and nobody waits for it: whoever holds a transaction open must not hold up others.
CREATE FUNCTION account_for_failures() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    before bigint;
    total bigint;
    kept bigint;
BEGIN
    SELECT number INTO before FROM attempts.accounted FOR UPDATE SKIP LOCKED;
    SELECT last_value INTO total FROM attempts.failures;
    IF before IS NULL OR before = total THEN
        RETURN;
    END IF;
    WITH gone AS (DELETE FROM attempts.failed RETURNING *)
    INSERT INTO audit (at, severity, user_name, client_address, program, verb, noun, object_name,
                       changes)
    SELECT at, 'WARNING', '', client_address, program, 'fail', 'sign-in', name,
           jsonb_build_object('reason', jsonb_build_array(NULL, reason),
                              'workstation', jsonb_build_array(NULL, workstation))
    FROM gone ORDER BY number;
    GET DIAGNOSTICS kept = ROW_COUNT;
    IF total - before > kept THEN
        INSERT INTO audit (severity, user_name, verb, noun, changes)
        VALUES ('CRITICAL', '', 'fail', 'sign-in',
                jsonb_build_object('not_recorded', jsonb_build_array(NULL, total - before - kept)));
    END IF;
    UPDATE attempts.accounted SET number = total;
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
    EXECUTE format('CREATE ROLE %I LOGIN PASSWORD %L VALID UNTIL %L IN ROLE %I',
        new_role, secret, until, group_of(account));
    INSERT INTO sign_ins (id, user_id, role_name, program, workstation, client_address, expires_at)
    VALUES (sign_in, account.id, new_role, coalesce(left(program, 64), ''),
            coalesce(left(workstation, 64), ''), inet_client_addr(), until);
    UPDATE users SET last_sign_in_at = clock_timestamp() WHERE id = account.id;
    RETURN jsonb_build_object('ok', true, 'role_name', new_role, 'secret', secret,
        'expires_at', until, 'user_id', account.id, 'name', account.name, 'role', account.role,
        'must_change_password', account.must_change_password);
END
$$;

-- NULL when name and password are right; else the sentence why not.
CREATE FUNCTION check_password(account users, user_name text, password text) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    -- Checked for unknown names, so that they take as long as known ones.
    nobody constant text := '$2a$11$CwTycUXWue0Thq9StjUM0uJ8r8Yf0Zl0k3z5pZyCkUeK8yVn1bq2K';
    address constant text := coalesce(host(inet_client_addr()), 'local');
    by_address constant text := 'address_' || (hashtext(address) & 15);
    -- Name and address: nobody can lock others out of their accounts from another computer.
    by_name constant text := 'name_' || (hashtext(lower(user_name) || '@' || address) & 63);
    hash constant text := coalesce(account.password_hash, nobody);
    refused_until timestamptz;
BEGIN
    refused_until := attempt(by_address, setting_value('sign_ins_per_minute'), 60, NULL);
    IF refused_until IS NOT NULL THEN
        RETURN format('Too many sign-ins from this computer have failed; %s.', wait_for(refused_until));
    END IF;
    refused_until := attempt(by_name, setting_value('failed_sign_ins_max'),
                             setting_value('lock_out_s'), account.unlocked_at);
    IF refused_until IS NOT NULL THEN
        RETURN format('Too many sign-ins with this name have failed; %s an admin to unlock the account.',
            CASE WHEN refused_until = 'infinity' THEN 'ask' ELSE wait_for(refused_until) || ', or ask' END);
    END IF;
    -- bcrypt looks at the first 72 bytes alone.
    IF crypt(password, hash) = hash AND octet_length(password) <= 72 AND account.id IS NOT NULL THEN
        PERFORM attempt_was_right(by_address, false), attempt_was_right(by_name, true);
        RETURN NULL;
    END IF;
    RETURN 'The name or the password is wrong.';
END
$$;

CREATE FUNCTION note_failure(said_name text, program text, workstation text, reason text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RAISE LOG 'ggnet: failed sign-in as % from %: %',
        quote_literal(said_name), coalesce(host(inet_client_addr()), 'local'), reason;
    INSERT INTO attempts.failed (number, name, client_address, program, workstation, reason)
    VALUES (nextval('attempts.failures'), said_name, inet_client_addr(),
            coalesce(left(program, 64), ''), coalesce(left(workstation, 64), ''), reason);
END
$$;

-- Answers {"ok": true, "role_name", "secret", "expires_at", "user_id", "name", "role",
-- "must_change_password"} or {"ok": false, "reason"}; never raises, so that what the attempt
-- recorded stays.
CREATE OR REPLACE FUNCTION login(user_name text, password text, program text, workstation text)
RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    account users;
    given_name constant text := coalesce(user_name, '');
    said_name constant text := left(given_name, 64);
    reason text;
    wait_from timestamptz;
BEGIN
    SELECT * INTO account FROM users WHERE lower(name) = lower(given_name);
    reason := check_password(account, given_name, coalesce(password, ''));
    IF reason IS NOT NULL THEN
        PERFORM note_failure(said_name, program, workstation, reason);
        RETURN jsonb_build_object('ok', false, 'reason', reason);
    END IF;
    IF account.disabled THEN
        RETURN jsonb_build_object('ok', false,
            'reason', 'This account is disabled; an admin can enable it.');
    END IF;
    IF account.locked THEN
        RETURN jsonb_build_object('ok', false,
            'reason', 'This account is locked; an admin can unlock it.');
    END IF;
    SELECT created_at INTO wait_from FROM sign_ins
    WHERE user_id = account.id AND created_at > clock_timestamp() - interval '1 minute'
    ORDER BY created_at DESC OFFSET setting_value('user_sign_ins_per_minute') - 1 LIMIT 1;
    IF FOUND THEN
        RETURN jsonb_build_object('ok', false, 'reason',
            format('This account has signed in too often within a minute; %s.',
                   wait_for(wait_from + interval '1 minute')));
    END IF;
    PERFORM clear_sign_ins(), account_for_failures();
    RETURN open_sign_in(account, program, workstation);
EXCEPTION WHEN OTHERS THEN
    RAISE LOG 'ggnet: sign-in as % ended in % %', quote_literal(said_name), SQLSTATE, SQLERRM;
    RETURN jsonb_build_object('ok', false,
        'reason', 'The database could not make the sign-in; its log says why.');
END
$$;

GRANT CREATE ON SCHEMA public TO <<broker>>, <<signaller>>;
ALTER FUNCTION attempt(text, bigint, bigint, timestamptz) OWNER TO <<broker>>;
ALTER FUNCTION attempt_was_right(text, boolean) OWNER TO <<broker>>;
ALTER FUNCTION clear_sign_ins() OWNER TO <<broker>>;
ALTER FUNCTION open_sign_in(users, text, text) OWNER TO <<broker>>;
ALTER FUNCTION check_password(users, text, text) OWNER TO <<broker>>;
ALTER FUNCTION note_failure(text, text, text, text) OWNER TO <<broker>>;
ALTER FUNCTION end_connections(text[]) OWNER TO <<signaller>>;
REVOKE CREATE ON SCHEMA public FROM <<broker>>, <<signaller>>;
GRANT EXECUTE ON FUNCTION setting_value(text), epoch_ms(timestamptz), wait_for(timestamptz),
    end_connections(text[]), account_for_failures(), group_of(users) TO <<broker>>;
