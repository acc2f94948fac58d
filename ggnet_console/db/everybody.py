# SPDX-License-Identifier: GPL-3.0-or-later
"""What everybody who connects may do with PostgreSQL itself, and what is taken from everybody.

A server trusts those who connect not to use it up: any role may fill its table of locks, its disk
or its queue of notifications. Whoever may not is asked here. Done in the database by a superuser,
when it is made, with every upgrade by one, ``ggnet db setup-server`` and ``add-host``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

if TYPE_CHECKING:
    import psycopg

_COUNTED = (
    *("blocks_fetched", "blocks_hit", "numscans", "function_calls", "function_self_time"),
    *("function_total_time", "tuples_deleted", "tuples_fetched", "tuples_hot_updated"),
    *("tuples_inserted", "tuples_newpage_updated", "tuples_returned", "tuples_updated"),
)
MAY_CALL = frozenset(
    {
        # Time, chance, numbers.
        *("clock_timestamp", "timeofday", "random", "setseed", "gen_random_uuid"),
        # Sequences, which have rights of their own; settings of the connection; itself asleep.
        *("nextval", "currval", "lastval", "setval", "set_config", "current_query"),
        *("pg_sleep", "pg_sleep_for", "pg_sleep_until"),
        # What NOTIFY does as well; the agent ends those who keep the queue from being emptied.
        "pg_notify",
        # Look: at what runs, at sizes, at the server's state.
        *("pg_lock_status", "pg_blocking_pids", "pg_safe_snapshot_blocking_pids"),
        *("pg_notification_queue_usage", "pg_prepared_xact", "pg_sequence_last_value"),
        *("pg_stat_clear_snapshot", "pg_stat_force_next_flush", "pg_xact_status", "txid_status"),
        *("pg_database_size", "pg_tablespace_size", "pg_relation_size", "pg_table_size"),
        *("pg_indexes_size", "pg_total_relation_size", "pg_partition_tree"),
        *("pg_partition_ancestors", "pg_is_in_recovery", "pg_jit_available"),
        *("pg_current_wal_lsn", "pg_last_wal_receive_lsn", "pg_last_wal_replay_lsn"),
        *("pg_collation_actual_version", "pg_database_collation_actual_version"),
        *(f"pg_stat_get_xact_{name}" for name in _COUNTED),
        "pg_stat_get_recovery_prefetch",
        # Looks at a body; whoever makes a function calls it.
        "plpgsql_validator",
    }
)
"""The volatile functions of ``pg_catalog`` that everybody may call; all others change, hold or fill
something, or are for the server's own use. What is not volatile holds and fills nothing."""

TEMP_FILE_LIMIT = "128MB"
"""How much of the disk one connection of a person, a console or an agent fills with sorting."""

_OPEN = """
    SELECT format('FUNCTION %%s', oid::regprocedure) FROM pg_catalog.pg_proc p
    WHERE pronamespace = 'pg_catalog'::regnamespace AND provolatile = 'v'
        AND proname <> ALL (%s) AND EXISTS (
            SELECT FROM aclexplode(coalesce(proacl, acldefault('f', proowner))) AS acl
            WHERE acl.grantee = 0)
    UNION ALL
    SELECT format('LANGUAGE %%I', lanname) FROM pg_catalog.pg_language
    WHERE lanpltrusted AND lanname <> 'sql' AND EXISTS (
        SELECT FROM aclexplode(coalesce(lanacl, acldefault('l', lanowner))) AS acl
        WHERE acl.grantee = 0)
    ORDER BY 1
"""


def still_open(connection: psycopg.Connection) -> list[str]:
    """What everybody may use and should not, as ``FUNCTION name(arguments)`` or ``LANGUAGE name``.

    A language is for anonymous blocks, which write megabytes into the server's log in a loop.
    """
    return [name for (name,) in connection.execute(_OPEN, [sorted(MAY_CALL)])]


def take(connection: psycopg.Connection, owner: str, broker: str, signaller: str) -> None:
    """Take from everybody what is ``still_open``; the group roles keep what they need.

    ``connection`` is a superuser's, inside the database.
    """
    for name in still_open(connection):
        connection.execute(sql.SQL("REVOKE ALL ON {} FROM PUBLIC").format(sql.SQL(name)))
    for given, role in (
        # Functions are made in this language; one upgrade at a time.
        ("USAGE ON LANGUAGE plpgsql", owner),
        ("EXECUTE ON FUNCTION pg_advisory_xact_lock(bigint)", owner),
        ("EXECUTE ON FUNCTION pg_terminate_backend(int, bigint)", signaller),
        ("EXECUTE ON FUNCTION pg_export_snapshot()", owner),  # for pg_dump -j
        # It counts failed sign-ins one at a time, under a lock.
        ("EXECUTE ON FUNCTION pg_advisory_xact_lock(bigint)", broker),
    ):
        connection.execute(sql.SQL("GRANT {} TO {}").format(sql.SQL(given), sql.Identifier(role)))
    # So that it limits the sign-ins it makes. All databases of the server have it in one place.
    limits = connection.execute(
        "SELECT has_parameter_privilege(%s, 'temp_file_limit', 'SET')", [broker]
    )
    if limits.fetchone() == (False,):
        connection.execute(
            sql.SQL("GRANT SET ON PARAMETER temp_file_limit TO {}").format(sql.Identifier(broker))
        )
