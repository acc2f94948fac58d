-- Passwords: bcrypt hashes of a cost that can be raised.

CREATE FUNCTION password_cost() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT setting_value('bcrypt_cost') $$;
COMMENT ON FUNCTION password_cost IS
    'The bcrypt cost that new passwords get; also for those who may not read settings yet.';

CREATE FUNCTION hash_cost(hash text) RETURNS bigint
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$ SELECT substr(hash, 5, 2)::bigint $$;
COMMENT ON FUNCTION hash_cost IS 'The cost of a bcrypt hash: $2a$COST$…';

-- A hash of cost 31 would keep the server busy for hours at every sign-in.
CREATE FUNCTION checked_hash(hash text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    allowed settings;
BEGIN
    SELECT * INTO allowed FROM settings WHERE name = 'bcrypt_cost';
    IF hash ~ '^\$2a\$\d\d\$[./A-Za-z0-9]{53}$' THEN
        IF hash_cost(hash) BETWEEN allowed.minimum AND allowed.maximum THEN
            RETURN hash;
        END IF;
        PERFORM refuse('The cost of the password''s hash must lie between %s and %s (setting bcrypt_cost).',
                       allowed.minimum::text, allowed.maximum::text);
    END IF;
    PERFORM refuse('The password was not handed over as a bcrypt hash of the kind $2a$.');
END
$$;
COMMENT ON FUNCTION checked_hash IS 'The hash; raises for one that pgcrypto would read as something else.';

-- As pgcrypto's gen_salt() makes it, which the broker may not call.
CREATE FUNCTION bcrypt_salt(cost bigint) RETURNS text
LANGUAGE sql VOLATILE SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT format('$2a$%s$%s', lpad(cost::text, 2, '0'),
                  left(translate(encode(gen_random_bytes(16), 'base64'), '+', '.'), 22))
$$;

-- After a change of the setting users differ in cost until they have signed in once. Each
-- unknown name stands in for one user, always the same, so that its time tells nothing.
CREATE FUNCTION stand_in_hash(user_name text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT format('$2a$%s$CwTycUXWue0Thq9StjUM0uJ8r8Yf0Zl0k3z5pZyCkUeK8yVn1bq2K',
        lpad(coalesce(
            (SELECT hash_cost(password_hash) FROM users
             ORDER BY hashtextextended(lower(left(user_name, 64)), id), id LIMIT 1),
            setting_value('bcrypt_cost'))::text, 2, '0'))
$$;
COMMENT ON FUNCTION stand_in_hash IS
    'What the password of an unknown name is checked against: no password fits, the cost is a user''s.';

-- No sentence when name and password are right; unseen: refused before the password was looked at.
CREATE FUNCTION check_password(account users, user_name text, password text,
                               OUT said jsonb, OUT unseen boolean)
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    -- Made for known names as well, so that both take as long.
    stand_in constant text := stand_in_hash(user_name);
    address constant text := coalesce(host(inet_client_addr()), 'local');
    -- Name and address: nobody can lock others out from another computer.
    by_name constant text := lower(user_name) || '@' || address;
    hash constant text := coalesce(account.password_hash, stand_in);
    refused_until timestamptz;
BEGIN
    unseen := true;
    refused_until := attempt('address', address, setting_value('sign_ins_per_minute'), 60, NULL);
    IF refused_until IS NOT NULL THEN
        said := sentence_until(refused_until,
            'Too many sign-ins from this computer have failed; try again in %s seconds.',
            'Too many sign-ins from this computer have failed; try again in %s minutes.');
        RETURN;
    END IF;
    refused_until := attempt('name', by_name, setting_value('failed_sign_ins_max'),
                             setting_value('lock_out_s'), account.unlocked_at);
    IF refused_until = 'infinity' THEN
        said := sentence('Too many sign-ins with this name have failed; ask an admin to unlock the user.');
        RETURN;
    ELSIF refused_until IS NOT NULL THEN
        said := sentence_until(refused_until,
            'Too many sign-ins with this name have failed; try again in %s seconds, or ask an admin to unlock the user.',
            'Too many sign-ins with this name have failed; try again in %s minutes, or ask an admin to unlock the user.');
        RETURN;
    END IF;
    unseen := false;
    -- bcrypt looks at the first 72 bytes alone.
    IF crypt(password, hash) <> hash OR octet_length(password) > 72 OR account.id IS NULL THEN
        said := sentence('The name or the password is wrong.');
    END IF;
END
$$;
ALTER FUNCTION check_password OWNER TO <<broker>>;

CREATE FUNCTION renew_hash(account users, password text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, public, pg_temp
AS $$
    -- Unless somebody has set another password since this one was checked.
    UPDATE users SET password_hash = crypt(password, bcrypt_salt(setting_value('bcrypt_cost')))
    WHERE id = account.id AND password_hash = account.password_hash
        AND hash_cost(password_hash) <> setting_value('bcrypt_cost')
$$;
COMMENT ON FUNCTION renew_hash IS 'Gives the user''s hash the cost that the setting asks for now.';

-- NULL, or the sentence why not. Does not raise then, so that the failure stays recorded.
CREATE FUNCTION change_password(old_password text, new_hash text) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    account users;
    said jsonb;
    unseen boolean;
BEGIN
    SELECT u.* INTO account FROM sign_ins s JOIN users u ON u.id = s.user_id
    WHERE s.role_name = session_user AND s.ended_at IS NULL AND s.expires_at > clock_timestamp();
    IF account.id IS NULL THEN
        PERFORM refuse_as('GG005', 'The sign-in has ended; sign in again.');
    END IF;
    PERFORM checked_hash(new_hash);
    SELECT * INTO said, unseen FROM check_password(account, account.name, coalesce(old_password, ''));
    IF said IS NOT NULL THEN
        PERFORM note_failure(account.name, current_setting('application_name'), '', said ->> 'reason', unseen);
        RETURN CASE WHEN unseen THEN said ELSE sentence('The present password is wrong.') END;
    END IF;
    PERFORM forgive_attempts(account.name);
    IF crypt(old_password, new_hash) = new_hash THEN
        RETURN sentence('The new password is the present one; choose another.');
    END IF;
    UPDATE users SET password_hash = new_hash, must_change_password = false WHERE id = account.id;
    PERFORM end_sign_ins(account.id, NULL, session_user);
    PERFORM regroup_sign_ins(account.id, false);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION change_password IS
    'The caller''s own password; the user''s other sign-ins end. Answers NULL, or the sentence why not.';
ALTER FUNCTION change_password OWNER TO <<broker>>;
