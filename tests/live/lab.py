# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The running lab as tests use it: connections for the modules, what the systems hold, what they were asked, what shall fail."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.lab.client import ask
from tests.lab.inventory import connection, inventory
from tests.lab.kvm.guest_shell import GuestShell
from tests.lab.launch import Endpoints
from tests.lab.state import state

ARRAY = "ontap"
HYPERVISOR = "vcenter"
SERVERS = (ARRAY, HYPERVISOR)

_RUN_ID = re.compile(r"crossvisor\.san:[0-9a-f]{16}")


@dataclass(frozen=True)
class Lab:
    """An array and a hypervisor on one world: the vCenter, unless another is named."""

    endpoints: Endpoints
    servers: tuple[str, str] = SERVERS
    """Names of the array and of the hypervisor; servers that share a process with it are reset with it."""

    @property
    def array(self) -> dict[str, Any]:
        """The option `array` of the modules."""
        return connection(self.endpoints[ARRAY])

    @property
    def hypervisor(self) -> dict[str, Any]:
        """The option `hypervisor` of the modules."""
        return connection(self.endpoints[self.servers[1]])

    @property
    def inventory(self) -> dict[str, Any]:
        """An Ansible inventory with the vCenter in the group `hypervisors`."""
        return inventory(self.endpoints)

    def reset(self) -> None:
        """Go back to the world's description; forget faults and requests."""
        for server in self.servers:
            self._ask(server, "POST", "/reset")
            self._ask(server, "DELETE", "/faults")
            self._ask(server, "DELETE", "/requests")

    def become(self, release: str) -> None:
        """Let the array be of this release of ONTAP, until the next reset."""
        self._ask(ARRAY, "POST", f"/release?version={release}")

    def state(self) -> dict[str, Any]:
        """All that clients can change; equal states are equal worlds."""
        return state(self.endpoints)

    def fail(self, server: str, action: Mapping[str, Any], **when: Any) -> None:
        """Let a request (`call=3`, `match="DELETE /api"`) suffer the action, see tests/lab/README.md."""
        self._ask(server, "POST", "/faults", {**when, "action": action})

    def heal(self) -> None:
        """Forget the faults that have not happened."""
        for server in self.servers:
            self._ask(server, "DELETE", "/faults")

    def requests(self, server: str) -> list[dict[str, Any]]:
        """What the server was asked since the count began."""
        return list(self._ask(server, "GET", "/requests")["requests"])

    def count_again(self) -> None:
        """Begin to count the requests."""
        for server in self.servers:
            self._ask(server, "DELETE", "/requests")

    def device_losses(self) -> list[dict[str, Any]]:
        """What ESXi would have logged as all paths down or a permanent loss of a device."""
        return list(self._ask(HYPERVISOR, "GET", "/apd"))

    def show(self, view: Mapping[str, Any]) -> None:
        """Let the vCenter show an object otherwise than it is, or not at all (`POST /view`), until the reset."""
        self._ask(HYPERVISOR, "POST", "/view", view)

    def hold(self, hold: Mapping[str, Any]) -> None:
        """Let an ESXi host have a LUN for itself (`POST /hold`), until the reset."""
        self._ask(HYPERVISOR, "POST", "/hold", hold)

    def _ask(self, server: str, method: str, path: str, body: object = None) -> Any:
        return ask(self.endpoints[server].control_url, method, path, body)


WINDOWS = ("hyperv", "hyperv-cluster", "hyperv-cluster4", "windows-guest")
"""The single host, one node each of both clusters, and a guest of the single host; one process plays them all."""
_DOMAIN = ".lab"


@dataclass(frozen=True)
class WindowsLab(Lab):
    """An array and all Windows machines of the lab on one world."""

    servers: tuple[str, str] = (ARRAY, WINDOWS[0])

    def host(self, machine: str) -> dict[str, Any]:
        """The option `hypervisor` (or `guest`) of the modules for a machine by its short name, such as `hvc1n2`."""
        endpoint = self.endpoints[WINDOWS[0]]
        return connection(replace(endpoint, port=endpoint.ports[f"{machine}{_DOMAIN}"]))

    def power(self, machine: str, up: bool) -> None:
        """Take a machine from the network, or bring it back; its cluster moves what it can."""
        self._ask(WINDOWS[0], "POST", f"/machine?machine={machine}{_DOMAIN}&state={'up' if up else 'down'}")

    def reboot(self, machine: str) -> None:
        """Boot a machine anew, which gives its disks other numbers."""
        self._ask(WINDOWS[0], "POST", f"/reboot?machine={machine}{_DOMAIN}")

    def multipath(self, machine: str, on: bool) -> None:
        """Install or remove MPIO, effective at the next rescan."""
        self._ask(WINDOWS[0], "POST", f"/mpio?machine={machine}{_DOMAIN}&state={'on' if on else 'off'}")

    def cluster_service(self, machine: str, state: str) -> None:
        """Let the cluster service of a host be `absent`, `disabled` or, of a node, `stopped`."""
        self._ask(WINDOWS[0], "POST", f"/cluster_service?machine={machine}{_DOMAIN}&state={state}")

    def file(self, machine: str, path: str, local: Path, runs: Sequence[tuple[int, int, int]]) -> None:
        """Let a machine have a file, whose clusters are these: the first in the file, how many, and the first on its volume."""
        told = ",".join(":".join(map(str, run)) for run in runs)
        query = urlencode({"machine": f"{machine}{_DOMAIN}", "path": path, "local": str(local), "runs": told})
        self._ask(WINDOWS[0], "POST", f"/file?{query}")

    def at_once(self) -> None:
        """Let jobs and state changes take no time until the next reset, so that the same run makes the same requests every time."""
        self._ask(WINDOWS[0], "POST", "/pending?seconds=0")

    def fail_over(self, vm: str, machine: str) -> dict[str, Any]:
        """Let the cluster move a VM to another node; return where it is then. Raises ``OSError`` with what the cluster says against it."""
        moved: dict[str, Any] = self._ask(WINDOWS[0], "POST", f"/failover?vm={vm}&node={machine}{_DOMAIN}")
        return moved

    def controls(self) -> list[dict[str, Any]]:
        """Every control code that was sent to a cluster's resource."""
        return list(self._ask(WINDOWS[0], "GET", "/controls"))


