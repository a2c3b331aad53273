# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LUNs as disks of the Linux kernel's target (LIO), by iSCSI and Fibre Channel, in a machine that ssh reaches as ``san``."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from tests.lab.ontap.data_plane import lio_agent
from tests.lab.ontap.data_plane.lio_agent import FC, ISCSI
from tests.lab.ontap.data_plane.plane import PRODUCT, VENDOR, Account, DataPlaneFailed, checked
from tests.lab.ontap.data_plane.portal import GROUP_TAG
from tests.lab.ontap.names import is_wwpn
from tests.lab.ontap.state import Array, Lun, Svm
from tests.lab.world import ISCSI_PORT

Json = dict[str, Any]

MACHINE = "san"
BOOTSTRAP = "import sys; exec(compile(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())), 'lio_agent', 'exec'))"
STOP_SECONDS = 10.0
OPTIMIZED, NON_OPTIMIZED = "ao", "ano"


class LioFailed(DataPlaneFailed):
    """The kernel refused what it was told; the text is its own."""


class AgentGone(DataPlaneFailed):
    """The machine, or the way to it, is gone."""


class Orders(Protocol):
    """Whoever makes the target what it shall be."""

    @property
    def runs(self) -> bool:
        """Whether it can be told."""

    def start(self) -> None:
        """Let it begin; raises AgentGone."""

    def stop(self) -> None:
        """Let it end; the target stays as it is."""

    def tell(self, want: Json) -> None:
        """Have the target as wanted; raises LioFailed and AgentGone."""

    def read(self, path: Path, offset: int, size: int) -> bytes:
        """Return a part of a file of the machine; raises LioFailed."""


