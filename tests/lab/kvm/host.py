# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host of the world: its pools and domains, made, compared and made again."""

from __future__ import annotations

import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Collection, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.lab.kvm import as_made, guests
from tests.lab.kvm.as_made import Look
from tests.lab.kvm.daemon import Libvirt
from tests.lab.kvm.domains import Places, domain_xml
from tests.lab.kvm.image import Prepared
from tests.lab.ports import free_port

World = Mapping[str, Any]
KEY_NAME = "id_ed25519"


class Host:
    """A libvirt host with the domains of the world, in ``directory``."""

    def __init__(self, world: World, places: Places, prepared: Prepared, directory: Path) -> None:
        self._world, self._places, self._prepared, self._directory = world, places, prepared, directory
        self.libvirt = Libvirt(directory / "libvirt")
        self.ssh_ports = {domain["name"]: free_port() for domain in world["domains"] if domain["power"] == "on"}
        self.key = directory / KEY_NAME
        self.known_hosts = directory / "known_hosts"
        self._host_keys: dict[str, str] = {}
        self._made: Look | None = None

    def start(self) -> None:
        """Start libvirt, the pool and every domain; raises LibvirtFailed or TimeoutError."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.key.unlink(missing_ok=True)
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(self.key)], check=True, stdin=subprocess.DEVNULL
        )
        self.libvirt.start()
        self._populate()

    def stop(self) -> None:
        """End libvirt and all domains."""
        self.libvirt.stop()

    def reset(self) -> None:
        """Make everything again as the world describes it, but what nobody has touched."""
        now, made = as_made.look(self.libvirt, self.ssh_ports, self._places.images), self._made
        if now == made:
            return
        untouched = now.untouched(made) if made else frozenset()
        if made and now.beside_guests == made.beside_guests:
            self._end(self.ssh_ports.keys() - untouched)
            self._start_guests(untouched)
        else:
            self._end(set(self._names()) - untouched)
            self._remove_pools()
            self._populate(untouched)

    def state(self) -> Any:
        """Return every domain with its power, disks and SCSI controllers, live and persistent, and every pool, in canonical order."""
        return {"domains": {name: self._domain(name) for name in self._names()}, "pools": sorted(self._pools())}

    def reboot(self, name: str) -> None:
        """Press the guest's reset button: what it had not written is lost. Raises ValueError for anything else than a guest."""
        self._check_guest(name)
        self.libvirt.virsh("reset", name)

    def agent(self, name: str, state: str) -> None:
        """Let the guest's agent run (``running``), end (``stopped``) or hang (``hung``); raises ValueError for anything else."""
        self._check_guest(name)
        if state not in AGENT_COMMANDS:
            raise ValueError(f"state is one of {', '.join(AGENT_COMMANDS)}, not {state!r}")
        self.ssh(name, AGENT_COMMANDS[state])

    def ssh(self, name: str, command: str) -> str:
        """Return what the command prints in the guest; raises ``subprocess.CalledProcessError``."""
        options = [
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            f"UserKnownHostsFile={self.known_hosts}",
            "IdentitiesOnly=yes",
            "ConnectTimeout=60",
        ]
        line = ["ssh", "-i", str(self.key), "-p", str(self.ssh_ports[name]), *(part for option in options for part in ("-o", option))]
        done = subprocess.run(
            [*line, f"{guests.USER}@127.0.0.1", command], check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        return done.stdout

    def _check_guest(self, name: str) -> None:
        if name not in self.ssh_ports:
            raise ValueError(f"{name!r} is none of the guests {', '.join(self.ssh_ports)}")

    def _end(self, names: Collection[str]) -> None:
        for name in names:
            self.libvirt.succeeds("destroy", name)
        for name in set(self._names()).intersection(names):
            self.libvirt.virsh("undefine", name, "--nvram")

    def _remove_pools(self) -> None:
        for pool in self._pools():
            self.libvirt.succeeds("pool-destroy", pool)
            self.libvirt.succeeds("pool-undefine", pool)
        for secret in self.libvirt.virsh("secret-list").split("\n"):
            if secret.strip():
                self.libvirt.virsh("secret-undefine", secret.split()[0])

    def _populate(self, untouched: Set[str] = frozenset()) -> None:
        """Make everything as the world describes it, beside guests that are as they were made."""
        images = self._places.images
        _empty(images, {f"{name}.qcow2" for name in untouched})
        self.libvirt.virsh("pool-define-as", self._places.pool, "dir", "--target", str(images))
        self._reach_array()
        for domain in self._world["domains"]:
            for disk in domain["disks"]:
                _make(disk, images)
        self.libvirt.virsh("pool-autostart", self._places.pool)
        self.libvirt.virsh("pool-start", self._places.pool)
        for domain in self._world["domains"]:
            if domain["power"] != "on":
                self._define(domain)
        self._start_guests(untouched)

    def _start_guests(self, untouched: Set[str]) -> None:
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._start_guest, self.ssh_ports.keys() - untouched))
        self._host_keys = {name: self._host_keys.get(name) or guests.host_key(self.libvirt, name) for name in self.ssh_ports}
        self.known_hosts.write_text("".join(f"[127.0.0.1]:{self.ssh_ports[name]} {key}\n" for name, key in self._host_keys.items()))
        self.libvirt.virsh("pool-refresh", self._places.pool)
        self._made = as_made.look(self.libvirt, self.ssh_ports, self._places.images)

    def _reach_array(self) -> None:
        """Say how QEMU's own initiator reaches the array, in a pool of which nothing but this is used."""
        source = ["--source-host", self._places.portal, "--source-dev", self._places.target, "--source-initiator", self._places.initiator]
        self.libvirt.virsh("pool-define-as", self._world["san_pool"], "iscsi-direct", *source)

    def _start_guest(self, name: str) -> None:
        disk = self._places.images / f"{name}.qcow2"
        guests.resume(self.libvirt, name, self._prepared.suspended[name], disk, self.ssh_ports[name])
        guests.admit(self.libvirt, name, self.key.with_suffix(".pub"))

    def _define(self, domain: Mapping[str, Any]) -> None:
        definition = self._directory / f"{domain['name']}.xml"
        definition.write_text(domain_xml(domain, self._places))
        if domain["transient"]:
            self.libvirt.virsh("create", str(definition), "--paused")
        else:
            self.libvirt.virsh("define", str(definition))
            if domain["power"] == "idle":
                self.libvirt.virsh("start", domain["name"], "--paused")
        definition.unlink()

    def _names(self) -> list[str]:
        return sorted(self.libvirt.virsh("list", "--all", "--name").split())

    def _domain(self, name: str) -> Any:
        views = {"live": [], "persistent": ["--inactive"]}
        return {
            "state": self.libvirt.virsh("domstate", name).strip(),
            **{view: _devices(self.libvirt.virsh("dumpxml", name, *options)) for view, options in views.items()},
        }

    def _pools(self) -> list[str]:
        return self.libvirt.virsh("pool-list", "--all", "--name").split()


