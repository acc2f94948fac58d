# SPDX-License-Identifier: GPL-3.0-or-later
"""``ggnet image``: disk images in, out and looked after."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..enums import ImageFormat, ImageType
from ..errors import ConsoleError
from . import context, job_waiter
from .options import AsJson, Wait, one_of, path
from .output import complain, print_list, print_one, say

if TYPE_CHECKING:
    from ..config import Config
    from ..db.engine import Database
    from ..services.images import ImageRow, ImageSpec, Upload
    from ..services.jobs import JobRow

app = typer.Typer(no_args_is_help=True, help="Disk images.")

_COLUMNS = (
    *("name", "status", "percent", "type", "source_format", "virtual_size_bytes"),
    *("actual_size_bytes", "used_by", "error", "warning"),
)
_Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the image.")]


@app.command(
    name="import",
    epilog="Example: ggnet image import win11.vhdx --name win11 --wait. RAW, QCOW2, VHDX, VHD "
    "and VMDK files are read, also packed with gzip, xz, zstd or zip, and OVA. A file whose name "
    "begins with a dash needs ./ before it. Ctrl+C cancels the import.",
)
def import_(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The disk image, read as you.")],
    name: Annotated[str, typer.Option("--name", metavar="N", help="Name the image gets.")],
    image_type: Annotated[
        ImageType, one_of("--type", ImageType, "What it is for.")
    ] = ImageType.SYSTEM,
    sha256: Annotated[
        str | None, typer.Option("--sha256", metavar="X", help="SHA-256 the file must have.")
    ] = None,
    md5: Annotated[
        str | None, typer.Option("--md5", metavar="X", help="MD5 the file must have.")
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(
            "--host",
            metavar="HOST",
            help="FILE is the bare name of a file in the import folder of this storage host.",
        ),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it is READY.")] = False,
    *,
    as_json: AsJson = False,
) -> None:
    """Copy a file in and have it checked and stored; prints the image as it is then."""
    from ..services import images

    if not file:
        raise ConsoleError("The name of the FILE is empty; name a disk image.")
    call = context.of(ctx)
    spec = images.ImageSpec(name, image_type)
    sha256, md5 = _expected(sha256, "SHA-256"), _expected(md5, "MD5")
    with call.signed_in() as database:
        begun: list[Upload] = []
        failure: ConsoleError | None = None
        try:
            if host is None:
                _upload(database, call.config, Path(file), spec, sha256, md5, begun)
            else:
                with database.begin() as session:
                    entry = images.start_entry_import(session, spec, host, file, sha256, md5)
                begun.append(entry)
            if wait:
                _finish_or_cancel(database, begun[0].job_id)
        except ConsoleError as error:
            if not begun:
                raise
            failure = error
        with database.begin() as session:
            rows = images.list_images(session, [begun[0].image_id])
    if as_json and rows:
        print_one(rows[0], as_json=True)
    if failure is not None:
        raise failure
    for row in rows:
        for said in filter(None, (row.warning, row.remarks)):
            complain(f"{row.name}: {said}")
        if not as_json:
            say(_imported(row, begun[0].job_id))


def _imported(row: ImageRow, job_id: int) -> str:
    if row.job_id is None:
        return f"{row.name} is {row.status}."
    return f"{row.name} is {row.status}; “ggnet job wait {job_id}” waits for it."


def _expected(digest: str | None, kind: str) -> str | None:
    """A script whose variable is empty is not to import unchecked."""
    from ..values import parse_digest

    if digest is not None and not digest.strip():
        raise ConsoleError(f"The expected {kind} is empty; name it, or leave the option out.")
    return parse_digest(digest, kind)


def _upload(
    database: Database,
    config: Config,
    source: Path,
    spec: ImageSpec,
    sha256: str | None,
    md5: str | None,
    begun: list[Upload],
) -> None:
    """Copy the file in; ``begun`` gets the image and job as soon as they exist."""
    from ..workers.upload import upload

    with job_waiter.progress_line() as show:
        upload(
            database,
            config,
            source,
            spec,
            sha256=sha256,
            md5=md5,
            started=begun.append,
            progress=partial(show, "Copying"),
        )


def _finish_or_cancel(database: Database, job_id: int) -> None:
    from ..services import jobs

    try:
        job_waiter.finish(database, job_id)
    except KeyboardInterrupt:
        complain("Cancelling …")
        with database.begin() as session:
            jobs.cancel_job(session, job_id)
        job_waiter.ended_job(database, job_id)
        raise


@app.command(name="list")
def list_(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """List all images."""
    from ..services import images

    with context.of(ctx).signed_in() as database, database.begin() as session:
        rows = images.list_images(session)
    print_list(rows, _COLUMNS, as_json=as_json)


@app.command()
def show(ctx: typer.Context, name: _Name, *, as_json: AsJson = False) -> None:
    """Show everything about one image."""
    from ..services import images

    with context.of(ctx).signed_in() as database, database.begin() as session:
        row = images.get_image(session, name)
    print_one(row, as_json=as_json)


@app.command(epilog="Example: ggnet image edit win11 --name win11-old --type TEMPLATE")
def edit(
    ctx: typer.Context,
    name: _Name,
    new_name: Annotated[
        str | None, typer.Option("--name", metavar="NEW", help="A new name for it.")
    ] = None,
    image_type: Annotated[ImageType | None, one_of("--type", ImageType, "What it is for.")] = None,
    notes: Annotated[
        str | None, typer.Option("--notes", metavar="N", help="Free text; empty text clears it.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Change an image's name, type or notes; only what is given changes."""
    from ..services import images

    with context.of(ctx).signed_in() as database, database.begin() as session:
        row = images.get_image(session, name)
        spec = images.ImageSpec(
            row.name if new_name is None else new_name,
            image_type or row.type,
            row.notes if notes is None else notes,
        )
        images.update_image(session, row, spec)
        row = images.list_images(session, [row.id])[0]
    if as_json:
        print_one(row, as_json=True)
    else:
        say(f"Changed {row.name}.")


