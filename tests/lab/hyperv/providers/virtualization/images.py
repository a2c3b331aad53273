# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the image management service tells about a VHD file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.lab.hyperv.cim import Value
from tests.lab.hyperv.namespaces import Call
from tests.lab.hyperv.providers.virtualization.kinds import DONE, FAILED
from tests.lab.hyperv.providers.virtualization.paths import Paths
from tests.lab.hyperv.vms import Attachment
from tests.lab.hyperv.xml_values import cim_xml


class Images:
    """The method."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def describe(self, call: Call) -> Mapping[str, Value]:
        """Return the settings of a VHD file, which name its parent."""
        wanted = call.text("Path").lower()
        for vm in self._paths.vms():
            for attachment in vm.attachments:
                files = [attachment.path, *attachment.parents]
                index = next((index for index, file in enumerate(files) if file and file.lower() == wanted), None)
                if index is not None:
                    return {"ReturnValue": DONE, "SettingData": _image_settings(attachment, files, index)}
        return {"ReturnValue": FAILED}


def _image_settings(attachment: Attachment, files: Sequence[str], index: int) -> str:
    parent = files[index + 1] if index + 1 < len(files) else ""
    return cim_xml(
        "Msvm_VirtualHardDiskSettingData",
        {
            "Type": ("uint16", 4 if parent else 3),
            "Format": ("uint16", 3),
            "ParentPath": ("string", parent),
            "MaxInternalSize": ("uint64", attachment.size),
            "BlockSize": ("uint32", 33554432),
            "LogicalSectorSize": ("uint32", 512),
            "PhysicalSectorSize": ("uint32", 4096),
        },
    )
