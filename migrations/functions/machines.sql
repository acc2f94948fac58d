-- Machines: removed without a right to DELETE, and the names they have in iSCSI.

-- Whoever may DELETE may also LOCK TABLE, and keep everybody from looking at machines.
CREATE FUNCTION machines_delete(machine_ids bigint[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    removed bigint;
BEGIN
    DELETE FROM machines WHERE id = ANY (machine_ids);
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;
COMMENT ON FUNCTION machines_delete IS
    'Removes machines and their ended sessions, all or none; answers how many there were.';

CREATE FUNCTION machine_iqn(part text, mac macaddr) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT 'iqn.2026-11.net.ggnet:' || part || '.' || replace(mac::text, ':', '') $$;
COMMENT ON FUNCTION machine_iqn IS
    'IQN (RFC 3720, 3.2.6.3.1) of a machine''s target or initiator; the MAC is what stays with a PC.';

-- A target and its initiator are named after the MAC, and may be running under these names.
CREATE FUNCTION keep_mac() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM targets WHERE machine_id = NEW.id) THEN
        PERFORM refuse('%s has a target named after its MAC address; stop its session and '
                       'remove the target before changing the address.', OLD.name);
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER keep_mac BEFORE UPDATE OF mac ON machines
    FOR EACH ROW WHEN (OLD.mac IS DISTINCT FROM NEW.mac) EXECUTE FUNCTION keep_mac();

CREATE FUNCTION some_machines(names text[]) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT CASE WHEN cardinality(names) = 1 THEN names[1]
                  ELSE cardinality(names) || ' machines' END $$;
