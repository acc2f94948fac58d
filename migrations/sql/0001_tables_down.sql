DROP TABLE luns, boot_sessions, jobs, image_versions, targets, sign_ins, images, users, settings,
    machines, hosts, audit;
DROP TYPE audit_severity, user_role, boot_mode, machine_status, image_type, image_status,
    image_format, session_type, session_status, target_status, job_kind, job_status;
