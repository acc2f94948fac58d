-- Tables of GGnet Console, as the mapped classes in ggnet_console/models declare them.

CREATE TYPE audit_severity AS ENUM ('INFO', 'WARNING', 'CRITICAL');
CREATE TYPE boot_mode AS ENUM ('BIOS', 'UEFI', 'UEFI_SECURE');
CREATE TYPE machine_status AS ENUM ('ACTIVE', 'MAINTENANCE', 'RETIRED');
CREATE TYPE user_role AS ENUM ('VIEWER', 'OPERATOR', 'ADMIN');
CREATE TYPE image_type AS ENUM ('SYSTEM', 'DATA', 'TEMPLATE');
CREATE TYPE image_status AS ENUM ('UPLOADING', 'PROCESSING', 'READY', 'ERROR');
CREATE TYPE image_format AS ENUM ('RAW', 'QCOW2', 'VHDX', 'VHD', 'VMDK');
CREATE TYPE target_status AS ENUM ('WANTED', 'CLOSED', 'OPEN', 'ERROR');
CREATE TYPE job_kind AS ENUM ('image.import', 'image.verify', 'image.convert', 'image.remove', 'target.apply', 'target.remove');
CREATE TYPE job_status AS ENUM ('QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED');
CREATE TYPE session_type AS ENUM ('DISKLESS_BOOT', 'TESTING');
CREATE TYPE session_status AS ENUM ('PENDING', 'ACTIVE', 'STOPPED', 'TIMEOUT', 'ERROR');

CREATE TABLE audit (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    at timestamptz DEFAULT clock_timestamp() NOT NULL,
    severity audit_severity DEFAULT 'INFO' NOT NULL,
    user_id BIGINT,
    user_name TEXT NOT NULL,
    client_address INET,
    program TEXT DEFAULT '' NOT NULL,
    verb TEXT NOT NULL,
    noun TEXT NOT NULL,
    object_id TEXT DEFAULT '' NOT NULL,
    object_name TEXT DEFAULT '' NOT NULL,
    changes JSONB NOT NULL,
    job_id BIGINT,
    CONSTRAINT pk_audit PRIMARY KEY (id)
);
CREATE INDEX ix_audit_noun_object_id ON audit (noun, object_id);

CREATE TABLE hosts (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    name TEXT NOT NULL,
    agent_role TEXT NOT NULL,
    portal TEXT DEFAULT '' NOT NULL,
    backend TEXT DEFAULT '' NOT NULL,
    problem TEXT DEFAULT '' NOT NULL,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    heartbeat_at timestamptz,
    CONSTRAINT pk_hosts PRIMARY KEY (id),
    CONSTRAINT uq_hosts_name UNIQUE (name),
    CONSTRAINT uq_hosts_agent_role UNIQUE (agent_role)
);

CREATE TABLE machines (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    name TEXT NOT NULL,
    mac MACADDR NOT NULL,
    ip INET,
    boot_mode boot_mode DEFAULT 'UEFI' NOT NULL,
    status machine_status DEFAULT 'ACTIVE' NOT NULL,
    location TEXT DEFAULT '' NOT NULL,
    room TEXT DEFAULT '' NOT NULL,
    asset_tag TEXT DEFAULT '' NOT NULL,
    notes TEXT DEFAULT '' NOT NULL,
    online BOOLEAN DEFAULT false NOT NULL,
    last_seen_at timestamptz,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    version INTEGER DEFAULT '1' NOT NULL,
    CONSTRAINT pk_machines PRIMARY KEY (id),
    CONSTRAINT uq_machines_mac UNIQUE (mac),
    CONSTRAINT uq_machines_ip UNIQUE (ip),
    CONSTRAINT ck_machines_name CHECK (char_length(name) BETWEEN 1 AND 64 AND name !~ '[[:cntrl:]]'),
    CONSTRAINT ck_machines_location CHECK (char_length(location) <= 200),
    CONSTRAINT ck_machines_room CHECK (char_length(room) <= 200),
    CONSTRAINT ck_machines_asset_tag CHECK (char_length(asset_tag) <= 200),
    CONSTRAINT ck_machines_notes CHECK (char_length(notes) <= 4000)
);
CREATE UNIQUE INDEX uq_machines_name ON machines (lower(name));

CREATE TABLE settings (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    name TEXT NOT NULL,
    value BIGINT NOT NULL,
    minimum BIGINT NOT NULL,
    maximum BIGINT NOT NULL,
    description TEXT NOT NULL,
    version INTEGER DEFAULT '1' NOT NULL,
    CONSTRAINT pk_settings PRIMARY KEY (id),
    CONSTRAINT ck_settings_value CHECK (value BETWEEN minimum AND maximum),
    CONSTRAINT uq_settings_name UNIQUE (name)
);

