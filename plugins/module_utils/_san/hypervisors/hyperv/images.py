# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What only an image file itself tells: its size, and the file that it is based on.

Source: `Msvm_ImageManagementService.GetVirtualHardDiskSettingData` and `Msvm_VirtualHardDiskSettingData` of Microsoft's Hyper-V WMI
provider (V2) reference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import classes
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import cim_job
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_embedded import parse_embedded
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimInstance

LONGEST_CHAIN = 256
"""Files of one chain that are followed: five times the checkpoints that a VM may have."""
_TIMEOUT = 60.0
_THIN = {2: False, 3: True, 4: True}
"""Msvm_VirtualHardDiskSettingData.Type: fixed, dynamic, differencing."""
_METHOD = "GetVirtualHardDiskSettingData"


@dataclass(frozen=True)
class Image:
    """An image file. Size in bytes, as a guest sees it."""

    size_bytes: int
    parent: str = ""
    """The file that it is based on."""
    thin: bool | None = None
    """Whether it grows as it is written to; None where the host does not tell."""


@dataclass
class ImageReader:
    """Asks a host for image files, each once."""

    client: CimClient
    host: str
    """Its name, for messages."""
    failures: list[str] = field(default_factory=list)
    """Sentences on files that could not be read."""
    _service: CimInstance | None = None
    _known: dict[str, Image | None] = field(default_factory=dict)

    def read(self, path: str) -> Image | None:
        """What a file tells of itself; None when it cannot be read, of which `failures` tells."""
        key = path.casefold()
        if key not in self._known:
            self._known[key] = self._ask(path)
        return self._known[key]

    def chain(self, path: str) -> list[str]:
        """The files below a file, nearest first; it ends where a file cannot be read or was met before."""
        return follow(path, lambda file: (self.read(file) or Image(0)).parent)

    def _ask(self, path: str) -> Image | None:
        try:
            answer = cim_job.perform(
                self.client,
                classes.IMAGE_SERVICE,
                _METHOD,
                self._service_instance(),
                {"Path": path},
                timeout=_TIMEOUT,
                outputs={"SettingData": "string"},
            )
            settings = parse_embedded(answer.text("SettingData"))
            return Image(settings.integer("MaxInternalSize") or 0, settings.text("ParentPath"), _THIN.get(settings.integer("Type") or 0))
        except (RemoteError, ValueError) as error:
            self.failures.append(f"The image file {path} cannot be read on host {self.host}: {str(error).rstrip('.')}.")
            return None

    def _service_instance(self) -> CimInstance:
        if self._service is None:
            found = list(self.client.query(classes.IMAGE_SERVICE, columns=classes.IMAGE_SERVICE.columns))
            if not found:
                raise RemoteError("its image management service is not there (Msvm_ImageManagementService has no instance)")
            self._service = found[0]
        return self._service


def follow(path: str, parent_of: Callable[[str], str]) -> list[str]:
    """The files that a file is based on, nearest first, each once and no more than `LONGEST_CHAIN`."""
    chain: list[str] = []
    seen = {path.casefold()}
    below = parent_of(path)
    while below and below.casefold() not in seen and len(chain) < LONGEST_CHAIN:
        seen.add(below.casefold())
        chain.append(below)
        below = parent_of(below)
    return chain
