DROP TRIGGER one_image_job ON jobs;
DROP INDEX uq_jobs_open_image;
DROP FUNCTION one_image_job(), last_changes(text, bigint), objects_open_elsewhere(),
    object_close(text, bigint), object_open(text, bigint), is_present(sign_ins);
DROP TABLE open_objects;
