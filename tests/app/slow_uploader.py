# SPDX-License-Identifier: GPL-3.0-or-later
"""An uploader's process that says so and waits at the start, middle or end of copying.

Arguments of the process: connection string of a sign-in, source, moment. A line on stdin lets it go on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from real_host import RealHost

from ggnet_console import config
from ggnet_console.db.engine import Database
from ggnet_console.db.installation import Installation
from ggnet_console.errors import ConsoleError
from ggnet_console.services import images
from ggnet_console.services.images import ImageSpec, Upload
from ggnet_console.workers.upload import upload

BLOCKS = {"start": 1, "middle": 3}


def wait() -> None:
    print("waits", flush=True)
    sys.stdin.readline()


class Moment(threading.Event):
    """Asked before every MiB whether to stop."""

    def __init__(self, block: int | None) -> None:
        super().__init__()
        self._left = block

    def is_set(self) -> bool:
        if self._left:
            self._left -= 1
            if self._left == 0:
                wait()
        return False


def wait_before_the_end() -> None:
    """All is copied and reported, and only to be handed over."""
    finish = images.finish_upload

    def wait_and_finish(*arguments: Any) -> None:
        wait()
        finish(*arguments)

    images.finish_upload = wait_and_finish


class SlowImport:
    """The import of ``disk.raw`` by a process that waits at a moment of copying."""

    def __init__(self, host: RealHost, disks: Path, moment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, host.operator.dsn, disks / "disk.raw", moment],
            env={**host.environment, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.image_id, self.job_id = map(int, self.process.stdout.readline().split())
        assert self.process.stdout.readline() == "waits\n"

    def go_on(self) -> tuple[int, str]:
        """Let it go on to its end; exit status and what it complains of."""
        output, errors = self.process.communicate("go on\n", 30)
        assert output == ""
        return self.process.returncode, errors


def started(begun: Upload) -> None:
    print(begun.image_id, begun.job_id, flush=True)


def main() -> None:
    dsn, source, moment = sys.argv[1:]
    settings = config.load()
    if moment == "end":
        wait_before_the_end()
    stop = Moment(BLOCKS.get(moment))
    with Installation(settings):
        database = Database(dsn, program="importer")
        try:
            upload(database, settings, Path(source), ImageSpec("disk"), started=started, stop=stop)
        except ConsoleError as error:
            sys.exit(error.summary)


if __name__ == "__main__":
    main()
