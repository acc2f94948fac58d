-- The audit trail as a chain: each transaction's entries are one link, whose hash covers them and
-- the hash of the link before. Who changes, removes or inserts an entry has to make every later link
-- anew, and a head exported before no longer fits.

CREATE FUNCTION actor_name() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT coalesce(
        (SELECT name FROM users WHERE id = signed_in_user()),
        session_user::text)
$$;

-- One entry per changed row. Arguments: the noun, and the columns that are observations (progress,
-- counters, last seen), whose change is nobody's action.
CREATE FUNCTION audit_rows() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    unwatched constant text[] := string_to_array(TG_ARGV[1], ',') || ARRAY['version'];
    names constant text[] := ARRAY['name', 'object_name', 'iqn', 'image_name'];
    rows constant text := CASE TG_OP WHEN 'UPDATE' THEN 'before AS o JOIN changed AS n USING (id)'
                                     ELSE 'changed AS n' END;
    counts constant text := CASE TG_OP WHEN 'UPDATE' THEN 'o.%1$I IS DISTINCT FROM n.%1$I'
                                       ELSE 'to_jsonb(n.%1$I) <> ''""''' END;
    pair constant text := CASE TG_OP WHEN 'UPDATE' THEN '%1$L, jsonb_build_array(o.%1$I, n.%1$I)'
                                     WHEN 'INSERT' THEN '%1$L, jsonb_build_array(NULL, n.%1$I)'
                                     ELSE '%1$L, jsonb_build_array(n.%1$I, NULL)' END;
    -- Before sign-in only login() itself changes one, to hash the same password anew.
    secret constant text := CASE WHEN session_user = 'ggnet_console'
        THEN '''bcrypt_cost'', jsonb_build_array(hash_cost(o.%1$I), hash_cost(n.%1$I))'
        ELSE '%1$L, ''["(hidden)", "(hidden)"]''::jsonb' END;
    changes text;
    name_at integer;
    job bigint;
BEGIN
    PERFORM require_sign_in();
    -- Only an agent works for a job; anybody could set the variable.
    IF session_user LIKE 'ggnet\_agent\_%' THEN
        job := nullif(current_setting('ggnet.job_id', true), '')::bigint;
    END IF;
    -- Progress and traffic come often and a row at a time: they pay for no statement of their own.
    IF TG_OP = 'UPDATE' THEN
        PERFORM FROM before AS o JOIN changed AS n USING (id)
        WHERE to_jsonb(o) - unwatched <> to_jsonb(n) - unwatched LIMIT 1;
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
    END IF;
    -- Compared column by column: with rows made into JSON first it takes eight times as long.
    SELECT string_agg(format(
               'CASE WHEN ' || counts || ' THEN jsonb_build_object('
               || CASE attname WHEN 'password_hash' THEN secret ELSE pair END
               || ') ELSE ''{}'' END', attname), ' || ' ORDER BY attnum),
           min(array_position(names, attname::text))
    INTO changes, name_at
    FROM pg_attribute
    WHERE attrelid = TG_RELID AND attnum > 0 AND NOT attisdropped AND attname <> ALL (unwatched)
        AND (attname <> 'password_hash' OR TG_OP = 'UPDATE');
    EXECUTE format(
        'INSERT INTO audit (user_id, user_name, client_address, program, verb, noun, object_id, '
        '                   object_name, changes, job_id, severity, link) '
        'SELECT $1, $2, $3, $4, $5, $6, id, name, changes, $7, $8, $9 '
        'FROM (SELECT n.id::text AS id, %s AS name, %s AS changes FROM %s OFFSET 0) AS rows '
        'WHERE changes <> ''{}''',
        CASE WHEN name_at IS NULL THEN '''''' ELSE format('n.%I', names[name_at]) END, changes, rows)
    USING signed_in_user(), actor_name(), inet_client_addr(), current_setting('application_name'),
        lower(TG_OP), TG_ARGV[0], job,
        (CASE WHEN TG_OP = 'DELETE' OR TG_ARGV[0] IN ('user', 'setting')
              THEN 'WARNING' ELSE 'INFO' END)::audit_severity,
        audit_link();
    RETURN NULL;
END
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
COMMENT ON FUNCTION audit_event IS 'An audit entry for an action that changes no row people look at.';

CREATE FUNCTION audit_link() RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    open_link bigint;
BEGIN
    SELECT id INTO open_link FROM audit_links WHERE tx = pg_current_xact_id()::text::bigint;
    RETURN coalesce(open_link, nextval('audit_links_id_seq'));
END
$$;
COMMENT ON FUNCTION audit_link IS 'The link that entries written now belong to.';
ALTER TABLE audit ALTER COLUMN link SET DEFAULT audit_link();

CREATE FUNCTION audit_open_link() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    INSERT INTO audit_links (id, tx) SELECT DISTINCT link, pg_current_xact_id()::text::bigint FROM added
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

-- At commit, so that the one lock everybody needs is held for moments and comes after all others:
-- no two transactions can wait for each other. Who says SET CONSTRAINTS ALL IMMEDIATE gets a link
-- per statement.
CREATE FUNCTION audit_close_link() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    before audit_chain;
    now_at timestamptz;
    found record;
    new_hash bytea;
