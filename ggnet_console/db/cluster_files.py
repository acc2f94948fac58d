# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded server's configuration files: settings, and who may come in as whom."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_HEAD = "# Written by GGnet Console at every start; settings are changed with ALTER SYSTEM.\n"
_MAP = "ggnet"

_SETTINGS = """\
listen_addresses = ''
port = {port}
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
password_encryption = 'scram-sha-256'
max_connections = 100
max_locks_per_transaction = 512
shared_buffers = '64MB'
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C.UTF-8'
logging_collector = on
log_filename = 'postgresql-%a.log'
log_rotation_age = '1d'
log_truncate_on_rotation = on
log_checkpoints = off
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_line_prefix = '%m [%p] %q%u@%d '
"""


def contents(
    sockets: Path, port: int, *, users: Sequence[str], superuser: str, roles: Sequence[str]
) -> dict[str, str]:
    """File names below the data directory and their text (formats: PostgreSQL manual, 20.1-20.2).

    The OS users ``users`` come in as ``superuser`` or any of ``roles`` without a password, by peer.
    All other roles need their password from everybody: with peer for them too, sign-in roles could
    not come in, or any program of that OS user would be any of them. Only the superuser gets into
    databases that are not ours.
    """
    names = ",".join(f'"{role}"' for role in roles)
    rules = (
        f'local all "{superuser}" peer map={_MAP}',
        "local postgres,template1 all reject",
        f"local all {names} peer map={_MAP}",
        "local all all scram-sha-256",
    )
    return {
        "postgresql.conf": _HEAD
        + _SETTINGS.format(port=port, sockets=str(sockets).replace("'", "''")),
        "pg_hba.conf": _HEAD + "".join(f"{rule}\n" for rule in rules),
        "pg_ident.conf": _HEAD
        + "".join(f'{_MAP} "{user}" "{role}"\n' for user in users for role in (superuser, *roles)),
    }