XEN = "xen"


@dataclass(frozen=True)
class XenLab(Lab):
    """An array and a pool of three Xen hosts on one world."""

    servers: tuple[str, str] = (ARRAY, XEN)

    def host(self, machine: str) -> dict[str, Any]:
        """The option `hypervisor` of the modules for a host of the pool by its short name, such as `xen02`."""
        return {**self.hypervisor, "hostname": self.endpoints[XEN].addresses[f"{machine}{_DOMAIN}"]}

    def power(self, machine: str, up: bool) -> None:
        """Take a host of the pool from the network, or bring it back."""
        self._ask(XEN, "POST", f"/machine?machine={machine}{_DOMAIN}&state={'up' if up else 'down'}")

    def guest(self, vm: str, state: str) -> None:
        """Let a guest's drivers `hold` a disk that is unplugged, `ignore` that, or agree."""
        self._ask(XEN, "POST", f"/guest?vm={vm}&state={state}")


KVM = "kvm"


@dataclass(frozen=True)
class KvmLab(Lab):
    """An array whose LUNs are real SCSI disks, and a KVM host with guests that really run."""

    servers: tuple[str, str] = (ARRAY, KVM)
    luns: Path = Path()
    """Directory of the files that hold the LUNs' data."""

    @property
    def hypervisor(self) -> dict[str, Any]:
        """The option `hypervisor` of the modules."""
        return {"uri": self.endpoints[KVM].uri}

    @property
    def initiator(self) -> str:
        """IQN of the host."""
        return self.endpoints[KVM].initiator

    def domains(self) -> Any:
        """What libvirt has: every domain's power, disks and controllers, and the pools."""
        return self._ask(KVM, "GET", "/state")

    def guest(self, name: str, command: str) -> str:
        """What a command prints in a guest, without the last newline. Raises `CommandFailed`."""
        return GuestShell(self.endpoints[KVM], name).run(command)

    def device(self, guest: str, naa: str) -> str:
        """The device of a LUN in a guest, such as `/dev/sda`, once the guest is done with finding it. Raises `CommandFailed`."""
        return GuestShell(self.endpoints[KVM], guest).device(f"/dev/disk/by-id/wwn-0x{naa}")

    def reboot(self, name: str) -> None:
        """Press a guest's reset button, and wait until it has booted."""
        shell = GuestShell(self.endpoints[KVM], name)
        before = shell.boot_id()
        self._ask(KVM, "POST", f"/reboot?guest={name}")
        shell.wait_for_reboot(before)

    def agent(self, guest: str, state: str) -> None:
        """Let a guest's agent be `running`, `stopped` or `hung`."""
        self._ask(KVM, "POST", f"/agent?guest={guest}&state={state}")

    def frozen(self, guest: str) -> bool:
        """Whether a guest's agent holds its file systems still, by its own word."""
        asked = ["qemu-agent-command", guest, json.dumps({"execute": "guest-fsfreeze-status"})]
        done = subprocess.run(
            ["virsh", "--connect", self.endpoints[KVM].uri, *asked], capture_output=True, text=True, timeout=300, check=True
        )
        return bool(json.loads(done.stdout)["return"] == "frozen")

    def require_chap(self, username: str = "", password: str = "") -> None:
        """Let the array's iSCSI target ask the host for a CHAP login, or without a user no more."""
        login = {"username": username, "password": password} if username else {}
        self._ask(ARRAY, "POST", "/faults", {"chap": {"initiator": self.initiator, **login}})

    def data_plane(self, state: str) -> None:
        """Kill the array's iSCSI target (`killed`), or start it again (`running`)."""
        self._ask(ARRAY, "POST", f"/data-plane?state={state}")


def alike(state: Any, new_lun: str) -> Any:
    """The state without what differs from run to run: the identity (NAA) of a new LUN, the identifiers of runs, and the order of lists."""
    serial = bytes.fromhex(new_lun[8:]).decode()
    text = json.dumps(state).replace(new_lun, "the new LUN").replace(json.dumps(serial), '"the new serial"')
    return _ordered(json.loads(_RUN_ID.sub("crossvisor.san:run", text)))


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _ordered(item) for key, item in value.items()}
    return sorted(map(_ordered, value), key=json.dumps) if isinstance(value, list) else value
