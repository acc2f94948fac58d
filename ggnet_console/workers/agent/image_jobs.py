# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs on images: import, verify, convert, remove."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from ...enums import ImageFormat, JobKind
from ...errors import ConsoleError, sentence
from ...services import agent_jobs
from ...tools import disk_images, storage
from ...tools.copying import copy_in, open_incoming, open_offered
from ...tools.disk_images import Phase, RawImage
from ...tools.sandbox import Sandbox
from .job import Job

_SPANS = {
    Phase.UNPACKING: (0.0, 40.0),
    Phase.CHECKING: (0.0, 5.0),
    Phase.CONVERTING: (5.0, 60.0),
    Phase.COMPARING: (60.0, 100.0),
    Phase.HASHING: (60.0, 100.0),
}
"""Percent of the job, as long as nothing better is known."""
_FETCHING = (0.0, 40.0)
"""Where the file is copied by the job itself; the rest is the other phases'."""
_WORDS = {
    Phase.UNPACKING: "Unpacking",
    Phase.CHECKING: "Checking",
    Phase.CONVERTING: "Converting",
    Phase.COMPARING: "Comparing",
    Phase.HASHING: "Hashing",
}


class ImageJob(Job):
    """What the jobs on one image share."""

    _begun = 0.0
    """Percent of the job that were done before the first of the phases."""
    _seconds: Mapping[Phase, float] = {}
    """What is planned of the phases to come."""

    @property
    def image_id(self) -> int:
        """The image worked on; ConsoleError when it is gone."""
        if self.task.image_id is None:
            raise ConsoleError(
                sentence("The image “{image}” no longer exists.", image=self.task.object_name)
            )
        return self.task.image_id

    def newest(self) -> agent_jobs.StoredVersion:
        """The newest sealed version; ConsoleError when there is none."""
        with self.context.database.begin() as session:
            versions = agent_jobs.stored_versions(session, self.image_id)
        if not versions:
            raise ConsoleError(
                sentence("The image “{image}” has no stored file.", image=self.task.object_name)
            )
        return versions[0]

    def plan(self, seconds: Mapping[Phase, float]) -> None:
        """Learn what is still to be done, so that percent and time left go by it."""
        self._seconds = seconds

    def note(self, phase: Phase, done: int, total: int) -> None:
        """Progress of the tools, as the job's."""
        span = _SPANS[phase]
        after_s = None
        if self._seconds and phase is not Phase.CHECKING:
            hashing_s = self._seconds[Phase.HASHING]
            converting_s = self._seconds.get(Phase.CONVERTING, 0.0)
            checked = _SPANS[Phase.CHECKING][1]
            converted = checked + (100 - checked) * converting_s / (converting_s + hashing_s)
            if phase is Phase.CONVERTING:
                span, after_s = (checked, converted), hashing_s
            else:
                span, after_s = (converted, 100.0), 0.0
        begin, end = (self._begun + (100 - self._begun) * at / 100 for at in span)
        self.context.progress(_WORDS[phase], done, total, (begin, end), after_s)
        if phase is Phase.UNPACKING and done == total:
            self._begun = end


