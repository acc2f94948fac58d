# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m ggnet_console.cli`` is ``ggnet``."""

from . import main

main()
