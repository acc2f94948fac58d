# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs of a noun, as ``--help`` lists them."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

_WHOLE = 10_000


class Verbs(TyperGroup):
    """Shows what each verb does as a whole, over several lines where it must; click would cut it."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        verbs = [self.get_command(ctx, name) for name in self.list_commands(ctx)]
        rows = [
            (str(verb.name), verb.get_short_help_str(_WHOLE)) for verb in verbs if verb is not None
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
