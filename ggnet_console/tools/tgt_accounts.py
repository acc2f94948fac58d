# SPDX-License-Identifier: GPL-3.0-or-later
"""Telling tgtd a CHAP account over its control socket: tgtadm takes a secret only as an argument,
which every user of the computer can read."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

from ..errors import ConsoleError, sentence
from .target_backend import BackendDownError, Chap

# struct tgtadm_req of tgt 1.0.85, as tgtadm itself sends it (a test compares): mode, op, low-level
# driver, length, tid, sid, lun, cid, host_no, device_type, ac_dir, pack, force. Then the parameters.
_REQUEST = struct.Struct("=II64sIiQQIIIIII")
_MODE_ACCOUNT = 7
_OP_NEW = 0
_NOBODY = -1
_NO_LUN = 2**64 - 1
_ANSWER = struct.Struct("=II")  # struct tgtadm_rsp: error, length
_TIMEOUT_S = 10.0


def account_request(account: Chap) -> bytes:
    """What tgtadm would send for ``--mode account --op new --user … --password …``.

    Raises ConsoleError for what tgtd could not tell from its own separators (comma, line ends).
    """
    for part in (account.user, account.secret):
        if not part.isascii() or not part.isprintable() or "," in part or not part:
            raise ConsoleError(
                sentence(
                    "tgt takes a CHAP name and secret only without commas and in printable ASCII "
                    "characters; choose others for the user {user}.",
                    user=account.user,
                )
            )
    parameters = f"user={account.user},password={account.secret}".encode() + b"\0"
    length = _REQUEST.size + len(parameters)
    head = (_MODE_ACCOUNT, _OP_NEW, b"iscsi", length, _NOBODY, 0, _NO_LUN, 0, 0, 0, 0, 0, 0)
    return _REQUEST.pack(*head) + parameters


def add_account(control: Path, account: Chap) -> int:
    """Make the account in the tgtd behind this control socket; 0, or tgtd's error number.

    Raises BackendDownError when nobody answers.
    """
    request = account_request(account)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_TIMEOUT_S)
        try:
            connection.connect(str(control))
            connection.sendall(request)
            answer = connection.recv(_ANSWER.size, socket.MSG_WAITALL)
        except OSError as error:
            raise BackendDownError(
                sentence("The iSCSI target service tgtd does not run; the agent starts it again."),
                str(error),
            ) from error
    if len(answer) != _ANSWER.size:
        raise BackendDownError(
            sentence(
                "The iSCSI target service tgtd ended during a call; the agent starts it again."
            )
        )
    error_number: int = _ANSWER.unpack(answer)[0]
    return error_number
