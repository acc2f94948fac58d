# SPDX-License-Identifier: GPL-3.0-or-later
"""What LIO runs, read from configfs with plain file reads: rtslib's objects take 30 times as long."""

from __future__ import annotations

import errno
import ipaddress
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ..errors import ConsoleError, sentence
from .lio_tree import (
    ATTRIBUTES,
    DEFAULT_GROUP,
    INHERIT,
    NOWHERE,
    STORE_ATTRIBUTES,
    Acl,
    Mapped,
    Store,
    Tree,
    has_attributes,
)
from .target_backend import BackendDownError, Chap, Connection, LunTraffic

ROOT = "/sys/kernel/config/target"
ISCSI = f"{ROOT}/iscsi"
CORE = f"{ROOT}/core"
_MIB = 2**20
_READS_AT_MOST = 10
_STORE_FOLDER = re.compile(r"(.+)_\d+\Z")
_SIZE = re.compile(r" Size: (\d+) ")
_FILE = re.compile(r"\bFile: (.*?)  Size: ")
_BUFFERED = "Mode: Buffered-WCE"
_UNSET = ("", "NULL")
# One session and connection of lio_target_nacl_info_show(), both with their state.
_LOGGED_IN = "TARG_SESS_STATE_LOGGED_IN"
_ADDRESS = re.compile(r"TARG_CONN_STATE_LOGGED_IN\s+Address (\S+) ")


def targets() -> list[str]:
    """The names of all iSCSI targets in the kernel. Raises BackendDownError without LIO."""
    try:
        names = os.listdir(ISCSI)
    except FileNotFoundError:
        raise BackendDownError(
            sentence(
                "The kernel's iSCSI target (LIO) is not loaded (any more); the agent loads it again."
            )
        ) from None
    return sorted(name for name in names if name.startswith(("iqn.", "eui.", "naa.")))


def is_target(iqn: str) -> bool:
    """Whether there is a target of this name."""
    return os.path.isdir(f"{ISCSI}/{iqn}")


def read_tree(iqn: str) -> Tree | None:
    """One target; None when there is none of this name.

    targetcli may change it meanwhile, which shows as a file that is gone: then it is read again.
    """
    folder = f"{ISCSI}/{iqn}"
    for _ in range(_READS_AT_MOST):
        try:
            with _told(iqn):
                return _tree(folder, iqn)
        except FileNotFoundError:
            if not os.path.isdir(folder):
                return None
    raise ConsoleError(
        sentence(
            "The target {iqn} cannot be read: another program keeps changing it. Wait for it to "
            "finish, and try again.",
            iqn=iqn,
        )
    )


@contextmanager
def _told(iqn: str) -> Iterator[None]:
    """What the kernel refuses to say, as a sentence; not that a file is gone."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConsoleError(
            sentence(
                "The target {iqn} cannot be read from the kernel: {reason}.",
                iqn=iqn,
                reason=error.strerror,
            ),
            str(error),
        ) from error


def _tree(folder: str, iqn: str) -> Tree:
    tags = _numbers(folder, "tpgt_")
    if not tags:
        return Tree(iqn, tag=None, enabled=False)
    first, *more = (_group(f"{folder}/tpgt_{tag}", iqn, tag) for tag in tags)
    return replace(first, more=tuple(more)) if more else first


def _group(group: str, iqn: str, tag: int) -> Tree:
    luns = {number: _linked_store(f"{group}/lun/lun_{number}") for number in _luns(f"{group}/lun")}
    acls = sorted(os.listdir(f"{group}/acls"))
    return Tree(
        iqn,
        tag,
        _read(f"{group}/enable") == "1",
        frozenset(_portal(name) for name in os.listdir(f"{group}/np")),
        luns,
        tuple(read_acl(f"{group}/acls/{name}", name) for name in acls),
        {
            name: int(_read(f"{group}/attrib/{name}") or 0)
            for name in (*ATTRIBUTES, "authentication")
        },
    )


def _numbers(folder: str, prefix: str) -> list[int]:
    names = (name for name in os.listdir(folder) if name.startswith(prefix))
    return sorted(int(name[len(prefix) :]) for name in names)


def _luns(folder: str) -> list[int]:
    return _numbers(folder, "lun_")


def _portal(name: str) -> str:
    """The kernel keeps the name as it was given: ``[fd00::0:1]:3260`` is ``[fd00::1]:3260``."""
    address, _, port = name.rpartition(":")
    if address.startswith("["):
        return f"[{ipaddress.ip_address(address.strip('[]')).compressed}]:{port}"
    return name


def leads_to(folder: str) -> str | None:
    """Where the one symbolic link of a LUN's folder leads, as an absolute path."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                return os.path.normpath(os.path.join(folder, os.readlink(entry.path)))
    return None


