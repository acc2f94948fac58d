-- Targets: made for machines, compared with what runs, adopted from others.

-- Make the machine's target show the image's newest version; refuses what is in use.
CREATE FUNCTION want_target(machine machines, image bigint, keep boolean) RETURNS targets
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    img images;
    newest image_versions;
    target targets;
    shown bigint;
BEGIN
    SELECT * INTO img FROM images WHERE id = image FOR SHARE;
    IF img.id IS NULL THEN
        PERFORM refuse_as('GG002', 'This image no longer exists.');
    END IF;
    SELECT * INTO newest FROM image_versions v WHERE v.image_id = image ORDER BY number DESC LIMIT 1;
    IF img.status <> 'READY' OR newest.id IS NULL THEN
        PERFORM refuse('The image “%s” is not ready to be served.', img.name);
    END IF;
    IF EXISTS (SELECT FROM jobs WHERE image_id = image AND kind = 'image.remove'
               AND status IN ('QUEUED', 'RUNNING')) THEN
        PERFORM refuse('The image “%s” is being removed.', img.name);
    END IF;
    SELECT * INTO target FROM targets WHERE machine_id = machine.id FOR UPDATE;
    IF target.id IS NULL THEN
        INSERT INTO targets (host_id, machine_id, iqn, initiator_iqn, kept)
        VALUES (img.host_id, machine.id, machine_iqn('target', machine.mac),
                machine_iqn('initiator', machine.mac), keep)
        RETURNING * INTO target;
    ELSE
        IF target.host_id <> img.host_id THEN
            PERFORM refuse('The target of %s is on another storage host; remove it first.', machine.name);
        END IF;
        UPDATE targets SET status = 'WANTED', error = '', kept = kept OR keep
        WHERE id = target.id RETURNING * INTO target;
    END IF;
    SELECT image_version_id INTO shown FROM luns WHERE target_id = target.id AND lun = 1;
    IF shown IS DISTINCT FROM newest.id THEN
        DELETE FROM luns WHERE target_id = target.id;
        INSERT INTO luns (target_id, lun, image_version_id, serial)
        VALUES (target.id, 1, newest.id,
                -- Unique among installations, too: one initiator may see disks of several.
                'gg' || installation_id() || lpad(to_hex(machine.id), 7, '0')
                || lpad(to_hex(newest.id), 7, '0'));
    END IF;
    RETURN target;
END
$$;

CREATE FUNCTION the_target(target bigint) RETURNS targets
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    row targets;
BEGIN
    SELECT * INTO row FROM targets WHERE id = target FOR UPDATE;
    IF row.id IS NULL THEN
        PERFORM refuse_as('GG002', 'This target no longer exists.');
    END IF;
    RETURN row;
END
$$;

CREATE FUNCTION target_job(verb text, of_target targets, job_params jsonb) RETURNS bigint
LANGUAGE sql SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT new_job(('target.' || verb)::job_kind, of_target.host_id,
        coalesce((SELECT name FROM machines WHERE id = of_target.machine_id), of_target.iqn), NULL,
        of_target.machine_id, job_params, 'QUEUED')
$$;

