# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the files of an installation and of this program lie; pure path arithmetic and look-ups."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _shipped(name: str) -> Path:
    """A folder that ships with the program: inside the wheel, or at the top of a checkout."""
    installed = _PACKAGE / "_data" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def user_state() -> Path:
    """This OS user's own folder for what programs remember (XDG_STATE_HOME)."""
    from platformdirs import user_state_path  # noqa: PLC0415 - not every start needs it

    return user_state_path("ggnet")


def user_logs() -> Path:
    """Where the programs that people start log to, whichever installation they work with."""
    return user_state() / "logs"


MIGRATIONS = _shipped("migrations")
RESOURCES = _shipped("resources")


@dataclass(frozen=True)
class Home:
    """The tree below ``GGNET_HOME``: everything one embedded installation or storage host owns."""

    root: Path

    @property
    def cluster(self) -> Path:
        """The PostgreSQL data directory, 0700, of the user the server runs as."""
        return self.root / "cluster"

    @property
    def sockets(self) -> Path:
        """PostgreSQL's socket directory, 0700."""
        return self.root / "run"

    @property
    def tgt_socket(self) -> Path:
        """Control socket of the agent's own tgtd (``TGT_IPC_SOCKET``; tgtd appends ``.0``)."""
        return self.root / "tgt" / "control"

    @property
    def incoming(self) -> Path:
        """Files handed over for import, one per upload id, 0700."""
        return self.root / "incoming"

    @property
    def images(self) -> Path:
        """Sealed raw images, 0444 in a folder of 0700, served by targets."""
        return self.root / "images"

    def image_file(self, image_id: int, number: int) -> Path:
        """The sealed raw file of one image version."""
        return self.images / f"{image_id}-{number}.raw"

    @property
    def exports(self) -> Path:
        """Results of ``image convert``, for the user the agent runs as (0700)."""
        return self.root / "exports"

    @property
    def work(self) -> Path:
        """One work folder per running job; emptied when a job ends."""
        return self.root / "work"

    @property
    def logs(self) -> Path:
        """The agent's log (JSON lines) and tgtd's."""
        return self.root / "logs"

    @property
    def host_name(self) -> Path:
        """The storage host's name that a private installation was made for: its role carries it."""
        return self.root / "host"

    @property
    def undo(self) -> Path:
        """What the last apply changed, as it was before; 0600, it may hold CHAP secrets."""
        return self.root / "undo.json"

    @property
    def test_logins(self) -> Path:
        """What test logins did; no login of a machine."""
        return self.root / "test-logins.json"

    @property
    def agent_lock(self) -> Path:
        """Held (flock) by the one process that is this installation's agent."""
        return self.root / "agent.lock"

    @property
    def successors_lock(self) -> Path:
        """Held shared (flock) by every process that is the agent or would take over from it."""
        return self.root / "successors.lock"

    @property
    def users_lock(self) -> Path:
        """Held shared (flock) by every process that uses the embedded cluster."""
        return self.root / "users.lock"

    @property
    def start_lock(self) -> Path:
        """Held (flock) for the short time in which the embedded cluster is started or stopped."""
        return self.root / "start.lock"
