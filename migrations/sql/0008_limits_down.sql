DROP FUNCTION spend(bigint, text, bigint);
DROP TABLE attempts.rates;
DELETE FROM settings WHERE name IN ('user_jobs_per_minute', 'user_power_actions_per_minute');
