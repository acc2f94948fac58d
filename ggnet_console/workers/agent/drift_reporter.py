# SPDX-License-Identifier: GPL-3.0-or-later
"""The drift reporter: makes reports of comparisons, measures traffic, writes what has changed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from ...db.engine import Database
from ...enums import FoundIn
from ...services import hosts, target_reports
from ...services.hosts import HEARTBEAT_S
from ...services.target_reports import FieldDrift, LunRate, Report, SeenInitiator, SeenLun
from ...tools.target_backend import Connection, LunTraffic
from ...tools.target_comparison import Comparison, Finding
from ...tools.target_drawing import draw


class DriftReporter:
    """What was last reported of one host; one thread at a time uses it."""

    def __init__(self, database: Database, host_id: int) -> None:
        self._database = database
        self._host_id = host_id
        self._written: dict[str, Report] | None = None
        self._told: tuple[str, int] | None = None
        self._told_at = 0.0
        self._counters: dict[tuple[str, int], LunTraffic] = {}
        self._counted_at: float | None = None

    def write(
        self,
        comparison: Comparison,
        target_ids: Mapping[str, int],
        refusals: Mapping[str, str],
        undoable: int,
    ) -> None:
        """Write what differs from the last time.

        ``target_ids`` are those of wanted targets, ``refusals`` say why what others made cannot be
        adopted ("": it can).
        """
        rates = self._measure(comparison.connections)
        reports = {
            one.iqn: _report(
                one,
                target_ids.get(one.iqn),
                comparison.connections,
                rates,
                refusals.get(one.iqn),
            )
            for one in comparison.findings
        }
        told = (comparison.saved_problem, undoable)
        now = time.monotonic()
        with self._database.begin() as session:
            if self._written is None:
                known = target_reports.list_reports(session, self._host_id)
                self._written = {one.iqn: one for one in known}
            changed = [one for iqn, one in reports.items() if self._written.get(iqn) != one]
            gone = self._written.keys() - reports.keys()
            if changed or gone:
                target_reports.write_reports(session, self._host_id, changed, gone)
            if changed or gone or told != self._told or now - self._told_at >= HEARTBEAT_S:
                hosts.note_compared(session, self._host_id, *told)
                self._told_at = now
        self._written, self._told = reports, told

    def forget(self) -> None:
        """Somebody else changed reports: read them again before the next comparison."""
        self._written = None

    def _measure(self, connections: Iterable[Connection]) -> dict[str, tuple[LunRate, ...]]:
        """Traffic per second of each target's LUNs since the last call; 0 of whom it did not see.

        LIO's counters go on over logins: what somebody who comes back had moved before is not of
        this moment.
        """
        now = time.monotonic()
        elapsed = now - self._counted_at if self._counted_at is not None else None
        counters: dict[tuple[str, int], LunTraffic] = {}
        sums: dict[str, dict[int, LunRate]] = {}
        for one in connections:
            of_target = sums.setdefault(one.target_iqn, {})
            for lun in one.luns:
                counters[one.key, lun.lun] = lun
                last = self._counters.get((one.key, lun.lun), lun)
                rate = _rate(lun, last, elapsed)
                other = of_target.get(lun.lun)
                of_target[lun.lun] = rate if other is None else _sum(rate, other)
        self._counters, self._counted_at = counters, now
        return {iqn: tuple(rates[lun] for lun in sorted(rates)) for iqn, rates in sums.items()}


def _rate(lun: LunTraffic, last: LunTraffic, elapsed: float | None) -> LunRate:
    if not elapsed:
        return LunRate(lun.lun, 0, 0, None if lun.commands is None else 0)
    return LunRate(
        lun.lun,
        round((lun.bytes_read - last.bytes_read) / elapsed),
        round((lun.bytes_written - last.bytes_written) / elapsed),
        None if lun.commands is None else round((lun.commands - (last.commands or 0)) / elapsed),
    )


def _sum(one: LunRate, other: LunRate) -> LunRate:
    counted = one.commands_per_s is not None and other.commands_per_s is not None
    return LunRate(
        one.lun,
        one.bytes_read_per_s + other.bytes_read_per_s,
        one.bytes_written_per_s + other.bytes_written_per_s,
        (one.commands_per_s or 0) + (other.commands_per_s or 0) if counted else None,
    )


def _report(
    finding: Finding,
    target_id: int | None,
    connections: Iterable[Connection],
    rates: Mapping[str, tuple[LunRate, ...]],
    refusal: str | None,
) -> Report:
    here = [one for one in connections if one.target_iqn == finding.iqn]
    differences = [
        FieldDrift(one.field, one.wanted, one.found, where)
        for found, where in (
            (finding.running_differences, FoundIn.RUNNING),
            (finding.saved_differences, FoundIn.SAVED),
        )
        for one in found
    ]
    found = finding.running or finding.saved
    return Report(
        iqn=finding.iqn,
        target_id=target_id,
        drift=finding.drift,
        is_foreign=finding.is_foreign,
        differences=tuple(differences),
        sessions=len(here),
        connections=tuple(
            sorted({SeenInitiator(one.initiator_iqn, one.address) for one in here}, key=repr)
        ),
        cut_off=tuple(sorted(finding.cut)),
        rates=rates.get(finding.iqn, ()),
        portals=tuple(sorted(found.portals)) if found else (),
        initiators=tuple(sorted(found.initiators)) if found else (),
        luns=tuple(SeenLun(lun.lun, str(lun.path), lun.serial, lun.read_only) for lun in found.luns)
        if found
        else (),
        chap_user=found.chap.user if found and found.chap else "",
        unsupported=refusal if refusal is not None else found.unsupported if found else "",
        tree=draw(found, here) if found else "",
    )
