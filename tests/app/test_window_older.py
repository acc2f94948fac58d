# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions and jobs of long ago: read page by page while scrolling, and while looking for one."""

from __future__ import annotations

import pytest
from real_database import RealDatabase

from ggnet_console.enums import Role
from ggnet_console.services.jobs import PAGE

JOBS = 2 * PAGE + 50


@pytest.fixture
def window(database: RealDatabase, window_of):
    """A window over many jobs that failed; the oldest one still runs."""
    database.rows(
        "INSERT INTO jobs (kind, host_id, status, object_name, error, created_by_name) "
        "SELECT 'target.apply', hosts.id, CASE WHEN n = 1 THEN 'RUNNING' ELSE 'FAILED' END"
        "::job_status, 'PC-' || lpad(n::text, 4, '0'), 'No room.', 'anna' "
        "FROM hosts, generate_series(1, %s) AS n ORDER BY n",
        JOBS,
    )
    return window_of(Role.VIEWER)


def names(page) -> set[str]:
    return {row.object_name for row in page.model.rows}


def expected(*numbers: int) -> set[str]:
    return {f"PC-{number:04}" for number in numbers}


def test_older_ones_come_while_scrolling_and_everything_open_is_there_at_once(qtbot, window):
    page = window.main_window.show_page("jobs")
    qtbot.waitUntil(lambda: page.model.total == PAGE + 1)
    assert names(page) == expected(1, *range(JOBS - PAGE + 1, JOBS + 1))
    assert page._number.text() == f"{PAGE + 1}+, 1 open"
    bar = page.view.verticalScrollBar()

    def at_the_end() -> bool:
        bar.setValue(bar.maximum())
        return page.model.total == JOBS

    qtbot.waitUntil(at_the_end)
    assert names(page) == expected(*range(1, JOBS + 1))
    assert page._number.text() == f"{JOBS}, 1 open"
    # What failed long ago is no news.
    assert window.main_window._toasts == []


def test_a_search_looks_among_older_ones_too(qtbot, window):
    page = window.main_window.show_page("jobs")
    qtbot.waitUntil(lambda: page.model.total == PAGE + 1)
    page.search.setText("PC-0002")
    qtbot.waitUntil(lambda: page.model.rowCount() == 1)
    assert page.model.row(0).object_name == "PC-0002"


def test_reading_everything_again_keeps_what_was_scrolled_to(qtbot, window, database):
    page = window.main_window.show_page("jobs")
    qtbot.waitUntil(lambda: page.model.total == PAGE + 1)
    page.search.setText("PC-0002")
    qtbot.waitUntil(lambda: page.model.rowCount() == 1)
    total = page.model.total
    database.rows("DELETE FROM jobs WHERE object_name = %s", f"PC-{JOBS:04}")
    window.workspace.on_restored()
    qtbot.waitUntil(lambda: page.model.total == total - 1)
    assert page.model.rowCount() == 1


def test_sessions_of_long_ago_are_read_in_the_same_way(qtbot, database, window_of):
    database.rows(
        "WITH machine AS (INSERT INTO machines (name, mac) VALUES ('PC-1', '525400000001') "
        "RETURNING id) INSERT INTO boot_sessions (machine_id, host_id, image_name, type, target_iqn, "
        "initiator_iqn, portal, lun, status, ended_at) SELECT machine.id, hosts.id, 'win11', 'TESTING', 'iqn.x', "
        "'iqn.y', '', 1, 'STOPPED', now() FROM machine, hosts, generate_series(1, %s)",
        JOBS,
    )
    page = window_of(Role.VIEWER).main_window.show_page("sessions")
    qtbot.waitUntil(lambda: page.model.total == PAGE)
    bar = page.view.verticalScrollBar()

    def at_the_end() -> bool:
        bar.setValue(bar.maximum())
        return page.model.total == JOBS

    qtbot.waitUntil(at_the_end)
