-- Images: the way in, and what is done with one that is there.

CREATE FUNCTION image_start(image_name text, image_type image_type, host_name text, file_name text,
                            size_bytes bigint,
                            OUT image_id bigint, OUT job_id bigint, OUT upload_id uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    host bigint := the_host(host_name);
BEGIN
    -- A failed import gives its name to the next one.
    DELETE FROM images i WHERE lower(i.name) = lower(image_name) AND i.status = 'ERROR'
        AND NOT EXISTS (SELECT FROM image_versions v WHERE v.image_id = i.id)
        AND NOT EXISTS (SELECT FROM jobs j WHERE j.image_id = i.id AND j.status IN ('QUEUED', 'RUNNING'));
    -- Never the caller's to choose: whoever named another one's upload would be given its file.
    upload_id := gen_random_uuid();
    INSERT INTO images (host_id, name, type, status, upload_id, source_name, source_size_bytes, created_by)
    VALUES (host, image_name, image_type, 'UPLOADING', upload_id, left(file_name, 255), size_bytes,
            signed_in_user())
    RETURNING id INTO image_id;
    job_id := new_job('image.import', host, image_name, image_id, NULL,
        jsonb_build_object('upload_id', upload_id), 'RUNNING');
END
$$;
COMMENT ON FUNCTION image_start IS
    'Begins an import: an UPLOADING image and its RUNNING job; the caller''s process copies the file.';

CREATE FUNCTION image_import_entry(image_name text, image_type image_type, host_name text,
                                   entry text, sha256 text, md5 text,
                                   OUT image_id bigint, OUT job_id bigint, OUT upload_id uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF entry = '' OR entry IN ('.', '..') OR entry ~ '[/[:cntrl:]]' THEN
        PERFORM refuse('An entry of the import folder is a bare file name, without a path.');
    END IF;
    SELECT s.* INTO image_id, job_id, upload_id
    FROM image_start(image_name, image_type, host_name, entry, NULL) AS s;
    UPDATE jobs SET status = 'QUEUED', started_at = NULL,
        params = params || jsonb_build_object('entry', entry, 'sha256', sha256, 'md5', md5)
    WHERE id = job_id;
    PERFORM enqueue(job_id);
END
$$;
COMMENT ON FUNCTION image_import_entry IS
    'Begins an import of a file that lies in the import folder the storage host''s configuration names.';

-- The uploader's own running job; raises for anybody else's.
CREATE FUNCTION own_upload(job_id bigint) RETURNS jobs
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    job jobs;
BEGIN
    PERFORM require_sign_in();
    SELECT * INTO job FROM jobs
    WHERE id = job_id AND kind = 'image.import' AND queue_job_id IS NULL AND status = 'RUNNING'
        AND created_by = signed_in_user()
    FOR UPDATE;
    IF job.id IS NULL THEN
        PERFORM refuse_as('GG002', 'This upload is no longer running.');
    END IF;
    RETURN job;
END
$$;

CREATE FUNCTION upload_progress(job_id bigint, done_fraction double precision, done bigint,
                                total bigint, speed bigint, left_s integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    job jobs := own_upload(job_id);
BEGIN
    UPDATE jobs SET phase = 'Copying', percent = least(greatest(done_fraction, 0), 1) * 100,
        bytes_done = done, bytes_total = total, bytes_per_s = speed, seconds_left = left_s,
        heartbeat_at = clock_timestamp()
    WHERE id = job_id;
    RETURN job.cancel_requested;
END
$$;
COMMENT ON FUNCTION upload_progress IS 'Notes how far the upload is; answers whether to stop.';

CREATE FUNCTION upload_done(job_id bigint, size_bytes bigint, sha256 text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    job jobs := own_upload(job_id);
BEGIN
    UPDATE images SET status = 'PROCESSING', source_size_bytes = size_bytes, source_sha256 = sha256
    WHERE id = job.image_id AND status = 'UPLOADING';
    UPDATE jobs SET status = 'QUEUED' WHERE id = job_id;
    PERFORM enqueue(job_id);
END
$$;

CREATE FUNCTION upload_failed(job_id bigint, message text, was_cancelled boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    job jobs := own_upload(job_id);
BEGIN
    UPDATE images SET status = 'ERROR', error = left(message, 2000)
    WHERE id = job.image_id AND status = 'UPLOADING';
    UPDATE jobs SET status = CASE WHEN was_cancelled THEN 'CANCELLED' ELSE 'FAILED' END::job_status,
        error = left(message, 2000), finished_at = clock_timestamp()
    WHERE id = job_id;
END
$$;

CREATE FUNCTION image_job(image bigint, verb text, job_params jsonb) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    row images;
    user_of text;
BEGIN
    SELECT * INTO row FROM images WHERE id = image FOR UPDATE;
    IF row.id IS NULL THEN
        PERFORM refuse_as('GG002', 'This image no longer exists.');
    END IF;
    IF verb NOT IN ('verify', 'convert', 'remove') THEN
        PERFORM refuse('There is no image job “%s”.', verb);
    END IF;
    IF EXISTS (SELECT FROM jobs WHERE image_id = image AND kind = 'image.remove'
               AND status IN ('QUEUED', 'RUNNING')) THEN
        PERFORM refuse('The image “%s” is being removed.', row.name);
    END IF;
    IF verb = 'verify' AND row.status <> 'READY' THEN
        PERFORM refuse('The image “%s” is not ready, so there is nothing to verify.', row.name);
    ELSIF verb = 'convert' AND row.status <> 'READY' THEN
        PERFORM refuse('The image “%s” is not ready, so there is nothing to convert.', row.name);
    END IF;
    IF verb = 'remove' THEN
        IF row.status IN ('UPLOADING', 'PROCESSING') THEN
            PERFORM refuse('The image “%s” is being imported; cancel the job first.', row.name);
        END IF;
        SELECT m.name INTO user_of FROM luns l JOIN image_versions v ON v.id = l.image_version_id
            JOIN targets t ON t.id = l.target_id JOIN machines m ON m.id = t.machine_id
        WHERE v.image_id = image ORDER BY m.name LIMIT 1;
        IF user_of IS NOT NULL THEN
            PERFORM refuse('The image “%s” is served to %s; stop its session or remove its target first.',
                           row.name, user_of);
        END IF;
    END IF;
    RETURN new_job(('image.' || verb)::job_kind, row.host_id, row.name, image, NULL, job_params, 'QUEUED');
END
$$;

-- Two people ask for the same work at the same moment: the lock makes the second one wait and see.
CREATE FUNCTION one_image_job() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    other jobs;
BEGIN
    PERFORM FROM images WHERE id = NEW.image_id FOR UPDATE;
    SELECT * INTO other FROM jobs
    WHERE image_id = NEW.image_id AND kind = NEW.kind AND status IN ('QUEUED', 'RUNNING');
    IF other.id IS NULL THEN
        RETURN NEW;
    ELSIF NEW.kind = 'image.verify' THEN
        PERFORM refuse('The image “%s” is being verified already, started by %s; wait for that job or cancel it.',
                       NEW.object_name, other.created_by_name);
    ELSIF NEW.kind = 'image.convert' THEN
        PERFORM refuse('The image “%s” is being exported already, started by %s; wait for that job or cancel it.',
                       NEW.object_name, other.created_by_name);
    ELSIF NEW.kind = 'image.remove' THEN
        PERFORM refuse('The image “%s” is being removed already, started by %s; wait for that job or cancel it.',
                       NEW.object_name, other.created_by_name);
    ELSE
        PERFORM refuse('The image “%s” is being imported already, started by %s; wait for that job or cancel it.',
                       NEW.object_name, other.created_by_name);
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER one_image_job BEFORE INSERT ON jobs
    FOR EACH ROW WHEN (NEW.image_id IS NOT NULL AND NEW.kind::text LIKE 'image.%')
    EXECUTE FUNCTION one_image_job();
