-- Who may do what: group roles' grants, and the sign-in that hands out a role of its own.

-- USAGE of the schema stays everybody's: without it a sign-in that has ended would hear of missing
-- tables instead of missing rights.
REVOKE EXECUTE ON FUNCTION installation_id(), signed_in_user(), require_sign_in(), actor_name(),
    bump_version(), notify_rows(), audit_rows() FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE <<owner>> REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- VIEWER sees everything but secrets and the audit trail.
GRANT SELECT ON hosts, machines, images, image_versions, targets, luns, boot_sessions, jobs,
    settings TO <<viewer>>;
GRANT SELECT (id, name, role, disabled) ON users TO <<viewer>>;
GRANT EXECUTE ON FUNCTION installation_id() TO <<viewer>>, <<agents>>;

-- OPERATOR works.
GRANT INSERT (name, mac, ip, boot_mode, status, location, room, asset_tag, notes),
    UPDATE (name, mac, ip, boot_mode, status, location, room, asset_tag, notes)
    ON machines TO <<operator>>;
GRANT UPDATE (name, type, notes) ON images TO <<operator>>;

-- ADMIN also manages people and settings, and reads the trail.
GRANT SELECT (created_at, last_sign_in_at, version) ON users TO <<admin>>;
GRANT SELECT ON sign_ins, audit TO <<admin>>;
GRANT UPDATE (value) ON settings TO <<admin>>;

-- An agent reports what it sees and does; it is nobody's account.
GRANT SELECT ON hosts, machines, images, image_versions, targets, luns, boot_sessions, jobs,
    settings TO <<agents>>;
GRANT UPDATE (online, last_seen_at) ON machines TO <<agents>>;
GRANT UPDATE (status, upload_id, source_name, source_format, source_size_bytes, source_sha256,
    error), DELETE ON images TO <<agents>>;
GRANT INSERT, UPDATE (verified_at) ON image_versions TO <<agents>>;
GRANT UPDATE (status, error), DELETE ON targets TO <<agents>>;
GRANT UPDATE (status, portal, client_address, connected, bytes_read, bytes_written, error, ready_at,
    active_at, last_seen_at, expires_at, ended_at, stop_requested) ON boot_sessions TO <<agents>>;
GRANT UPDATE (status, phase, percent, bytes_done, bytes_total, bytes_per_s, seconds_left, error,
    error_details, result, attempts, started_at, heartbeat_at, finished_at) ON jobs TO <<agents>>;

-- The broker makes and ends sign-in roles, nothing else.
GRANT SELECT, UPDATE (last_sign_in_at) ON users TO <<broker>>;
GRANT SELECT, INSERT, UPDATE, DELETE ON sign_ins TO <<broker>>;
GRANT SELECT ON settings TO <<broker>>;
GRANT EXECUTE ON FUNCTION installation_id(), signed_in_user() TO <<broker>>;

CREATE FUNCTION schema_revision() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT version_num FROM alembic_version $$;
GRANT EXECUTE ON FUNCTION schema_revision() TO ggnet_console, <<viewer>>, <<agents>>;

CREATE FUNCTION has_users() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT EXISTS (SELECT FROM users) $$;
COMMENT ON FUNCTION has_users IS 'Whether the first admin has been made; readable before sign-in.';
GRANT EXECUTE ON FUNCTION has_users() TO ggnet_console;

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
    EXECUTE format('ALTER ROLE %I NOLOGIN PASSWORD NULL VALID UNTIL %L', role_name, '-infinity');
END
$$;

-- Answers {"ok": true, "role_name", "secret", "expires_at", "user_id", "name", "role"} or
-- {"ok": false, "reason"}; never raises for a wrong name or password, so that what the attempt
-- recorded stays.
CREATE FUNCTION login(user_name text, password text, program text, workstation text)
RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    account users;
    -- Checked for unknown names, so that they take as long as known ones.
    nobody constant text := '$2a$11$CwTycUXWue0Thq9StjUM0uJ8r8Yf0Zl0k3z5pZyCkUeK8yVn1bq2K';
    sign_in uuid := gen_random_uuid();
    new_role text := 'ggnet_s_' || replace(sign_in::text, '-', '');
    secret text := encode(gen_random_bytes(24), 'hex');
    until timestamptz := clock_timestamp()
        + (SELECT make_interval(hours => value::int) FROM settings WHERE name = 'sign_in_hours');
    old record;
    matches boolean;
