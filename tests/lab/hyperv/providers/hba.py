# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

r"""root\WMI: Fibre Channel ports and adapters."""

from __future__ import annotations

from collections.abc import Iterator

from tests.lab.hyperv.cim import Instance, Row, Value
from tests.lab.hyperv.machines import Machine
from tests.lab.hyperv.mof import Schema
from tests.lab.hyperv.namespaces import Provider

ONLINE, LINK_DOWN = 2, 6
F_PORT = 5
SPEEDS = {1: 1, 2: 2, 4: 8, 8: 16, 10: 4, 16: 32, 32: 64, 64: 128}
"""Gbit/s to the bit of HBA_PORTSPEED (FC-HBA)."""
FRAME_BYTES = 2048


def provider(machine: Machine, schema: Schema) -> Provider:
    """Return what provides the namespace of the machine."""

    def ports() -> Iterator[Row]:
        for index, hba in enumerate(hba for hba in machine.hbas if hba["kind"] == "fc"):
            up = hba["status"] == "online"
            attributes: dict[str, Value] = {
                "NodeWWN": _bytes(hba["wwnn"]),
                "PortWWN": _bytes(hba["wwpn"]),
                "PortFcId": 0x010000 + index,
                "PortType": F_PORT,
                "PortState": ONLINE if up else LINK_DOWN,
                "PortSupportedClassofService": 8,
                "PortSupportedSpeed": 0x70,
                "PortSpeed": SPEEDS[hba["speed"]] if up else 0,
                "PortMaxFrameSize": FRAME_BYTES,
                "FabricName": _bytes("10:00:00:05:1e:00:00:01"),
                "NumberofDiscoveredPorts": 2 if up else 0,
            }
            yield {
                "InstanceName": hba["instance"],
                "Active": True,
                "UniquePortId": int(hba["wwpn"].replace(":", ""), 16),
                "HBAStatus": 0,
                "Attributes": Instance(schema["msfc_hbaportattributesresults"], attributes),
            }

    def adapters() -> Iterator[Row]:
        for hba in machine.hbas:
            if hba["kind"] == "fc":
                yield {
                    "InstanceName": hba["instance"],
                    "Active": True,
                    "UniqueAdapterId": int(hba["wwnn"].replace(":", ""), 16),
                    "HBAStatus": 0,
                    "NodeWWN": _bytes(hba["wwnn"]),
                    "NumberOfPorts": 1,
                    "Manufacturer": "Emulex Corporation",
                    "Model": hba["model"],
                    "ModelDescription": f"Emulex {hba['model']}",
                    "DriverName": hba["driver"],
                    "DriverVersion": "14.0.639.18",
                    "FirmwareVersion": hba["firmware"],
                }

    return Provider({"MSFC_FibrePortHBAAttributes": ports, "MSFC_FCAdapterHBAAttributes": adapters})


def _bytes(wwn: str) -> list[int]:
    return list(bytes.fromhex(wwn.replace(":", "")))
