# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Initiator ports, and the iSCSI sessions that come with each target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.lab.hyperv.cim import ObjectPath, Row
from tests.lab.hyperv.faults import WBEM_E_FAILED, ProviderFault
from tests.lab.hyperv.providers.storage.objects import Objects


class Initiators:
    """The instances."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._machine = objects.machine

    def _iscsi(self) -> Mapping[str, str]:
        """Return the iSCSI initiator; raises ProviderFault when its service does not run, which is so where there is none."""
        found = next((hba for hba in self._machine.hbas if hba["kind"] != "fc"), None)
        if found is None:
            raise ProviderFault(WBEM_E_FAILED, "Generic failure. ")
        return found

    def _targets(self) -> list[tuple[str, str, int]]:
        self._iscsi()
        return self._machine.targets

    def initiators(self) -> Iterator[Row]:
        """Yield the initiator ports."""
        for hba in self._machine.hbas:
            fibre = hba["kind"] == "fc"
            node = hba["wwnn"].replace(":", "").upper() if fibre else hba["iqn"]
            port = hba["wwpn"].replace(":", "").upper() if fibre else "ISCSI ANY PORT"
            yield {
                "ObjectId": self._objects.object_id("InitiatorPort", f"{hba['instance']}:{port}"),
                "ConnectionType": 1 if fibre else 2,
                "InstanceName": hba["instance"],
                "NodeAddress": node,
                "PortAddress": port,
                "OperationalStatus": [2 if hba["status"] == "online" else 6],
                "PortType": 1 if fibre else 0,
            }

    def targets(self) -> Iterator[Row]:
        """Yield the targets."""
        for name in dict.fromkeys(name for name, _second, _third in self._targets()):
            yield {"NodeAddress": name, "IsConnected": True}

    def portals(self) -> Iterator[Row]:
        """Yield the portals."""
        self._iscsi()
        for hba in self._machine.hbas:
            for target in hba.get("targets", ()):
                yield {
                    "TargetPortalAddress": target["address"],
                    "TargetPortalPortNumber": target["port"],
                    "InitiatorInstanceName": hba["instance"],
                    "InitiatorPortalAddress": "0.0.0.0",
                    "IsDataDigest": False,
                    "IsHeaderDigest": False,
                }

    def sessions(self) -> Iterator[Row]:
        """Yield the sessions."""
        hba = self._iscsi()
        for index, (name, _address, _port) in enumerate(self._machine.targets):
            yield {
                "SessionIdentifier": _session_id(index),
                "AuthenticationType": "NONE",
                "InitiatorInstanceName": hba["instance"],
                "InitiatorNodeAddress": hba["iqn"],
                "InitiatorPortalAddress": "0.0.0.0",
                "InitiatorSideIdentifier": "400001370000",
                "IsConnected": hba["status"] == "online",
                "IsDataDigest": False,
                "IsDiscovered": True,
                "IsHeaderDigest": False,
                "IsPersistent": True,
                "NumberOfConnections": 1,
                "TargetNodeAddress": name,
                "TargetSideIdentifier": f"{index + 1:02d}00",
            }

    def connections(self) -> Iterator[Row]:
        """Yield the connections."""
        for index, (_name, address, port) in enumerate(self._targets()):
            yield {
                "ConnectionIdentifier": _connection_id(index),
                "InitiatorAddress": "192.0.2.100",
                "InitiatorPortNumber": 49152 + index,
                "TargetAddress": address,
                "TargetPortNumber": port,
            }

    def session_disks(self) -> Iterator[Row]:
        """Yield the links of sessions to their disks."""
        for index, _target in enumerate(self._targets()):
            session = ObjectPath.of("MSFT_iSCSISession", SessionIdentifier=_session_id(index))
            for disk in self._machine.disks:
                if disk.unit.unique_id.lower().startswith("600a0980"):
                    yield {"iSCSISession": session, "Disk": self._objects.disk_path(disk)}

    def target_sessions(self) -> Iterator[Row]:
        """Yield the links of targets to their sessions."""
        for index, (name, _address, _port) in enumerate(self._targets()):
            yield {
                "iSCSITarget": ObjectPath.of("MSFT_iSCSITarget", NodeAddress=name),
                "iSCSISession": ObjectPath.of("MSFT_iSCSISession", SessionIdentifier=_session_id(index)),
            }


def _session_id(index: int) -> str:
    return f"ffffa7053c3e0010-4000013700000{index:03x}"


def _connection_id(index: int) -> str:
    return f"ffffa7053c3e0010-{index:x}"
