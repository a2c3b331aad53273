# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A guest, as far as the role `guest_disk` deals with one: what it finds on its disk, how it judges that, and what it writes.

The verdict is the role's own: its expression is taken from tasks/linux_disk.yml. What parted, mkfs and mount do is one request each.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.simulation.estate import EndpointNow, VmNow
from tests.simulation.playbook import Scope, TaskFailed
from tests.simulation.promises import BEGUN, Promises
from tests.simulation.stage import Stage

JUDGEMENT = "roles/guest_disk/tasks/linux_disk.yml"
FILE_SYSTEM = "xfs"
BLANK, READY, DATA = "", FILE_SYSTEM, "raw"


class Unreachable(TaskFailed):
    """The guest did not answer."""


@functools.cache
def _judgement(file: Path) -> Sequence[Mapping[str, Any]]:
    judge, leave_alone = yaml.safe_load(file.read_text())[:2]
    return judge, leave_alone


@dataclass
class Guest:
    """The system of one VM."""

    stage: Stage
    promises: Promises
    endpoint: EndpointNow
    vm: VmNow
    judgement: Path
    """The file of the role that judges what is on a disk."""
    changed: bool = False

    def guest_disk(self, scope: Scope) -> None:
        """What the role does with the variables that it was given."""
        naa = str(scope.find("guest_disk_naa"))
        if scope.find("guest_disk_state") == "absent":
            scope.facts["guest_disk_seen"] = self._absent(naa)
        else:
            self._present(naa, scope)

    def _present(self, naa: str, scope: Scope) -> None:
        seen = self._look(naa)
        if seen["disk"] is None:
            raise TaskFailed(f"LUN {naa} is not visible in guest {self.vm.name}.")
        verdict = self._verdict(seen, scope)
        if verdict in ("data", "unknown", "used"):
            raise TaskFailed(f"LUN {naa} in guest {self.vm.name} is {verdict} and was left alone.")
        if verdict == "blank":
            self._do("parted", naa, lambda: self._write(naa, BEGUN, (BEGUN, READY)))
        if verdict in ("blank", "begun"):
            self._do("mkfs", naa, lambda: self._write(naa, READY, (READY,)))
        self._do("mount", naa, lambda: self._mount(naa))

    def rescan(self, naa: str) -> Mapping[str, Any]:
        """What `scsi_rescan` finds there."""
        return {"changed": False, **self._look(naa)}

    def _absent(self, naa: str) -> Mapping[str, Any]:
        seen = self._look(naa)
        if seen["disk"] is not None:
            self._do("unmount", naa, lambda: self._unmount(naa))
        return seen

    def _verdict(self, seen: Mapping[str, Any], scope: Scope) -> str:
        judge, leave_alone = _judgement(self.judgement)
        told = {
            "guest_disk_seen": seen,
            "guest_disk_linux_file_system": FILE_SYSTEM,
            "guest_disk_linux_partition_name": "crossvisor.san",
            "guest_disk_linux_guest": self.vm.name,
        }
        inner = Scope([*scope.layers[:1], judge["vars"], told, *scope.layers[1:]])
        verdict = str(inner.valued(judge["ansible.builtin.set_fact"]["guest_disk_verdict"])).strip()
        allowed = Scope([{"guest_disk_verdict": verdict}, *inner.layers]).holds(leave_alone["ansible.builtin.assert"]["that"])
        assert allowed == (verdict in ("ready", "begun", "blank")), "the role writes to a disk on which it found data"
        return verdict

    def _look(self, naa: str) -> Mapping[str, Any]:
        return self.stage.request(f"guest {self.vm.name} looks at {self._short(naa)}", lambda: self._seen(naa), self._lost)

    def _seen(self, naa: str) -> Mapping[str, Any]:
        disk = self.vm.disk(naa)
        if disk is None or not self.promises.estate.reaches(self.endpoint.hosts[self.vm.host], naa):
            return {"disk": None, "used_by": []}
        layout = self.promises.contents[naa].layout if naa in self.promises.contents else BLANK
        partition = {"number": 1, "name": "crossvisor.san", "device": "/dev/sdb1", "signatures": [FILE_SYSTEM] if layout == READY else []}
        content: Mapping[str, Any] = {
            "partition_table": "gpt" if layout in (BEGUN, READY) else "",
            "signatures": [],
            "data": layout == DATA,
        }
        partitions = [partition] if layout in (BEGUN, READY) else []
        used_by = [{"kind": "mount", "name": "/data"}] if disk.mounted else []
        return {"disk": {"path": "/dev/sdb", "content": content, "partitions": partitions}, "used_by": used_by}

    def _do(self, tool: str, naa: str, effect: Any) -> None:
        def carried_out() -> None:
            if not self.vm.disk(naa) or not self.promises.estate.reaches(self.endpoint.hosts[self.vm.host], naa):
                raise TaskFailed(f"{tool}: /dev/sdb of guest {self.vm.name}: input/output error.")
            effect()

        self.stage.request(f"guest {self.vm.name} {tool} {self._short(naa)}", carried_out, self._lost)

    def _write(self, naa: str, layout: str, there: Sequence[str]) -> None:
        """Both modules leave what they would make, when they find it; nothing else makes them stop."""
        held = self.promises.contents.get(naa)
        if held is None or held.layout not in there:
            self.promises.write(self.endpoint, self.vm, naa, layout)
            self.changed = True

    def _mount(self, naa: str) -> None:
        disk = self.vm.disk(naa)
        assert disk is not None
        disk.mounted = True

    def _unmount(self, naa: str) -> None:
        disk = self.vm.disk(naa)
        assert disk is not None
        disk.mounted = False

    def _lost(self) -> Exception:
        return Unreachable(f"The connection to guest {self.vm.name} was lost.")

    def _short(self, naa: str) -> str:
        lun = self.promises.array.lun(naa)
        return lun.base_name if lun else naa