class ImportImage(ImageJob):
    """PROCESSING: make the sealed raw image out of what was handed over."""

    kind = JobKind.IMAGE_IMPORT
    made: RawImage

    def prepare(self) -> None:
        folder = self.context.work_folder
        folder.mkdir(mode=0o700, exist_ok=True)
        held, destination = self._held(), self._destination()
        if destination.exists() and not held.exists():
            # A raw source was sealed as it was, and the agent died before that was recorded.
            destination.rename(held)
        if held.exists() and not held.is_symlink():
            held.chmod(0o600)  # it may have been on its way there
        entry = self.task.params.get("entry")
        if entry is not None and not held.exists():
            self._fetch(entry)
        self.context.persist(lambda session: agent_jobs.begin_processing(session, self.image_id))

    def work(self) -> dict[str, Any]:
        held = self._held()
        self.made = disk_images.make_raw(
            held if held.exists() else self._incoming(),
            self.context.work_folder,
            self._destination(),
            name=self.task.object_name,
            sandbox=Sandbox.for_job(self.task.job_id),
            max_virtual_size_bytes=self.context.setting("max_virtual_size_bytes"),
            timeout_s=self.context.setting("image_timeout_s"),
            planned=self.plan,
            progress=self.note,
            tick=self.context.tick,
        )
        return {"sha256": self.made.sha256}

    def finish(self, session: Session, result: dict[str, Any]) -> None:
        agent_jobs.finish_import(
            session,
            self.image_id,
            self.made.source_format,
            result["sha256"],
            self.made.virtual_size_bytes,
            self.made.actual_size_bytes,
            self.made.contents,
            self.made.warning or "",
            " ".join(self.made.remarks),
        )

    def discard(self) -> None:
        (self.context.work_folder / disk_images.PART_NAME).unlink(missing_ok=True)

    def revert(self, session: Session, error: ConsoleError) -> None:
        if self.task.image_id is not None:
            agent_jobs.fail_import(session, self.task.image_id, error.summary)

    def _held(self) -> Path:
        return self.context.work_folder / disk_images.SOURCE_NAME

    def _destination(self) -> Path:
        return self.context.tree.image_file(self.image_id, 1)

    def _incoming(self) -> Path:
        """The handed-over file, by the id of its upload, never by a name somebody typed."""
        upload_id = str(self.task.params["upload_id"])
        incoming = self.context.tree.incoming
        if (incoming / upload_id).exists():
            os.close(open_incoming(incoming, upload_id))
        return incoming / upload_id

    def _fetch(self, entry: str) -> None:
        """Copy an entry of the import folder that this host's configuration names."""
        folder = self.context.config.import_folder
        if folder is None:
            raise ConsoleError(
                sentence(
                    "This storage host has no import folder; set import_folder in its configuration."
                )
            )
        fd = open_offered(folder, entry)
        with contextlib.closing(os.fdopen(fd, "rb")):
            storage.require_space(self.context.tree.incoming, fd)
            target = self._incoming()
            target.unlink(missing_ok=True)
            copied = copy_in(
                fd,
                target,
                expected_sha256=self.task.params.get("sha256"),
                expected_md5=self.task.params.get("md5"),
                progress=lambda done, total: self.context.progress(
                    "Copying", done, total, _FETCHING
                ),
                tick=self.context.tick,
            )
        self._begun = _FETCHING[1]
        self.context.persist(
            lambda session: agent_jobs.begin_processing(
                session, self.image_id, copied.size_bytes, copied.sha256
            )
        )


class VerifyImage(ImageJob):
    """Compare the stored file with the SHA-256 it was sealed with."""

    kind = JobKind.IMAGE_VERIFY

    def work(self) -> dict[str, Any]:
        version = self.newest()
        found = disk_images.verify_raw(
            self.context.tree.image_file(version.image_id, version.number),
            progress=lambda _phase, done, total: self.context.progress("Verifying", done, total),
            tick=self.context.tick,
        )
        if found == version.sha256:
            self.context.persist(lambda session: agent_jobs.note_verified(session, version.id))
            return {"sha256": found}
        message = sentence(
            "The stored file of “{image}” is damaged: its SHA-256 is {found}, but {sealed} was "
            "sealed. Import the image again.",
            image=self.task.object_name,
            found=found,
            sealed=version.sha256,
        )
        self.context.persist(
            lambda session: agent_jobs.note_damaged(session, version.image_id, message)
        )
        raise ConsoleError(message)


class ConvertImage(ImageJob):
    """Export the newest version into the host's ``exports`` folder."""

    kind = JobKind.IMAGE_CONVERT

    def work(self) -> dict[str, Any]:
        version = self.newest()
        wanted = ImageFormat(self.task.params["format"])
        name = f"image-{version.image_id}-{version.number}-{self.task.job_id}.{wanted.lower()}"
        destination = self.context.tree.exports / name
        destination.unlink(missing_ok=True)  # of an attempt that was interrupted
        size = disk_images.export(
            self.context.tree.image_file(version.image_id, version.number),
            destination,
            wanted,
            name=self.task.object_name,
            sandbox=Sandbox.for_job(self.task.job_id),
            timeout_s=self.context.setting("image_timeout_s"),
            progress=self.note,
            tick=self.context.tick,
        )
        return {"file": name, "size_bytes": size, "format": wanted.value}


class RemoveImage(ImageJob):
    """Forget the image, then delete its files."""

    kind = JobKind.IMAGE_REMOVE

    def work(self) -> dict[str, Any]:
        if self.task.image_id is None:  # forgotten by an attempt that was interrupted then
            return {"files": 0}

        def forget(session: Session) -> list[agent_jobs.StoredVersion]:
            versions = agent_jobs.stored_versions(session, self.image_id)
            agent_jobs.forget_image(session, self.image_id)
            return versions

        versions = self.context.persist(forget)
        # From here on nobody can be given the image; what a crash leaves is cleaned at start.
        for version in versions:
            self.context.tree.image_file(version.image_id, version.number).unlink(missing_ok=True)
        return {"files": len(versions)}
