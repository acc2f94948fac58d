-- Steps before this one may have written entries whose link is still open.
SET CONSTRAINTS ALL IMMEDIATE;
DROP FUNCTION audit_verify(bigint, text), audit_prune(timestamptz), audit_head();
ALTER TABLE audit DROP COLUMN link;
DROP INDEX ix_audit_search, ix_audit_severity, ix_audit_user_name, ix_audit_at;
DROP TRIGGER open_link ON audit;
DROP TABLE audit_links, audit_chain;
DROP FUNCTION audit_close_link(), audit_open_link(), audit_link(),
    audit_link_hash(bytea, bigint, integer, bytea, timestamptz), audit_digests(bigint);
DELETE FROM settings WHERE name = 'audit_keep_days';