def _linked_store(lun: str) -> Store | None:
    target = leads_to(lun)
    if target is None:
        return None
    # The link is relative to a root that is not ours: only its end counts.
    alua = _read(f"{lun}/alua_tg_pt_gp").partition("\n")[0].partition(": ")[2]
    return read_store("/".join([CORE, *target.rsplit("/", 2)[1:]]), alua)


def read_store(folder: str, alua: str = DEFAULT_GROUP) -> Store:
    """The backstore in this folder of configfs; ``alua`` is the group of the LUN it is read for."""
    parent, name = folder.rsplit("/", 2)[1:]
    match = _STORE_FOLDER.match(parent)
    plugin = {"iblock": "block"}.get(match[1], match[1]) if match else parent
    path = _read(f"{folder}/udev_path")
    size = 0
    is_buffered = False
    if plugin == "fileio":
        info = _read(f"{folder}/info")
        if match_size := _SIZE.search(info):
            size = int(match_size[1])
        is_buffered = _BUFFERED in info
        if not path and (match_file := _FILE.search(info)):
            path = match_file[1]
    elif plugin == "block" and path:
        size = block_size(path)
    serial = _read(f"{folder}/wwn/vpd_unit_serial").partition(":")[2].strip()
    attributes = {}
    if has_attributes(plugin, name, serial):
        attributes = {each: int(_read(f"{folder}/attrib/{each}")) for each in STORE_ATTRIBUTES}
    return Store(plugin, name, Path(path), size, serial, is_buffered, attributes, folder, alua)


