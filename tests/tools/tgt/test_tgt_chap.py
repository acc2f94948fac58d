# SPDX-License-Identifier: GPL-3.0-or-later
"""CHAP on a real tgtd: asked of initiators, and its secret seen by nobody on the way."""

from __future__ import annotations

import os
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from raw_initiator import RawInitiator
from repeating import repeat
from storage_host import MAC, OTHER_MAC, Room, free_port

from ggnet_console.errors import ConsoleError
from ggnet_console.tools import initiator
from ggnet_console.tools.process import Completed, find, run
from ggnet_console.tools.target_backend import Chap, WantedTarget
from ggnet_console.tools.tgt import Tgt
from ggnet_console.tools.tgt_accounts import account_request
from ggnet_console.values import initiator_iqn, target_iqn

CHAP = Chap("gg00000001", "abcDEF123-_45678")
TGTADM = ("tgtadm", "--lld", "iscsi", "--mode")
OTHER = Chap("gg00000002", "another-secret-0")


def asked(room: Room, chap: Chap | None = CHAP) -> WantedTarget:
    return replace(room.wanted(), chap=chap)


def log_in(room: Room, chap: Chap) -> Completed:
    address, port = room.portal
    url = f"iscsi://{address}:{port}/{target_iqn(MAC)}/1"
    secret = {"LIBISCSI_CHAP_USERNAME": chap.user, "LIBISCSI_CHAP_PASSWORD": chap.secret}
    return run(["iscsi-inq", "-i", initiator_iqn(MAC), url], timeout_s=20, env=secret)


def accounts(room: Room) -> set[str]:
    done = run(
        [*TGTADM, "account", "--op", "show"],
        timeout_s=20,
        env={"TGT_IPC_SOCKET": str(room.folder / "tgt" / "control")},
    )
    return set(done.stdout.decode().split()) - {"Account", "list:"}