BEGIN
    SELECT * INTO found FROM audit_digests(NEW.id);
    SELECT * INTO STRICT before FROM audit_chain FOR UPDATE;
    now_at := clock_timestamp();
    new_hash := audit_link_hash(before.hash, before.number + 1, found.entries, found.digest, now_at);
    UPDATE audit_links SET tx = NULL, number = before.number + 1, entries = found.entries,
        digest = found.digest, hash = new_hash, at = now_at
    WHERE id = NEW.id;
    UPDATE audit_chain SET number = before.number + 1, hash = new_hash;
    RETURN NULL;
END
$$;

CREATE TRIGGER open_link AFTER INSERT ON audit
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION audit_open_link();
CREATE CONSTRAINT TRIGGER close_link AFTER INSERT ON audit_links
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit_close_link();

CREATE FUNCTION audit_digests(only_link bigint)
RETURNS TABLE (link bigint, entries integer, first bigint, digest bytea)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    -- The text of a record tells NULL from '' and escapes its separators.
    RETURN QUERY
    SELECT a.link, count(*)::integer, min(a.id),
        sha256(string_agg(sha256(convert_to(
            ROW(a.id, extract(epoch FROM a.at), a.severity, a.user_id, a.user_name, a.client_address,
                a.program, a.verb, a.noun, a.object_id, a.object_name, a.changes, a.job_id)::text,
            'UTF8')), '' ORDER BY a.id))
    FROM audit a WHERE only_link IS NULL OR a.link = only_link GROUP BY a.link;
END
$$;
COMMENT ON FUNCTION audit_digests IS
    'The entries of each link as they are now, or of one: how many, the first, and their digest.';

-- STABLE, as extract() is, and bound when it is made instead of by a search path: so it becomes a
-- part of the query. Called for each link, a trail of single edits is checked half as fast.
CREATE FUNCTION audit_link_hash(before bytea, number bigint, entries integer, digest bytea, at timestamptz)
RETURNS bytea
LANGUAGE sql STABLE
RETURN sha256(before || int8send(number) || int4send(entries) || digest
              || convert_to(extract(epoch FROM at)::text, 'UTF8'));

