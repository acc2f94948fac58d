-- What is allowed, and how a refusal is said. ERRCODE GG001: refused, the message is the sentence for
-- people, the detail what it was made of (`sentence`). GG002: not found. GG005: the sign-in has ended.

CREATE FUNCTION setting_value(setting text) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT value FROM settings WHERE name = setting $$;

CREATE FUNCTION spend(account bigint, of_setting text, amount bigint) RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    now_at constant timestamptz := clock_timestamp();
    rate attempts.rates;
BEGIN
    INSERT INTO attempts.rates AS r (user_id, setting, since, done)
    VALUES (account, of_setting, now_at, amount)
    ON CONFLICT (user_id, setting) DO UPDATE SET
        since = CASE WHEN r.since > now_at - interval '1 minute' THEN r.since ELSE now_at END,
        done = CASE WHEN r.since > now_at - interval '1 minute' THEN r.done ELSE 0 END + amount
    RETURNING * INTO rate;
    RETURN CASE WHEN rate.done > setting_value(of_setting) THEN rate.since + interval '1 minute' END;
END
$$;
COMMENT ON FUNCTION spend IS
    'Counts what a user asks for against a setting of so many a minute; NULL: granted; a time: refused until then.';

-- A sentence for people: `template` is a literal, `%s` stands for the values, as text. What it was
-- made of goes with it, so that whoever shows it can say it in another language, and nothing else.
CREATE FUNCTION sentence(template text, VARIADIC vals text[] DEFAULT '{}') RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object('reason', format(template, VARIADIC vals))
        || CASE WHEN cardinality(vals) > 0
                THEN jsonb_build_object('key', template, 'values', array_replace(vals, NULL, ''))
                ELSE '{}' END
$$;
COMMENT ON FUNCTION sentence IS
    'A sentence as {"reason": in English, "key": template, "values"}; one without values is its own key.';

CREATE FUNCTION sentence_until(moment timestamptz, in_seconds text, in_minutes text) RETURNS jsonb
LANGUAGE sql VOLATILE SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT CASE WHEN s <= 90 THEN sentence(in_seconds, s::text)
        ELSE sentence(in_minutes, ceil(s / 60.0)::text) END
    FROM (SELECT greatest(ceil(extract(epoch FROM moment - clock_timestamp())), 1)::bigint) AS t (s)
$$;
COMMENT ON FUNCTION sentence_until IS 'The sentence of the two that says when to try again.';

CREATE FUNCTION refuse_with(code text, said jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    -- The log is all that a transaction rolled back leaves. The role is that of the sign-in.
    RAISE LOG 'ggnet: refused % from %: %',
        session_user, coalesce(host(inet_client_addr()), 'local'), left(said ->> 'reason', 1000);
    IF said ? 'key' THEN
        -- Logged and handed out with the message, so there is nothing in it that the message does not say.
        RAISE EXCEPTION USING ERRCODE = code, MESSAGE = said ->> 'reason', DETAIL = (said - 'reason')::text;
    END IF;
    RAISE EXCEPTION USING ERRCODE = code, MESSAGE = said ->> 'reason';
END
$$;

CREATE FUNCTION refuse(template text, VARIADIC vals text[] DEFAULT '{}') RETURNS void
LANGUAGE sql SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT refuse_with('GG001', sentence(template, VARIADIC vals)) $$;

CREATE FUNCTION refuse_as(code text, template text, VARIADIC vals text[] DEFAULT '{}') RETURNS void
LANGUAGE sql SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT refuse_with(code, sentence(template, VARIADIC vals)) $$;

CREATE FUNCTION refuse_until(moment timestamptz, in_seconds text, in_minutes text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT refuse_with('GG001', sentence_until(moment, in_seconds, in_minutes)) $$;
