-- Passwords whose cost can be raised, first passwords that must be changed, an audit trail that
-- costs less and can be shortened for good, and agents that write rows of their own host alone.

-- Passwords -------------------------------------------------------------------------------------

INSERT INTO settings (name, value, minimum, maximum, description) VALUES
    ('bcrypt_cost', 11, 10, 15,
     'Cost of password hashes: one more doubles the time of each sign-in and each guess');

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
CREATE OR REPLACE FUNCTION checked_hash(hash text) RETURNS text
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
        PERFORM refuse(format('The cost of the password''s hash must lie between %s and %s (setting bcrypt_cost).',
                              allowed.minimum, allowed.maximum));
    END IF;
    PERFORM refuse('The password was not handed over as a bcrypt hash of the kind $2a$.');
END
$$;

-- pgcrypto's gen_salt() is not the broker's to call in databases made before this revision.
CREATE FUNCTION bcrypt_salt(cost bigint) RETURNS text
LANGUAGE sql VOLATILE SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT format('$2a$%s$%s', lpad(cost::text, 2, '0'),
                  left(translate(encode(gen_random_bytes(16), 'base64'), '+', '.'), 22))
$$;

-- After a change of the setting accounts differ in cost until they have signed in once. Each
-- unknown name stands in for one account, always the same, so that its time tells nothing.
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
    'What the password of an unknown name is checked against: no password fits, the cost is an account''s.';

CREATE OR REPLACE FUNCTION check_password(account users, user_name text, password text,
                               OUT reason text, OUT unseen boolean)
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    -- Made for known names as well, so that both take as long.
    stand_in constant text := stand_in_hash(user_name);
    address constant text := coalesce(host(inet_client_addr()), 'local');
    -- Name and address: nobody can lock others out of their accounts from another computer.
    by_name constant text := lower(user_name) || '@' || address;
    hash constant text := coalesce(account.password_hash, stand_in);
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

CREATE FUNCTION renew_hash(account users, password text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, public, pg_temp
AS $$
    -- Unless somebody has set another password since this one was checked.
    UPDATE users SET password_hash = crypt(password, bcrypt_salt(setting_value('bcrypt_cost')))
    WHERE id = account.id AND password_hash = account.password_hash
        AND hash_cost(password_hash) <> setting_value('bcrypt_cost')
$$;
COMMENT ON FUNCTION renew_hash IS 'Gives the account''s hash the cost that the setting asks for now.';

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
        again_at := spend(account.id, 'user_sign_ins_per_minute', 1);
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
    PERFORM tend_sign_ins(), account_for_failures(), renew_hash(account, password);
    RETURN open_sign_in(account, program, workstation);
EXCEPTION WHEN OTHERS THEN
    RAISE LOG 'ggnet: sign-in as % ended in % %', quote_literal(said_name), SQLSTATE, SQLERRM;
    RETURN jsonb_build_object('ok', false,
        'reason', 'The database could not make the sign-in; its log says why.');
END
$$;

DROP FUNCTION user_create(text, user_role, text);
CREATE FUNCTION user_create(user_name text, user_role user_role, hash text,
    must_change boolean DEFAULT false) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    INSERT INTO users (name, role, password_hash, must_change_password)
    VALUES (user_name, user_role, checked_hash(hash), must_change)
    RETURNING id
$$;
COMMENT ON FUNCTION user_create IS
    'Adds an account; with must_change it may do nothing at first but choose a password of its own.';

GRANT EXECUTE ON FUNCTION hash_cost(text), bcrypt_salt(bigint), stand_in_hash(text),
    renew_hash(users, text) TO <<broker>>;

-- Audit -----------------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION audit_rows() RETURNS trigger
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

DROP FUNCTION audit_prune(timestamptz);
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
        PERFORM refuse(format('Entries of the last %s days cannot be removed (setting audit_keep_days).', keep_days));
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

-- One row per finding; none: the trail is whole. `number` and `entry` are NULL where there is none.
CREATE OR REPLACE FUNCTION audit_verify(head_number bigint DEFAULT NULL, head_hash text DEFAULT NULL)
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
        PERFORM refuse(format('The head of link %s is older than what was removed from the trail, up to link %s; '
                              'only a newer one can be compared.', head_number, through));
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

-- Agents ----------------------------------------------------------------------------------------

-- People's rights are grants alone. The agent of one host reads what concerns all of them, but
-- writes rows of its own; a host is its agent's by the role that host_report() noted.
DO $$
DECLARE
    own_hosts constant text := '(SELECT h.id FROM hosts h WHERE h.agent_role = session_user)';
    written record;
BEGIN
    FOR written IN SELECT * FROM (VALUES
        ('jobs', 'host_id IN ' || own_hosts),
        ('images', 'host_id IN ' || own_hosts),
        ('image_versions', 'image_id IN (SELECT i.id FROM images i WHERE i.host_id IN ' || own_hosts || ')'),
        ('targets', 'host_id IN ' || own_hosts),
        ('boot_sessions', 'host_id IN ' || own_hosts),
        -- Where it was started last.
        ('machines', '(SELECT s.host_id FROM boot_sessions s WHERE s.machine_id = machines.id '
                     'ORDER BY s.id DESC LIMIT 1) IN ' || own_hosts)
    ) AS t (name, its_own) LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', written.name);
        EXECUTE format('CREATE POLICY people ON %I TO <<viewer>> USING (true)', written.name);
        EXECUTE format('CREATE POLICY agents_read ON %I FOR SELECT TO <<agents>> USING (true)', written.name);
        EXECUTE format('CREATE POLICY agents_write ON %I TO <<agents>> USING (%s)', written.name, written.its_own);
    END LOOP;
END
$$;
ALTER TABLE procrastinate.procrastinate_jobs ENABLE ROW LEVEL SECURITY;
CREATE POLICY agents_own ON procrastinate.procrastinate_jobs TO <<agents>>
    USING (queue_name IN (SELECT h.name FROM public.hosts h WHERE h.agent_role = session_user));