def block_size(path: str) -> int:
    """Bytes of a block device, 0 when it is gone (sysfs counts in 512 bytes, see sysfs-block)."""
    try:
        device = os.stat(path).st_rdev
        size = _read(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/size")
    except OSError:
        return 0
    return int(size) * 512


def read_acl(folder: str, initiator: str) -> Acl:
    """An initiator's access, in this folder of configfs."""
    mapped = []
    for number in _luns(folder):
        link = leads_to(f"{folder}/lun_{number}")
        tpg_lun = int(link.rpartition("_")[2]) if link is not None else NOWHERE
        read_only = _read(f"{folder}/lun_{number}/write_protect") == "1"
        mapped.append(Mapped(number, tpg_lun, read_only))
    chap = _chap(f"{folder}/auth/userid", f"{folder}/auth/password")
    mutual = _chap(f"{folder}/auth/userid_mutual", f"{folder}/auth/password_mutual")
    try:
        authentication = int(_read(f"{folder}/attrib/authentication"))
    except FileNotFoundError:  # kernels before 6.1
        authentication = INHERIT
    return Acl(initiator, tuple(mapped), chap, mutual, authentication)


def _chap(user_file: str, secret_file: str) -> Chap | None:
    user = _read(user_file)
    return Chap(user, _read(secret_file)) if user not in _UNSET else None


def store_folders() -> Iterator[tuple[str, str]]:
    """Folder and name of every backstore; name "" for a folder that holds none."""
    for parent in os.listdir(CORE):
        if _STORE_FOLDER.match(parent):
            folder = f"{CORE}/{parent}"
            names = [entry.name for entry in os.scandir(folder) if entry.is_dir()]
            for name in names or [""]:
                yield f"{folder}/{name}".rstrip("/"), name


def find_store(name: str) -> str | None:
    """The folder of the backstore with this name, of whatever kind."""
    folders = (f"{CORE}/{parent}/{name}" for parent in os.listdir(CORE))
    return next((folder for folder in folders if os.path.isdir(folder)), None)


def is_exported(store: str) -> bool:
    """Whether a LUN of any target leads to the backstore in this folder."""
    return "Status: ACTIVATED" in _read(f"{store}/info")


def connections(iqn: str, boot: str) -> list[Connection]:
    """Who is logged in to this target, with addresses and traffic.

    ``boot`` tells this boot from all others. The kernel counts bytes in whole MiB, from the making
    of an initiator's access on. Of initiators without one (demo mode) it tells the name alone, and
    counts for all of them together: that is told with the first of them, less what those with an
    access did.
    """
    group = f"{ISCSI}/{iqn}"
    try:
        with _told(iqn):
            if _read(f"{group}/fabric_statistics/iscsi_instance/sessions") == "0":
                return []
            return [
                one
                for tag in _numbers(group, "tpgt_")
                for one in _group_connections(f"{group}/tpgt_{tag}", iqn, boot)
            ]
    except FileNotFoundError:  # somebody takes it down just now
        return []


def accepted(iqn: str) -> tuple[str, str]:
    """How many sessions this target has now, and how many logins it has accepted since its making."""
    statistics = f"{ISCSI}/{iqn}/fabric_statistics"
    try:
        with _told(iqn):
            return (
                _read(f"{statistics}/iscsi_instance/sessions"),
                _read(f"{statistics}/iscsi_login_stats/accepts"),
            )
    except FileNotFoundError:  # somebody takes it down just now
        return "0", "0"


def logged_out(iqn: str, boot: str) -> list[Connection]:
    """Initiators with an access of their own that have used this target, none of them now."""
    found = []
    group = f"{ISCSI}/{iqn}"
    try:
        with _told(iqn):
            for tag in _numbers(group, "tpgt_"):
                for initiator in os.listdir(f"{group}/tpgt_{tag}/acls"):
                    key, traffic = _access(f"{group}/tpgt_{tag}/acls/{initiator}", boot)
                    if any(lun.commands for lun in traffic):
                        found.append(Connection(key, iqn, initiator, "", traffic, logged_in=False))
    except FileNotFoundError:
        return []
    return found


def _access(folder: str, boot: str) -> tuple[str, tuple[LunTraffic, ...]]:
    """The key of an initiator's access, and what was done with it."""
    traffic = _traffic(folder, "scsi_auth_intr", "num_cmds")
    # A folder of configfs keeps its inode until it is removed, and no other gets it.
    return f"{boot}-{os.stat(folder).st_ino}", traffic


def _group_connections(group: str, iqn: str, boot: str) -> Iterator[Connection]:
    for initiator in os.listdir(f"{group}/acls"):
        folder = f"{group}/acls/{initiator}"
        info = _read(f"{folder}/info")
        address = _ADDRESS.search(info) if _LOGGED_IN in info else None
        if address is None:
            continue
        key, traffic = _access(folder, boot)
        yield Connection(key, iqn, initiator, _address(address[1]), traffic)
    sessions = _read(f"{group}/dynamic_sessions").replace("\0", "\n").split()
    inode = os.stat(group).st_ino
    if not sessions:
        return
    explicit = [_access(f"{group}/acls/{name}", boot)[1] for name in os.listdir(f"{group}/acls")]
    traffic = _without(_traffic(f"{group}/lun", "scsi_tgt_port", "in_cmds"), explicit)
    yield Connection(f"{boot}-{inode}", iqn, sessions[0], "", traffic)
    for initiator in sessions[1:]:
        yield Connection(f"{boot}-{inode}-{initiator}", iqn, initiator, "", ())


def _traffic(folder: str, statistics: str, commands: str) -> tuple[LunTraffic, ...]:
    """Of the LUNs in this folder; one that is half made, or lost its backstore, has none."""
    found = []
    for number in _luns(folder):
        files = f"{folder}/lun_{number}/statistics/{statistics}"
        try:
            found.append(
                LunTraffic(
                    number,
                    int(_read(f"{files}/read_mbytes")) * _MIB,
                    int(_read(f"{files}/write_mbytes")) * _MIB,
                    int(_read(f"{files}/{commands}")),
                )
            )
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
    return tuple(found)


def _without(
    all_: Iterable[LunTraffic], others: Iterable[tuple[LunTraffic, ...]]
) -> tuple[LunTraffic, ...]:
    """What is left of the traffic of all when that of ``others`` is taken away."""
    left = {lun.lun: lun for lun in all_}
    for lun in itertools.chain.from_iterable(others):
        if lun.lun in left:
            whole = left[lun.lun]
            left[lun.lun] = LunTraffic(
                lun.lun,
                max(whole.bytes_read - lun.bytes_read, 0),
                max(whole.bytes_written - lun.bytes_written, 0),
                max((whole.commands or 0) - (lun.commands or 0), 0),
            )
    return tuple(left.values())


def _address(text: str) -> str:
    """Without the port, and an IPv4 address that came in by an IPv6 portal as itself."""
    address = ipaddress.ip_address(text.strip("[]"))
    return str(getattr(address, "ipv4_mapped", None) or address)


def boot_id() -> str:
    """What tells this boot of the kernel from all others (random(4))."""
    return _read("/proc/sys/kernel/random/boot_id")


def _read(path: str) -> str:
    """A file of configfs, at most a page."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 4096).decode("utf-8", "surrogateescape").strip()
    finally:
        os.close(descriptor)


def all_trees() -> Mapping[str, Tree]:
    """Every target by name."""
    found = ((iqn, read_tree(iqn)) for iqn in targets())
    return {iqn: tree for iqn, tree in found if tree is not None}
