# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes the target of a Linux kernel (LIO) what it is told to be; it runs in the guest that plays the array, and needs nothing but Python.

A line of JSON on stdin says what shall be, in full; the line that answers it is ``{}`` or ``{"error": "…"}``.
What is there is read from the kernel each time, so that it does not matter who made it, or how far a predecessor came::

    {"directory": "/srv/luns",
     "luns": {"KEY": {"size": 1073741824, "serial": "0383…", "thin": false,
                      "vendor": "NETAPP", "product": "LUN C-Mode", "revision": "9161"}},
     "copies": [["KEY OF THE SOURCE", "KEY"]],
     "kept": ["KEY OF DATA THAT IS NO LUN'S"],
     "ports": [{"fabric": "iscsi", "name": "iqn.…", "tag": 1, "address": "10.8.1.1:3260", "group": "ao", "up": true,
                "views": {"INITIATOR": {"0": "KEY"}}},
               {"fabric": "fc", "name": "20:00:…", "tag": 1, …}]}
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, TextIO

CONFIGFS = Path("/sys/kernel/config")
MODULES = ("target_core_mod", "target_core_file", "iscsi_target_mod", "fcoe", "tcm_fc")
RESERVATIONS = ("/etc/target/pr", "/var/target/pr")
"""Where the kernel keeps persistent reservations; without them REGISTER ends with 'not ready'."""
COMPANY = "0x00a098"
GROUPS = {"ao": ("1", "0"), "ano": ("2", "1")}
"""Target port groups: id and ALUA state, active/optimized or active/non-optimized."""
IMPLICIT = "1"
LINK = "it"
ISCSI, FC = "iscsi", "fc"
FABRICS = (ISCSI, FC)
BLOCK = 1024 * 1024

Json = Any


