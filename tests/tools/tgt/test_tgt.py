# SPDX-License-Identifier: GPL-3.0-or-later
"""The tgt backend serves what is wanted: real tgtd, libiscsi (qemu, iscsi-inq) as initiator."""

from __future__ import annotations

import os
import resource
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from patience import wait_for
from raw_initiator import RawInitiator
from storage_host import MAC, MIB, OTHER_MAC, SIZE_BYTES, Room, open_files, qemu_copy
from unit_serials import unit_serial

from ggnet_console.errors import ConsoleError
from ggnet_console.tools.process import run
from ggnet_console.tools.target_backend import (
    SessionsCutError,
    TargetBackend,
    WantedLun,
    WantedTarget,
)
from ggnet_console.values import initiator_iqn, target_iqn


def test_tgt_is_a_target_backend(room: Room) -> None:
    backend: TargetBackend = room.tgt
    assert backend.running() == ()
    assert backend.connections() == ()


def test_the_right_initiator_reads_the_image_bit_for_bit(room: Room) -> None:
    room.tgt.apply(room.wanted())
    assert room.copy().read_bytes() == room.image.read_bytes()


def test_another_initiator_is_refused(room: Room) -> None:
    room.tgt.apply(room.wanted())
    assert room.is_refused(as_mac=OTHER_MAC)
    refused = qemu_copy(room.disk(as_mac=OTHER_MAC), room.folder / "stolen.raw")
    assert refused.returncode != 0
    assert not (room.folder / "stolen.raw").exists()


def test_a_target_without_initiators_refuses_everybody(room: Room) -> None:
    room.tgt.apply(room.wanted(open_=False))
    assert room.is_refused()
    room.tgt.apply(room.wanted())
    assert room.inquiry().returncode == 0


def test_a_write_to_a_read_only_lun_is_refused(room: Room) -> None:
    writable = room.folder / "writable.raw"
    writable.write_bytes(b"\x55" * MIB)
    room.tgt.apply(room.wanted(MAC, room.lun(path=writable)))
    done = run(["qemu-io", "-c", "write -P 0xaa 0 64k", "--image-opts", room.disk()], timeout_s=20)
    assert done.returncode != 0
    assert writable.read_bytes() == b"\x55" * MIB


def test_a_writable_lun_is_written(room: Room) -> None:
    overlay = room.folder / "overlay.raw"
    overlay.write_bytes(bytes(MIB))
    lun = WantedLun(1, overlay, MIB, False, unit_serial(MAC))
    room.tgt.apply(room.wanted(MAC, lun))
    done = run(
        ["qemu-io", "-c", "write -P 0xaa 0 64k", "-c", "flush", "--image-opts", room.disk()],
        timeout_s=20,
    )
    assert done.returncode == 0, done.messages
    assert overlay.read_bytes() == b"\xaa" * 65536 + bytes(MIB - 65536)


def test_a_sealed_image_is_not_even_open_for_writing(room: Room) -> None:
    """Also as root, whom file modes do not bind while it has CAP_DAC_OVERRIDE."""
    room.tgt.apply(room.wanted())
    pid = room.pid()
    flags = [
        int(Path(f"/proc/{pid}/fdinfo/{fd}").read_text().split("flags:\t")[1].split()[0], 8)
        for fd, name in open_files(pid).items()
        if name == str(room.image)
    ]
    assert [flag & os.O_ACCMODE for flag in flags] == [os.O_RDONLY]


def test_two_targets_serve_the_same_image_with_different_serials(room: Room) -> None:
    for mac in (MAC, OTHER_MAC):
        room.tgt.apply(room.wanted(mac))
    assert room.is_refused(MAC, as_mac=OTHER_MAC)
    assert room.is_refused(OTHER_MAC, as_mac=MAC)
    serials = [room.inquiry(mac, "-e", "1", "-c", "128").stdout for mac in (MAC, OTHER_MAC)]
    for mac, serial in zip((MAC, OTHER_MAC), serials, strict=True):
        assert room.lun(mac=mac).serial.encode() in serial
        assert room.copy(mac).read_bytes() == room.image.read_bytes()
    identities = [room.inquiry(mac, "-e", "1", "-c", "131").stdout for mac in (MAC, OTHER_MAC)]
    assert identities[0] != identities[1]


def test_the_portal_is_only_where_it_was_put(room: Room) -> None:
    room.tgt.apply(room.wanted())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", room.portal[1]), timeout=5)


def test_an_ipv6_portal_serves(folder: Path) -> None:
    room = Room(folder, "::1")
    try:
        assert room.tgt.start()
        assert not room.tgt.start()
        room.tgt.apply(room.wanted())
        guest = room.raw()
        guest.login()
        assert [found.address for found in room.tgt.connections()] == ["::1"]
        guest.close()
        assert room.copy().read_bytes() == room.image.read_bytes()
    finally:
        room.tgt.stop()


