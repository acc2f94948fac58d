-- Accounts: roles, locks, passwords, sign-ins of others. What is taken away is gone at once: the
-- sign-ins' roles leave their group, and their connections end (a connection that had said
-- SET ROLE would keep the group's rights).

ALTER TABLE users ADD CONSTRAINT ck_users_name
    CHECK (char_length(name) BETWEEN 1 AND 64 AND name !~ '[[:cntrl:]]');

CREATE FUNCTION checked_hash(hash text) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF hash ~ '^\$2a\$\d\d\$[./A-Za-z0-9]{53}$' THEN
        RETURN hash;
    END IF;
    PERFORM refuse('The password was not handed over as a bcrypt hash of the kind $2a$.');
END
$$;
COMMENT ON FUNCTION checked_hash IS 'The hash; raises for one that pgcrypto would read as something else.';

CREATE OR REPLACE FUNCTION user_create(user_name text, user_role user_role, hash text) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    INSERT INTO users (name, role, password_hash) VALUES (user_name, user_role, checked_hash(hash))
    RETURNING id
$$;

CREATE FUNCTION audit_event(verb text, noun text, object_id text, object_name text, changes jsonb)
RETURNS void
LANGUAGE sql SET search_path = pg_catalog, public, pg_temp
AS $$
    INSERT INTO audit (user_id, user_name, client_address, program, severity, verb, noun, object_id,
                       object_name, changes)
    VALUES (signed_in_user(), actor_name(), inet_client_addr(), current_setting('application_name'),
            'WARNING', verb, noun, object_id, object_name, changes)
$$;
COMMENT ON FUNCTION audit_event IS 'An audit entry for a deed that changes no row people look at.';

-- Sign-ins' roles, which the broker alone may change --------------------------------------------

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
    'Ends the sign-ins of an account, or only one of them, or all but one; answers how many.';

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
        PERFORM end_connections(moved);
    END IF;
END
$$;
COMMENT ON FUNCTION regroup_sign_ins IS
    'Gives an account''s sign-ins the rights it has now; and_cut: they also have to connect anew.';

CREATE FUNCTION end_stale_connections() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT end_connections(array_agg(role_name)) FROM sign_ins
    WHERE expires_at < clock_timestamp() AND role_name IN (SELECT usename FROM pg_stat_activity);
    SELECT clear_sign_ins()
$$;
COMMENT ON FUNCTION end_stale_connections IS
    'Ends connections whose sign-in has ended or expired, also one opened while it was being ended, and clears their roles away.';