class Configfs:
    """The directories, links and attributes of ``target`` in the kernel's configfs."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def mkdir(self, path: Path) -> None:
        """Make an object, and what is above it, unless it is there."""
        path.mkdir(parents=True, exist_ok=True)

    def rmdir(self, path: Path) -> None:
        """Remove an object."""
        path.rmdir()

    def link(self, path: Path, target: Path) -> None:
        """Tie two objects together."""
        path.symlink_to(target)

    def unlink(self, path: Path) -> None:
        """Untie them."""
        path.unlink()

    def write(self, path: Path, value: str) -> None:
        """Set an attribute."""
        with path.open("w") as attribute:
            attribute.write(value)

    def read(self, path: Path) -> str:
        """Return an attribute."""
        return path.read_text()

    def names(self, path: Path) -> list[str]:
        """Return the names of the objects in a directory; none where it is not."""
        return sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.is_symlink()) if path.is_dir() else []

    def linked(self, path: Path) -> str:
        """Return the name of the object that this one is tied to, empty when there is none."""
        links = [entry for entry in path.iterdir() if entry.is_symlink()]
        return links[0].resolve().name if links else ""

    def unlink_all(self, path: Path) -> None:
        """Untie an object from all others."""
        for entry in [entry for entry in path.iterdir() if entry.is_symlink()]:
            self.unlink(entry)


class Fcoe:
    """The Fibre Channel ports of this machine, by FCoE in point-to-multipoint mode without a switch (VN2VN)."""

    bus = Path("/sys/bus/fcoe")

    def switch(self, wwpn: str, up: bool) -> None:
        """Bring the port of this name up or down; its network card has the last six octets of the name. Raises OSError."""
        controller = self._controller(self._card(wwpn))
        if (controller / "enabled").read_text().strip() != str(int(up)):
            (controller / "enabled").write_text(str(int(up)))

    def _card(self, wwpn: str) -> str:
        address = wwpn.split(":", 2)[2]
        for card in Path("/sys/class/net").iterdir():
            if (card / "address").read_text().strip() == address:
                return card.name
        raise OSError(f"no network card has the address {address} of the port {wwpn}")

    def _controller(self, card: str) -> Path:
        if found := self._find(card):
            return found
        (self.bus / "ctlr_create").write_text(card)
        controller = self._find(card)
        if controller is None:
            raise OSError(f"the kernel made no FCoE controller of {card}")
        (controller / "mode").write_text("vn2vn")
        return controller

    def _find(self, card: str) -> Path | None:
        return next((path for path in (self.bus / "devices").glob("ctlr_*") if path.resolve().parent.name == card), None)


class Target:
    """The kernel's target, step by step towards what is wanted."""

    def __init__(self, configfs: Configfs, fcoe: Fcoe) -> None:
        self._fs, self._fcoe = configfs, fcoe
        self._store = configfs.root / "core" / "fileio_0"

    def follow(self, want: Json) -> None:
        """Make everything as wanted; raises OSError and KeyError."""
        directory = Path(want["directory"])
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._size(directory, want["luns"])
        for source, copy in want["copies"]:
            if (directory / source).exists():
                copy_data(directory / source, directory / copy)
        for key in want["luns"].keys() - set(self._fs.names(self._store)):
            self._make_lun(key, directory / key, want["luns"][key])
        wanted = {_place(self._fs.root, port) for port in want["ports"]}
        for place in set(self._places()) - wanted:
            self._remove_port(place)
        for port in want["ports"]:
            self._hide(_place(self._fs.root, port), port)
        for port in want["ports"]:
            self._offer(_place(self._fs.root, port), port)
        for key in set(self._fs.names(self._store)) - want["luns"].keys():
            self._remove_lun(key)
        for file in directory.iterdir():
            if file.name not in want["luns"] and file.name not in want["kept"]:
                file.unlink()

    def _size(self, directory: Path, luns: Json) -> None:
        """Give every LUN a file of its size, and tell the kernel of those that it has open."""
        known = self._fs.names(self._store)
        for key, lun in luns.items():
            with (directory / key).open("ab") as file:
                if file.tell() != lun["size"]:
                    file.truncate(lun["size"])
            if key in known and f"Size: {lun['size']} " not in self._fs.read(self._store / key / "info"):
                self._fs.write(self._store / key / "control", f"fd_dev_size={lun['size']}")

    def _make_lun(self, key: str, file: Path, lun: Json) -> None:
        place = self._store / key
        self._fs.mkdir(place)
        self._fs.write(place / "control", f"fd_dev_name={file},fd_dev_size={lun['size']}")
        self._fs.write(place / "enable", "1")
        identity = {
            "vendor_id": lun["vendor"],
            "product_id": lun["product"],
            "revision": lun["revision"],
            "company_id": COMPANY,
            "vpd_unit_serial": lun["serial"],
        }
        for name, value in identity.items():
            self._fs.write(place / "wwn" / name, value)
        self._fs.write(place / "attrib" / "emulate_tpu", str(int(lun["thin"])))
        for name, (number, state) in GROUPS.items():
            group = place / "alua" / name
            self._fs.mkdir(group)
            self._fs.write(group / "tg_pt_gp_id", number)
            self._fs.write(group / "alua_access_type", IMPLICIT)
            self._fs.write(group / "alua_access_state", state)

    def _remove_lun(self, key: str) -> None:
        for group in GROUPS.keys() & set(self._fs.names(self._store / key / "alua")):
            self._fs.rmdir(self._store / key / "alua" / group)
        self._fs.rmdir(self._store / key)

    def _places(self) -> list[Path]:
        """Return every target portal group that is there."""
        targets = [self._fs.root / fabric / name for fabric in FABRICS for name in self._fs.names(self._fs.root / fabric)]
        return [target / name for target in targets for name in _groups(self._fs.names(target))]

    def _hide(self, place: Path, port: Json) -> None:
        """Take away what shall not be seen, and what is then used by nobody."""
        for initiator in self._fs.names(place / "acls"):
            acl = place / "acls" / initiator
            view = port["views"].get(initiator)
            for name in _numbered(self._fs.names(acl)):
                if view is None or self._shown(acl / name) != view.get(name.removeprefix("lun_")):
                    self._fs.unlink_all(acl / name)
                    self._fs.rmdir(acl / name)
            if view is None:
                self._fs.rmdir(acl)
        used = {key for view in port["views"].values() for key in view.values()}
        for name in self._fs.names(place / "lun"):
            if self._fs.linked(place / "lun" / name) not in used:
                self._fs.unlink_all(place / "lun" / name)
                self._fs.rmdir(place / "lun" / name)

    def _shown(self, mapped: Path) -> str:
        """Return the key of the LUN that an initiator sees under this number."""
        unit = self._fs.linked(mapped)
        return self._fs.linked(mapped.parents[2] / "lun" / unit) if unit else ""

    def _offer(self, place: Path, port: Json) -> None:
        """Make the port, its units and what every initiator sees of them, and then let them in."""
        self._fs.mkdir(place)
        if port["fabric"] == ISCSI:
            self._fs.mkdir(place / "np" / port["address"])
            for name, value in (("authentication", "0"), ("generate_node_acls", "0")):
                self._fs.write(place / "attrib" / name, value)
        units = {self._fs.linked(place / "lun" / name): name for name in self._fs.names(place / "lun")}
        for key in sorted({key for view in port["views"].values() for key in view.values()} - units.keys()):
            units[key] = next(name for name in map("lun_{}".format, range(len(units) + 1)) if name not in units.values())
            unit = place / "lun" / units[key]
            self._fs.mkdir(unit)
            self._fs.link(unit / LINK, self._store / key)
            self._fs.write(unit / "alua_tg_pt_gp", port["group"])
        for initiator, view in port["views"].items():
            acl = place / "acls" / initiator
            self._fs.mkdir(acl)
            for number in view.keys() - {name.removeprefix("lun_") for name in _numbered(self._fs.names(acl))}:
                self._fs.mkdir(acl / f"lun_{number}")
                self._fs.link(acl / f"lun_{number}" / LINK, place / "lun" / units[view[number]])
        if port["fabric"] == ISCSI:
            self._fs.write(place / "enable", str(int(port["up"])))
        else:
            self._fcoe.switch(port["name"], port["up"])

    def _remove_port(self, place: Path) -> None:
        self._hide(place, {"views": {}})
        for portal in self._fs.names(place / "np"):
            self._fs.rmdir(place / "np" / portal)
        self._fs.rmdir(place)
        if not _groups(self._fs.names(place.parent)):
            self._fs.rmdir(place.parent)