@pytest.mark.parametrize("name", ["two  words ", "-dash", "bild ö 像.raw", "a=b'\"$(x)", "\udcff"])
def test_an_odd_file_name_is_served(room: Room, name: str) -> None:
    odd = room.folder / name
    odd.write_bytes(b"\x17" * MIB)
    wanted = room.wanted(MAC, room.lun(path=odd))
    room.tgt.apply(wanted)
    assert not room.tgt.differences(wanted, room.tgt.running()[0])
    assert room.copy().read_bytes() == odd.read_bytes()


@pytest.mark.parametrize("name", ["a,b", "line\nfeed", "\x7f"])
def test_a_file_name_that_tgt_cannot_take_is_refused(room: Room, name: str) -> None:
    odd = room.folder / name
    odd.write_bytes(bytes(512))
    with pytest.raises(ConsoleError, match="comma or a control character"):
        room.tgt.apply(room.wanted(MAC, room.lun(path=odd)))
    assert room.tgt.running() == ()


def test_a_backing_file_must_be_what_was_recorded(room: Room) -> None:
    folder = room.folder
    (folder / "empty").touch()
    (folder / "link").symlink_to(room.image)
    os.mkfifo(folder / "pipe")
    cases = {
        folder / "missing": "does not exist",
        folder / "empty": "is empty",
        folder / "link": "not a regular file",
        folder / "pipe": "not a regular file",
        folder: "not a regular file",
        Path("image.raw"): "not absolute",
    }
    for path, reason in cases.items():
        with pytest.raises(ConsoleError, match=reason) as caught:
            room.tgt.apply(room.wanted(MAC, WantedLun(1, path, SIZE_BYTES, True, "a")))
        assert str(path) in caught.value.summary
    with pytest.raises(ConsoleError, match=f"{SIZE_BYTES} bytes instead of {SIZE_BYTES + 512}"):
        room.tgt.apply(room.wanted(MAC, WantedLun(1, room.image, SIZE_BYTES + 512, True, "a")))
    assert room.tgt.running() == ()


def test_names_numbers_and_serials_are_checked(room: Room) -> None:
    good = room.lun()
    for wanted in (
        WantedTarget("iqn.2026-11.net.ggnet:UPPER", (good,)),
        WantedTarget(target_iqn(MAC), (good,), frozenset({"iqn.2026-11.net.ggnet:a\nb"})),
        WantedTarget(target_iqn(MAC), (good, good)),
        WantedTarget(target_iqn(MAC), (WantedLun(0, room.image, SIZE_BYTES, True, "a"),)),
        WantedTarget(target_iqn(MAC), (WantedLun(1, room.image, SIZE_BYTES, True, "a,b=c"),)),
    ):
        with pytest.raises(ConsoleError):
            room.tgt.apply(wanted)
    assert room.tgt.running() == ()


def test_applying_again_changes_nothing_and_cuts_nobody_off(
    room: Room, guests: list[RawInitiator]
) -> None:
    room.tgt.apply(room.wanted())
    guests.append(room.raw())
    guests[0].login()
    before = room.tgt.running(), room.tgt.connections()
    room.tgt.apply(room.wanted())
    room.again().apply(room.wanted())
    assert (room.tgt.running(), room.tgt.connections()) == before
    assert room.tgt.running()[0].sessions == 1


def test_a_change_leaves_equal_luns_and_their_session_alone(
    room: Room, guests: list[RawInitiator]
) -> None:
    second = room.folder / "second.raw"
    second.write_bytes(b"\x22" * MIB)
    room.tgt.apply(room.wanted())
    guests.append(room.raw())
    guests[0].login()
    key = room.tgt.connections()[0].key
    pid = room.pid()
    (descriptor,) = (fd for fd, name in open_files(pid).items() if name == str(room.image))
    wanted = room.wanted(MAC, room.lun(), room.lun(2, path=second))
    room.tgt.apply(wanted)
    assert not room.tgt.differences(wanted, room.tgt.running()[0])
    assert [found.key for found in room.tgt.connections()] == [key]
    assert open_files(pid)[descriptor] == str(room.image)
    room.tgt.apply(room.wanted(), cut={initiator_iqn(MAC)})
    assert not room.tgt.differences(room.wanted(), room.tgt.running()[0])
    assert [found.key for found in room.tgt.connections()] == [key]


def test_another_image_replaces_the_lun(room: Room) -> None:
    second = room.folder / "second.raw"
    second.write_bytes(b"\x22" * MIB)
    room.tgt.apply(room.wanted())
    room.tgt.apply(room.wanted(MAC, room.lun(path=second)))
    assert room.copy().read_bytes() == second.read_bytes()