CREATE TABLE users (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    name TEXT NOT NULL,
    role user_role NOT NULL,
    password_hash TEXT NOT NULL,
    disabled BOOLEAN DEFAULT false NOT NULL,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    last_sign_in_at timestamptz,
    version INTEGER DEFAULT '1' NOT NULL,
    CONSTRAINT pk_users PRIMARY KEY (id)
);
CREATE UNIQUE INDEX uq_users_name ON users (lower(name));

CREATE TABLE images (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    host_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    type image_type DEFAULT 'SYSTEM' NOT NULL,
    status image_status NOT NULL,
    notes TEXT DEFAULT '' NOT NULL,
    upload_id UUID,
    source_name TEXT DEFAULT '' NOT NULL,
    source_format image_format,
    source_size_bytes BIGINT,
    source_sha256 TEXT,
    error TEXT DEFAULT '' NOT NULL,
    created_by BIGINT,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    version INTEGER DEFAULT '1' NOT NULL,
    CONSTRAINT pk_images PRIMARY KEY (id),
    CONSTRAINT uq_images_upload_id UNIQUE (upload_id),
    CONSTRAINT ck_images_name CHECK (char_length(name) BETWEEN 1 AND 64 AND name !~ '[[:cntrl:]]'),
    CONSTRAINT ck_images_notes CHECK (char_length(notes) <= 4000),
    CONSTRAINT ck_images_source_sha256 CHECK (char_length(source_sha256) <= 64),
    CONSTRAINT fk_images_host_id FOREIGN KEY(host_id) REFERENCES hosts (id),
    CONSTRAINT fk_images_created_by FOREIGN KEY(created_by) REFERENCES users (id) ON DELETE SET NULL
);
CREATE INDEX ix_images_host_id ON images (host_id);
CREATE UNIQUE INDEX uq_images_name ON images (lower(name));

