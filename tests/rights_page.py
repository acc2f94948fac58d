# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m tests.rights_page docs/rights.md``: the declared rights matrix as a page of the docs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from ggnet_console.db.everybody import MAY_CALL, TEMP_FILE_LIMIT
from ggnet_console.db.rights import INNER, MATRIX, NOBODY, Holder, Right
from ggnet_console.enums import Role
from ggnet_console.services.rights import list_rights

HEAD = """\
# Who may do what

Made by `make rights-page` from `ggnet_console/db/rights.py`, from which the migrations make the grants; do
not edit. Tests try every cell on a real server, as the role in question.

## People

Rights are PostgreSQL grants to the role of a sign-in: they hold in the window, for `ggnet` and for
`psql` alike. A user that was given its password by somebody else may only change it at first.

"""
EXACT = """
## Every grant

`console` is the role before sign-in, `newcomer` a user that has to change its password, `agent`
the program of a storage host. What is not on this page is refused. OPERATOR has VIEWER's rights as well,
ADMIN those of both.

"""
PLAIN = """
## What PostgreSQL lets everybody do

Of its functions that hold, change or fill something (`VOLATILE` ones in `pg_catalog`), everybody who
connects may call these and no others: """
BOUNDED = """.

Nobody but the owner writes blocks in a procedural language. One connection fills at most {limit} of the
disk with sorting, and one process of an embedded server takes at most 1 GiB of memory (on a shared server its
administrator limits that, with systemd or ulimit). A person has at most 32 connections, and the server keeps 10
free, for agents and admins: every two seconds the agent ends the newest of whoever has most. It also ends a
connection that others wait for, that holds more than 500 locks, that does not show itself while it connects
(`post_auth_delay`), that keeps the queue of notifications from being cleared, or whose transaction is open for
10 minutes. A server with `max_prepared_transactions` above 0 lets a person keep locks without a connection, and
one with a small `max_locks_per_transaction` is filled between two looks; `ggnet db setup-server` says so.

What PostgreSQL cannot keep anybody from: using processor and memory for queries of their own, sending
notifications, and writing into the server's log what a statement of theirs was refused for.
"""
BENEATH = """
## Beneath

`broker` is nobody's sign-in: it owns the functions that make and end sign-ins. `_N` stands for the
number of a counter.

"""
NOBODYS = """
To these nobody has a right; functions of ours use them: """
ROWS = """
Agents write rows of their own storage host alone: row-level policies on the tables they may write, and
on the queue, compare `hosts.agent_role` with the role that is connected.
"""
NAMES = {Holder.AGENT: "agent"}
_BY_COLUMN = {"SELECT", "INSERT", "UPDATE"}


def page() -> str:
    """The whole page."""
    people = _table(("", "", *(role.value for role in Role)), _deeds())
    titles = ("object", "right", "columns", "held by")
    exact, beneath = (_table(titles, _grants(rights)) for rights in (MATRIX, INNER))
    nobodys = ", ".join(f"`{name}`" for name in sorted(NOBODY))
    plain = ", ".join(f"`{name}()`" for name in sorted(MAY_CALL))
    bounded = BOUNDED.format(limit=TEMP_FILE_LIMIT.replace("MB", " MiB"))
    everybodys = f"{PLAIN}{plain}{bounded}"
    return f"{HEAD}{people}{EXACT}{exact}{ROWS}{everybodys}{BENEATH}{beneath}{NOBODYS}{nobodys}.\n"


def _table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(titles)]
    lines += [["---"] * len(lines[0]), *map(list, rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _deeds() -> Iterator[tuple[str, ...]]:
    noun = ""
    for right in list_rights():
        marks = ("✓" if role in right.roles else "" for role in Role)
        yield ("" if right.noun == noun else f"**{right.noun}**", right.action, *marks)
        noun = right.noun


def _grants(rights: Iterable[Right]) -> list[tuple[str, str, str, str]]:
    return sorted(
        (
            f"`{name}()`" if right.verb == "EXECUTE" else f"`{name}`",
            right.verb,
            ", ".join(right.columns) or ("all" if right.verb in _BY_COLUMN else ""),
            ", ".join(NAMES.get(holder, holder.value) for holder in right.holders),
        )
        for right in rights
        for name in right.objects
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), "utf-8")
