DROP TRIGGER notify_failed_sign_ins_insert ON attempts.failed;
DROP FUNCTION failed_sign_ins(), refused_until(text, inet, timestamptz),
    object_history(text, text, integer);
