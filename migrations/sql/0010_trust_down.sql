DROP POLICY agents_own ON procrastinate.procrastinate_jobs;
ALTER TABLE procrastinate.procrastinate_jobs DISABLE ROW LEVEL SECURITY;
DO $$
DECLARE
    policy record;
BEGIN
    FOR policy IN SELECT tablename, policyname FROM pg_policies WHERE schemaname = 'public' LOOP
        EXECUTE format('DROP POLICY %I ON %I; ALTER TABLE %2$I DISABLE ROW LEVEL SECURITY',
                       policy.policyname, policy.tablename);
    END LOOP;
END
$$;
DROP FUNCTION user_create(text, user_role, text, boolean);
DROP FUNCTION audit_prune(timestamptz), renew_hash(users, text), stand_in_hash(text),
    bcrypt_salt(bigint), hash_cost(text), password_cost();
DELETE FROM settings WHERE name = 'bcrypt_cost';
