DROP FUNCTION note_failure(text, text, text, text, boolean), forgive_attempts(text), open_sign_in(users, text, text), check_password(users, text, text), group_of(users),
    clear_sign_ins(), account_for_failures(), attempt_was_right(text, text, bigint, boolean),
    attempt(text, text, bigint, bigint, timestamptz), attempt_place(text, text, bigint),
    attempt_write(regclass, bigint, bigint, bigint), attempt_read(regclass), attempt_key(text),
    wait_for(timestamptz),
    epoch_ms(timestamptz), setting_value(text);
DROP SCHEMA attempts CASCADE;
DELETE FROM settings WHERE name IN ('failed_sign_ins_max', 'lock_out_s', 'sign_ins_per_minute',
    'user_sign_ins_per_minute');
DROP INDEX ix_sign_ins_user_id_created_at;
ALTER TABLE users DROP COLUMN must_change_password, DROP COLUMN locked, DROP COLUMN unlocked_at;
