-- Users: what admins do with them. What is taken away is gone at once: the sign-ins' roles leave
-- their group, and their connections end (a connection that had said SET ROLE would keep the group's
-- rights).

CREATE FUNCTION group_of(account users) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT format('ggnet_%s_%s', CASE WHEN account.must_change_password THEN 'newcomer'
                                      ELSE lower(account.role::text) END, installation_id())
$$;
COMMENT ON FUNCTION group_of IS 'The group role that the sign-ins of a user belong to.';

CREATE FUNCTION the_user(account_id bigint, leaves_admins boolean) RETURNS users
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
        PERFORM refuse_as('GG002', 'This user no longer exists.');
    END IF;
    IF leaves_admins AND account.role = 'ADMIN' AND NOT EXISTS
        (SELECT FROM users WHERE role = 'ADMIN' AND NOT disabled AND NOT locked AND id <> account_id)
    THEN
        PERFORM refuse('%s is the last admin who can sign in; make another one first.', account.name);
    END IF;
    RETURN account;
END
$$;
COMMENT ON FUNCTION the_user IS
    'The user, locked for the change; raises when it is gone, or when leaves_admins and it is the last admin.';

CREATE FUNCTION user_create(user_name text, user_role user_role, hash text,
    must_change boolean DEFAULT false) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    INSERT INTO users (name, role, password_hash, must_change_password)
    VALUES (user_name, user_role, checked_hash(hash), must_change)
    RETURNING id
$$;
COMMENT ON FUNCTION user_create IS
    'Adds a user; with must_change it may do nothing at first but choose a password of its own.';

CREATE FUNCTION user_set_role(account_id bigint, new_role user_role) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    account users := the_user(account_id, new_role IS DISTINCT FROM 'ADMIN');
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
    PERFORM the_user(account_id, lock);
    IF lock THEN
        UPDATE users SET locked = true WHERE id = account_id;
        PERFORM end_sign_ins(account_id, NULL, NULL);
    ELSE
        UPDATE users SET locked = false, unlocked_at = clock_timestamp() WHERE id = account_id;
    END IF;
END
$$;
COMMENT ON FUNCTION user_set_locked IS
    'Locks a user and ends its sign-ins; or unlocks it, also from a lock-out after failed sign-ins.';

CREATE FUNCTION user_set_disabled(account_id bigint, disable boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM the_user(account_id, disable);
    UPDATE users SET disabled = disable WHERE id = account_id;
    IF disable THEN
        PERFORM end_sign_ins(account_id, NULL, NULL);
    END IF;
END
$$;
COMMENT ON FUNCTION user_set_disabled IS
    'Takes a user out of use, its name and what it did stay; or puts it back.';

CREATE FUNCTION user_reset_password(account_id bigint, hash text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM the_user(account_id, false);
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
    account users := the_user(account_id, false);
    ended bigint := end_sign_ins(account_id, NULL, NULL);
BEGIN
    IF ended > 0 THEN
        PERFORM audit_event('revoke', 'sign-in', '', account.name,
            jsonb_build_object('sign_ins', jsonb_build_array(ended, 0)));
    END IF;
    RETURN ended;
END
$$;
COMMENT ON FUNCTION user_revoke IS 'Ends all sign-ins of a user; answers how many.';