def _place(root: Path, port: Json) -> Path:
    return root / str(port["fabric"]) / str(port["name"]) / f"tpgt_{port['tag']}"


def _numbered(names: list[str]) -> list[str]:
    return [name for name in names if name.startswith("lun_")]


def _groups(names: list[str]) -> list[str]:
    return [name for name in names if name.startswith("tpgt_")]


def copy_data(source: Path, copy: Path) -> None:
    """Give a file the data of another one, with its holes, and keep the file itself, which a target may have open."""
    copy.touch(mode=0o600)
    with source.open("rb") as old, copy.open("r+b") as new:
        size, position = os.fstat(old.fileno()).st_size, 0
        new.truncate(0)
        new.truncate(size)
        while (position := _data(old.fileno(), position)) < size:
            hole = os.lseek(old.fileno(), position, os.SEEK_HOLE)
            while position < hole:
                position += os.pwrite(new.fileno(), os.pread(old.fileno(), min(BLOCK, hole - position), position), position)
        os.fsync(new.fileno())


def _data(file: int, position: int) -> int:
    """Return where the next data of a file is, its end if there is none."""
    try:
        return os.lseek(file, position, os.SEEK_DATA)
    except OSError:
        return os.fstat(file).st_size


def prepare() -> Target:
    """Load the kernel's parts and return its target; raises OSError and CalledProcessError."""
    for path in RESERVATIONS:
        Path(path).mkdir(parents=True, exist_ok=True)
    subprocess.run(["modprobe", "--all", *MODULES], check=True, stdin=subprocess.DEVNULL)
    if not os.path.ismount(CONFIGFS):
        subprocess.run(["mount", "-t", "configfs", "none", str(CONFIGFS)], check=True, stdin=subprocess.DEVNULL)
    configfs = Configfs(CONFIGFS / "target")
    for fabric in FABRICS:
        configfs.mkdir(configfs.root / fabric)
    return Target(configfs, Fcoe())


def serve(target: Target, orders: TextIO, answers: TextIO) -> None:
    """Do what each line says until there are no more."""
    for line in orders:
        try:
            target.follow(json.loads(line))
            answer = {}
        except (OSError, KeyError, StopIteration) as failure:
            answer = {"error": f"{type(failure).__name__}: {failure}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    serve(prepare(), sys.stdin, sys.stdout)
