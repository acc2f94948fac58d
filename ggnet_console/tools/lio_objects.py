# SPDX-License-Identifier: GPL-3.0-or-later
"""Single objects of LIO by rtslib: made, made whole again, or found gone, without a word."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from rtslib_fb import (
    LUN,
    TPG,
    BlockStorageObject,
    FileIOStorageObject,
    MappedLUN,
    NodeACL,
    RTSLibError,
    RTSLibNotInCFSError,
)
from rtslib_fb.tcm import StorageObject

from ..errors import ConsoleError, sentence
from . import lio_configfs as configfs
from .lio_tree import NOWHERE, STORE_PREFIX, Acl, Mapped, Store, file_problem, store_attributes
from .target_backend import Chap

_FIRST_NUMBER = 2**20
"""Of the folders of our backstores: rtslib, and so targetcli, gives smaller numbers."""


def delete(find: Callable[[], Any]) -> None:
    """Delete what is found, if it is there."""
    with suppress(RTSLibNotInCFSError):
        find().delete()


# Backstores


def is_own_folder(folder: str) -> bool:
    """Whether the folder of a backstore (``core/fileio_7``) has a number that only we give."""
    number = folder.rpartition("_")[2]
    return number.isdecimal() and int(number) >= _FIRST_NUMBER


def is_left_over(folder: str, name: str) -> bool:
    """Whether this is a backstore of ours that serves nobody."""
    return (
        name.startswith(STORE_PREFIX)
        and (is_own_folder(folder.rpartition("/")[0]) or configfs.read_store(folder).is_ours)
        and not configfs.is_exported(folder)
    )


def find_store(store: Store) -> str:
    """The folder of the backstore with this name."""
    folder = configfs.find_store(store.name)
    if folder is None:
        raise ConsoleError(
            sentence(
                "The backstore {name} is gone. Look with “targetcli ls” what became of it.",
                name=store.name,
            )
        )
    return folder


def make_store(store: Store) -> str:
    """Returns its folder, whose number is given to rtslib: it would look into all for a free one.

    Raises ConsoleError when its file is not there as recorded: the kernel would make one, empty.
    """
    if odd := file_problem(store):
        raise ConsoleError(
            sentence("The disk file {path} {odd}; it is not served.", path=store.path, odd=odd)
        )
    left_over = configfs.find_store(store.name)
    if left_over is not None:
        if configfs.is_exported(left_over):
            raise ConsoleError(
                sentence(
                    "The backstore {name} serves another target already: two disks would have the "
                    "same serial number. Remove that target first.",
                    name=store.name,
                )
            )
        remove_store(left_over)
    kind = FileIOStorageObject if store.plugin == "fileio" else BlockStorageObject
    prefix = "fileio" if store.plugin == "fileio" else "iblock"
    taken = set(os.listdir(configfs.CORE))  # noqa: PTH208 - names alone are wanted
    index = next(i for i in itertools.count(_FIRST_NUMBER) if f"{prefix}_{i}" not in taken)
    arguments: dict[str, Any] = {"dev": str(store.path), "wwn": store.serial, "index": index}
    if store.plugin == "fileio":
        arguments |= {"size": store.size_bytes, "write_back": store.write_back}
    made = kind(store.name, **arguments)
    as_made = store_attributes(store.write_back, unmap=False)
    for name, value in store.attributes.items():
        if value != as_made[name]:
            made.set_attribute(name, value)
    return str(made.path)


def make_store_again(store: Store) -> None:
    """One that was perhaps removed, or half removed."""
    if not Path(store.folder).is_dir():
        numbered = Path(store.folder).parent
        if numbered.is_dir() and not any(each.is_dir() for each in numbered.iterdir()):
            numbered.rmdir()
        make_store(store)


def remove_store(folder: str) -> None:
    """Not by rtslib, which looks through all targets for LUNs of it; rmdir(2) refuses then too."""
    for path in (Path(folder), Path(folder).parent):
        path.rmdir()


def drop_unused_store(name: str) -> None:
    """One that was perhaps made, or half made; what serves somebody was not."""
    folder = configfs.find_store(name)
    if folder is not None and not configfs.is_exported(folder):
        remove_store(folder)


# LUNs and node ACLs


def link(group: TPG, number: int, folder: str) -> None:
    """A LUN that leads to the backstore in this folder."""
    LUN(group, number, StorageObject.so_from_path(folder))


def link_again(group: TPG, number: int, store: Store | None) -> None:
    """A LUN that was perhaps removed, or half removed; one that led nowhere stays away."""
    if store is None:
        return
    lun = f"{group.path}/lun/lun_{number}"
    if Path(lun).is_dir():
        if configfs.leads_to(lun) is not None:
            return
        LUN(group, number).delete()
    link(group, number, find_store(store))


def put_acl(group: TPG, acl: Acl) -> None:
    """Make this access as it is to be: all of it, or what it lacks. Its secret comes last."""
    node = NodeACL(group, acl.initiator)
    found = configfs.read_acl(str(node.path), acl.initiator)
    for mapped in found.mapped:
        if mapped.tpg_lun == NOWHERE:
            MappedLUN(node, mapped.number).delete()
    there = {each.number: each for each in found.mapped if each.tpg_lun != NOWHERE}
    for mapped in acl.mapped:
        if mapped.tpg_lun == NOWHERE:
            continue
        if mapped.number not in there:
            _map(node, mapped)
        elif there[mapped.number].read_only != mapped.read_only:
            MappedLUN(node, mapped.number).write_protect = mapped.read_only
    _set_chap(node, acl, found)


def _map(node: NodeACL, mapped: Mapped) -> None:
    made = MappedLUN(node, mapped.number, mapped.tpg_lun, mapped.read_only)
    if made.write_protect != mapped.read_only:  # rtslib makes it writable when it cannot do so
        failed = f"LUN {mapped.number} cannot be made read-only for {node.node_wwn}"
        raise RTSLibError(failed)


def _set_chap(node: NodeACL, acl: Acl, former: Acl) -> None:
    if acl.authentication != former.authentication:
        node.set_attribute("authentication", acl.authentication)
    nobody = Chap("", "")
    if acl.mutual != former.mutual:
        node.chap_mutual_userid = (acl.mutual or nobody).user
        node.chap_mutual_password = (acl.mutual or nobody).secret
    if acl.chap != former.chap:
        node.chap_userid = (acl.chap or nobody).user
        node.chap_password = (acl.chap or nobody).secret
