-- Sign-ins: a role each, made by login() and ended with it. The broker makes and ends them, the
-- signaller ends their connections; neither may do anything else.

-- Answers {"ok": true, "role_name", "secret", "expires_at", "user_id", "name", "role",
-- "must_change_password"} or {"ok": false} with the sentence why; never raises, so that what the
-- attempt recorded stays.
CREATE FUNCTION login(user_name text, password text, program text, workstation text)
RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
-- Any role may set these for itself, the console's too, and then no sign-in's role could connect.
SET password_encryption = 'scram-sha-256' SET datestyle = 'ISO' SET timezone = 'UTC'
AS $$
DECLARE
    account users;
    given_name constant text := coalesce(user_name, '');
    said_name constant text := left(given_name, 64);
    said jsonb;
    unseen boolean;
    again_at timestamptz;
BEGIN
    SELECT * INTO account FROM users WHERE lower(name) = lower(given_name);
    SELECT * INTO said, unseen FROM check_password(account, given_name, coalesce(password, ''));
    IF said IS NULL AND account.disabled THEN
        said := sentence('This user is disabled; an admin can enable it.');
    ELSIF said IS NULL AND account.locked THEN
        said := sentence('This user is locked; an admin can unlock it.');
    END IF;
    IF said IS NULL THEN
        again_at := spend(account.id, 'user_sign_ins_per_minute', 1);
        IF again_at IS NOT NULL THEN
            said := sentence_until(again_at,
                'This user has signed in too often within a minute; try again in %s seconds.',
                'This user has signed in too often within a minute; try again in %s minutes.');
            unseen := true;
            PERFORM forgive_attempts(given_name);
        END IF;
    END IF;
    IF said IS NOT NULL THEN
        PERFORM note_failure(said_name, program, workstation, said ->> 'reason', unseen);
        RETURN jsonb_build_object('ok', false) || said;
    END IF;
    PERFORM forgive_attempts(given_name);
    RAISE LOG 'ggnet: sign-in as % from %',
        quote_literal(said_name), coalesce(host(inet_client_addr()), 'local');
    PERFORM tend_sign_ins(), account_for_failures(), renew_hash(account, password);
    RETURN open_sign_in(account, program, workstation);
EXCEPTION WHEN OTHERS THEN
    RAISE LOG 'ggnet: sign-in as % ended in % %', quote_literal(said_name), SQLSTATE, SQLERRM;
    RETURN jsonb_build_object('ok', false)
        || sentence('The database could not make the sign-in; its log says why.');
END
$$;
ALTER FUNCTION login OWNER TO <<broker>>;

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
    -- A superuser grants it; in a database that only its owner has upgraded since, nobody has.
    IF has_parameter_privilege('temp_file_limit', 'SET') THEN
        EXECUTE format('ALTER ROLE %I SET temp_file_limit = ''128MB''', new_role);
    END IF;
    INSERT INTO sign_ins (id, user_id, role_name, program, workstation, client_address, expires_at)
    VALUES (sign_in, account.id, new_role, coalesce(left(program, 64), ''),
            coalesce(left(workstation, 64), ''), inet_client_addr(), until);
    UPDATE users SET last_sign_in_at = clock_timestamp() WHERE id = account.id;
    RETURN jsonb_build_object('ok', true, 'role_name', new_role, 'secret', secret,
        'expires_at', until, 'user_id', account.id, 'name', account.name, 'role', account.role,
        'must_change_password', account.must_change_password);
END
$$;
ALTER FUNCTION open_sign_in OWNER TO <<broker>>;

CREATE FUNCTION has_users() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT EXISTS (SELECT FROM users) $$;
COMMENT ON FUNCTION has_users IS 'Whether the first admin has been made; readable before sign-in.';

