# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tests ``make test-quick`` runs."""

from __future__ import annotations

import pytest
from quick import chosen

TESTS = {
    "tests/db/test_machines.py": "from steps import mac\nfrom ggnet_console.enums import Role\n",
    "tests/db/test_concurrent_edits.py": "from ggnet_console.services import images, machines\n",
    "tests/db/test_audit.py": "from ggnet_console.services.audit import verify_audit\n",
}


@pytest.mark.parametrize(
    ("path", "tests"),
    [
        ("ggnet_console/services/machines.py", ["concurrent_edits", "machines"]),
        ("ggnet_console/services/audit.py", ["audit"]),
        ("ggnet_console/ui/machines/page.py", ["machines"]),
        ("tests/db/test_audit.py", ["audit"]),
        ("tests/db/steps.py", ["machines"]),
        ("README.md", []),
        ("migrations/functions/machines.sql", ["audit", "concurrent_edits", "machines"]),
        ("tests/conftest.py", ["audit", "concurrent_edits", "machines"]),
    ],
)
def test_those_that_belong_to_what_has_changed(path: str, tests: list[str]) -> None:
    assert chosen({path}, TESTS) == [f"tests/db/test_{name}.py" for name in tests]
