DROP FUNCTION who_am_i(), sign_in_revoke(uuid), user_revoke(bigint), user_reset_password(bigint, text),
    user_set_disabled(bigint, boolean), user_set_locked(bigint, boolean),
    user_set_role(bigint, user_role), the_account(bigint, boolean), change_password(text, text),
    end_stale_connections(), regroup_sign_ins(bigint, boolean), end_sign_ins(bigint, uuid, text),
    audit_event(text, text, text, text, jsonb), checked_hash(text);
REVOKE UPDATE (password_hash, must_change_password) ON users FROM <<broker>>;
REVOKE EXECUTE ON FUNCTION refuse(text, text) FROM <<broker>>;
ALTER TABLE users DROP CONSTRAINT ck_users_name;
