# SPDX-License-Identifier: GPL-3.0-or-later
"""Values come from a query's columns by their names, and nothing is missing or left over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import Connection, create_engine, literal, select, text

from ggnet_console.services.rows import first_row, one_row, rows, rows_by


@dataclass(frozen=True, slots=True)
class Disk:
    id: int
    name: str
    size_bytes: int | None = None


@dataclass(frozen=True)
class Kept(Disk):
    places: tuple[str, ...] = ()


@pytest.fixture
def database() -> Iterator[Connection]:
    """Any database will do: what is asked for are the names of columns."""
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


ID, NAME, SIZE = literal(1).label("id"), literal("a").label("name"), literal(5).label("size_bytes")


@pytest.mark.parametrize("columns", [(ID, NAME, SIZE), (SIZE, ID, NAME), (NAME, SIZE, ID)])
def test_the_order_of_columns_does_not_matter(database, columns):
    assert rows(database.execute(select(*columns)), Disk) == [Disk(1, "a", 5)]


@pytest.mark.parametrize("make", [rows, first_row, one_row], ids=lambda make: make.__name__)
@pytest.mark.parametrize(
    "columns",
    [
        (ID, SIZE),
        (ID, NAME),
        (ID, NAME, SIZE, literal(1).label("room")),
        (ID, NAME, SIZE, literal(1).label("size_byte")),
        (ID, NAME, SIZE, NAME),
        (ID, NAME, literal(5).label("size")),
    ],
    ids=["missing", "missing default", "extra", "misspelt", "twice", "not labelled"],
)
def test_a_column_missing_or_left_over_is_an_error_that_names_them(database, make, columns):
    with pytest.raises(TypeError, match="Disk has the fields id, name, size_bytes; the query has"):
        make(database.execute(select(*columns)), Disk)


def test_no_row_with_the_wrong_columns_is_an_error_as_well(database):
    with pytest.raises(TypeError, match="columns id, name"):
        rows(database.execute(select(ID, NAME).where(literal(0) == 1)), Disk)


def test_a_field_may_be_made_of_the_row(database):
    found = rows(
        database.execute(select(ID, NAME, SIZE)),
        Kept,
        places=lambda row: (f"of {row.id}",),
        name=lambda row: row.name.upper(),
    )
    assert found == [Kept(1, "A", 5, ("of 1",))]
    with pytest.raises(TypeError):
        rows(database.execute(select(ID, NAME, SIZE)), Disk, places=lambda _row: ())


def test_one_row_or_the_first_or_none(database):
    query = text("SELECT 1 AS id, 'a' AS name, 2 AS size_bytes")
    both = text("SELECT 1 AS id, 'a' AS name, 2 AS size_bytes UNION ALL SELECT 2, 'b', 3")
    none = text("SELECT 1 AS id, 'a' AS name, 2 AS size_bytes WHERE false")
    assert one_row(database.execute(query), Disk) == Disk(1, "a", 2)
    assert first_row(database.execute(both), Disk) == Disk(1, "a", 2)
    assert first_row(database.execute(none), Disk) is None
    for other in (both, none):
        with pytest.raises(ValueError, match="values to unpack"):
            one_row(database.execute(other), Disk)


def test_groups_keep_the_order_of_their_rows(database):
    query = text(
        "SELECT 'a' AS name, 7 AS host, 1 AS id, 5 AS size_bytes UNION ALL "
        "SELECT 'b', 8, 2, NULL UNION ALL SELECT 'c', 7, 3, 6"
    )
    assert rows_by(database.execute(query), "host", Disk) == {
        7: (Disk(1, "a", 5), Disk(3, "c", 6)),
        8: (Disk(2, "b", None),),
    }
    with pytest.raises(TypeError, match="the query has the columns name, host, id, size_bytes"):
        rows_by(database.execute(query), "room", Disk)
