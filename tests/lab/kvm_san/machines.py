# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machines, their addresses, and how QEMU is told of them. Names of files are relative: QEMU runs in the lab's directory."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FABRICS: Mapping[str, int] = {"a": 1, "b": 2}
"""The number of each fabric: that of its network card (``eth1``) and in its addresses (10.8.1.0/24)."""
SVM_IQN = "iqn.1992-08.com.netapp:sn.6d1c3f2a8e4b11efb7a900a098c0ffee:vs.3"
"""The IQN of the array's SVM ``svm_san``."""
KEYS = ("host_key", "key", "authorized_keys", "known_hosts")
"""What a machine gets by fw_cfg at its start (``guest/files/usr/local/sbin/lab-keys``)."""
COMMAND_LINE = "root=/dev/vda rw console=ttyS0 quiet mitigations=off norandmaps audit=0 net.ifnames=0 random.trust_cpu=on panic=-1"
TRANSLATION_CACHE_MIB = 512
MTU = 9000


@dataclass(frozen=True)
class Machine:
    """One virtual machine."""

    name: str
    vendor: str
    """The first three octets of its MAC addresses."""
    number: int
    """The last octet of its MAC addresses."""
    host_number: int
    """The last octet of its addresses on the fabrics."""
    memory: int
    """In MiB."""

    def mac(self, fabric: str) -> str:
        """Return the MAC address of its network card on a fabric."""
        return f"{self.vendor}:08:0{fabric}:{self.number:02x}"

    def wwpn(self, fabric: str) -> str:
        """Return the WWPN of its Fibre Channel port on a fabric, which the kernel makes of the MAC address."""
        return f"20:00:{self.mac(fabric)}"

    def address(self, fabric: str) -> str:
        """Return its IPv4 address on a fabric."""
        return f"10.8.{FABRICS[fabric]}.{self.host_number}"

    @property
    def iqn(self) -> str:
        """The name of its iSCSI initiator or, of the SAN, of its target."""
        return SVM_IQN if self.name == SAN.name else f"iqn.1993-08.org.debian:01:{self.name}"


SAN = Machine("san", "00:a0:98", 1, 1, 512)
HOSTS = (Machine("kvm1", "52:54:00", 2, 11, 1024), Machine("kvm2", "52:54:00", 3, 12, 1024))
MACHINES: Mapping[str, Machine] = {machine.name: machine for machine in (SAN, *HOSTS)}


def qemu(machine: Machine, image: Path, ssh_port: int, memory: Path | None = None) -> list[str]:
    """Return the command that starts a machine, or goes on with it from a file with its memory."""
    return [
        "qemu-system-x86_64", "-name", machine.name, "-machine", "q35", "-accel", f"tcg,tb-size={TRANSLATION_CACHE_MIB}", "-cpu", "qemu64",
        "-m", str(machine.memory), "-smp", "1", "-display", "none", "-no-reboot",
        "-qmp", f"unix:{machine.name}.qmp,server=on,wait=off", "-serial", f"file:{machine.name}.console",
        "-kernel", str(image / "vmlinuz"), "-initrd", str(image / "initrd"),
        "-append", f"{COMMAND_LINE} systemd.hostname={machine.name}",
        "-drive", f"file={machine.name}.qcow2,if=virtio,format=qcow2,cache=unsafe", "-device", "virtio-rng-pci",
        *_each("-fw_cfg", (f"name=opt/org.crossvisor.lab/{key},file={key}" for key in KEYS)),
        "-netdev", f"user,id=user,restrict=on,hostfwd=tcp:127.0.0.1:{ssh_port}-:22",
        "-device", f"virtio-net-pci,netdev=user,mac={machine.vendor}:08:00:{machine.number:02x},romfile=",
        *(argument for fabric in FABRICS for argument in _card(machine, fabric)),
        *(("-incoming", f"exec:cat {shlex.quote(str(memory))}") if memory else ()),
    ]  # fmt: skip


def set_up(machine: Machine) -> list[str]:
    """Return the script of ``setup/`` that makes a machine what it is in the lab, and its arguments."""
    if machine == SAN:
        initiators = [text for host in HOSTS for text in (host.iqn, *(host.wwpn(fabric) for fabric in FABRICS))]
        return ["san.sh", SAN.iqn, *(SAN.wwpn(fabric) for fabric in FABRICS), *initiators]
    return ["host.sh", machine.iqn, str(machine.host_number), SAN.iqn, *(SAN.wwpn(fabric) for fabric in FABRICS)]


def sockets(machine: Machine) -> Iterator[str]:
    """Yield the sockets that QEMU makes for a machine, and that may be left of one that was killed."""
    yield f"{machine.name}.qmp"
    for fabric in FABRICS:
        yield from (_socket(fabric, *pair) for pair in _pairs(machine))


def _pairs(machine: Machine) -> list[tuple[str, str]]:
    return [(SAN.name, host.name) for host in HOSTS] if machine == SAN else [(machine.name, SAN.name)]


def _card(machine: Machine, fabric: str) -> Iterator[str]:
    """Yield the network card on a fabric.

    A fabric is a hub in the process of the SAN, with a pair of datagram sockets to each host. A multicast group would not do: it gives a
    machine its own frames back, which VN2VN takes for another port of its own name.
    """
    if machine == SAN:
        yield from ("-netdev", f"hubport,id={fabric},hubid={FABRICS[fabric]}")
        for host in HOSTS:
            wire = f"{fabric}-{host.name}"
            yield from ("-netdev", _wire(wire, fabric, SAN.name, host.name))
            yield from ("-netdev", f"hubport,id=port-{wire},hubid={FABRICS[fabric]},netdev={wire}")
    else:
        yield from ("-netdev", _wire(fabric, fabric, machine.name, SAN.name))
    yield from ("-device", f"virtio-net-pci,netdev={fabric},mac={machine.mac(fabric)},host_mtu={MTU},romfile=")


def _wire(name: str, fabric: str, here: str, there: str) -> str:
    ends = {"local": _socket(fabric, here, there), "remote": _socket(fabric, there, here)}
    return f"dgram,id={name}," + ",".join(f"{end}.type=unix,{end}.path={path}" for end, path in ends.items())


def _socket(fabric: str, sender: str, receiver: str) -> str:
    return f"{fabric}-{sender}-{receiver}.wire"


def _each(option: str, values: Iterator[str]) -> Sequence[str]:
    return [word for value in values for word in (option, value)]
