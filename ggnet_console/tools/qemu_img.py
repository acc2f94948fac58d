# SPDX-License-Identifier: GPL-3.0-or-later
"""qemu-img(1) on open files: every image is a pinned node, every call runs in the sandbox."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from ..errors import ConsoleError, Sentence, sentence
from ..program_call import ProgramCall, open_files
from . import process
from .image_work import DOES_NOT_FIT, ImageWork
from .sandbox import Limits

_PERCENT = re.compile(rb"\((\d+\.\d+)/100%\)")
_FULL = re.compile(r"No space left on device|Disk quota exceeded|File too large")
_LOG_TO_REPLAY = "contains a log that needs to be replayed"
_CHECK_CLEAN, _CHECK_LEAKS, _CHECK_UNSUPPORTED, _CHECK_DAMAGED = 0, 3, 63, 2


@dataclass(frozen=True)
class Info:
    """What qemu itself sees in a file."""

    driver: str
    """qemu's name of the format: ``raw``, ``qcow2``, ``vhdx``, ``vpc`` (VHD), ``vmdk`` …"""
    virtual_size_bytes: int
    encrypted: bool
    backing_file: bool


@dataclass(frozen=True)
class Disk:
    """An open file, and the one format (qemu's driver) it is read or written as."""

    fd: int
    driver: str
    size_calc: str = ""
    """Of a VHD: ``chs`` or ``current_size``, what its size is, whoever wrote it."""

    @property
    def path(self) -> str:
        """Where a program that inherited the descriptor finds the file."""
        return f"/proc/self/fd/{self.fd}"

    def node(self, *, read_only: bool = True) -> str:
        """A pinned node: this format, this file, and nothing the image itself names beside it."""
        file = {"driver": "file", "filename": self.path}
        node = {"driver": self.driver, "read-only": read_only, "backing": None, "file": file}
        if self.size_calc:
            node["force_size_calc"] = self.size_calc
        return f"json:{json.dumps(node)}"


class LogToReplayError(ConsoleError):
    """A VHDX was not closed cleanly: ``replay_log`` must come before anything is read."""


class _NotUnderstoodError(Exception):
    """What qemu-img prints is none of what was expected; its argument is that, in bytes."""


