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
from .setting_words import NUMBER, setting_description, setting_title, setting_unit, setting_value


def title_of(row: SettingRow) -> str:
    """The name as people read it."""
    return setting_title(row.name)


def range_of(row: SettingRow) -> str:
    """From where to where the value may go."""
    least, most = setting_value(row.name, row.minimum), setting_value(row.name, row.maximum)
    return tr("{least} to {most}").format(least=least, most=most)


COLUMNS: tuple[Column[SettingRow], ...] = (
    Column("name", tr("Setting"), title_of, width=184),
    number_column(
        "value",
        tr("Value"),
        lambda r: r.value,
        lambda r: setting_value(r.name, r.value),
        tooltip=lambda r: setting_unit(r.name).exactly(r.value),
        width=104,
    ),
    Column("range", tr("Range"), range_of, width=176, tabular=True, secondary=True),
    Column(
        "description",
        tr("What it does"),
        lambda r: setting_description(r.description),
        width=272,
        stretch=True,
    ),
    Column("key", tr("Name for “ggnet setting”"), lambda r: r.name, width=176, hidden=True),
)


def facts(row: SettingRow) -> list[Fact]:
    """All there is to say about one setting."""
    return [
        Fact(tr("Value"), setting_value(row.name, row.value)),
        Fact(tr("Range"), range_of(row)),
        Fact(tr("Exactly"), setting_unit(row.name).exactly(row.value)),
        Fact(tr("What it does"), setting_description(row.description)),
        Fact(tr("For scripts"), f"ggnet setting set {row.name} {row.value}"),  # no text
    ]


class SettingsPage(Page[SettingRow]):
    """All settings of the installation."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        super().__init__(
            key="settings",
            title=tr("Settings"),
            several=lambda n: tr("%n setting(s)", "", n),
            none=tr("No setting"),
            columns=COLUMNS,
            actions=(
                Action(
                    tr("Edit"),
                    "pencil",
                    self._on_edit,
                    shortcut="F2",
                    needs=Role.ADMIN,
                    single=True,
                    button="plain",
                ),
            ),
            empty=Empty(
                tr("No settings"), tr("The database of this installation has no settings.")
            ),
            detail=DetailPane(
                name=title_of,
                state=lambda r: (None, setting_value(r.name, r.value)),
                facts=facts,
                tabs=[History(context, "setting")],
            ),
            opens=tr("Edit"),
            access=context.access,
            settings=context.settings,
        )
        self.hosts = HostLines(self, context)
        self.over.addWidget(self.hosts)
        context.feeds.settings.attach(self)

    def _on_edit(self, rows: list[SettingRow]) -> None:
        row = rows[0]
        unit = setting_unit(row.name)
        least, most = fmt.number(row.minimum), fmt.number(row.maximum)
        span = tr("From {least} to {most} ({range}).")
        if unit is NUMBER:
            span = tr("From {least} to {most}.")

        def number(text: str) -> int:
            digits = "".join(text.replace(",", "").split())
            if not digits.isdecimal():
                raise ConsoleError(unit.wanted)
            if not row.minimum <= int(digits) <= row.maximum:
                told = tr("It must lie between {least} and {most}.")
                raise ConsoleError(told.format(least=least, most=most))
            return int(digits)

        dialog = EditDialog(
            self,
            self._context,
            row,
            noun="setting",
            name=lambda r: tr("“{setting}”").format(setting=title_of(r)),
            intro=f"{setting_description(row.description)}.",
            fields=[
                Field(
                    "value",
                    unit.label,
                    help=span.format(least=least, most=most, range=range_of(row)),
                    value=str(row.value),
                    parse=number,
                    required=True,
                )
            ],
            spec=SettingSpec,
            update=settings.update_setting,
        )
        dialog.open()