CREATE FUNCTION audit_head(OUT number bigint, OUT hash text, OUT at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT c.number, encode(c.hash, 'hex'), l.at
    FROM audit_chain c LEFT JOIN audit_links l ON l.number = c.number
$$;
COMMENT ON FUNCTION audit_head IS
    'The newest link of the audit trail; kept elsewhere, it tells even of what the owner changed.';

-- One row per finding; none: the trail is whole. `number` and `entry` are NULL where there is none.
CREATE FUNCTION audit_verify(head_number bigint DEFAULT NULL, head_hash text DEFAULT NULL)
RETURNS TABLE (number bigint, entry bigint, problem text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET work_mem = '64MB'
AS $$
#variable_conflict use_column
DECLARE
    -- The first link that is left, when an entry of the trail rightly says so: its hash is the one
    -- named, made of what is left of it, and it was as old as nobody can set audit_keep_days below.
    through bigint;
BEGIN
    SELECT l.number INTO through
    FROM audit_links l JOIN audit a ON a.object_id = l.number::text
    WHERE l.number = (SELECT min(number) FROM audit_links)
        AND a.noun = 'audit' AND a.verb = 'prune'
        AND encode(l.hash, 'hex') = a.changes #>> '{hash,1}'
        AND l.at < least(a.at, clock_timestamp()) - interval '30 days'
        AND l.hash = audit_link_hash(
            CASE WHEN a.changes #>> '{follows,1}' ~ '^([0-9a-f]{64})?$'
                 THEN decode(a.changes #>> '{follows,1}', 'hex') END, l.number, l.entries, l.digest, l.at)
    LIMIT 1;
    IF head_number < through THEN
        PERFORM refuse('The head of link %s is older than what was removed from the trail, up to link %s; '
                       'only a newer one can be compared.', head_number::text, through::text);
    END IF;
    RETURN QUERY
    WITH found AS MATERIALIZED (
        SELECT * FROM audit_digests(NULL)
    ), links AS (
        SELECT l.*, lag(l.hash, 1, ''::bytea) OVER w AS before, lag(l.number, 1, 0::bigint) OVER w AS previous
        FROM audit_links l WINDOW w AS (ORDER BY l.number)
    ), chain AS MATERIALIZED (
        SELECT l.*, coalesce(l.number = through, false) AS is_first FROM links l
    )
    SELECT c.number, NULL::bigint, 'Links before this one are missing.'
    FROM chain c WHERE c.number IS DISTINCT FROM c.previous + 1 AND NOT c.is_first
    UNION ALL
    SELECT c.number, NULL, 'This link does not follow from the one before.'
    FROM chain c
    WHERE c.hash IS DISTINCT FROM audit_link_hash(c.before, c.number, c.entries, c.digest, c.at)
        AND NOT c.is_first
    UNION ALL
    SELECT c.number, f.first, 'Entries of this link were changed, removed or added.'
    FROM chain c LEFT JOIN found f ON f.link = c.id
    WHERE (f.link IS NOT NULL OR NOT c.is_first)
        AND (f.digest IS DISTINCT FROM c.digest OR f.entries IS DISTINCT FROM c.entries)
    UNION ALL
    SELECT NULL, f.first, 'Entries were added outside of the chain.'
    FROM found f WHERE NOT EXISTS (SELECT FROM audit_links l WHERE l.id = f.link)
    UNION ALL
    SELECT h.number, NULL, 'The newest links are missing.'
    FROM audit_chain h LEFT JOIN chain c ON c.number = (SELECT max(chain.number) FROM chain)
    WHERE (h.number, h.hash) IS DISTINCT FROM (coalesce(c.number, 0), coalesce(c.hash, ''))
    UNION ALL
    SELECT head_number, NULL, 'The trail does not follow from the exported head.'
    WHERE head_number > 0 AND NOT EXISTS
        (SELECT FROM chain c WHERE c.number = head_number AND c.hash = decode(head_hash, 'hex'))
    ORDER BY 1 NULLS LAST;
END
$$;
COMMENT ON FUNCTION audit_verify IS
    'What is wrong with the audit trail, also measured by a head exported before; no row: nothing.';

CREATE FUNCTION audit_prune(before timestamptz, OUT entries bigint, OUT sign_ins bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    keep_days constant bigint := setting_value('audit_keep_days');
    last_link audit_links;
    follows bytea;
    links bigint;
BEGIN
    PERFORM require_sign_in();
    IF before IS NULL OR before > clock_timestamp() - make_interval(days => keep_days::int) THEN
        PERFORM refuse('Entries of the last %s days cannot be removed (setting audit_keep_days).',
                       keep_days::text);
    END IF;
    SELECT * INTO last_link FROM audit_links l WHERE l.at < before ORDER BY number DESC LIMIT 1;
    SELECT l.hash INTO follows FROM audit_links l WHERE l.number = last_link.number - 1;
    DELETE FROM audit a USING audit_links l WHERE l.id = a.link AND l.number <= last_link.number;
    GET DIAGNOSTICS entries = ROW_COUNT;
    -- The last one stays: from it, as the entry below tells, the chain goes on.
    DELETE FROM audit_links WHERE number < last_link.number;
    GET DIAGNOSTICS links = ROW_COUNT;
    -- A sign-in whose role still exists is needed to clear that away.
    DELETE FROM sign_ins s WHERE coalesce(s.ended_at, s.expires_at) < before
        AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = s.role_name);
    GET DIAGNOSTICS sign_ins = ROW_COUNT;
    IF entries + links > 0 THEN
        -- With the hash before it, that of the first link can be made again from what is left of it:
        -- its time, above all.
        PERFORM audit_event('prune', 'audit', last_link.number::text, '',
            jsonb_build_object('entries', jsonb_build_array(entries, 0),
                               'sign_ins', jsonb_build_array(sign_ins, 0),
                               'hash', jsonb_build_array(NULL, encode(last_link.hash, 'hex')),
                               'follows', jsonb_build_array(NULL, coalesce(encode(follows, 'hex'), '')),
                               'before', jsonb_build_array(NULL, before)));
    ELSIF sign_ins > 0 THEN
        PERFORM audit_event('prune', 'audit', '', '',
            jsonb_build_object('sign_ins', jsonb_build_array(sign_ins, 0),
                               'before', jsonb_build_array(NULL, before)));
    END IF;
END
$$;
COMMENT ON FUNCTION audit_prune IS
    'Removes entries, links and ended sign-ins before a time; the last such link stays as the beginning of the chain. Answers how many.';

-- The trail itself is the admins'. Everybody who sees an object may know what was done to it, but
-- not from where; users are seen by admins alone.
CREATE FUNCTION object_history(of_noun text, object text, most integer)
RETURNS TABLE (id bigint, at timestamptz, severity audit_severity, user_id bigint, user_name text,
               program text, verb text, object_name text, changes jsonb, job_id bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT a.id, a.at, a.severity, a.user_id, a.user_name, a.program, a.verb, a.object_name,
        (SELECT coalesce(jsonb_object_agg(key, CASE WHEN key ~ '^password|secret'
             THEN '["(hidden)", "(hidden)"]' ELSE value END), '{}')
         FROM jsonb_each(a.changes)),
        a.job_id
    FROM audit a
    WHERE a.noun = of_noun AND a.object_id = object
        AND (of_noun IN ('machine', 'image', 'image version', 'target', 'lun', 'session', 'job', 'setting',
                         'host')
             OR of_noun = 'user'
                AND pg_has_role(session_user, 'ggnet_admin_' || installation_id(), 'USAGE'))
    ORDER BY a.id DESC LIMIT least(greatest(most, 0), 200)
$$;
COMMENT ON FUNCTION object_history IS
    'The newest audit entries of one object, 200 at most, without addresses and secrets; of users for admins alone.';
