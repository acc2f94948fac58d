-- Who has which object open in a form, and who changed it last.

-- A console that crashed or lost its network tells nobody, but its connections are gone.
CREATE FUNCTION is_present(sign_in sign_ins) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT sign_in.ended_at IS NULL AND sign_in.expires_at > clock_timestamp()
        AND EXISTS (SELECT FROM pg_stat_activity
                    WHERE usename = sign_in.role_name AND datname = current_database())
$$;

-- Only what exists can be open, so that the table cannot be filled with inventions.
CREATE FUNCTION object_open(of_noun text, object bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM require_sign_in();
    DELETE FROM open_objects o USING sign_ins s
    WHERE s.role_name = o.role_name AND (s.ended_at IS NOT NULL OR s.expires_at < clock_timestamp());
    IF (CASE of_noun
        WHEN 'machine' THEN EXISTS (SELECT FROM machines WHERE id = object)
        WHEN 'image' THEN EXISTS (SELECT FROM images WHERE id = object)
        WHEN 'setting' THEN EXISTS (SELECT FROM settings WHERE id = object)
        ELSE false END)
    THEN
        INSERT INTO open_objects AS o (role_name, noun, object_id)
        SELECT s.role_name, of_noun, object FROM sign_ins s
        WHERE s.role_name = session_user
        ON CONFLICT (role_name, noun, object_id) DO UPDATE SET since = excluded.since;
    END IF;
END
$$;
COMMENT ON FUNCTION object_open IS
    'The caller has opened a machine, image or setting in a form; forgotten with the sign-in.';

CREATE FUNCTION object_close(of_noun text, object bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    DELETE FROM open_objects
    WHERE role_name = session_user AND noun = of_noun AND object_id = object
$$;

CREATE FUNCTION objects_open_elsewhere()
RETURNS TABLE (id bigint, noun text, object_id bigint, user_name text, yours boolean, since timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT o.id, o.noun, o.object_id, u.name, u.id = signed_in_user(), o.since
    FROM open_objects o
    JOIN sign_ins s ON s.role_name = o.role_name
    JOIN users u ON u.id = s.user_id
    WHERE o.role_name <> session_user AND is_present(s)
    ORDER BY o.since, o.id
$$;
COMMENT ON FUNCTION objects_open_elsewhere IS
    'What other sign-ins that are still connected have open; yours: another window of the caller''s.';

-- The trail itself is the admins'. Of one object that everybody sees, those who edit it may know
-- who changed each field last, so that two of them can come to terms.
CREATE FUNCTION last_changes(of_noun text, object bigint)
RETURNS TABLE (field text, verb text, user_name text, at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT DISTINCT ON (key) key, newest.verb, newest.user_name, newest.at
    FROM (
        SELECT a.* FROM audit a
        WHERE a.noun = of_noun AND a.object_id = object::text
            AND of_noun IN ('machine', 'image', 'setting') AND a.verb IN ('update', 'delete')
        ORDER BY a.id DESC LIMIT 100
    ) AS newest
    CROSS JOIN LATERAL jsonb_object_keys(newest.changes) AS keys (key)
    ORDER BY key, newest.id DESC
$$;
COMMENT ON FUNCTION last_changes IS
    'Who changed each field of one machine, image or setting last, and when; verb delete: it is gone.';
