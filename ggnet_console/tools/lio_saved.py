# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration that the host's own targetcli restores at boot: read, merged, written whole."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import ConsoleError, sentence
from .lio_configfs import block_size
from .lio_tree import (
    INHERIT,
    Acl,
    Mapped,
    Store,
    Tree,
    file_problem,
    has_attributes,
    join_portal,
    split_portal,
    store_attributes,
)
from .target_backend import Chap, SavedFileError

_FOLDERS = (Path("/etc/rtslib-fb-target"), Path("/etc/target"))
_LISTS = ("storage_objects", "targets")
_MISSHAPEN = (KeyError, IndexError, TypeError, ValueError, AttributeError)

_encode = json.JSONEncoder(sort_keys=True).encode

Document = dict[str, Any]


def saved_path() -> Path:
    """The file that this host's targetcli restores: Debian's folder is another than upstream's."""
    folder = next((each for each in _FOLDERS if each.is_dir()), _FOLDERS[-1])
    return folder / "saveconfig.json"


class SavedConfiguration:
    """The file at ``path``; entries that are not ours keep their values, whatever they are.

    Whoever writes holds targetcli's lock.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> SavedState:
        """The file as it is now; nothing is saved when there is none.

        Raises SavedFileError when the file is there and is not a configuration: it is then never
        taken for an empty one.
        """
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return SavedState(self, None, {name: [] for name in _LISTS})
        except OSError as error:
            raise SavedFileError(
                sentence(
                    "The saved target configuration {path} cannot be read: {reason}.",
                    path=self.path,
                    reason=error.strerror,
                )
            ) from error
        with self.in_sentences(text):
            document = json.loads(text)
            for name in _LISTS:
                entries = document.setdefault(name, [])
                if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
                    raise TypeError(f"“{name}” is not a list of objects")
        return SavedState(self, text, document)

    def mend(self, document: Document, ours: Iterable[Tree]) -> None:
        """Set the present file aside under its name and the time, and save what runs.

        The old file is there until the new one is. ``document`` is rtslib's dump of everything, ``ours`` what of it we save in our own words.
        Without targets and backstores there is nothing to save, and no file is left.
        """
        for tree in ours:
            _put_target(document, tree)
        for entry in document["storage_objects"]:
            if entry.get("exclusive"):  # as ever before Linux 6.17, and
                del entry["exclusive"]  # Debian 12's rtslib refuses the word
        path = self.path.resolve()
        aside = path.with_name(f"{path.name}.{time.strftime('%Y%m%d-%H%M%S')}.damaged")
        try:
            aside.unlink(missing_ok=True)  # of a mend that was killed in this very second
            aside.hardlink_to(path)
            if any(document.get(name) for name in _LISTS):
                self.write(_render(document).encode())
            else:
                path.unlink()
        except OSError as error:
            raise ConsoleError(
                sentence(
                    "The saved target configuration {path} cannot be set aside: {reason}.",
                    path=path,
                    reason=error.strerror,
                )
            ) from error

    @contextmanager
    def in_sentences(self, text: bytes) -> Iterator[None]:
        """Errors of reading ``text`` as sentences."""
        try:
            yield
        except _MISSHAPEN as error:  # of which bad JSON is a ValueError
            if text.strip():
                why = sentence(
                    "The saved target configuration {path} is damaged. Repair it: it is set "
                    "aside, and what runs now is saved.",
                    path=self.path,
                )
            else:
                why = sentence(
                    "The saved target configuration {path} is empty. Repair it: it is set aside, "
                    "and what runs now is saved.",
                    path=self.path,
                )
            raise SavedFileError(why, f"{type(error).__name__}: {error}") from error  # no text

    def write(self, content: bytes) -> None:
        """Replace the file as a whole: rename(2) leaves the old one or the new one."""
        path = self.path.resolve()
        temporary = path.with_name(f"{path.name}.ggnet")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary.unlink(missing_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise SavedFileError(
                sentence(
                    "The target configuration cannot be saved in {path}: {reason}. Without it the "
                    "targets would be missing after a restart.",
                    path=path,
                    reason=error.strerror,
                )
            ) from error


class SavedState:
    """The file as it was read: its bytes (None: no file) and the document in it."""

    def __init__(self, file: SavedConfiguration, text: bytes | None, document: Document) -> None:
        self._file = file
        self._text = text
        self._document = document

    def trees(self) -> Mapping[str, Tree]:
        """The saved iSCSI targets by name. Raises SavedFileError where an entry makes no sense."""
        return {tree.iqn: tree for tree in self._trees(lambda _: True)}

    def put(self, wanted: Tree) -> Callable[[], None] | None:
        """Save this target in place of its former entry; returns what undoes it.

        Nothing is written, and None returned, when it is saved like this already.
        """
        former = self._find(wanted.iqn)
        if _same(wanted, former):
            return None
        keep = {store.name for store in wanted.stores()}
        document = self._without(former, keep)
        _put_target(document, wanted)
        return self._replace(document)

    def close(self, iqn: str) -> None:
        """Save that this target lets nobody in, and without disks whose file is not as recorded.

        A restore would make the file anew, empty.
        """
        found = self._find(iqn)
        if found is not None:
            luns = {
                number: store
                for number, store in found.luns.items()
                if store is None or not file_problem(store)
            }
            acls = tuple(
                replace(acl, mapped=tuple(each for each in acl.mapped if each.tpg_lun in luns))
                for acl in found.acls
            )
            self.put(replace(found, enabled=False, luns=luns, acls=acls))

    def drop(self, iqn: str) -> Callable[[], None] | None:
        """Save that this target is no more, as ``put``."""
        former = self._find(iqn)
        if former is None:
            return None
        document = self._without(former, keep=set())
        document["targets"] = list(document["targets"])
        _take(document["targets"], fabric="iscsi", wwn=iqn)
        return self._replace(document)

    def _trees(self, wanted: Callable[[str], bool]) -> list[Tree]:
        with self._file.in_sentences(self._text or b""):
            return _trees(self._document, wanted)

    def _find(self, iqn: str) -> Tree | None:
        return next(iter(self._trees(lambda name: name == iqn)), None)

    def _without(self, former: Tree | None, keep: set[str]) -> Document:
        """The document without those of our backstores that only this target used."""
        gone = _store_names(former) - keep if former else set()
        if former and gone:
            with self._file.in_sentences(self._text or b""):
                gone -= {
                    lun["storage_object"].rpartition("/")[2]
                    for entry in self._document["targets"]
                    if entry.get("wwn") != former.iqn
                    for group in entry.get("tpgs", [])
                    for lun in group.get("luns", [])
                }
        entries = self._document["storage_objects"]
        return {
            **self._document,
            "storage_objects": [entry for entry in entries if entry.get("name") not in gone],
        }

    def _replace(self, document: Document) -> Callable[[], None]:
        self._file.write(_render(document).encode())
        text = self._text
        return self._file.path.unlink if text is None else lambda: self._file.write(text)


def _store_names(tree: Tree) -> set[str]:
    """The backstores of ours that a target uses."""
    return {store.name for store in tree.stores() if store.is_ours}


def _render(document: Document) -> str:
    """One line an entry: quick to write, to read for people and to compare."""
    parts = []
    for name, value in sorted(document.items()):
        if isinstance(value, list) and value:
            lines = ",\n".join(f"    {_encode(entry)}" for entry in value)
            parts.append(f"  {_encode(name)}: [\n{lines}\n  ]")
        else:
            parts.append(f"  {_encode(name)}: {_encode(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _put_target(document: Document, tree: Tree) -> None:
    """The entries of this target; what they hold beyond what we know stays as it was."""
    stores = document["storage_objects"] = list(document["storage_objects"])
    groups = (tree, *tree.more)
    for store in tree.stores():
        former = _take(stores, plugin=store.plugin, name=store.name)
        keeps = former and not store.is_ours
        stores.append(former if keeps else _merge(former, _store_entry(store)))
    targets = document["targets"] = list(document["targets"])
    former = _take(targets, fabric="iscsi", wwn=tree.iqn)
    known = list(former.get("tpgs", []))
    entries = [_merge_group(_take(known, tag=group.tag), _group_entry(group)) for group in groups]
    targets.append({**former, "fabric": "iscsi", "wwn": tree.iqn, "tpgs": entries})


def _merge_group(former: Document, entry: Document) -> Document:
    acls = list(former.get("node_acls", []))
    for acl in entry["node_acls"]:
        known = _take(acls, node_wwn=acl["node_wwn"])
        secret = ("chap_userid", "chap_password", "chap_mutual_userid", "chap_mutual_password")
        acl.update(_merge({k: v for k, v in known.items() if k not in secret}, acl))
    return _merge(former, entry)


def _take(entries: list[Document], **key: object) -> Document:
    """Remove and return the entry with these values; an empty one when there is none."""
    for index, entry in enumerate(entries):
        if key.items() <= entry.items():
            return entries.pop(index)
    return {}


def _merge(former: Document, entry: Document) -> Document:
    attributes = {**former.get("attributes", {}), **entry.get("attributes", {})}
    return {**former, **entry, "attributes": attributes}


def _same(wanted: Tree, saved: Tree | None) -> bool:
    """Whether a restore would give what is wanted; of the attributes only what we set counts."""
    if saved is None:
        return False
    told = {name: saved.attributes.get(name) for name in wanted.attributes}
    return told == wanted.attributes and saved == replace(wanted, attributes=saved.attributes)


# Values to entries: what rtslib's restore needs, and nothing that only a later rtslib knows (such
# as a block backstore's “exclusive”, which Debian 12's refuses).


def _store_entry(store: Store) -> Document:
    entry: Document = {
        "plugin": store.plugin,
        "name": store.name,
        "dev": str(store.path),
        "wwn": store.serial,
        "write_back": store.write_back,
    }
    if store.plugin == "block":
        return {**entry, "readonly": False, "attributes": {}}
    attributes = dict(store.attributes)
    return {**entry, "size": store.size_bytes, "aio": False, "attributes": attributes}


def _group_entry(tree: Tree) -> Document:
    return {
        "tag": tree.tag,
        "enable": tree.enabled,
        "attributes": dict(tree.attributes),
        "luns": [
            {"index": number, "storage_object": f"/backstores/{store.plugin}/{store.name}"}
            for number, store in sorted(tree.luns.items())
            if store is not None
        ],
        "portals": [
            {"ip_address": address, "port": port, "iser": False, "offload": False}
            for address, port in map(split_portal, sorted(tree.portals))
        ],
        "node_acls": [
            {
                "node_wwn": acl.initiator,
                **_chap_entry("chap", acl.chap),
                **_chap_entry("chap_mutual", acl.mutual),
                "mapped_luns": [
                    {
                        "index": mapped.number,
                        "tpg_lun": mapped.tpg_lun,
                        "write_protect": mapped.read_only,
                    }
                    for mapped in acl.mapped
                ],
            }
            for acl in tree.acls
        ],
    }


def _chap_entry(prefix: str, chap: Chap | None) -> Document:
    return {f"{prefix}_userid": chap.user, f"{prefix}_password": chap.secret} if chap else {}


# Entries to values. An entry that rtslib could not restore raises one of _MISSHAPEN.


def _trees(document: Document, wanted: Callable[[str], bool]) -> list[Tree]:
    stores = {
        f"/backstores/{entry['plugin']}/{entry['name']}": entry
        for entry in document["storage_objects"]
        if "plugin" in entry and "name" in entry  # a restore leaves out others as well
    }
    iscsi = (each for each in document["targets"] if each.get("fabric") == "iscsi")
    return [_as_tree(entry, stores) for entry in iscsi if wanted(str(entry["wwn"]))]


def _as_store(entry: Document | None) -> Store | None:
    if entry is None:
        return None
    path = str(entry.get("dev", ""))
    plugin, name, serial = str(entry["plugin"]), str(entry["name"]), str(entry.get("wwn", ""))
    write_back = bool(entry.get("write_back")) and plugin == "fileio"
    attributes = {}
    if has_attributes(plugin, name, serial):
        saved = entry.get("attributes", {})
        restored = store_attributes(write_back, unmap=False)
        attributes = {each: int(saved.get(each, restored[each])) for each in restored}
    return Store(
        plugin,
        name,
        Path(path),
        # A device has the size that it has: none is saved.
        block_size(path) if plugin == "block" else int(entry.get("size", 0)),
        serial,
        write_back,
        attributes,
    )


def _as_tree(entry: Document, stores: Mapping[str, Document]) -> Tree:
    iqn = str(entry["wwn"])
    groups = sorted(entry.get("tpgs", []), key=lambda group: int(group["tag"]))
    if not groups:
        return Tree(iqn, tag=None, enabled=False)
    first, *more = (_as_group(iqn, group, stores) for group in groups)
    return replace(first, more=tuple(more)) if more else first


def _as_group(iqn: str, group: Document, stores: Mapping[str, Document]) -> Tree:
    return Tree(
        iqn,
        int(group["tag"]),
        bool(group.get("enable", True)),
        frozenset(
            join_portal(each["ip_address"], int(each["port"])) for each in group.get("portals", [])
        ),
        {
            int(lun["index"]): _as_store(stores.get(lun["storage_object"]))
            for lun in group.get("luns", [])
        },
        tuple(
            sorted(
                (_as_acl(each) for each in group.get("node_acls", [])),
                key=lambda acl: acl.initiator,
            )
        ),
        {
            str(name): int(value)
            for name, value in group.get("attributes", {}).items()
            if isinstance(value, int)
        },
    )


def _as_acl(entry: Document) -> Acl:

    def chap(prefix: str) -> Chap | None:
        user = entry.get(f"{prefix}_userid")
        return Chap(str(user), str(entry.get(f"{prefix}_password", ""))) if user else None

    return Acl(
        str(entry["node_wwn"]),
        tuple(
            sorted(
                (
                    Mapped(
                        int(each["index"]), int(each["tpg_lun"]), bool(each.get("write_protect"))
                    )
                    for each in entry.get("mapped_luns", [])
                ),
                key=lambda mapped: mapped.number,
            )
        ),
        chap("chap"),
        chap("chap_mutual"),
        int(entry.get("attributes", {}).get("authentication", INHERIT)),
    )