CREATE FUNCTION target_create(machine bigint, image bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    row machines;
    target targets;
BEGIN
    SELECT * INTO row FROM machines WHERE id = machine FOR UPDATE;
    IF row.id IS NULL THEN
        PERFORM refuse_as('GG002', 'This machine no longer exists.');
    END IF;
    IF EXISTS (SELECT FROM boot_sessions WHERE machine_id = machine AND status IN ('PENDING', 'ACTIVE')) THEN
        PERFORM refuse('%s has a session; stop it before changing its target.', row.name);
    END IF;
    target := want_target(row, image, true);
    RETURN new_job('target.apply', target.host_id, row.name, image, machine,
                   jsonb_build_object('target_ids', ARRAY[target.id]), 'QUEUED');
END
$$;

-- An adopted target is released, not removed: apply would then not touch it either.
CREATE FUNCTION target_remove(target bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    row targets := the_target(target);
    machine_name text;
BEGIN
    IF row.machine_id IS NULL THEN
        PERFORM refuse('%s was adopted; release it, and end it where it was made.', row.iqn);
    END IF;
    SELECT name INTO machine_name FROM machines WHERE id = row.machine_id;
    IF EXISTS (SELECT FROM boot_sessions WHERE machine_id = row.machine_id
               AND status IN ('PENDING', 'ACTIVE')) THEN
        PERFORM refuse('%s has a session; stop it before removing its target.', machine_name);
    END IF;
    RETURN target_job('remove', row, jsonb_build_object('target_ids', ARRAY[target]));
END
$$;

CREATE FUNCTION target_test(target bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    row targets := the_target(target);
BEGIN
    RETURN target_job('test', row, jsonb_build_object('target_id', row.id));
END
$$;
COMMENT ON FUNCTION target_test IS
    'Has the storage host discover this target and log in to it as its machine would.';

CREATE FUNCTION the_chap_target(target bigint) RETURNS targets
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    row targets := the_target(target);
BEGIN
    IF row.machine_id IS NULL THEN
        PERFORM refuse('%s was adopted; it keeps the CHAP it was made with.', row.iqn);
    END IF;
    RETURN row;
END
$$;
COMMENT ON FUNCTION the_chap_target IS
    'The target, locked for the change; raises when it is gone, or when its CHAP is not ours.';

-- 16 characters, which also Windows takes, with 96 bits. A new secret has a new name: tgtd never
-- tells the secret it has, but it tells the name.
CREATE FUNCTION target_chap_on(target bigint, OUT chap_user text, OUT secret text, OUT job_id bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    row targets := the_chap_target(target);
BEGIN
    chap_user := 'gg' || encode(gen_random_bytes(4), 'hex');
    secret := translate(encode(gen_random_bytes(12), 'base64'), '+/', '-_');
    INSERT INTO target_secrets AS s (target_id, secret) VALUES (row.id, target_chap_on.secret)
    ON CONFLICT (target_id) DO UPDATE SET secret = excluded.secret;
    UPDATE targets SET chap_user = target_chap_on.chap_user, kept = true WHERE id = row.id;
    job_id := target_job('apply', row, jsonb_build_object('target_ids', ARRAY[row.id]));
END
$$;
COMMENT ON FUNCTION target_chap_on IS
    'Makes a secret for this target and answers it this once; the machine is asked for it from now on.';

CREATE FUNCTION target_chap_off(target bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    row targets := the_chap_target(target);
BEGIN
    DELETE FROM target_secrets WHERE target_id = row.id;
    UPDATE targets SET chap_user = '' WHERE id = row.id;
    RETURN target_job('apply', row, jsonb_build_object('target_ids', ARRAY[row.id]));
END
$$;

CREATE FUNCTION targets_compare(host bigint) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT host_job('compare', host, '{}') $$;
COMMENT ON FUNCTION targets_compare IS 'Asks a storage host to compare its targets anew.';

CREATE FUNCTION targets_reconcile(host bigint, iqns text[], cut text[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM check_iqn(iqn) FROM unnest(iqns) AS names (iqn);
    RETURN host_job('reconcile', host,
        jsonb_build_object('iqns', to_jsonb(iqns), 'cut', initiators_of(cut)));
END
$$;
COMMENT ON FUNCTION targets_reconcile IS
    'Makes these targets (NULL: all) as wanted; only the machines in cut may lose their disk by it.';

CREATE FUNCTION targets_repair(host bigint, set_saved_aside boolean) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT host_job('repair', host, jsonb_build_object('set_saved_aside', set_saved_aside)) $$;

CREATE FUNCTION targets_undo(host bigint, cut text[]) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT host_job('undo', host, jsonb_build_object('cut', initiators_of(cut))) $$;

-- The length alone (RFC 3720, 3.2.6.1), so that nobody fills a job with them; a name that no target
-- has finds none.
CREATE FUNCTION check_iqn(iqn text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF octet_length(iqn) > 223 THEN
        PERFORM refuse('An iSCSI name has at most 223 bytes.');
    END IF;
END
$$;

-- Names of machines become their initiator names; the agent does not know people's words for them.
CREATE FUNCTION initiators_of(names text[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    named text;
    initiator text;
    answer jsonb := '[]';
BEGIN
    FOREACH named IN ARRAY coalesce(names, '{}') LOOP
        PERFORM check_iqn(named);
        SELECT machine_iqn('initiator', m.mac) INTO initiator FROM machines m
        WHERE lower(m.name) = lower(named);
        IF initiator IS NULL AND named ~ '^(iqn|eui|naa)\.' THEN
            initiator := lower(named);
        END IF;
        IF initiator IS NULL THEN
            PERFORM refuse_as('GG002', 'There is no machine “%s”.', named);
        END IF;
        answer := answer || to_jsonb(initiator);
    END LOOP;
    RETURN answer;
END
$$;

CREATE FUNCTION target_adopt(host bigint, target_iqn text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    report target_reports;
BEGIN
    SELECT * INTO report FROM target_reports r WHERE r.host_id = host AND r.iqn = target_iqn;
    IF report.id IS NULL THEN
        PERFORM refuse_as('GG002', 'There is no target %s on this storage host.', target_iqn);
    END IF;
    IF report.target_id IS NOT NULL THEN
        PERFORM refuse('%s is wanted already.', target_iqn);
    END IF;
    IF NOT report.is_foreign THEN
        PERFORM refuse('%s carries a name of ours, but nobody wants it; apply removes it.', target_iqn);
    END IF;
    IF report.unsupported <> '' THEN
        PERFORM refuse('%s cannot be adopted: %s.', target_iqn, report.unsupported);
    END IF;
    RETURN new_job('target.adopt', host, target_iqn, NULL, NULL, jsonb_build_object('iqn', target_iqn),
                   'QUEUED');
END
$$;

-- The other half of target_adopt, by the agent that looked at the target.
CREATE FUNCTION target_adopted(host bigint, target_iqn text, target_initiators text[],
                               target_luns jsonb, target_chap_user text, secret text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    target bigint;
BEGIN
    IF host NOT IN (SELECT own_hosts()) OR NOT EXISTS (
        -- Whatever an agent is told: an admin must have asked for it.
        SELECT FROM jobs j JOIN users u ON u.id = j.created_by AND u.role = 'ADMIN'
        WHERE j.kind = 'target.adopt' AND j.status = 'RUNNING' AND j.host_id = host
            AND j.params ->> 'iqn' = target_iqn)
    THEN
        PERFORM refuse('No admin asked this storage host to adopt %s.', target_iqn);
    END IF;
    IF EXISTS (SELECT FROM targets t WHERE t.iqn = target_iqn) THEN
        PERFORM refuse('A target called %s is wanted already.', target_iqn);
    END IF;
    DELETE FROM target_reports r WHERE r.host_id = host AND r.iqn = target_iqn;
    INSERT INTO targets (host_id, iqn, initiators, kept, status, chap_user)
    VALUES (host, target_iqn, target_initiators, true, 'OPEN', target_chap_user)
    RETURNING id INTO target;
    INSERT INTO luns (target_id, lun, path, size_bytes, read_only, serial, write_back, store)
    SELECT target, l.lun, l.path, l.size_bytes, l.read_only, l.serial, l.write_back, l.store
    FROM jsonb_to_recordset(target_luns) AS l (lun integer, path text, size_bytes bigint,
        read_only boolean, serial text, write_back boolean, store text);
    IF target_chap_user <> '' THEN
        INSERT INTO target_secrets VALUES (target, secret);
    END IF;
    RETURN target;
END
$$;

CREATE FUNCTION target_release(target bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    row targets := the_target(target);
BEGIN
    IF row.machine_id IS NOT NULL THEN
        PERFORM refuse('%s was not adopted, but made for a machine; remove it instead.', row.iqn);
    END IF;
    DELETE FROM targets WHERE id = row.id;
    RETURN host_job('compare', row.host_id, '{}');
END
$$;
COMMENT ON FUNCTION target_release IS
    'Wants an adopted target no more; it runs on untouched, as somebody else''s.';