AGENT_COMMANDS: Mapping[str, str] = {
    "running": "systemctl start qemu-guest-agent && systemctl kill --signal=CONT qemu-guest-agent",
    "stopped": "systemctl kill --signal=CONT qemu-guest-agent; systemctl stop qemu-guest-agent",
    "hung": "systemctl kill --signal=STOP qemu-guest-agent",
}


def lab_places(world: World, directory: Path) -> Places:
    """Return where the disks of the world's domains are, and how its host finds the array."""
    part = world["kvm"]
    svm = next(svm for svm in world["array"]["svms"] if any(group["name"] == part["group"] for group in svm["igroups"]))
    group = next(group for group in svm["igroups"] if group["name"] == part["group"])
    units = {row["lun"]: row["id"] for row in group["maps"]}
    return Places(part["pool"], directory / part["pool"], svm["iqn"], svm["portals"][0], part["iqn"], units)


def _empty(directory: Path, kept: Collection[str]) -> None:
    """Have a directory with nothing in it but files of these names."""
    directory.mkdir(parents=True, exist_ok=True)
    for place in directory.iterdir():
        if place.is_dir():
            shutil.rmtree(place)
        elif place.name not in kept:
            place.unlink()


def _make(disk: Mapping[str, Any], images: Path) -> None:
    """Create the file of a disk, if it has one and is not a guest's system."""
    if disk["source"] in ("raw", "volume"):
        with (images / disk["path"]).open("xb") as file:
            file.truncate(disk["size"])
    if disk["source"] == "image":
        chain = [*disk["parents"], disk["path"]]
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", str(images / chain[0]), str(disk["size"])], check=True, stdin=subprocess.DEVNULL
        )
        for below, above in zip(chain, chain[1:], strict=False):
            guests.overlay(images / below, images / above, "qcow2")


def _devices(xml: str) -> Any:
    root = ET.fromstring(xml)
    disks = [_disk(element) for element in root.iterfind("./devices/disk")]
    controllers = [{"index": c.get("index"), "model": c.get("model")} for c in root.iterfind("./devices/controller[@type='scsi']")]
    return {"disks": sorted(disks, key=str), "scsi_controllers": sorted(controllers, key=str)}


def _disk(element: ET.Element) -> dict[str, Any]:
    source, target, address = (element.find(tag) for tag in ("source", "target", "address"))
    place = {} if address is None else {key: address.get(key) for key in ("controller", "unit") if address.get(key)}
    return {
        "device": element.get("device"),
        "target": None if target is None else target.get("dev"),
        "source": None if source is None else next((source.get(key) for key in ("file", "dev", "name", "volume") if source.get(key)), None),
        **place,
        **_note(element),
    }


def _note(disk: ET.Element) -> dict[str, str]:
    """Return the alias of a disk, where a user of libvirt chose it."""
    alias = disk.find("alias")
    name = None if alias is None else alias.get("name")
    return {"alias": name} if name and name.startswith("ua-") else {}