def test_another_initiator_replaces_the_old_one_and_ends_its_session(
    room: Room, guests: list[RawInitiator]
) -> None:
    room.tgt.apply(room.wanted())
    guests.append(room.raw())
    guests[0].login()
    other = WantedTarget(target_iqn(MAC), (room.lun(),), frozenset({initiator_iqn(OTHER_MAC)}))
    with pytest.raises(SessionsCutError, match=initiator_iqn(MAC)):
        room.tgt.apply(other)
    with pytest.raises(SessionsCutError, match=initiator_iqn(MAC)):
        room.tgt.remove(other.iqn)
    assert not room.tgt.differences(room.wanted(), room.tgt.running()[0])
    assert len(room.tgt.connections()) == 1
    room.tgt.apply(other, cut={initiator_iqn(MAC)})
    assert guests[0].is_ended()
    assert room.is_refused()
    assert room.inquiry(as_mac=OTHER_MAC).returncode == 0


def test_only_who_is_named_is_cut_off(room: Room, guests: list[RawInitiator]) -> None:
    both = replace(room.wanted(), initiators=frozenset(map(initiator_iqn, (MAC, OTHER_MAC))))
    room.tgt.apply(both)
    for name in (MAC, OTHER_MAC):
        guests.append(RawInitiator(room.portal, both.iqn, initiator_iqn(name), b"x"))
        guests[-1].login()
    smaller = replace(both, luns=())
    assert room.tgt.cuts(both.iqn, both) == frozenset()
    assert room.tgt.cuts(both.iqn, smaller) == room.tgt.cuts(both.iqn, None) == both.initiators
    for change in (
        lambda: room.tgt.apply(smaller, cut={initiator_iqn(MAC)}),
        lambda: room.tgt.remove(both.iqn, cut={initiator_iqn(MAC)}),
    ):
        with pytest.raises(SessionsCutError) as caught:
            change()
        assert caught.value.initiators == {initiator_iqn(OTHER_MAC)}
    assert len(room.tgt.connections()) == 2
    room.tgt.apply(room.wanted(), cut={initiator_iqn(OTHER_MAC)})
    assert guests[1].is_ended()
    assert [one.initiator_iqn for one in room.tgt.connections()] == [initiator_iqn(MAC)]


def test_a_failure_in_the_middle_leaves_nothing(room: Room) -> None:
    two = room.wanted(MAC, room.lun(1), room.lun(2))
    # The first LUN that is deleted makes glibc open a library; without it tgtd would abort.
    room.tgt.apply(two)
    room.tgt.remove(two.iqn, cut={initiator_iqn(MAC)})
    limits = starve(room.pid(), spare=2)  # one for tgtadm's call, one for the first LUN
    with pytest.raises(ConsoleError):
        room.tgt.apply(two)
    resource.prlimit(room.pid(), resource.RLIMIT_NOFILE, limits)
    assert room.tgt.running() == ()
    assert "Too many open files" in (room.folder / "tgtd.log").read_text()
    room.tgt.apply(two)
    assert not room.tgt.differences(two, room.tgt.running()[0])


def test_a_failed_change_puts_back_what_was(room: Room) -> None:
    second = room.folder / "second.raw"
    second.write_bytes(b"\x22" * MIB)
    before = room.wanted()
    room.tgt.apply(before)
    changed = WantedTarget(
        target_iqn(MAC),
        (room.lun(1, path=second), room.lun(2, path=second)),
        frozenset({initiator_iqn(OTHER_MAC)}),
    )
    limits = starve(room.pid(), spare=1)  # the first LUN takes the place of the old one
    with pytest.raises(ConsoleError):
        room.tgt.apply(changed)
    resource.prlimit(room.pid(), resource.RLIMIT_NOFILE, limits)
    assert not room.tgt.differences(before, room.tgt.running()[0])
    assert room.copy().read_bytes() == room.image.read_bytes()
    assert room.is_refused(as_mac=OTHER_MAC)


def starve(pid: int, *, spare: int) -> tuple[int, int]:
    """Let the process open only ``spare`` more files; its limits before."""

    def is_quiet() -> bool:
        return sum(name.startswith("socket:") for name in open_files(pid).values()) == 2

    wait_for(
        is_quiet, "no call is under way"
    )  # only the portal and the control socket: no call is under way
    used = open_files(pid).keys()
    free = sorted(set(range(max(used) + spare + 2)) - used)
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    return resource.prlimit(pid, resource.RLIMIT_NOFILE, (free[spare], hard))


def test_a_room_of_forty_is_applied_at_once(
    room: Room, record_property: Callable[[str, object], None]
) -> None:
    macs = [f"5254000000{number:02x}" for number in range(40)]
    begin = time.monotonic()
    for mac in macs:
        room.tgt.apply(room.wanted(mac))
    seconds = time.monotonic() - begin
    record_property("seconds_for_40_targets", round(seconds, 3))
    assert [found.iqn for found in room.tgt.running()] == [target_iqn(mac) for mac in macs]
    assert room.copy(macs[39]).read_bytes() == room.image.read_bytes()
    assert seconds < 30  # 0.4 s on two idle cores
