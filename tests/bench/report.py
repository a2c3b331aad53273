# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was measured, compared and promised: as a table for people, as JSON for the next run."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.bench.measure import Series

COUNT = "count"
RATIO = "ratio"
TIME = "time"
_LIBRARIES = ("ansible-core", "ansible", "pyvmomi", "requests", "lxml")


@dataclass(frozen=True)
class Figure:
    """One measured value."""

    case: str
    quantity: str
    value: float
    unit: str


@dataclass(frozen=True)
class Ratio:
    """Two figures of the same run, compared."""

    of: str
    to: str
    quantity: str
    value: float


@dataclass(frozen=True)
class Promise:
    """What is promised: that a count of requests, a ratio to a peer or bound, or a time, is at most ``bound``."""

    promise: str
    kind: str
    measured: float
    bound: float

    @property
    def kept(self) -> bool:
        return self.measured <= self.bound


@dataclass
class Findings:
    """All about one subject."""

    subject: str
    notes: list[str]
    figures: list[Figure] = field(default_factory=list)
    ratios: list[Ratio] = field(default_factory=list)
    promises: list[Promise] = field(default_factory=list)

    def add(self, case: str, quantity: str, value: float, unit: str = "") -> None:
        """Take in one value."""
        self.figures.append(Figure(case, quantity, value, unit))

    def add_series(self, case: str, series: Series, requests: bool = True) -> None:
        """Take in the medians of one contender."""
        self.add(case, "wall", series.wall, "s")
        self.add(case, "CPU", series.cpu, "s")
        if requests:
            self.add(case, "requests", series.requests.total())

    def compare(self, of: str, to: str, quantity: str) -> float:
        """Note the ratio of two figures and return it."""
        value = self.value(of, quantity) / self.value(to, quantity)
        ratio = Ratio(of, to, quantity, value)
        if ratio not in self.ratios:
            self.ratios.append(ratio)
        return value

    def value(self, case: str, quantity: str) -> float:
        """The figure with this case and quantity."""
        return next(figure.value for figure in self.figures if (figure.case, figure.quantity) == (case, quantity))

    def promise(self, promise: str, kind: str, measured: float, bound: float) -> None:
        """Hold a promise against what was measured."""
        self.promises.append(Promise(promise, kind, measured, bound))


def exit_code(promises: Iterable[Promise], strict: bool) -> int:
    """1 when a promised count is exceeded or, if ``strict``, a ratio or time, which depends on what else the machine does; else 0."""
    return int(any(not promise.kept and (strict or promise.kind == COUNT) for promise in promises))


def machine() -> dict[str, Any]:
    """Where this was measured."""
    models = (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    return {
        "processor": next(models, platform.machine()),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
        **{name: version(name) for name in _LIBRARIES},
    }


def as_json(about: dict[str, Any], rounds: int, subjects: Sequence[Findings]) -> dict[str, Any]:
    """Everything, for build/bench.json."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": about,
        "rounds": rounds,
        "subjects": [
            {
                "subject": findings.subject,
                "notes": findings.notes,
                "figures": [asdict(figure) for figure in findings.figures],
                "ratios": [asdict(ratio) for ratio in findings.ratios],
            }
            for findings in subjects
        ],
        "promises": [{**asdict(promise), "kept": promise.kept} for findings in subjects for promise in findings.promises],
    }


def as_text(findings: Findings) -> str:
    """One subject, for people."""
    parts = [findings.subject, *(f"  {note}" for note in findings.notes), "", table(_pivot(findings.figures))]
    if findings.ratios:
        rows = _pivot([Figure(f"{ratio.of} : {ratio.to}", ratio.quantity, ratio.value, "") for ratio in findings.ratios])
        parts += ["", table([["ratio", *rows[0][1:]], *rows[1:]])]
    if findings.promises:
        rows = [[promise.promise, _number(promise.measured), _number(promise.bound), _verdict(promise)] for promise in findings.promises]
        parts += ["", table([["promise", "measured", "at most", ""], *rows])]
    return "\n".join(parts)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows in columns, the first to the left, the others to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(_line(row, widths) for row in rows)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(row, widths, strict=True)
    return "  ".join(["", first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)])


def _pivot(figures: Sequence[Figure]) -> list[list[str]]:
    columns = list(dict.fromkeys((figure.quantity, figure.unit) for figure in figures))
    cells = {(figure.case, figure.quantity, figure.unit): _number(figure.value) for figure in figures}
    cases = dict.fromkeys(figure.case for figure in figures)
    header = ["", *(f"{quantity} {unit}".strip() for quantity, unit in columns)]
    return [header, *([case, *(cells.get((case, *column), "") for column in columns)] for case in cases)]


def _number(value: float) -> str:
    """Three significant digits, or all of a whole number."""
    if float(value).is_integer():
        return str(int(value))
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def _verdict(promise: Promise) -> str:
    return "KEPT" if promise.kept else "BROKEN"