def test_the_request_is_byte_for_byte_what_tgtadm_sends(folder: Path) -> None:
    """The twin: the real tgtadm talks to a socket of ours."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "control.0"))
        listener.listen()
        tgtadm = subprocess.Popen(
            [*TGTADM, "account", "--op", "new", "--user", CHAP.user, "--password", CHAP.secret],
            env={**os.environ, "TGT_IPC_SOCKET": str(folder / "control")},
            stderr=subprocess.DEVNULL,
        )
        connection, _ = listener.accept()
        request = account_request(CHAP)
        with connection:
            assert connection.recv(len(request), socket.MSG_WAITALL) == request
            connection.setblocking(False)
            with pytest.raises(BlockingIOError):
                connection.recv(1)
        tgtadm.wait(20)


def test_only_who_knows_the_secret_is_let_in(room: Room) -> None:
    room.tgt.apply(asked(room))
    assert log_in(room, CHAP).returncode == 0
    assert log_in(room, Chap(CHAP.user, OTHER.secret)).returncode != 0
    assert log_in(room, Chap("nobody", CHAP.secret)).returncode != 0
    assert room.inquiry().returncode != 0
    [found] = room.tgt.running()
    assert found.chap == CHAP
    assert room.tgt.differences(asked(room), found) == ()


def test_a_refused_login_tells_its_call_without_the_secret(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    room.tgt.apply(asked(room))
    address, port = room.portal
    wrong = Chap(CHAP.user, OTHER.secret)
    portal, iqn = f"{address}:{port}", target_iqn(MAC)
    attempt = initiator.log_in(portal, iqn, 1, initiator_iqn(MAC), wrong)
    assert not attempt.worked
    command, end, *said = attempt.details.splitlines()
    assert command == (
        f"LIBISCSI_CHAP_USERNAME={CHAP.user} LIBISCSI_CHAP_PASSWORD='***' {find('iscsi-inq')} "
        f"-i {initiator_iqn(MAC)} iscsi://{portal}/{iqn}/1"
    )
    assert end.startswith("exit code ")
    assert attempt.answer == "\n".join(said) != ""
    assert wrong.secret not in f"{attempt!r}{caplog.text}"
    assert repeat(command.replace("'***'", CHAP.secret)).returncode == 0


def test_a_new_secret_replaces_the_old_one_and_none_ends_the_asking(room: Room) -> None:
    room.tgt.apply(asked(room))
    room.tgt.apply(asked(room, OTHER))
    assert log_in(room, CHAP).returncode != 0
    assert log_in(room, OTHER).returncode == 0
    assert accounts(room) == {OTHER.user}
    room.tgt.apply(asked(room, None))
    assert room.inquiry().returncode == 0
    assert accounts(room) == set()


def test_who_is_logged_in_is_not_asked_again(room: Room, guests: list[RawInitiator]) -> None:
    room.tgt.apply(room.wanted())
    guests.append(room.raw())
    guests[0].login()
    before = room.tgt.connections()
    room.tgt.apply(asked(room))
    assert [one.key for one in room.tgt.connections()] == [one.key for one in before]
    assert room.inquiry().returncode != 0


def test_the_next_agent_takes_an_account_of_the_same_name_for_the_same(room: Room) -> None:
    room.tgt.apply(asked(room))
    again = room.again()
    again.start()
    [found] = again.running()
    assert found.chap == Chap(CHAP.user, "")
    assert again.differences(asked(room), found) == ()
    [difference] = again.differences(asked(room, OTHER), found)
    assert (difference.field, difference.wanted, difference.found) == (
        "chap",
        f"user {OTHER.user}",
        f"user {CHAP.user}",
    )
    again.apply(asked(room))
    assert log_in(room, CHAP).returncode == 0


def test_an_account_left_over_is_replaced(room: Room) -> None:
    room.tgt.apply(asked(room))
    other = replace(room.wanted(OTHER_MAC), chap=replace(OTHER, user="left-over"))
    run(
        [*TGTADM, "account", "--op", "new", "--user", "left-over", "--password", "not-this-one"],
        timeout_s=20,
        env={"TGT_IPC_SOCKET": str(room.folder / "tgt" / "control")},
    )
    room.tgt.apply(other)
    assert accounts(room) == {"left-over", CHAP.user}
    room.tgt.remove(other.iqn)
    assert accounts(room) == {CHAP.user}
    assert log_in(room, CHAP).returncode == 0


@pytest.mark.parametrize(
    "chap", [Chap("a,b", "x"), Chap("a", "x,y"), Chap("a", ""), Chap("a", "ü")]
)
def test_what_tgtd_would_misread_is_refused_before_anything_is_made(room: Room, chap: Chap) -> None:
    with pytest.raises(ConsoleError, match="without commas"):
        room.tgt.apply(asked(room, chap))
    assert room.tgt.running() == ()


def test_what_was_made_by_hand_is_told_as_odd_and_put_right(room: Room) -> None:
    room.tgt.apply(room.wanted())
    env = {"TGT_IPC_SOCKET": str(room.folder / "tgt" / "control")}
    for arguments in (
        ("target", "--op", "bind", "--tid", "1", "-I", "ALL"),
        ("account", "--op", "new", "--user", "u", "--password", "p"),
        ("account", "--op", "new", "--user", "v", "--password", "p"),
        ("account", "--op", "bind", "--tid", "1", "--user", "u"),
        ("account", "--op", "bind", "--tid", "1", "--user", "v", "--outgoing"),
    ):
        done = run([*TGTADM, *arguments], timeout_s=20, env=env)
        assert done.returncode == 0, done.messages
    [found] = room.tgt.running()
    assert found.unsupported == (
        "it lets in the addresses ALL; it proves itself to initiators (mutual CHAP)"
    )
    assert found.chap == Chap("u", "")
    room.tgt.apply(room.wanted())
    assert room.tgt.differences(room.wanted(), room.tgt.running()[0]) == ()
    assert accounts(room) == set()
    assert room.is_refused(as_mac=OTHER_MAC)


def test_two_portals_serve(folder: Path) -> None:
    room = Room(folder)
    second = ("::1", free_port("::1"))
    tgt = Tgt(folder / "tgt" / "control", [room.portal, second], folder / "tgtd.log")
    try:
        assert tgt.start()
        tgt.apply(room.wanted())
        [found] = tgt.running()
        assert len(found.portals) == 2
        for address, port in (room.portal, second):
            host = f"[{address}]" if ":" in address else address
            url = f"iscsi://{host}:{port}/{target_iqn(MAC)}/1"
            done = run(["iscsi-inq", "-i", initiator_iqn(MAC), url], timeout_s=20)
            assert done.returncode == 0, done.messages
    finally:
        tgt.stop()


class _Disturbed(Tgt):
    """The real backend, but calls that change something fail from the one of this number on.

    ``times`` of them fail; tgtd itself cannot be made to refuse at a chosen moment.
    """

    left = -1
    times = 0

    def _call(self, mode: str, operation: str, tid: int, *arguments: str) -> str:
        if operation != "show" and self.left >= 0:
            self.left -= 1
            if self.left < 0 and self.times:
                self.times -= 1
                self.left = 0
                raise ConsoleError("tgtd said no.")
        return super()._call(mode, operation, tid, *arguments)


@pytest.mark.parametrize("times", [1, 2, 3, 100])
def test_a_failure_at_any_call_never_lets_anybody_in_without_a_secret(
    room: Room, times: int
) -> None:
    second = replace(room.lun(2), serial="second")
    both = frozenset(map(initiator_iqn, (MAC, OTHER_MAC)))
    wanted = replace(asked(room, OTHER), luns=(*room.wanted().luns, second), initiators=both)
    tgt = _Disturbed(room.folder / "tgt" / "control", [room.portal], room.folder / "tgtd.log")
    tgt.start()
    failures = 0
    for step in range(100):
        room.tgt.remove(wanted.iqn)
        room.tgt.apply(asked(room))
        tgt.start()
        tgt.left, tgt.times = step, times
        try:
            tgt.apply(wanted)
        except ConsoleError:
            failures += 1
        else:
            if tgt.left > 0:
                break
        assert room.inquiry().returncode != 0, step
        [found] = room.tgt.running()
        if times == 1 and tgt.times == 0 and found.initiators != both:
            assert room.tgt.differences(asked(room), found) == (), step
            assert log_in(room, CHAP).returncode == 0, step
    assert failures > 5
    assert accounts(room) == {OTHER.user}
