# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tells which single mutants of a module its unit tests do not notice; see README.md beside this file."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.mutants.mistakes import Mutant
from tests.mutants.trial import Trial, load_libraries, survivors

ROOT = Path(__file__).resolve().parents[2]
COLLECTIONS = ROOT / "build" / "collections"
SHARED = "plugins/module_utils/_san"
TESTS = "tests/unit/module_utils/_san"
SETTINGS = Path(__file__).with_name("mutants.yml")
LEAST_KILLED = 0.95


@dataclass(frozen=True)
class Settings:
    """What is tried, by which tests, and what cannot be noticed."""

    modules: Sequence[str]
    neighbours: Mapping[str, Sequence[str]]
    equivalent: Mapping[str, Mapping[str, str]]

    def named(self, part: str) -> list[str]:
        """The modules whose path is, or begins with, what a user typed."""
        part = part.removeprefix(f"{SHARED}/").removesuffix(".py").rstrip("/")
        return [module for module in _every_module() if module == part or module.startswith(f"{part}/")]

    def trial(self, module: str) -> Trial:
        """The module with its mirrored tests and those of the neighbours that specify it, too."""
        directory, _slash, name = module.rpartition("/")
        mirrored = "/".join(filter(None, (TESTS, directory, f"test_{name}.py")))
        patterns = [mirrored, *(f"{TESTS}/{other}" for other in self.neighbours.get(module, ()))]
        files = [file.relative_to(ROOT).as_posix() for pattern in patterns for file in sorted(ROOT.glob(pattern))]
        dotted = f"ansible_collections.crossvisor.san.{SHARED}/{module}".replace("/", ".")
        source = COLLECTIONS / "ansible_collections/crossvisor/san" / SHARED / f"{module}.py"
        return Trial(dotted, source, files)


@dataclass
class Verdict:
    """How the mutants of a module fared."""

    module: str
    tried: int
    alive: Sequence[Mutant]
    equivalent: int
    wrong_entries: Sequence[str]

    @property
    def killed(self) -> int:
        """How many mutants a test noticed."""
        return self.tried - len(self.alive)

    @property
    def ok(self) -> bool:
        """Whether enough is noticed."""
        return not self.wrong_entries and self.killed >= LEAST_KILLED * self.tried

    def __str__(self) -> str:
        share = 100 * self.killed / self.tried if self.tried else 100
        return f"{self.module:<40} {self.killed:>4} of {self.tried:>4} killed ({share:3.0f} %), {self.equivalent} equivalent"


def _every_module() -> list[str]:
    return sorted(str(path.relative_to(ROOT / SHARED).with_suffix("")) for path in (ROOT / SHARED).rglob("*.py"))


def _settings() -> Settings:
    told = yaml.safe_load(SETTINGS.read_text())
    return Settings(told["modules"], told["neighbours"] or {}, told["equivalent"] or {})


def judge(settings: Settings, module: str, jobs: int) -> Verdict:
    """Try every mutant of a module."""
    trial = settings.trial(module)
    listed = settings.equivalent.get(module, {})
    alive = survivors(trial, trial.mutants, jobs)
    names = {mutant.name for mutant in alive}
    wrong = [f"{module}: {name}: is listed as equivalent, but is noticed or no mutant" for name in listed if name not in names]
    unexplained = [mutant for mutant in alive if mutant.name not in listed]
    equivalent = len(alive) - len(unexplained)
    return Verdict(module, len(trial.mutants) - equivalent, unexplained, equivalent, wrong)


def _report(settings: Settings, verdict: Verdict, seconds: float) -> Iterator[str]:
    yield f"{verdict}, {seconds:.0f} s"
    for mutant in verdict.alive:
        yield f"    {SHARED}/{verdict.module}.py:{mutant.line}: {mutant.name}"
    yield from (f"    {entry}" for entry in verdict.wrong_entries)


def main() -> None:
    """Try the named modules, or those of mutants.yml; end with 1 when too much of one is not noticed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=main.__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"a file or directory below {SHARED}, such as arrays or plan")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time; default: 2")
    options = parser.parse_args()
    settings = _settings()
    modules = [module for part in options.modules or settings.modules for module in settings.named(part)]
    os.chdir(ROOT)
    load_libraries()
    verdicts = []
    for module in modules:
        begin = time.monotonic()
        verdicts.append(judge(settings, module, options.jobs))
        print(*_report(settings, verdicts[-1], time.monotonic() - begin), sep="\n", flush=True)
    print("", *verdicts, sep="\n")
    sys.exit(0 if all(verdict.ok for verdict in verdicts) else 1)


if __name__ == "__main__":
    main()
