# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions on the tgt backend are told truly and ended at once: real tgtd and initiators."""

from __future__ import annotations

import subprocess
import threading
from dataclasses import replace

import pytest
from patience import wait_for
from raw_initiator import RawInitiator
from storage_host import MAC, MIB, OTHER_MAC, Room
from unit_serials import unit_serial

from ggnet_console.tools.process import run
from ggnet_console.tools.target_backend import (
    Connection,
    RunningTarget,
    WantedLun,
    WantedTarget,
)
from ggnet_console.values import initiator_iqn, target_iqn


def test_a_removed_target_ends_its_session_and_refuses(
    room: Room, guests: list[RawInitiator]
) -> None:
    for mac in (MAC, OTHER_MAC):
        room.tgt.apply(room.wanted(mac))
        guests.append(room.raw(mac))
        guests[-1].login()
    room.tgt.remove(target_iqn(MAC), cut={initiator_iqn(MAC)})
    assert guests[0].is_ended()
    assert room.is_refused()
    assert [found.target_iqn for found in room.tgt.connections()] == [target_iqn(OTHER_MAC)]
    room.tgt.remove(target_iqn(MAC), cut={initiator_iqn(MAC)})
    assert room.inquiry(OTHER_MAC).returncode == 0


def test_a_reading_machine_is_cut_off_in_the_middle(room: Room) -> None:
    for mac in (MAC, OTHER_MAC):
        room.tgt.apply(room.wanted(mac))
    reader = subprocess.Popen(
        ["qemu-io", "-r", "-c", "read 0 4M", "-c", "sleep 20000", "--image-opts", room.disk()],
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for(
            lambda: any(found.bytes_read >= 4 * MIB for found in room.tgt.connections()),
            "4 MiB are read",
        )
        room.tgt.remove(target_iqn(MAC), cut={initiator_iqn(MAC)})
        assert room.tgt.connections() == ()
        assert room.is_refused()
    finally:
        reader.kill()
        reader.wait()


@pytest.mark.parametrize("how", ["remove", "close", "replace"])
def test_machines_under_full_load_are_cut_off(room: Room, how: str) -> None:
    wanted = room.wanted()
    for target in (wanted, room.wanted(OTHER_MAC)):  # without any, tgtd hangs up without a word
        room.tgt.apply(target)
    load = subprocess.Popen(
        ["qemu-img", "bench", "-q", "-c", "100000000", "-d", "64", "--image-opts", room.disk()],
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(
            lambda: any(each.bytes_read > MIB for each in room.tgt.connections()),
            "the first MiB is read",
        )
        if how == "remove":
            room.tgt.remove(wanted.iqn, cut={initiator_iqn(MAC)})
        elif how == "close":
            room.tgt.apply(room.wanted(open_=False), cut={initiator_iqn(MAC)})
        else:
            other = replace(room.lun(), serial="replaced")
            room.tgt.apply(
                replace(room.wanted(open_=False), luns=(other,)), cut={initiator_iqn(MAC)}
            )
        assert room.tgt.connections() == ()
        assert room.is_refused()
    finally:
        load.kill()
        load.wait()


@pytest.mark.parametrize("initiator", [None, initiator_iqn(MAC)])
def test_a_disconnected_initiator_stays_out(
    room: Room, guests: list[RawInitiator], initiator: str | None
) -> None:
    room.tgt.apply(room.wanted())
    guests.append(room.raw())
    guests[0].login()
    assert len(room.tgt.connections()) == 1
    room.tgt.disconnect(target_iqn(MAC), initiator)
    assert guests[0].is_ended()
    assert room.tgt.connections() == ()
    assert room.is_refused()
    assert [found.initiators for found in room.tgt.running()] == [frozenset()]


def test_disconnecting_one_initiator_leaves_the_other(
    room: Room, guests: list[RawInitiator]
) -> None:
    both = frozenset({initiator_iqn(MAC), initiator_iqn(OTHER_MAC)})
    room.tgt.apply(WantedTarget(target_iqn(MAC), (room.lun(),), both))
    for mac in (MAC, OTHER_MAC):
        guests.append(RawInitiator(room.portal, target_iqn(MAC), initiator_iqn(mac)))
        guests[-1].login()
    room.tgt.disconnect(target_iqn(MAC), initiator_iqn(MAC))
    assert guests[0].is_ended()
    assert [found.initiator_iqn for found in room.tgt.connections()] == [initiator_iqn(OTHER_MAC)]
    room.tgt.disconnect(target_iqn(OTHER_MAC))


def test_a_login_that_began_before_the_end_gets_no_session(
    room: Room, guests: list[RawInitiator]
) -> None:
    room.tgt.apply(room.wanted())
    guests.append(room.raw())
    assert guests[0].begin() == (0, 0)
    room.tgt.disconnect(target_iqn(MAC))
    assert guests[0].complete() == (0, 0)  # tgtd asks nobody again
    assert room.tgt.connections() == ()
    assert guests[0].is_ended()


def test_a_login_that_began_on_a_removed_target_does_not_end_up_on_the_next(
    room: Room, guests: list[RawInitiator]
) -> None:
    room.tgt.apply(room.wanted())
    guests.append(room.raw())
    assert guests[0].begin() == (0, 0)
    room.tgt.remove(target_iqn(MAC), cut={initiator_iqn(MAC)})
    room.tgt.apply(room.wanted(OTHER_MAC))
    status, _ = guests[0].complete()
    assert status != 0
    assert [found.sessions for found in room.tgt.running()] == [0]


def test_a_session_is_told_with_its_address_and_bytes(room: Room) -> None:
    room.tgt.apply(room.wanted())
    seen: dict[str, Connection] = {}
    reader = subprocess.Popen(
        ["qemu-io", "-r", "-c", "read 0 8M", "-c", "sleep 20000", "--image-opts", room.disk()],
        stdout=subprocess.DEVNULL,
    )
    try:

        def all_is_read() -> bool:
            seen.update((found.key, found) for found in room.tgt.connections())
            return any(found.bytes_read >= 8 * MIB for found in seen.values())

        wait_for(all_is_read, "all is read")
    finally:
        reader.kill()
        reader.wait()
    (found,) = seen.values()
    assert found.target_iqn == target_iqn(MAC)
    assert found.initiator_iqn == initiator_iqn(MAC)
    assert found.address == "127.0.0.1"
    assert 8 * MIB <= found.bytes_read < 9 * MIB
    assert found.bytes_written == 0
    wait_for(lambda: room.tgt.connections() == (), "everybody has logged out")


def test_written_bytes_are_counted(room: Room) -> None:
    overlay = room.folder / "overlay.raw"
    overlay.write_bytes(bytes(MIB))
    room.tgt.apply(room.wanted(MAC, WantedLun(1, overlay, MIB, False, unit_serial(MAC))))
    writer = subprocess.Popen(
        ["qemu-io", "-c", "write 0 1M", "-c", "sleep 20000", "--image-opts", room.disk()],
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for(
            lambda: any(found.bytes_written == MIB for found in room.tgt.connections()),
            "the MiB is written",
        )
    finally:
        writer.kill()
        writer.wait()


def test_a_short_read_is_observed_when_looked_for_every_200_ms(room: Room) -> None:
    """A machine that is logged in for little more than one interval, counted by an observer."""
    room.tgt.apply(room.wanted())
    seen: dict[str, Connection] = {}
    ended = threading.Event()

    def observe() -> None:
        while not ended.wait(0.2):
            seen.update((found.key, found) for found in room.tgt.connections())

    observer = threading.Thread(target=observe)
    observer.start()
    try:
        done = run(
            ["qemu-io", "-r", "-c", "read 0 8M", "-c", "sleep 250", "--image-opts", room.disk()],
            timeout_s=20,
        )
        assert done.returncode == 0, done.messages
    finally:
        ended.set()
        observer.join()
    assert [found.initiator_iqn for found in seen.values()] == [initiator_iqn(MAC)]
    assert next(iter(seen.values())).bytes_read >= 8 * MIB


def test_sessions_may_vanish_at_any_moment(room: Room) -> None:
    macs = (MAC, OTHER_MAC)
    for mac in macs:
        room.tgt.apply(room.wanted(mac))
    ended = threading.Event()

    def come_and_go(mac: str) -> None:
        while not ended.is_set():
            guest = room.raw(mac)
            guest.login()
            ended.wait(0.01)
            guest.close()

    machines = [threading.Thread(target=come_and_go, args=(mac,)) for mac in macs]
    for machine in machines:
        machine.start()
    seen: dict[str, str] = {}
    lists: list[tuple[RunningTarget, ...]] = []
    try:
        for _ in range(200):
            for found in room.tgt.connections():
                assert seen.setdefault(found.key, found.target_iqn) == found.target_iqn
            lists.append(room.tgt.running())
    finally:
        ended.set()
        for machine in machines:
            machine.join()
    assert len(seen) > 10
    assert all([found.iqn for found in entry] == list(map(target_iqn, macs)) for entry in lists)


def forged_target(number: int, *, truncated: bool) -> bytes:
    """An alias that ends its own target and adds one that does not exist."""
    end = (
        "x\n            Connection: 0\n                IP Address: 192.0.2.1\n"
        "    LUN information:\n    Account information:\n    ACL information:\n"
        f"Target {number}: iqn.2026-11.net.ggnet:forged\n"
        "    System information:\n        Driver: iscsi\n        State: ready\n"
        "    I_T nexus information:\n"
    )
    if not truncated:
        return (end + "        I_T nexus: 9\n            Initiator: iqn.2026-11.a.b").encode()
    # tgtd keeps 1023 bytes of all it has to tell of a session, and so drops what follows an alias
    # that is long enough: the false list then joins the true one without a seam.
    before = len(f"            Initiator: {initiator_iqn(MAC)} alias: ")
    filler = "x" * (1023 - before - len(end))
    return (filler + end).encode()


ALIASES = [
    b"x" * 2000,
    b"\xff\n" * 100,
    b"x\n            Connection: 0\n                IP Address: 192.0.2.1",
    b"x\n    LUN information:\n        LUN: 1\n            Type: disk",
    b"x\n        I_T nexus: 77\n            Initiator: iqn.2026-11.net.ggnet:forged",
    forged_target(77, truncated=False),
    forged_target(77, truncated=True),
    forged_target(2, truncated=False),
    forged_target(2, truncated=True),
]
HOSTILE_AND_HONEST = [(MAC, OTHER_MAC), (OTHER_MAC, MAC)]


def log_in_under(
    room: Room, hostile: str, honest: str, alias: bytes
) -> tuple[RawInitiator, RawInitiator]:
    for mac in (MAC, OTHER_MAC):
        room.tgt.apply(room.wanted(mac))
    guests = room.raw(hostile, alias=alias), room.raw(honest, alias=b"an honest PC")
    for guest in guests:
        guest.login()
    return guests


@pytest.mark.parametrize("alias", ALIASES)
@pytest.mark.parametrize(("hostile", "honest"), HOSTILE_AND_HONEST)
def test_an_alias_cannot_falsify_the_list_of_targets(
    room: Room, guests: list[RawInitiator], hostile: str, honest: str, alias: bytes
) -> None:
    guests += log_in_under(room, hostile, honest, alias)
    adopted = room.again()  # knows nothing of before
    adopted.start()
    running = adopted.running()
    assert [found.iqn for found in running] == [target_iqn(MAC), target_iqn(OTHER_MAC)]
    assert not room.tgt.differences(room.wanted(MAC), running[0])
    assert not room.tgt.differences(room.wanted(OTHER_MAC), running[1])
    assert guests[0].is_ended()
    assert [found.initiator_iqn for found in adopted.connections()] == [initiator_iqn(honest)]


@pytest.mark.parametrize("alias", ALIASES)
@pytest.mark.parametrize(("hostile", "honest"), HOSTILE_AND_HONEST)
def test_an_alias_cannot_falsify_the_sessions(
    room: Room, guests: list[RawInitiator], hostile: str, honest: str, alias: bytes
) -> None:
    guests += log_in_under(room, hostile, honest, alias)
    truth = {(target_iqn(mac), initiator_iqn(mac), "127.0.0.1"): mac for mac in (hostile, honest)}
    adopted = room.again()
    adopted.start()
    for backend, expected in ((room.tgt, {hostile, honest}), (adopted, {honest})):
        told = [
            truth[found.target_iqn, found.initiator_iqn, found.address]
            for found in backend.connections()
        ]
        assert set(told) == expected
