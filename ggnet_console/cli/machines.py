# SPDX-License-Identifier: GPL-3.0-or-later
"""``ggnet machine``: the PCs without disks."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated

import typer

from ..enums import BootMode, MachineStatus
from . import context
from .options import AsJson, one_of
from .output import print_list, print_one, say

app = typer.Typer(no_args_is_help=True, help="The PCs without disks.")

_COLUMNS = (
    *("name", "mac", "ip", "boot_mode", "status", "online", "room"),
    *("session_status", "image"),
)
_Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the machine.")]
_MAC = typer.Option("--mac", metavar="M", help="MAC address, in any usual notation.")
_MODE = one_of("--boot-mode", BootMode, "Firmware it boots with.")
_STATUS = one_of("--status", MachineStatus, "Only ACTIVE machines may be given sessions.")
_Ip = Annotated[str | None, typer.Option("--ip", metavar="A", help="IPv4 or IPv6 address.")]
_Location = Annotated[str | None, typer.Option("--location", metavar="L", help="Where it stands.")]
_Room = Annotated[str | None, typer.Option("--room", metavar="R", help="Its room.")]
_Tag = Annotated[str | None, typer.Option("--asset-tag", metavar="T", help="Inventory number.")]
_Notes = Annotated[str | None, typer.Option("--notes", metavar="N", help="Free text.")]


def _given(**values: object) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


@app.command(
    epilog="Example: ggnet machine add PC-01 --mac 52:54:00:12:34:01 --ip 10.0.2.11 --room B12"
)
def add(
    ctx: typer.Context,
    name: _Name,
    mac: Annotated[str, _MAC],
    ip: _Ip = None,
    boot_mode: Annotated[BootMode, _MODE] = BootMode.UEFI,
    status: Annotated[MachineStatus, _STATUS] = MachineStatus.ACTIVE,
    location: _Location = None,
    room: _Room = None,
    asset_tag: _Tag = None,
    notes: _Notes = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Add a machine."""
    from ..services import machines

    texts = {"location": location, "room": room, "asset_tag": asset_tag, "notes": notes}
    spec = machines.MachineSpec(
        name, mac, ip, boot_mode, status, **{k: v or "" for k, v in texts.items()}
    )
    with context.of(ctx).signed_in() as database, database.begin() as session:
        new_id = machines.create_machine(session, spec)
        row = machines.list_machines(session, [new_id])[0]
    if as_json:
        print_one(row, as_json=True)
    else:
        say(f"Added {row.name}.")


@app.command(name="list")
def list_(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """List all machines."""
    from ..services import machines

    with context.of(ctx).signed_in() as database, database.begin() as session:
        rows = machines.list_machines(session)
    print_list(rows, _COLUMNS, as_json=as_json)


@app.command()
def show(ctx: typer.Context, name: _Name, *, as_json: AsJson = False) -> None:
    """Show everything about one machine."""
    from ..services import machines

    with context.of(ctx).signed_in() as database, database.begin() as session:
        row = machines.get_machine(session, name)
    print_one(row, as_json=as_json)


@app.command(
    epilog="Only what is given changes; an empty text clears: ggnet machine edit PC-01 --ip ''"
)
def edit(
    ctx: typer.Context,
    name: _Name,
    new_name: Annotated[
        str | None, typer.Option("--name", metavar="NEW", help="A new name for it.")
    ] = None,
    mac: Annotated[str | None, _MAC] = None,
    ip: _Ip = None,
    boot_mode: Annotated[BootMode | None, _MODE] = None,
    status: Annotated[MachineStatus | None, _STATUS] = None,
    location: _Location = None,
    room: _Room = None,
    asset_tag: _Tag = None,
    notes: _Notes = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Change a machine."""
    from ..services import machines

    changes = _given(
        name=new_name,
        mac=mac,
        ip=ip,
        boot_mode=boot_mode,
        status=status,
        location=location,
        room=room,
        asset_tag=asset_tag,
        notes=notes,
    )
    with context.of(ctx).signed_in() as database, database.begin() as session:
        row = machines.get_machine(session, name)
        now = {field.name: getattr(row, field.name) for field in fields(machines.MachineSpec)}
        spec = machines.MachineSpec(**{**now, **changes})
        machines.update_machine(session, row, spec)
        row = machines.list_machines(session, [row.id])[0]
    if as_json:
        print_one(row, as_json=True)
    else:
        say(f"Changed {row.name}.")


@app.command()
def remove(
    ctx: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Names of machines.")],
) -> None:
    """Remove machines and their ended sessions; all of them or, when one cannot go, none."""
    from ..services import machines

    with context.of(ctx).signed_in() as database, database.begin() as session:
        rows = machines.get_machines(session, names)
        machines.delete_machines(session, [row.id for row in rows])
    say(f"Removed {', '.join(row.name for row in rows)}.")
