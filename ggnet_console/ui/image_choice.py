# SPDX-License-Identifier: GPL-3.0-or-later
"""An image as something to choose: whoever gives a disk to machines hears what is wrong with it."""

from __future__ import annotations

from ..services.images import ImageRow
from .kit import format as fmt
from .kit.translate import tr


def image_choice(image: ImageRow) -> str:
    """Its name and size, and whether there is a warning on it."""
    parts = [image.name, fmt.size(image.virtual_size_bytes)]
    if image.warning:
        parts.append(tr("warning: see Images"))
    return "   ".join(parts)  # no text
