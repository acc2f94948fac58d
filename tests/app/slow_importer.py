# SPDX-License-Identifier: GPL-3.0-or-later
"""An importer's process that says so and waits when half of the file is copied; run by tests.

Arguments: sign-in's role, its secret, source. A line on stdin lets it go on.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from ggnet_console import config
from ggnet_console.db.installation import Installation
from ggnet_console.errors import ConsoleError
from ggnet_console.services.images import ImageSpec, Upload
from ggnet_console.workers.uploads import upload


class Halfway(threading.Event):
    """Asked before every MiB whether to stop."""

    asked = 0

    def is_set(self) -> bool:
        self.asked += 1
        if self.asked == 3:
            print("halfway", flush=True)
            sys.stdin.readline()
        return False


def started(begun: Upload) -> None:
    print(begun.image_id, begun.job_id, flush=True)


def main() -> None:
    dsn, source = sys.argv[1:]
    settings = config.load()
    with Installation(settings):
        from ggnet_console.db.engine import Database

        database = Database(dsn, program="importer")
        spec = ImageSpec("disk")
        try:
            upload(database, settings, Path(source), spec, started=started, stop=Halfway())
        except ConsoleError as error:
            sys.exit(error.summary)


main()
