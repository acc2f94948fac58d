# SPDX-License-Identifier: GPL-3.0-or-later
"""The Settings page, for admins: what holds for the whole installation."""

from __future__ import annotations

from ..enums import Role
from ..errors import ConsoleError
from ..services import settings
from ..services.settings import SettingRow, SettingSpec
from .edit_dialog import EditDialog
from .history_tab import History
from .hosts import HostLines
from .kit import format as fmt
from .kit.actions import Action
from .kit.columns import number_column
from .kit.detail_pane import DetailPane, Fact
from .kit.form import Field
from .kit.page import Empty, Page
from .kit.table_model import Column
from .kit.translate import tr
from .page_context import PageContext
from .setting_words import setting_title, setting_unit, setting_value


def title_of(row: SettingRow) -> str:
    """The name as people read it."""
    return setting_title(row.name)


def range_of(row: SettingRow) -> str:
    """From where to where the value may go."""
    return f"{setting_value(row.name, row.minimum)} to {setting_value(row.name, row.maximum)}"


COLUMNS: tuple[Column[SettingRow], ...] = (
    Column("name", "Setting", title_of, width=184),
    number_column(
        "value",
        "Value",
        lambda r: r.value,
        lambda r: setting_value(r.name, r.value),
        tooltip=lambda r: f"{fmt.number(r.value)} {setting_unit(r.name)}".strip(),
        width=104,
    ),
    Column("range", "Range", range_of, width=176, tabular=True, secondary=True),
    Column("description", "What it does", lambda r: r.description, width=272, stretch=True),
    Column("key", "Name for “ggnet setting”", lambda r: r.name, width=176, hidden=True),
)


def facts(row: SettingRow) -> list[Fact]:
    """All there is to say about one setting."""
    unit = setting_unit(row.name)
    return [
        Fact("Value", setting_value(row.name, row.value)),
        Fact("Range", range_of(row)),
        Fact("Exactly", f"{fmt.number(row.value)} {unit}".strip()),
        Fact("What it does", row.description),
        Fact("For scripts", f"ggnet setting set {row.name} {row.value}"),
    ]


class SettingsPage(Page[SettingRow]):
    """All settings of the installation."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        super().__init__(
            key="settings",
            title="Settings",
            several=lambda n: tr("%n setting(s)", "", n),
            none=tr("No setting"),
            columns=COLUMNS,
            actions=(
                Action(
                    "Edit",
                    "pencil",
                    self._on_edit,
                    shortcut="F2",
                    needs=Role.ADMIN,
                    single=True,
                    button="plain",
                ),
            ),
            empty=Empty("No settings", "The database of this installation has no settings."),
            detail=DetailPane(
                name=title_of,
                state=lambda r: (None, setting_value(r.name, r.value)),
                facts=facts,
                tabs=[History(context, "setting")],
            ),
            opens="Edit",
            access=context.access,
            settings=context.settings,
        )
        self.hosts = HostLines(self, context)
        self.over.addWidget(self.hosts)
        context.feeds.settings.attach(self)

    def _on_edit(self, rows: list[SettingRow]) -> None:
        row = rows[0]
        unit = setting_unit(row.name)

        def number(text: str) -> int:
            digits = "".join(text.replace(",", "").split())
            if not digits.isdecimal():
                raise ConsoleError(f"Give it as a whole number{f' of {unit}' if unit else ''}.")
            if not row.minimum <= int(digits) <= row.maximum:
                raise ConsoleError(
                    f"It must lie between {fmt.number(row.minimum)} and {fmt.number(row.maximum)}."
                )
            return int(digits)

        dialog = EditDialog(
            self,
            self._context,
            row,
            noun="setting",
            name=lambda r: f"“{title_of(r)}”",
            intro=f"{row.description}.",
            fields=[
                Field(
                    "value",
                    f"Value in {unit}" if unit else "Value",
                    help=f"From {fmt.number(row.minimum)} to {fmt.number(row.maximum)}"
                    f"{f' ({range_of(row)})' if unit else ''}.",
                    value=str(row.value),
                    parse=number,
                    required=True,
                )
            ],
            spec=SettingSpec,
            update=settings.update_setting,
        )
        dialog.open()