class _DataSum:
    """Adds up what ``map`` prints, an extent a line, as it comes.

    A small file can have millions of extents: they are never held together.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._rest = b""
        """The beginning of a line whose end has not come yet."""

    def add(self, output: bytes) -> None:
        *lines, self._rest = (self._rest + output).split(b"\n")
        for line in lines:
            try:
                extent = json.loads(line.strip(b"[], \r"))
                if extent["data"] and not extent["zero"]:
                    self.bytes += extent["length"]
            except (ValueError, KeyError) as error:
                raise _NotUnderstoodError(line) from error


class QemuImg(ImageWork):
    """Runs qemu-img for one piece of work on files that are open in this process."""

    def info(self, fd: int) -> Info:
        """qemu's own probe of the format; the only call that does not pin a driver.

        Raises LogToReplayError for a VHDX that was not closed cleanly.
        """
        file = {"driver": "file", "filename": Disk(fd, "").path}
        node = json.dumps({"read-only": True, "file": file})
        done = self._run(["info", "--output=json", f"json:{node}"], [fd])
        if done.returncode != 0:
            if _LOG_TO_REPLAY in done.messages:
                raise LogToReplayError(
                    sentence(
                        "{subject} was not closed cleanly by the program that wrote it.",
                        subject=self.subject,
                    ),
                    done.details,
                )
            self._fail(
                sentence("{subject} cannot be opened; it is damaged or not a disk image."), done
            )
        answer = self._parse(done)
        return Info(
            driver=answer["format"],
            virtual_size_bytes=answer["virtual-size"],
            encrypted=bool(answer.get("encrypted")),
            backing_file="backing-filename" in answer,
        )

    def replay_log(self, disk: Disk) -> None:
        """Finish the writes in a VHDX's log, on the file itself (``check -r all``)."""
        done = self._run(["check", "-q", "-r", "all", disk.node(read_only=False)], [disk.fd])
        if done.returncode != _CHECK_CLEAN:
            self._fail(
                sentence("{subject} was not closed cleanly, and its log cannot be replayed."), done
            )

    def check(self, disk: Disk) -> None:
        """Raise ConsoleError when the container's own structures are damaged.

        Leaked clusters only waste space, and formats without a check pass.
        """
        done = self._run(["check", "-q", disk.node()], [disk.fd])
        if done.returncode == _CHECK_DAMAGED:
            self._fail(
                sentence("{subject} is damaged; copy it again, or repair it where it came from."),
                done,
            )
        if done.returncode not in (_CHECK_CLEAN, _CHECK_LEAKS, _CHECK_UNSUPPORTED):
            self._fail(
                sentence("{subject} cannot be checked; it is damaged or not a disk image."), done
            )

    def data_bytes(self, disk: Disk) -> int:
        """Bytes of the virtual disk that hold data: the sum of ``data && !zero`` of ``map``.

        An upper bound: for formats that do not tell (VHDX) it is the virtual size.
        """
        data = _DataSum()
        done = self._run(["map", "--output=json", disk.node()], [disk.fd], on_output=data.add)
        if done.returncode != 0:
            self._fail(sentence("{subject} cannot be read; it is damaged."), done)
        return data.bytes

    def convert(
        self,
        source: Disk,
        target: Disk,
        on_fraction: Callable[[float], None],
        options: Sequence[str] = (),
    ) -> None:
        """Write the disk in ``source`` to ``target``, sparse.

        A raw target must be all zeros and already have the disk's size; others are made by
        qemu-img (``options``: its ``-o``). ``on_fraction`` gets 0.0 to 1.0 about every percent.
        """
        made = ["-n", "--target-is-zero"] if target.driver == "raw" else []
        creation = [word for option in options for word in ("-o", option)]

        def on_output(output: bytes) -> None:
            # `-p` prints "    (12.34/100%)\r"; a number cut between two pieces is just not shown.
            for percent in _PERCENT.findall(output)[-1:]:
                on_fraction(float(percent) / 100)

        done = self._run(
            ["convert", "-p", *made, *creation, "-O", target.driver, source.node(), target.path],
            [source.fd, target.fd],
            on_output=on_output,
        )
        if done.returncode != 0:
            self._fail(sentence("{subject} cannot be converted; it may be damaged."), done)

    def compare(self, one: Disk, other: Disk) -> None:
        """Raise ConsoleError unless both hold the same disk (but for zeros at the end)."""
        done = self._run(["compare", "-q", one.node(), other.node()], [one.fd, other.fd])
        if done.returncode != 0:
            self._fail(
                sentence("{subject} differs from its converted copy; the storage may be failing."),
                done,
            )

    def _run(
        self,
        arguments: Sequence[str],
        fds: Sequence[int],
        *,
        on_output: Callable[[bytes], None] | None = None,
    ) -> process.Completed:
        limits = Limits(cpu_s=math.ceil(self.left_s) + 1, file_size_bytes=self.max_file_bytes)
        argv = self.sandbox.wrap(["qemu-img", *arguments], limits)
        try:
            return self.run(argv, fds, on_output=on_output)
        except _NotUnderstoodError as error:
            self._not_understood(ProgramCall(argv, files=open_files(fds)), error)

    def _parse(self, done: process.Completed) -> Any:
        try:
            return json.loads(done.stdout)
        except ValueError:
            self._not_understood(done.call, _NotUnderstoodError(done.stdout))

    def _not_understood(self, call: ProgramCall, error: _NotUnderstoodError) -> NoReturn:
        raise ConsoleError(
            sentence(
                "{subject}: qemu-img's answer cannot be read; it may be of a version that is too "
                "old (7.2 or newer is needed).",
                subject=self.subject,
            ),
            call.details("answered:", error.args[0][:1000].decode("utf-8", "replace")),
        ) from error

    def _fail(self, what: Sentence, done: process.Completed) -> NoReturn:
        if done.returncode < 0:
            what = sentence(
                "{subject} cannot be processed: qemu-img was ended by signal {signal}; try again."
            )
        elif _FULL.search(done.messages):
            what = DOES_NOT_FIT
        raise ConsoleError(
            what.with_values(subject=self.subject, signal=-done.returncode), done.details
        )
