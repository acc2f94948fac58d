DROP FUNCTION host_report(text, text, text, text), user_create(text, user_role, text), who_am_i(),
    has_users(), schema_revision();
SET LOCAL ROLE <<broker>>;
DROP FUNCTION login(text, text, text, text), renew_sign_in(), sign_out(), disarm(text);
SET LOCAL ROLE <<owner>>;
DROP FUNCTION end_connections(text[]);
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM <<viewer>>, <<operator>>, <<admin>>, <<agents>>, <<broker>>;
REVOKE ALL (id, name, role, disabled, created_at, last_sign_in_at, version) ON users
    FROM <<viewer>>, <<admin>>, <<broker>>;
REVOKE ALL (name, mac, ip, boot_mode, status, location, room, asset_tag, notes, online, last_seen_at)
    ON machines FROM <<operator>>, <<agents>>;
REVOKE ALL ON FUNCTION installation_id(), signed_in_user() FROM <<viewer>>, <<agents>>, <<broker>>;
ALTER DEFAULT PRIVILEGES FOR ROLE <<owner>> GRANT EXECUTE ON FUNCTIONS TO PUBLIC;
GRANT EXECUTE ON FUNCTION installation_id(), signed_in_user(), require_sign_in(), actor_name(),
    bump_version(), notify_rows(), audit_rows() TO PUBLIC;