@app.command()
def verify(ctx: typer.Context, name: _Name, wait: Wait = False, *, as_json: AsJson = False) -> None:
    """Have the stored file compared with the SHA-256 it was sealed with."""
    from ..services import images, jobs

    with context.of(ctx).signed_in() as database:
        with database.begin() as session:
            row = images.get_image(session, name)
            job = jobs.get_job(session, images.verify_image(session, row.id))
        if wait:
            job = job_waiter.ended_job(database, job.id)
    if as_json:
        print_one(job, as_json=True)
    if wait:
        job_waiter.require_success(job)
    if not as_json:
        say(f"{row.name} is as it was sealed." if wait else _queued(job))


@app.command(
    epilog="Example: ggnet image convert win11 --format VHDX --output win11.vhdx. Without "
    "--output the result stays in the exports folder of the storage host, which the user of its agent "
    "alone may read; its path is printed."
)
def convert(
    ctx: typer.Context,
    name: _Name,
    image_format: Annotated[ImageFormat, one_of("--format", ImageFormat, "Format to write.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", parser=path, metavar="FILE", help="Copy the result there; implies --wait."
        ),
    ] = None,
    wait: Wait = False,
    *,
    as_json: AsJson = False,
) -> None:
    """Write an image in another format, for use elsewhere."""
    from ..services import images, jobs

    call = context.of(ctx)
    if output is not None:
        _require_new(output)
    with call.signed_in() as database:
        with database.begin() as session:
            row = images.get_image(session, name)
            job = jobs.get_job(session, images.convert_image(session, row.id, image_format))
        if wait or output is not None:
            job = job_waiter.ended_job(database, job.id)
    if as_json:
        print_one(job, as_json=True)
    if job.open:
        if not as_json:
            say(_queued(job))
        return
    job_waiter.require_success(job)
    result = call.config.tree.exports / str(job.result["file"])
    if output is not None:
        _fetch(result, output, job.host)
    if as_json:
        return
    if output is not None:
        say(str(output))
    elif job.host == call.config.host:
        say(str(result))
    else:
        say(f"{result.name} lies in the exports folder of {job.host}.")


def _queued(job: JobRow) -> str:
    return f"Job {job.id} is {job.status}; “ggnet job wait {job.id}” waits for it."


def _require_new(output: Path) -> None:
    """ConsoleError unless a new file can be made there; better said before a long conversion."""
    if os.path.lexists(output):
        raise ConsoleError(f"“{output}” exists already; choose another name or remove it first.")
    if not os.access(output.absolute().parent, os.W_OK | os.X_OK):
        raise ConsoleError(f"You cannot write into the folder of “{output}”; choose another one.")


def _fetch(result: Path, output: Path, host: str) -> None:
    """Copy an export out with the caller's own rights."""
    from ..tools.copying import copy_in

    if not os.access(result, os.R_OK):
        raise ConsoleError(
            f"The result lies in the exports folder of {host}, which the user of its agent alone "
            f"may read; fetch {result.name} there."
        )
    try:
        copy_in(result, output)
    except OSError as error:
        raise ConsoleError(f"“{output}” cannot be written: {error.strerror}.") from error


@app.command()
def remove(ctx: typer.Context, name: _Name) -> None:
    """Remove an image and its stored file; refused while a target serves it."""
    from ..services import images

    with context.of(ctx).signed_in() as database:
        with database.begin() as session:
            row = images.get_image(session, name)
            job_id = images.remove_image(session, row.id)
        job_waiter.finish(database, job_id)
    say(f"Removed {row.name}.")
