# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets in a real keyring: the Secret Service of a desktop session of the test's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from patience import PATIENCE_S

AT_THE_DESK = """
import json, sys
from pathlib import Path
from ggnet_console.tools.secret_store import ConsolePassword, KeptSignIn, SecretStore

state = Path(sys.argv[1])
kept = KeptSignIn("ada", "ggnet_s_1", 'secret "with" quotes \\\\ é')
sign_in, password = SecretStore("host=db", state), ConsolePassword("host=db", state)
said = [sign_in.save(kept), password.save("the console's")]
again = SecretStore("host=db", state), ConsolePassword("host=db", state)
same = [again[0].load() == kept, again[1].load() == "the console's"]
other = SecretStore("host=elsewhere", state).load()
again[0].forget()
left = [SecretStore("host=db", state).load(), ConsolePassword("host=db", state).load()]
print(json.dumps([said, same, other, left, list(map(str, state.rglob("*")))]))
"""


def test_a_desktop_s_keyring_keeps_secrets_and_no_file_does(tmp_path: Path) -> None:
    """The twin of the keyring in memory with which ``test_secret_store.py`` tries refusals."""
    outside = {name: v for name, v in os.environ.items() if not name.startswith(("DBUS", "XDG"))}
    session = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    unlocked = "printf pw | gnome-keyring-daemon --unlock --components=secrets --daemonize >&2"
    done = subprocess.run(
        [
            *("dbus-run-session", "--", "sh", "-c", f'{unlocked} && exec "$@"', "sh"),
            *(sys.executable, "-c", AT_THE_DESK, str(tmp_path / "state")),
        ],
        env={**outside, **session},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    said, same, other, left, files = json.loads(done.stdout.splitlines()[-1])
    assert said == ["the keyring (SecretService Keyring)"] * 2
    assert same == [True, True]
    assert other is None
    assert left == [None, "the console's"]
    assert files == []