BEGIN
    SELECT * INTO account FROM users WHERE lower(name) = lower(user_name);
    matches := crypt(coalesce(password, ''), coalesce(account.password_hash, nobody))
        = coalesce(account.password_hash, nobody);
    IF account.id IS NULL OR NOT matches THEN
        RAISE LOG 'ggnet: failed sign-in as % from %',
            quote_literal(left(user_name, 64)), coalesce(inet_client_addr()::text, 'local');
        RETURN jsonb_build_object('ok', false, 'reason', 'The name or the password is wrong.');
    END IF;
    IF account.disabled THEN
        RETURN jsonb_build_object('ok', false,
            'reason', 'This account is disabled; an admin can enable it.');
    END IF;

    FOR old IN
        SELECT s.id, s.role_name FROM sign_ins s
        WHERE s.expires_at < clock_timestamp() AND EXISTS
            (SELECT FROM pg_roles WHERE rolname = s.role_name)
        ORDER BY s.expires_at DESC LIMIT 20 FOR UPDATE SKIP LOCKED
    LOOP
        UPDATE sign_ins SET ended_at = coalesce(ended_at, expires_at) WHERE id = old.id;
        PERFORM disarm(old.role_name);
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

    EXECUTE format('CREATE ROLE %I LOGIN PASSWORD %L VALID UNTIL %L IN ROLE %I',
        new_role, secret, until,
        'ggnet_' || lower(account.role::text) || '_' || installation_id());
    INSERT INTO sign_ins (id, user_id, role_name, program, workstation, client_address, expires_at)
    VALUES (sign_in, account.id, new_role, left(program, 64), left(workstation, 64),
            inet_client_addr(), until);
    UPDATE users SET last_sign_in_at = clock_timestamp() WHERE id = account.id;
    RETURN jsonb_build_object('ok', true, 'role_name', new_role, 'secret', secret,
        'expires_at', until, 'user_id', account.id, 'name', account.name, 'role', account.role);
END
$$;

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
        RAISE EXCEPTION USING ERRCODE = 'GG005', MESSAGE = 'The sign-in has ended; sign in again.';
    END IF;
    EXECUTE format('ALTER ROLE %I VALID UNTIL %L', session_user, until);
    RETURN until;
END
$$;
COMMENT ON FUNCTION renew_sign_in IS 'Extends the caller''s own sign-in; answers until when.';

-- Ends what a sign-in has open, in whatever database; its owner may do it to sign-ins alone.
CREATE FUNCTION end_connections(role_names text[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT pg_terminate_backend(pid, 0) FROM pg_stat_activity
    WHERE usename = ANY (role_names) AND usename LIKE 'ggnet\_s\_%' AND pid <> pg_backend_pid()
$$;

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

GRANT CREATE ON SCHEMA public TO <<broker>>, <<signaller>>;
ALTER FUNCTION end_connections(text[]) OWNER TO <<signaller>>;
ALTER FUNCTION disarm(text) OWNER TO <<broker>>;
ALTER FUNCTION login(text, text, text, text) OWNER TO <<broker>>;
ALTER FUNCTION renew_sign_in() OWNER TO <<broker>>;
ALTER FUNCTION sign_out() OWNER TO <<broker>>;
REVOKE CREATE ON SCHEMA public FROM <<broker>>, <<signaller>>;
GRANT EXECUTE ON FUNCTION end_connections(text[]) TO <<broker>>;
SET LOCAL ROLE <<broker>>;
REVOKE EXECUTE ON FUNCTION disarm(text), login(text, text, text, text), renew_sign_in(), sign_out()
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION login(text, text, text, text) TO ggnet_console;
GRANT EXECUTE ON FUNCTION renew_sign_in(), sign_out() TO <<viewer>>;
SET LOCAL ROLE <<owner>>;

-- The account behind the connection, with the role its grants come from.
CREATE FUNCTION who_am_i() RETURNS TABLE (user_id bigint, name text, role user_role, expires_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT u.id, u.name, u.role, s.expires_at
    FROM sign_ins s JOIN users u ON u.id = s.user_id
    WHERE s.role_name = session_user AND s.ended_at IS NULL AND s.expires_at > clock_timestamp()
$$;
GRANT EXECUTE ON FUNCTION who_am_i() TO <<viewer>>;

CREATE FUNCTION user_create(user_name text, user_role user_role, hash text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    new_id bigint;
BEGIN
    IF hash !~ '^\$2a\$\d\d\$[./A-Za-z0-9]{53}$' THEN
        RAISE EXCEPTION USING ERRCODE = 'GG001',
            MESSAGE = 'The password was not handed over as a bcrypt hash of the kind $2a$.';
    END IF;
    INSERT INTO users (name, role, password_hash) VALUES (user_name, user_role, hash)
    RETURNING id INTO new_id;
    RETURN new_id;
END
$$;
GRANT EXECUTE ON FUNCTION user_create(text, user_role, text) TO <<admin>>;

-- An agent announces its host and how it does; the host belongs to the role that made it.
CREATE FUNCTION host_report(host_name text, host_portal text, host_backend text, host_problem text)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    host bigint;
BEGIN
    IF char_length(host_name) > 64 THEN
        RAISE EXCEPTION USING ERRCODE = 'GG001',
            MESSAGE = 'The name of a storage host has at most 64 characters.';
    END IF;
    INSERT INTO hosts AS h (name, agent_role, portal, backend, problem, heartbeat_at)
    VALUES (host_name, session_user, host_portal, host_backend, host_problem, clock_timestamp())
    ON CONFLICT (name) DO UPDATE SET portal = excluded.portal, backend = excluded.backend,
        problem = excluded.problem, heartbeat_at = excluded.heartbeat_at
        WHERE h.agent_role = session_user
    RETURNING id INTO host;
    IF host IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'GG001',
            MESSAGE = format('The storage host %s belongs to another agent.', host_name);
    END IF;
    RETURN host;
END
$$;
GRANT EXECUTE ON FUNCTION host_report(text, text, text, text) TO <<agents>>;
