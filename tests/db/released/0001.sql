-- A row in every table of the schema 0001, as an installation of that release holds them.

INSERT INTO users (name, role, password_hash, must_change_password, locked, last_sign_in_at) VALUES
    ('ada', 'ADMIN', '$2a$11$CwTycUXWue0Thq9StjUM0uJ8r8Yf0Zl0k3z5pZyCkUeK8yVn1bq2K', false, false, now()),
    ('otto', 'OPERATOR', '$2a$11$CwTycUXWue0Thq9StjUM0uJ8r8Yf0Zl0k3z5pZyCkUeK8yVn1bq2K', true, true, NULL);
INSERT INTO sign_ins (id, user_id, role_name, program, workstation, client_address, expires_at)
    VALUES (gen_random_uuid(), 1, 'ggnet_s_0001', 'ggnet-console', 'desk-1', '10.0.0.7', now());
INSERT INTO open_objects (role_name, noun, object_id) VALUES ('ggnet_s_0001', 'machine', 1);
INSERT INTO hosts (name, agent_role, portal, backend, backend_choice, problem, undoable, heartbeat_at)
    VALUES ('store1', 'ggnet_agent_store1', '10.0.0.1:3260', 'lio', 'LIO', '', 2, now());
INSERT INTO machines (name, mac, ip, boot_mode, status, location, room, asset_tag, notes, online)
    VALUES ('PC-01', '52:54:00:12:34:01', '10.0.1.1', 'UEFI', 'ACTIVE', 'West wing', 'Lab 1', 'A-1', 'Façade', true);
INSERT INTO images (host_id, name, type, status, upload_id, source_name, source_format, source_size_bytes,
                    source_sha256, created_by)
    VALUES (1, 'win11', 'SYSTEM', 'READY', gen_random_uuid(), 'win11.vhdx', 'VHDX', 4194304, repeat('a', 64), 1);
INSERT INTO image_versions (image_id, number, sha256, virtual_size_bytes, actual_size_bytes, verified_at)
    VALUES (1, 1, repeat('b', 64), 68719476736, 8589934592, now());
INSERT INTO targets (host_id, machine_id, iqn, initiator_iqn, chap_user, status, kept) VALUES
    (1, 1, 'iqn.2026-11.net.ggnet:target.525400123401', 'iqn.2026-11.net.ggnet:initiator.525400123401', 'gg1', 'OPEN', true);
INSERT INTO targets (host_id, iqn, initiators, status, kept) VALUES
    (1, 'iqn.2003-01.org.linux-iscsi:old', '{iqn.1991-05.com.microsoft:pc}', 'OPEN', true);
INSERT INTO target_secrets VALUES (1, 'only-for-the-agent');
INSERT INTO luns (target_id, lun, image_version_id, serial) VALUES (1, 1, 1, 'gg0000000100000010000001');
INSERT INTO luns (target_id, lun, path, size_bytes, read_only, serial, write_back, store)
    VALUES (2, 0, '/dev/vg/old', 1048576, false, '', true, 'iblock_0/old');
INSERT INTO target_reports (id, host_id, target_id, iqn, drift, is_foreign, differences, sessions)
    VALUES (1, 1, 1, 'iqn.2026-11.net.ggnet:target.525400123401', 'DIFFERENT', false, '["LUN 1 is missing."]', 1);
INSERT INTO jobs (host_id, kind, status, object_name, image_id, machine_id, params, phase, percent, bytes_done,
                  bytes_total, bytes_per_s, seconds_left, queue_job_id, created_by, created_by_name, started_at)
    VALUES (1, 'image.import', 'RUNNING', 'win11', 1, NULL, '{"entry": "win11.vhdx"}', 'Converting', 40.5, 1, 2,
            3, 4, 1, 2, 'otto', now());
INSERT INTO boot_sessions (host_id, machine_id, image_version_id, image_name, type, status, target_iqn,
                           initiator_iqn, portal, lun, client_address, connected, bytes_read, started_by, active_at)
    VALUES (1, 1, 1, 'win11', 'DISKLESS_BOOT', 'ACTIVE', 'iqn.2026-11.net.ggnet:target.525400123401',
            'iqn.2026-11.net.ggnet:initiator.525400123401', '10.0.0.1:3260', 1, '10.0.1.1', true, 123456789, 2, now());
INSERT INTO audit (user_id, user_name, client_address, program, verb, noun, object_id, object_name, changes, link)
    VALUES (1, 'ada', '10.0.0.7', 'ggnet-console', 'insert', 'machine', '1', 'PC-01', '{"name": [null, "PC-01"]}', 1);
INSERT INTO audit_links (id, number, entries, digest, hash, at) VALUES (1, 1, 1, '\x01', '\x02', now());
UPDATE audit_chain SET number = 1, hash = '\x02';
UPDATE settings SET value = 14 WHERE name = 'bcrypt_cost';
INSERT INTO schema_objects VALUES ('table', 'machines', 'owner ggnet_owner_');
INSERT INTO attempts.failed (number, name, client_address, program, workstation, reason)
    VALUES (nextval('attempts.failures'), 'ada', '10.0.0.9', 'ggnet', 'desk-9', 'The name or the password is wrong.');
INSERT INTO attempts.rates VALUES (2, 'user_jobs_per_minute', now(), 7);
SET LOCAL search_path = procrastinate;
INSERT INTO procrastinate_workers DEFAULT VALUES;
INSERT INTO procrastinate_jobs (queue_name, task_name, args, lock) VALUES ('store1', 'ggnet.run', '{"job_id": 1}', 'image:1');
INSERT INTO procrastinate_periodic_defers (task_name, defer_timestamp) VALUES ('never', 1);
