# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases of tests that need no empty one: people have signed in, and an image is READY."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from real_database import RealDatabase, Server, Template
from steps import add_image


@pytest.fixture(scope="session")
def furnished(server: Server) -> Iterator[Template]:
    """What tests marked ``furnished`` get clones of: an installation apart, with roles of its own."""
    with server.template() as empty, empty.furnished(add_image) as furnished:
        yield furnished


@pytest.fixture
def database(request: pytest.FixtureRequest, template: Template) -> Iterator[RealDatabase]:
    """A migrated database of the test's own; marked ``furnished``, with what is there already."""
    is_furnished = request.node.get_closest_marker("furnished") is not None
    chosen = request.getfixturevalue("furnished") if is_furnished else template
    with chosen.clone() as clone:
        yield clone
