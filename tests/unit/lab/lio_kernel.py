# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LIO's configfs as a directory, which refuses what the kernel (6.1) was seen to refuse."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.lab.ontap.data_plane.lio_agent import Configfs

DEFAULT_GROUPS = (
    (r"core/fileio_0/[^/]+", ("wwn", "attrib", "alua", "alua/default_tg_pt_gp")),
    (r"iscsi/iqn\.[^/]+/tpgt_\d+", ("acls", "lun", "np", "attrib")),
    (r"fc/(?:[0-9a-f]{2}:){7}[0-9a-f]{2}/tpgt_\d+", ("acls", "lun")),
    (r"(?:iscsi|fc)/[^/]+/tpgt_\d+/lun/lun_\d+", ("statistics",)),
    (r"iscsi/[^/]+/tpgt_\d+/acls/iqn\.[^/]+", ("attrib", "auth")),
    (r"fc/[^/]+/tpgt_\d+/acls/(?:[0-9a-f]{2}:){7}[0-9a-f]{2}", ()),
    (r"(?:iscsi|fc)/[^/]+/tpgt_\d+/acls/[^/]+/lun_\d+", ("statistics",)),
    (r"iscsi/iqn\.[^/]+|fc/(?:[0-9a-f]{2}:){7}[0-9a-f]{2}", ()),
    (r"iscsi/[^/]+/tpgt_\d+/np/\d+\.\d+\.\d+\.\d+:\d+", ()),
    (r"core/fileio_0/[^/]+/alua/\w+", ()),
    (r"core|iscsi|fc|core/fileio_0", ()),
)
"""What the kernel makes with an object of each kind; an object of no kind cannot be made."""


class Kernel(Configfs):
    """Objects are directories, attributes are files."""

    def mkdir(self, path: Path) -> None:
        """Make what is missing of the path, each with what the kernel makes in it."""
        for missing in reversed([place for place in (path, *path.parents) if self.root in place.parents and not place.exists()]):
            missing.mkdir()
            for group in self._groups(missing):
                (missing / group).mkdir()

    def rmdir(self, path: Path) -> None:
        """Remove an object that has no others in it and that none is tied to."""
        within = [entry for entry in path.iterdir() if entry.is_symlink() or entry.is_dir()]
        if [entry for entry in within if entry.is_symlink() or entry.name not in self._groups(path)]:
            raise OSError(f"{path} is not empty")
        if [
            place
            for group in within
            for place in group.iterdir()
            if place.is_dir() and f"{group.name}/{place.name}" not in self._groups(path)
        ]:
            raise OSError(f"{path} has others in it")
        if list(self._tied_to(path)):
            raise OSError(f"{path} is in use")
        shutil.rmtree(path)

    def link(self, path: Path, target: Path) -> None:
        """Tie an object without ties to one that is there and, of a LUN, enabled."""
        if not target.is_dir() or self.linked(path.parent):
            raise OSError(f"{path} cannot be tied to {target}")
        if "acls" in path.parts and target.parents[1] != path.parents[3]:
            raise OSError(f"{target} is no unit of the port of {path}")
        if "core" in target.relative_to(self.root).parts and self.read(target / "enable") != "1":
            raise OSError(f"{target} is not enabled")
        super().link(path, target)

    def write(self, path: Path, value: str) -> None:
        """Set an attribute of an object that is there; who a LUN is, before it is offered."""
        if path.parent.name == "wwn" and list(self._tied_to(path.parents[1])):
            raise OSError(f"{path} is of a LUN that is in use")
        super().write(path, value)
        if path.name == "control":
            self.write(path.with_name("info"), f"File: /x Size: {value.rpartition('fd_dev_size=')[2]} Mode: O_DSYNC")

    def view(self, port: str, initiator: str) -> dict[int, str]:
        """Return the NAA names that an initiator sees at a port (``iscsi/IQN/tpgt_1028``), by LUN id; raises OSError for a stranger."""
        place = self.root / port
        acl = place / "acls" / initiator
        if not acl.is_dir():
            raise OSError(f"{initiator} is not let in at {port}")
        units = {int(name.removeprefix("lun_")): self.linked(acl / name) for name in self.names(acl) if name.startswith("lun_")}
        return {number: self.naa(self.linked(place / "lun" / unit)) for number, unit in units.items()}

    def naa(self, key: str) -> str:
        """Return the NAA name that the kernel makes for a LUN."""
        wwn = self.root / "core" / "fileio_0" / key / "wwn"
        return f"6{int(self.read(wwn / 'company_id'), 16):06x}{self.read(wwn / 'vpd_unit_serial')}"[:32]

    def _groups(self, path: Path) -> tuple[str, ...]:
        name = str(path.relative_to(self.root))
        for pattern, groups in DEFAULT_GROUPS:
            if re.fullmatch(pattern, name):
                return groups
        raise OSError(f"{name} is no object of LIO")

    def _tied_to(self, path: Path) -> Iterator[Path]:
        return (link for link in self.root.rglob("it") if link.is_symlink() and link.resolve() == path.resolve())