CREATE TABLE sign_ins (
    id UUID NOT NULL,
    user_id BIGINT NOT NULL,
    role_name TEXT NOT NULL,
    program TEXT DEFAULT '' NOT NULL,
    workstation TEXT DEFAULT '' NOT NULL,
    client_address INET,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    CONSTRAINT pk_sign_ins PRIMARY KEY (id),
    CONSTRAINT uq_sign_ins_role_name UNIQUE (role_name),
    CONSTRAINT fk_sign_ins_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX ix_sign_ins_user_id ON sign_ins (user_id);

CREATE TABLE targets (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    host_id BIGINT NOT NULL,
    machine_id BIGINT NOT NULL,
    iqn TEXT NOT NULL,
    initiator_iqn TEXT NOT NULL,
    status target_status DEFAULT 'WANTED' NOT NULL,
    kept BOOLEAN DEFAULT false NOT NULL,
    error TEXT DEFAULT '' NOT NULL,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    version INTEGER DEFAULT '1' NOT NULL,
    CONSTRAINT pk_targets PRIMARY KEY (id),
    CONSTRAINT uq_targets_machine_id UNIQUE (machine_id),
    CONSTRAINT uq_targets_iqn UNIQUE (iqn),
    CONSTRAINT fk_targets_host_id FOREIGN KEY(host_id) REFERENCES hosts (id),
    CONSTRAINT fk_targets_machine_id FOREIGN KEY(machine_id) REFERENCES machines (id)
);
CREATE INDEX ix_targets_host_id ON targets (host_id);

CREATE TABLE image_versions (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    image_id BIGINT NOT NULL,
    number INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    virtual_size_bytes BIGINT NOT NULL,
    actual_size_bytes BIGINT NOT NULL,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    verified_at timestamptz,
    CONSTRAINT pk_image_versions PRIMARY KEY (id),
    CONSTRAINT uq_image_versions_image_id_number UNIQUE (image_id, number),
    CONSTRAINT fk_image_versions_image_id FOREIGN KEY(image_id) REFERENCES images (id) ON DELETE CASCADE
);

CREATE TABLE jobs (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    host_id BIGINT NOT NULL,
    kind job_kind NOT NULL,
    status job_status DEFAULT 'QUEUED' NOT NULL,
    object_name TEXT DEFAULT '' NOT NULL,
    image_id BIGINT,
    machine_id BIGINT,
    params JSONB DEFAULT '{}' NOT NULL,
    result JSONB DEFAULT '{}' NOT NULL,
    phase TEXT DEFAULT '' NOT NULL,
    percent DOUBLE PRECISION DEFAULT '0' NOT NULL,
    bytes_done BIGINT,
    bytes_total BIGINT,
    bytes_per_s BIGINT,
    seconds_left INTEGER,
    error TEXT DEFAULT '' NOT NULL,
    error_details TEXT DEFAULT '' NOT NULL,
    cancel_requested BOOLEAN DEFAULT false NOT NULL,
    attempts INTEGER DEFAULT '0' NOT NULL,
    queue_job_id BIGINT,
    created_by BIGINT,
    created_by_name TEXT NOT NULL,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    started_at timestamptz,
    heartbeat_at timestamptz,
    finished_at timestamptz,
    CONSTRAINT pk_jobs PRIMARY KEY (id),
    CONSTRAINT ck_jobs_params CHECK (octet_length(params::text) <= 1000000),
    CONSTRAINT fk_jobs_host_id FOREIGN KEY(host_id) REFERENCES hosts (id),
    CONSTRAINT fk_jobs_image_id FOREIGN KEY(image_id) REFERENCES images (id) ON DELETE SET NULL,
    CONSTRAINT fk_jobs_machine_id FOREIGN KEY(machine_id) REFERENCES machines (id) ON DELETE SET NULL,
    CONSTRAINT fk_jobs_created_by FOREIGN KEY(created_by) REFERENCES users (id) ON DELETE SET NULL
);
CREATE INDEX ix_jobs_image_id ON jobs (image_id);
CREATE INDEX ix_jobs_machine_id ON jobs (machine_id);
CREATE INDEX ix_jobs_open ON jobs (host_id) WHERE status IN ('QUEUED', 'RUNNING');

CREATE TABLE boot_sessions (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    host_id BIGINT NOT NULL,
    machine_id BIGINT NOT NULL,
    image_version_id BIGINT,
    image_name TEXT NOT NULL,
    type session_type NOT NULL,
    status session_status NOT NULL,
    target_iqn TEXT NOT NULL,
    initiator_iqn TEXT NOT NULL,
    portal TEXT DEFAULT '' NOT NULL,
    lun INTEGER NOT NULL,
    client_address INET,
    connected BOOLEAN DEFAULT false NOT NULL,
    bytes_read BIGINT DEFAULT '0' NOT NULL,
    bytes_written BIGINT DEFAULT '0' NOT NULL,
    stop_requested BOOLEAN DEFAULT false NOT NULL,
    error TEXT DEFAULT '' NOT NULL,
    started_by BIGINT,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    ready_at timestamptz,
    active_at timestamptz,
    last_seen_at timestamptz,
    expires_at timestamptz,
    ended_at timestamptz,
    version INTEGER DEFAULT '1' NOT NULL,
    CONSTRAINT pk_boot_sessions PRIMARY KEY (id),
    CONSTRAINT fk_boot_sessions_host_id FOREIGN KEY(host_id) REFERENCES hosts (id),
    CONSTRAINT fk_boot_sessions_machine_id FOREIGN KEY(machine_id) REFERENCES machines (id) ON DELETE CASCADE,
    CONSTRAINT fk_boot_sessions_image_version_id FOREIGN KEY(image_version_id) REFERENCES image_versions (id) ON DELETE SET NULL,
    CONSTRAINT fk_boot_sessions_started_by FOREIGN KEY(started_by) REFERENCES users (id) ON DELETE SET NULL
);
CREATE INDEX ix_boot_sessions_image_version_id ON boot_sessions (image_version_id);
CREATE INDEX ix_boot_sessions_machine_id ON boot_sessions (machine_id, id);
CREATE UNIQUE INDEX uq_boot_sessions_open ON boot_sessions (machine_id) WHERE status IN ('PENDING', 'ACTIVE');

CREATE TABLE luns (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    target_id BIGINT NOT NULL,
    lun INTEGER NOT NULL,
    image_version_id BIGINT NOT NULL,
    read_only BOOLEAN DEFAULT true NOT NULL,
    serial TEXT NOT NULL,
    CONSTRAINT pk_luns PRIMARY KEY (id),
    CONSTRAINT uq_luns_target_id_lun UNIQUE (target_id, lun),
    CONSTRAINT uq_luns_serial UNIQUE (serial),
    CONSTRAINT ck_luns_read_only CHECK (read_only),
    CONSTRAINT fk_luns_target_id FOREIGN KEY(target_id) REFERENCES targets (id) ON DELETE CASCADE,
    CONSTRAINT fk_luns_image_version_id FOREIGN KEY(image_version_id) REFERENCES image_versions (id)
);
CREATE INDEX ix_luns_image_version_id ON luns (image_version_id);

INSERT INTO settings (name, value, minimum, maximum, description) VALUES
    ('session_timeout_s', 600, 1, 86400,
     'Seconds a session waits for its machine to log in before it ends as TIMEOUT'),
    ('max_virtual_size_bytes', 17592186044416, 1048576, 1125899906842624,
     'Largest virtual size, in bytes, an imported image may claim'),
    ('image_timeout_s', 14400, 60, 604800,
     'Seconds the processing, exporting or verifying of one image may take'),
    ('sign_in_hours', 12, 1, 720,
     'Hours a sign-in lasts unless it is renewed');