class Agent:
    """``lio_agent`` in the machine, over one connection that is kept."""

    def __init__(self, ssh_config: Path) -> None:
        command = f"exec python3 -uc {shlex.quote(BOOTSTRAP)}"
        self._command = ["ssh", "-F", str(ssh_config), "-o", "ControlPath=none", MACHINE, command]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def runs(self) -> bool:
        """Whether it can be told."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Connect and send the program; raises AgentGone."""
        self.stop()
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        source = Path(lio_agent.__file__).read_bytes()
        self._send(b"%d\n%b" % (len(source), source))

    def stop(self) -> None:
        """Disconnect."""
        if self._process is None:
            return
        with suppress(OSError, subprocess.TimeoutExpired):
            self._process.communicate(timeout=STOP_SECONDS)
        self._process.kill()
        self._process.wait()
        self._process = None

    def tell(self, want: Json) -> None:
        """Have the target as wanted; raises LioFailed and AgentGone."""
        self._send(json.dumps(want).encode() + b"\n")
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._gone()
        if error := json.loads(line).get("error"):
            raise LioFailed(f"{MACHINE}: {error}")

    def read(self, path: Path, offset: int, size: int) -> bytes:
        """Return a part of a file of the machine; raises LioFailed."""
        dd = f"exec dd if={shlex.quote(str(path))} bs=64K iflag=skip_bytes,count_bytes skip={offset} count={size} status=none"
        done = subprocess.run([*self._command[:-1], dd], stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode:
            raise LioFailed(f"{MACHINE}: {done.stderr.decode(errors='replace')}")
        return done.stdout

    def _send(self, octets: bytes) -> None:
        if self._process is None or self._process.stdin is None:
            raise self._gone()
        try:
            self._process.stdin.write(octets)
            self._process.stdin.flush()
        except OSError as error:
            raise self._gone() from error

    def _gone(self) -> AgentGone:
        self.stop()
        return AgentGone(f"the machine {MACHINE} cannot be told what its target shall be (ssh -F {self._command[2]} {MACHINE})")


class LioPlane:
    """The target of one array, with the LUNs' data in ``directory`` of the machine, which nothing else uses."""

    def __init__(self, array: Array, agent: Orders, directory: Path) -> None:
        self._array, self._agent, self._directory = array, agent, directory

    def start(self) -> None:
        """Offer the array's LUNs, empty; raises DataPlaneFailed."""
        self._agent.start()
        self._erase()

    def stop(self) -> None:
        """End the connection to the machine, whose target stays as it is."""
        self._agent.stop()

    def follow(self) -> None:
        """Offer what the array says after a change; while the machine is gone there is nothing to do."""
        if not self._agent.runs:
            return
        with suppress(AgentGone), self._array.lock:
            self._follow()

    def reset(self) -> None:
        """Offer what the array says, without any data."""
        self.switch("running")
        self._erase()

    def admit(self, initiator: str, account: Account | None) -> None:
        """Refuse to want CHAP."""
        raise ValueError(f"this data plane wants no CHAP, of {initiator} neither")

    def read(self, uuid: str, offset: int, size: int) -> bytes:
        """Return a part of a LUN's data, from the file that the kernel writes to."""
        return self._agent.read(self._directory / uuid, offset, size)

    def switch(self, state: str) -> None:
        """Tell the machine nothing more, or everything again; raises ValueError for another state."""
        if checked(state) == "killed":
            self._agent.stop()
        elif not self._agent.runs:
            self._agent.start()
            with self._array.lock:
                self._follow()

    def _follow(self) -> None:
        self._agent.tell(wanted(self._array, self._directory))
        self._array.copies.clear()

    def _erase(self) -> None:
        with self._array.lock:
            want = wanted(self._array, self._directory)
            ports = [{**port, "views": {name: {} for name in port["views"]}} for port in want["ports"]]
            self._agent.tell({**want, "luns": {}, "copies": [], "kept": [], "ports": ports})
            self._follow()


def wanted(array: Array, directory: Path) -> Json:
    """Return what the agent is to be told: every LUN, and who sees which at every port."""
    luns = {lun.uuid: lun for lun in _luns(array)}
    return {
        "directory": str(directory),
        "luns": {key: _lun(array, lun) for key, lun in luns.items()},
        "copies": [list(copy) for copy in array.copies],
        "kept": array.kept,
        "ports": [port for svm in array.svms for port in _ports(array, svm)],
    }


def _luns(array: Array) -> Iterator[Lun]:
    return (lun for svm in array.svms for lun in svm.luns)


def _lun(array: Array, lun: Lun) -> Json:
    """Return how the kernel is to know a LUN.

    Its NAA is made of the company's number and the hexadecimal digits of its serial number, of which the first is vendor specific: 0.
    """
    return {
        "size": lun.size,
        "serial": f"0{lun.serial.encode('ascii').hex()}",
        "vendor": VENDOR,
        "product": PRODUCT,
        "revision": array.revision,
        "thin": lun.space_allocation,
    }


def _ports(array: Array, svm: Svm) -> Iterator[Json]:
    initiators = {*svm.known_initiators, *(name for igroup in svm.igroups for name in igroup.members)}
    views = {name: _view(svm, name) for name in sorted(initiators)}
    fc, iscsi = ({name: view for name, view in views.items() if is_wwpn(name) == is_fc} for is_fc in (True, False))
    for index, address in enumerate(svm.portals):
        port = {"fabric": ISCSI, "name": svm.iqn, "tag": GROUP_TAG + index, "address": f"{address}:{ISCSI_PORT}"}
        yield {**port, **_state(array, svm, address), "up": svm.iscsi_enabled and svm.is_up(address), "views": iscsi}
    for lif in svm.fc_lifs:
        yield {"fabric": FC, "name": lif["wwpn"], "tag": 1, "address": "", **_state(array, svm, lif["wwpn"]), "views": fc}


def _state(array: Array, svm: Svm, lif: str) -> Json:
    """Return whether a LIF serves, and in which target port group: that of the node with the LUNs, or that of another one."""
    return {"group": OPTIMIZED if array.node_of(svm, lif) == array.node else NON_OPTIMIZED, "up": svm.is_up(lif)}


def _view(svm: Svm, initiator: str) -> Mapping[str, str]:
    """Return the LUNs that an initiator sees, by number; one that is offline is not presented."""
    return {str(row.number): row.lun.uuid for row in svm.maps_seen_by([initiator]) if svm.serves(row.lun)}