-- NULL, or the sentence why not. Does not raise then, so that the failure stays recorded.
CREATE FUNCTION change_password(old_password text, new_hash text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    account users;
    reason text;
    unseen boolean;
BEGIN
    SELECT u.* INTO account FROM sign_ins s JOIN users u ON u.id = s.user_id
    WHERE s.role_name = session_user AND s.ended_at IS NULL AND s.expires_at > clock_timestamp();
    IF account.id IS NULL THEN
        PERFORM refuse('The sign-in has ended; sign in again.', 'GG005');
    END IF;
    PERFORM checked_hash(new_hash);
    SELECT * INTO reason, unseen FROM check_password(account, account.name, coalesce(old_password, ''));
    IF reason IS NOT NULL THEN
        PERFORM note_failure(account.name, current_setting('application_name'), '', reason, unseen);
        RETURN replace(reason, 'name or the password', 'present password');
    END IF;
    PERFORM forgive_attempts(account.name);
    IF crypt(old_password, new_hash) = new_hash THEN
        RETURN 'The new password is the present one; choose another.';
    END IF;
    UPDATE users SET password_hash = new_hash, must_change_password = false WHERE id = account.id;
    PERFORM end_sign_ins(account.id, NULL, session_user);
    PERFORM regroup_sign_ins(account.id, false);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION change_password IS
    'The caller''s own password; the account''s other sign-ins end.';

-- What admins may do ---------------------------------------------------------------------------

CREATE FUNCTION the_account(account_id bigint, leaves_admins boolean) RETURNS users
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    account users;
BEGIN
    PERFORM require_sign_in();
    IF leaves_admins THEN
        -- All of them, in order: two admins who remove each other come one after the other.
        PERFORM FROM users WHERE role = 'ADMIN' AND NOT disabled AND NOT locked ORDER BY id FOR UPDATE;
    END IF;
    SELECT * INTO account FROM users WHERE id = account_id FOR UPDATE;
    IF account.id IS NULL THEN
        PERFORM refuse('This account no longer exists.', 'GG002');
    END IF;
    IF leaves_admins AND account.role = 'ADMIN' AND NOT EXISTS
        (SELECT FROM users WHERE role = 'ADMIN' AND NOT disabled AND NOT locked AND id <> account_id)
    THEN
        PERFORM refuse(format('%s is the last admin who can sign in; make another one first.', account.name));
    END IF;
    RETURN account;
END
$$;
COMMENT ON FUNCTION the_account IS
    'The account, locked for the change; raises when it is gone, or when leaves_admins and it is the last admin.';

CREATE FUNCTION user_set_role(account_id bigint, new_role user_role) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    account users := the_account(account_id, new_role IS DISTINCT FROM 'ADMIN');
BEGIN
    UPDATE users SET role = new_role WHERE id = account_id;
    PERFORM regroup_sign_ins(account_id, new_role < account.role);
END
$$;
COMMENT ON FUNCTION user_set_role IS 'Holds at once, for open windows too.';

CREATE FUNCTION user_set_locked(account_id bigint, lock boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM the_account(account_id, lock);
    IF lock THEN
        UPDATE users SET locked = true WHERE id = account_id;
        PERFORM end_sign_ins(account_id, NULL, NULL);
    ELSE
        UPDATE users SET locked = false, unlocked_at = clock_timestamp() WHERE id = account_id;
    END IF;
END
$$;
COMMENT ON FUNCTION user_set_locked IS
    'Locks an account and ends its sign-ins; or unlocks it, also from a lock-out after failed sign-ins.';

CREATE FUNCTION user_set_disabled(account_id bigint, disable boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM the_account(account_id, disable);
    UPDATE users SET disabled = disable WHERE id = account_id;
    IF disable THEN
        PERFORM end_sign_ins(account_id, NULL, NULL);
    END IF;
END
$$;
COMMENT ON FUNCTION user_set_disabled IS
    'Takes an account out of use, its name and deeds stay; or puts it back.';

CREATE FUNCTION user_reset_password(account_id bigint, hash text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM the_account(account_id, false);
    IF account_id = signed_in_user() THEN
        PERFORM refuse('Change your own password instead of resetting it.');
    END IF;
    UPDATE users SET password_hash = checked_hash(hash), must_change_password = true,
        unlocked_at = clock_timestamp()
    WHERE id = account_id;
    PERFORM end_sign_ins(account_id, NULL, NULL);
END
$$;
COMMENT ON FUNCTION user_reset_password IS
    'A password for the next sign-in, which can do nothing but change it.';

CREATE FUNCTION user_revoke(account_id bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    account users := the_account(account_id, false);
    ended bigint := end_sign_ins(account_id, NULL, NULL);
BEGIN
    IF ended > 0 THEN
        PERFORM audit_event('revoke', 'sign-in', '', account.name,
            jsonb_build_object('sign_ins', jsonb_build_array(ended, 0)));
    END IF;
    RETURN ended;
END
$$;
COMMENT ON FUNCTION user_revoke IS 'Ends all sign-ins of an account; answers how many.';

CREATE FUNCTION sign_in_revoke(sign_in uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    row sign_ins;
BEGIN
    PERFORM require_sign_in();
    SELECT * INTO row FROM sign_ins WHERE id = sign_in;
    IF row.id IS NULL OR end_sign_ins(row.user_id, sign_in, NULL) = 0 THEN
        PERFORM refuse('This sign-in has already ended.', 'GG002');
    END IF;
    PERFORM audit_event('revoke', 'sign-in', sign_in::text,
        (SELECT name FROM users WHERE id = row.user_id),
        jsonb_build_object('workstation', jsonb_build_array(row.workstation, NULL),
                           'program', jsonb_build_array(row.program, NULL)));
END
$$;

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

GRANT UPDATE (password_hash, must_change_password) ON users TO <<broker>>;
GRANT EXECUTE ON FUNCTION checked_hash(text), refuse(text, text) TO <<broker>>;
GRANT CREATE ON SCHEMA public TO <<broker>>;
ALTER FUNCTION end_sign_ins(bigint, uuid, text) OWNER TO <<broker>>;
ALTER FUNCTION regroup_sign_ins(bigint, boolean) OWNER TO <<broker>>;
ALTER FUNCTION end_stale_connections() OWNER TO <<broker>>;
ALTER FUNCTION change_password(text, text) OWNER TO <<broker>>;
REVOKE CREATE ON SCHEMA public FROM <<broker>>;
