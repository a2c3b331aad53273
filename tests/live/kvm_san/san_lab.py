# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machines with the array before them, as the collection's modules are told of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.lab.client import ask
from tests.lab.inventory import connection
from tests.lab.kvm.daemon import eventually
from tests.lab.kvm_san import array, world
from tests.lab.kvm_san.lab import KvmSan
from tests.lab.kvm_san.machines import MACHINES, SAN, Machine
from tests.lab.kvm_san.shell import Shell
from tests.lab.launch import Endpoint
from tests.live.kvm_san import host_view
from tests.live.modules import ModuleRunner, Result

HOST, OTHER, VM = "kvm1", "kvm2", "app01"
FOR_THE_MAP, FOR_A_PATH = "waiting for multipathd and udev to make the device of", "waiting for a path that does I/O to"
"""What `ptd_attach` says that it is at."""
WAITS_SECONDS = 600.0
MIB = 1 << 20
SECONDS = 300


@dataclass(frozen=True)
class SanLab:
    """A SAN that an array manages, and the KVM hosts on it."""

    machines: KvmSan
    endpoint: Endpoint
    modules: ModuleRunner

    @property
    def array(self) -> dict[str, Any]:
        """The option `array` of the modules."""
        return connection(self.endpoint)

    @property
    def hypervisor(self) -> dict[str, Any]:
        """The option `hypervisor` for the first host."""
        return {"uri": self.machines.uri(HOST), "timeout": SECONDS}

    @property
    def host(self) -> Shell:
        """The first host."""
        return self.machines.machine(HOST)

    @property
    def other(self) -> Shell:
        """The second host, whose initiators see none of the LUNs here."""
        return self.machines.machine(OTHER)

    def provision(self, name: str, **options: Any) -> Result:
        """What `lun_provision` returns for a LUN of the first host."""
        lun = {"svm": world.SVM, "volume": world.VOLUME, "name": name, "os_type": world.OS_TYPE, "targets": "always"}
        access = {"initiators": world.initiators(MACHINES[HOST]), "igroup": world.group(HOST)}
        return self.modules.succeed("lun_provision", {"array": self.array, **lun, **access, **options})

    def withdraw(self, name: str) -> Result:
        """What `lun_provision` returns when it unmaps and deletes a LUN of the first host."""
        lun = {"svm": world.SVM, "volume": world.VOLUME, "name": name, "state": "absent", "delete": True, "assume_unused": True}
        return self.modules.succeed("lun_provision", {"array": self.array, **lun, "igroup": world.group(HOST)})

    def disk(self, naa: str, **options: Any) -> dict[str, Any]:
        """Arguments of `ptd_attach` for the domain of the first host."""
        return {"hypervisor": self.hypervisor, "vm": VM, "naa": naa, "timeout": SECONDS, **options}

    def presented(self, *hosts: Machine) -> list[dict[str, Any]]:
        """What the array says the initiators of these hosts find, or those of the first one."""
        query = "&".join(f"initiator={name}" for host in hosts or [MACHINES[HOST]] for name in world.initiators(host))
        return list(ask(self.endpoint.control_url, "GET", f"/presented?{query}"))

    def kept(self) -> list[str]:
        """What the machine that has the LUNs has of any: what it serves, and the files that hold their data."""
        places = "/sys/kernel/config/target/core/fileio_0 /srv/luns"
        return self.machines.machine(SAN.name).run(f"find {places} -mindepth 1 -maxdepth 1 ! -name 'hba_*'").splitlines()

    def sources(self, *options: str) -> list[str]:
        """The devices that the domain has as LUNs, by virsh."""
        rows = (line.split() for line in self.host.run(["virsh", "domblklist", VM, *options]).splitlines()[2:])
        return [row[1] for row in rows if len(row) == 2 and row[0].startswith("sd")]


@contextmanager
def attaching(
    modules: ModuleRunner, arguments: Mapping[str, Any], awaited: str = "", until: Callable[[], bool] = lambda: False
) -> Iterator[Future[Result]]:
    """Run `ptd_attach`, and go on when it says what is awaited, or when something holds; at the end of the block it has to succeed."""
    with ThreadPoolExecutor(1) as pool:
        ends = pool.submit(modules.succeed, "ptd_attach", arguments)
        eventually(
            lambda: ends.done() or (awaited in modules.heard() if awaited else until()),
            WAITS_SECONDS,
            "ptd_attach does not come so far",
            host_view.PAUSE_SECONDS,
        )
        assert not ends.done(), ends.result()
        yield ends
        ends.result()


def start(machines: KvmSan, modules: ModuleRunner) -> SanLab:
    """Have the machines as they were set up, and an array without LUNs before them."""
    machines.restore()
    return SanLab(machines, array.start(machines.directory), modules)
