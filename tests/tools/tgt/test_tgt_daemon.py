# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon of the tgt backend is started, adopted, missed and ended: real tgtd."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE_S, wait_for
from raw_initiator import RawInitiator
from repeating import assert_fails_again, repeat
from storage_host import OTHER_MAC, Room, free_port, open_files

from ggnet_console.errors import ConsoleError
from ggnet_console.tools.process import find
from ggnet_console.tools.target_backend import BackendDownError
from ggnet_console.tools.tgt import Tgt
from ggnet_console.tools.tgtd import CallRefusedError


def test_the_next_agent_adopts_what_runs(room: Room, guests: list[RawInitiator]) -> None:
    room.tgt.apply(room.wanted())
    guests.append(room.raw())
    guests[0].login()
    before = room.pid(), room.tgt.running(), room.tgt.connections()
    successor = room.again()
    assert not successor.start()
    assert (room.pid(), successor.running(), successor.connections()) == before
    successor.apply(room.wanted(OTHER_MAC))
    assert len(successor.running()) == 2


def test_tgtd_outlives_the_process_that_started_it(folder: Path) -> None:
    room = Room(folder)
    program = (
        "import sys; from pathlib import Path; from ggnet_console.tools.tgt import Tgt; "
        "print(Tgt(Path(sys.argv[1]), [('127.0.0.1', int(sys.argv[2]))], Path(sys.argv[3])).start())"
    )
    arguments = [str(folder / "tgt" / "control"), str(room.portal[1]), str(folder / "tgtd.log")]
    left_open = os.pipe()
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.PIPE,
        pass_fds=left_open,
        timeout=PATIENCE_S,
        check=True,
    )
    for descriptor in left_open:
        os.close(descriptor)
    try:
        assert done.stdout == b"True\n"
        assert not room.tgt.start()
        room.tgt.apply(room.wanted())
        assert room.inquiry().returncode == 0
        assert os.getsid(room.pid()) == room.pid()
        held = open_files(room.pid()).values()
        assert not [name for name in held if name.startswith("pipe:")]
    finally:
        room.again().stop()


def test_a_killed_tgtd_is_noticed_and_rebuilt(room: Room) -> None:
    room.tgt.apply(room.wanted())
    os.kill(room.pid(), signal.SIGKILL)
    with pytest.raises(BackendDownError):
        wait_for(lambda: room.tgt.connections() != (), "the machine is logged in")
    assert (room.folder / "tgt" / "control.0").exists()
    for call in (room.tgt.running, room.tgt.connections):
        with pytest.raises(BackendDownError):
            call()
    assert room.tgt.start()
    assert room.tgt.running() == ()
    room.tgt.apply(room.wanted())
    assert room.copy().read_bytes() == room.image.read_bytes()


def test_what_tgtd_refuses_is_told_with_a_call_that_can_be_repeated(room: Room) -> None:
    with pytest.raises(CallRefusedError, match="refused “tgtadm --mode conn") as caught:
        room.tgt._tgtd.call("--mode", "conn", "--op", "show", "--tid", "99")
    error = caught.value
    control = room.folder / "tgt" / "control"
    assert error.details.splitlines()[0] == (
        f"TGT_IPC_SOCKET={control} {find('tgtadm')} --lld iscsi --mode conn --op show --tid 99"
    )
    assert_fails_again(error.details)
    assert error.answer == "\n".join(error.details.splitlines()[2:])
    assert "can't find the target" in error.answer


def test_what_a_dead_tgtd_was_asked_is_told(room: Room) -> None:
    os.kill(room.pid(), signal.SIGKILL)
    wait_for(lambda: room.tgt._tgtd.find() is None, "tgtd ends")
    with pytest.raises(BackendDownError) as caught:
        room.tgt.running()
    assert "tgtadm --lld iscsi --mode target --op show" in caught.value.details.splitlines()[0]
    assert_fails_again(caught.value.details)


def test_a_tgtd_that_does_not_start_is_told_with_its_call_and_its_words(folder: Path) -> None:
    room = Room(folder)
    (folder / "tgt" / "control.0" / "in-the-way").mkdir(parents=True)
    with pytest.raises(ConsoleError, match="tgtd could not be started on the portal") as caught:
        room.tgt.start()
    command, end, *said = caught.value.details.splitlines()
    assert command.startswith(f"TGT_IPC_SOCKET={folder}/tgt/control {find('prlimit')} --nofile=")
    assert f"{find('tgtd')} -f --iscsi portal=127.0.0.1:{room.portal[1]}," in command
    assert end == f"exit code {repeat(command).returncode}"
    assert any("can't" in line.lower() for line in said), said


def test_session_keys_are_not_used_again_after_a_restart(
    room: Room, guests: list[RawInitiator]
) -> None:
    keys = set()
    for _ in range(2):
        room.tgt.start()
        room.tgt.apply(room.wanted())
        guests.append(room.raw())
        guests[-1].login()
        keys |= {found.key for found in room.tgt.connections()}
        room.tgt.stop()
    assert len(keys) == 2


def test_stop_leaves_no_process_and_a_free_portal(room: Room, guests: list[RawInitiator]) -> None:
    room.tgt.apply(room.wanted())
    guests.append(room.raw())
    guests[0].login()
    pid = room.pid()
    room.tgt.stop()
    assert not Path(f"/proc/{pid}").exists()
    assert guests[0].is_ended()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(room.portal, timeout=5)
    room.tgt.stop()
    assert room.tgt.start()
    room.again().stop()
    assert room.tgt.start()


def test_a_hanging_tgtd_is_said_and_can_be_stopped(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ggnet_console.tools.tgtd._CALL_TIMEOUT_S", 0.5)
    room.tgt.apply(room.wanted())
    pid = room.pid()
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(ConsoleError, match="did not finish"):
        room.tgt.running()
    room.tgt.stop()
    assert not Path(f"/proc/{pid}").exists()


def test_a_taken_portal_is_said_with_by_whom(folder: Path) -> None:
    room = Room(folder)
    named = pytest.raises(ConsoleError, match=rf"\(process {os.getpid()}\)")
    with socket.create_server(room.portal), named as caught:
        room.tgt.start()
    assert f"127.0.0.1:{room.portal[1]}" in caught.value.summary
    assert room.tgt.start()
    room.tgt.stop()


def test_a_portal_taken_by_another_tgtd_names_that(room: Room, folder: Path) -> None:
    other = Tgt(folder / "other" / "control", [room.portal], folder / "other.log")
    with pytest.raises(ConsoleError, match=rf"taken by tgtd \(process {room.pid()}\)"):
        other.start()


def test_a_running_tgtd_on_another_portal_is_not_adopted(room: Room) -> None:
    port = free_port()
    other = Tgt(room.folder / "tgt" / "control", [("127.0.0.1", port)], room.folder / "tgtd.log")
    with pytest.raises(ConsoleError, match=f"serves 127.0.0.1:{room.portal[1]} instead of"):
        other.start()
    assert not room.tgt.start()


def test_a_control_socket_with_too_long_a_path_is_refused(folder: Path) -> None:
    room = Room(folder)
    tgt = Tgt(folder / ("x" * 100) / "control", [room.portal], folder / "tgtd.log")
    with pytest.raises(ConsoleError, match="too long for a socket"):
        tgt.start()
