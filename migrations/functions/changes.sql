-- What happens by itself when a row changes: its version, a hint to every window, the audit trail.

CREATE FUNCTION bump_version() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    NEW.version := OLD.version + 1;
    RETURN NEW;
END
$$;

-- A hint, never data: {"table", "id", "version"} per row, or {"table"} alone for a large change.
-- Arguments: the table people look at, and the column that holds its id.
CREATE FUNCTION notify_rows() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    many constant integer := 50;
BEGIN
    IF (SELECT count(*) FROM (SELECT FROM changed LIMIT many + 1) AS few) > many THEN
        PERFORM pg_notify('ggnet', json_build_object('table', TG_ARGV[0])::text);
    ELSE
        PERFORM pg_notify('ggnet', json_build_object(
            'table', TG_ARGV[0],
            'id', r -> TG_ARGV[1],
            'version', r -> 'version')::text)
        FROM (SELECT to_jsonb(changed) AS r FROM changed) AS rows
        WHERE r ->> TG_ARGV[1] IS NOT NULL;
    END IF;
    RETURN NULL;
END
$$;

-- What is tracked. noun: its name in the audit trail; without one it enters none. observed: columns
-- whose change counts neither for the version (where it has one) nor for the trail. shown_as: the
-- rows of windows that show it, as the table people look at and the column that holds its id.
DO $$
DECLARE
    tracked record;
    written record;
    shown record;
    edited text;
BEGIN
    FOR tracked IN SELECT * FROM (VALUES
        ('boot_sessions', 'session',
         'client_address,connected,bytes_read,bytes_written,last_seen_at',
         '{"boot_sessions": "id", "machines": "machine_id"}'),
        -- Who chose the backend is an action, what the agent reports is not.
        ('hosts', 'host',
         'portal,backend,backend_reason,problem,heartbeat_at,saved_problem,undoable,compared_at',
         '{"hosts": "id"}'),
        ('image_versions', 'image version', '', '{"images": "image_id"}'),
        ('images', 'image', '', '{"images": "id"}'),
        ('jobs', 'job',
         'phase,percent,bytes_done,bytes_total,bytes_per_s,seconds_left,heartbeat_at,queue_job_id,attempts',
         '{"jobs": "id", "images": "image_id"}'),
        ('luns', 'lun', '', '{"targets": "target_id"}'),
        ('machines', 'machine', 'online,last_seen_at', '{"machines": "id"}'),
        ('open_objects', '', '', '{"open_objects": "id"}'),
        ('settings', 'setting', '', '{"settings": "id"}'),
        ('sign_ins', '', '', '{"sign_ins": "id"}'),
        ('target_reports', '', '', '{"targets": "id"}'),
        ('targets', 'target', '', '{"targets": "id", "machines": "machine_id"}'),
        ('users', 'user', 'last_sign_in_at', '{"users": "id"}')
    ) AS t (name, noun, observed, shown_as)
    LOOP
        SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FILTER (WHERE
                attname <> ALL (string_to_array(tracked.observed, ',') || '{id,version}'))
        INTO edited FROM pg_attribute
        WHERE attrelid = tracked.name::regclass AND attnum > 0 AND NOT attisdropped
        HAVING bool_or(attname = 'version');
        IF edited IS NOT NULL THEN
            EXECUTE format('CREATE TRIGGER version BEFORE UPDATE OF %s ON %I '
                           'FOR EACH ROW EXECUTE FUNCTION bump_version()', edited, tracked.name);
        END IF;
        FOR written IN SELECT * FROM (VALUES
            ('insert', 'NEW TABLE AS changed'),
            ('update', 'OLD TABLE AS before NEW TABLE AS changed'),
            ('delete', 'OLD TABLE AS changed')
        ) AS w (verb, rows) LOOP
            FOR shown IN SELECT * FROM jsonb_each_text(tracked.shown_as::jsonb) LOOP
                EXECUTE format('CREATE TRIGGER notify_%s_%s AFTER %2$s ON %I REFERENCING %s '
                               'FOR EACH STATEMENT EXECUTE FUNCTION notify_rows(%L, %L)',
                    shown.key, written.verb, tracked.name, written.rows, shown.key, shown.value);
            END LOOP;
            IF tracked.noun <> '' THEN
                EXECUTE format('CREATE TRIGGER audit_%s AFTER %1$s ON %I REFERENCING %s '
                               'FOR EACH STATEMENT EXECUTE FUNCTION audit_rows(%L, %L)',
                    written.verb, tracked.name, written.rows, tracked.noun, tracked.observed);
            END IF;
        END LOOP;
    END LOOP;
END
$$;

-- Windows that show users look again. Only a hint, and only where the failure was committed.
CREATE TRIGGER notify_failed_sign_ins_insert AFTER INSERT ON attempts.failed
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT
    EXECUTE FUNCTION notify_rows('failed_sign_ins', 'number');
