-- What is allowed, and how a refusal is said. ERRCODE GG001: refused, the message is the sentence for
-- people. GG002: not found. GG005: the sign-in has ended.

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

CREATE FUNCTION wait_for(moment timestamptz) RETURNS text
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN s <= 90 THEN format('try again in %s seconds', s)
        ELSE format('try again in %s minutes', ceil(s / 60.0)) END
    FROM (SELECT greatest(ceil(extract(epoch FROM moment - clock_timestamp())), 1)::bigint) AS t (s)
$$;
COMMENT ON FUNCTION wait_for IS 'The end of a sentence that says when to try again.';

CREATE FUNCTION refuse(message text, code text DEFAULT 'GG001') RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    -- The log is all that a transaction rolled back leaves. The role is that of the sign-in.
    RAISE LOG 'ggnet: refused % from %: %',
        session_user, coalesce(host(inet_client_addr()), 'local'), left(message, 1000);
    RAISE EXCEPTION USING ERRCODE = code, MESSAGE = message;
END
$$;