-- The user behind the connection, with the role its grants come from.
CREATE FUNCTION who_am_i()
RETURNS TABLE (user_id bigint, name text, role user_role, expires_at timestamptz,
               must_change_password boolean, role_changed_by text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT u.id, u.name, u.role, s.expires_at, u.must_change_password,
        (SELECT user_name FROM audit
         WHERE noun = 'user' AND object_id = u.id::text AND verb = 'update' AND changes ? 'role'
         ORDER BY id DESC LIMIT 1)
    FROM sign_ins s JOIN users u ON u.id = s.user_id
    WHERE s.role_name = session_user AND s.ended_at IS NULL AND s.expires_at > clock_timestamp()
$$;

CREATE FUNCTION signed_in_user() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT user_id FROM sign_ins WHERE role_name = session_user
$$;
COMMENT ON FUNCTION signed_in_user IS
    'The user behind this connection, also when its sign-in is over; NULL for the agent and the installation''s owner.';

-- A connection that has said SET ROLE keeps the group's rights when its sign-in ends or expires, or
-- when the person gets another role.
CREATE FUNCTION require_sign_in() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    stepped_into constant text := current_setting('role');
BEGIN
    IF session_user NOT LIKE 'ggnet\_s\_%' THEN
        RETURN;
    END IF;
    IF NOT EXISTS (
        SELECT FROM sign_ins
        WHERE role_name = session_user AND ended_at IS NULL AND expires_at > clock_timestamp())
    THEN
        PERFORM refuse_as('GG005', 'The sign-in has ended; sign in again.');
    END IF;
    IF stepped_into <> 'none' AND NOT pg_has_role(session_user, stepped_into, 'MEMBER') THEN
        PERFORM refuse('Your role was changed, and this connection still had the rights from before; '
            'it ends. Try again.');
    END IF;
END
$$;
COMMENT ON FUNCTION require_sign_in IS
    'Raises for a person whose sign-in has ended or expired, and for rights that were taken away since; everything that is audited or enqueued calls it.';

CREATE FUNCTION renew_sign_in() RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    until timestamptz := clock_timestamp()
        + (SELECT make_interval(hours => value::int) FROM settings WHERE name = 'sign_in_hours');
BEGIN
    UPDATE sign_ins SET expires_at = until
    WHERE role_name = session_user AND ended_at IS NULL AND expires_at > clock_timestamp();
    IF NOT FOUND THEN
        PERFORM refuse_as('GG005', 'The sign-in has ended; sign in again.');
    END IF;
    EXECUTE format('ALTER ROLE %I VALID UNTIL %L', session_user, until);
    RETURN until;
END
$$;
COMMENT ON FUNCTION renew_sign_in IS 'Extends the caller''s own sign-in; answers until when.';
ALTER FUNCTION renew_sign_in OWNER TO <<broker>>;

CREATE FUNCTION sign_out() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    UPDATE sign_ins SET ended_at = clock_timestamp(), expires_at = clock_timestamp()
    WHERE role_name = session_user AND ended_at IS NULL;
    IF FOUND THEN
        -- A role cannot drop itself; a later sign-in clears it away.
        PERFORM disarm(session_user);
        PERFORM end_connections(ARRAY[session_user::text]);
    END IF;
END
$$;
ALTER FUNCTION sign_out OWNER TO <<broker>>;

CREATE FUNCTION sign_in_revoke(sign_in uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    row sign_ins;
BEGIN
    PERFORM require_sign_in();
    SELECT * INTO row FROM sign_ins WHERE id = sign_in;
    IF row.id IS NULL OR end_sign_ins(row.user_id, sign_in, NULL) = 0 THEN
        PERFORM refuse_as('GG002', 'This sign-in has already ended.');
    END IF;
    PERFORM audit_event('revoke', 'sign-in', sign_in::text,
        (SELECT name FROM users WHERE id = row.user_id),
        jsonb_build_object('workstation', jsonb_build_array(row.workstation, NULL),
                           'program', jsonb_build_array(row.program, NULL)));
END
$$;

CREATE FUNCTION end_sign_ins(account bigint, only_id uuid, spared_role text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    ended text[];
    ended_role text;
BEGIN
    WITH gone AS (
        UPDATE sign_ins SET ended_at = clock_timestamp(), expires_at = clock_timestamp()
        WHERE user_id = account AND ended_at IS NULL AND id = coalesce(only_id, id)
            AND role_name IS DISTINCT FROM spared_role
        RETURNING role_name)
    SELECT array_agg(role_name) INTO ended FROM gone;
    -- In a database restored elsewhere the roles are not there.
    FOR ended_role IN SELECT rolname FROM pg_roles WHERE rolname = ANY (ended) LOOP
        PERFORM disarm(ended_role);
    END LOOP;
    PERFORM end_connections(ended);
    RETURN coalesce(cardinality(ended), 0);
END
$$;
COMMENT ON FUNCTION end_sign_ins IS
    'Ends the sign-ins of a user, or only one of them, or all but one; answers how many.';
ALTER FUNCTION end_sign_ins OWNER TO <<broker>>;

CREATE FUNCTION regroup_sign_ins(account_id bigint, and_cut boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    account users;
    member record;
    moved text[] := '{}';
BEGIN
    SELECT * INTO account FROM users WHERE id = account_id;
    FOR member IN
        SELECT r.rolname AS role_name, g.rolname AS group_name
        FROM sign_ins s JOIN pg_roles r ON r.rolname = s.role_name
        JOIN pg_auth_members m ON m.member = r.oid JOIN pg_roles g ON g.oid = m.roleid
        WHERE s.user_id = account_id AND s.ended_at IS NULL
    LOOP
        EXECUTE format('REVOKE %I FROM %I', member.group_name, member.role_name);
        EXECUTE format('GRANT %I TO %I', group_of(account), member.role_name);
        moved := moved || member.role_name::text;
    END LOOP;
    IF and_cut THEN
        UPDATE sign_ins SET regrouped_in = pg_current_xact_id()::text::bigint
        WHERE role_name = ANY (moved);
        PERFORM end_connections(moved);
    END IF;
END
$$;
COMMENT ON FUNCTION regroup_sign_ins IS
    'Gives a user''s sign-ins the rights it has now; and_cut: they also have to connect anew.';
ALTER FUNCTION regroup_sign_ins OWNER TO <<broker>>;

-- From here on the role has no rights, also on connections that are open, and opens no more.
CREATE FUNCTION disarm(role_name text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    group_name name;
BEGIN
    FOR group_name IN
        SELECT g.rolname FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
        JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = role_name
    LOOP
        EXECUTE format('REVOKE %I FROM %I', group_name, role_name);
    END LOOP;
    -- Without its group it connects no more. What is open may be changing the role over and over.
    PERFORM end_connections(ARRAY[role_name]);
    FOR tried IN 1..20 LOOP
        BEGIN
            EXECUTE format('ALTER ROLE %I NOLOGIN PASSWORD NULL VALID UNTIL %L', role_name, '-infinity');
            RETURN;
        EXCEPTION WHEN internal_error THEN -- “tuple concurrently updated”
            PERFORM pg_sleep(0.05);
        END;
    END LOOP;
    RAISE LOG 'ggnet: % keeps its password for now, without rights', role_name;
END
$$;
ALTER FUNCTION disarm OWNER TO <<broker>>;

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
ALTER FUNCTION clear_sign_ins OWNER TO <<broker>>;

-- Ends what a sign-in has open, in whatever database; its owner may do it to sign-ins alone.
CREATE FUNCTION end_connections(role_names text[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT pg_stat_clear_snapshot(); -- else it shows who was connected earlier in this transaction
    SELECT pg_terminate_backend(pid, 0) FROM pg_stat_activity
    WHERE usename = ANY (role_names) AND usename LIKE 'ggnet\_s\_%' AND pid <> pg_backend_pid()
$$;
ALTER FUNCTION end_connections OWNER TO <<signaller>>;

CREATE FUNCTION end_stale_connections() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT pg_stat_clear_snapshot();
    SELECT end_connections(array_agg(role_name)) FROM sign_ins
    WHERE expires_at < clock_timestamp() AND role_name IN (SELECT usename FROM pg_stat_activity);
    SELECT end_regrouped();
    SELECT clear_sign_ins()
$$;
COMMENT ON FUNCTION end_stale_connections IS
    'Ends connections whose sign-in has ended or expired, or has got other rights, also one opened while that was being done; clears roles away.';
ALTER FUNCTION end_stale_connections OWNER TO <<broker>>;

-- A connection opened before the other rights were committed may have said SET ROLE; who says it
-- afterwards has the new ones. So one look after the commit at which no connection is hidden finds all
-- of them. A sign-in whose row somebody holds is looked at again.
CREATE FUNCTION end_regrouped() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    moved record;
BEGIN
    FOR moved IN
        SELECT id, role_name, regrouped_in FROM sign_ins
        WHERE regrouped_in IS NOT NULL
            AND regrouped_in IS DISTINCT FROM pg_current_xact_id_if_assigned()::text::bigint
    LOOP
        PERFORM end_connections(ARRAY[moved.role_name]);
        IF NOT EXISTS (SELECT FROM hidden_connections()) THEN
            UPDATE sign_ins SET regrouped_in = NULL WHERE id =
                (SELECT id FROM sign_ins WHERE id = moved.id AND regrouped_in = moved.regrouped_in
                 FOR UPDATE SKIP LOCKED);
        END IF;
    END LOOP;
END
$$;
ALTER FUNCTION end_regrouped OWNER TO <<broker>>;
