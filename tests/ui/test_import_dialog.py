# SPDX-License-Identifier: GPL-3.0-or-later
"""The name that an import proposes, and what is said of an image where it is chosen."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ggnet_console.demo.images import make_images
from ggnet_console.ui.image_choice import image_choice
from ggnet_console.ui.images import import_dialog


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("Win11.vhdx", "Win11"),
        ("disk.img.gz", "disk"),
        ("Win11.vhdx.zip", "Win11"),
        ("lab.qcow2.ZSTD", "lab"),
        ("appliance.ova", "appliance"),
        ("v1.2.gz", "v1.2"),
        ("x\u200f" * 70 + ".raw", "x" * 64),
    ],
)
def test_a_file_proposes_its_name_without_its_endings(file: str, name: str) -> None:
    assert import_dialog._suggested(Path("/srv", file)) == name


def test_every_packed_file_is_offered() -> None:
    for ending in import_dialog._PACKED:
        assert f"*{ending}" in import_dialog._FILES.split(";;")[0]


def test_whoever_chooses_an_image_hears_of_its_warning() -> None:
    image = replace(make_images(lambda *_, **__: datetime.now(UTC))[0], warning="")
    assert "warning" not in image_choice(image)
    assert "warning: see Images" in image_choice(replace(image, warning="It was cut off."))
