# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user can get wrong, and what can be wrong at the other end: one sentence with the object and the way out, and nothing changed."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from pyVmomi import vim

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim import VimSession
from tests.lab import world
from tests.lab.certificates import Certificates, issue
from tests.live.lab import Lab
from tests.live.modules import COLLECTIONS, MODULES, ROOT, ModuleRunner, sentence

SECONDS = 60.0
SPARE = world.naa_at("/vol/vol_dev/spare")
SHARED_RDM = world.naa_at("/vol/vol_prod/shared_rdm")
DATASTORE_LUN = world.naa_at("/vol/vol_prod/ds_single")
MISSING_LUN = world.naa_of("NoSuchLun000")
HOSTS = [hba["wwpn"] for host in world.build()["vcenter"]["clusters"][0]["hosts"] for hba in host["hbas"] if hba["kind"] == "fc"]

Arguments = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A module's arguments that cannot be met, and fragments of what the module has to say."""

    module: str
    arguments: Callable[[Lab], Arguments]
    says: tuple[str, ...]


def given(options: Arguments) -> Arguments:
    """The options that are set; None leaves one out."""
    return {name: value for name, value in options.items() if value is not None}


def on_array(**changes: Any) -> Callable[[Lab], Arguments]:
    """`lun_provision` that would create a LUN, but for these options of the connection."""
    return lambda lab: {**lun()(lab), "array": {**lab.array, **changes}}


def on_hypervisor(**changes: Any) -> Callable[[Lab], Arguments]:
    """A module that reads, but for these options of the connection."""
    return lambda lab: {"hypervisor": {**lab.hypervisor, **changes}}


def lun(**options: Any) -> Callable[[Lab], Arguments]:
    """`lun_provision` of a new LUN with other options."""
    new = {"svm": "svm_san", "volume": "vol_prod", "name": "new", "size": "1GiB"}
    return lambda lab: given({"array": lab.array, **new, **options})


def spare(**options: Any) -> Callable[[Lab], Arguments]:
    """`lun_provision` of the LUN that exists and is mapped to nobody."""
    return lun(volume="vol_dev", name="spare", **{"size": None, "os_type": "vmware", **options})


def withdrawal(**options: Any) -> Callable[[Lab], Arguments]:
    """`lun_provision` that takes a LUN back."""
    return lambda lab: given({"array": lab.array, "hypervisor": lab.hypervisor, "state": "absent", **options})


def disk(**options: Any) -> Callable[[Lab], Arguments]:
    """`ptd_attach` of the LUN that exists and that no host sees."""
    return lambda lab: given({"hypervisor": lab.hypervisor, "vm": "app01", "naa": SPARE, "timeout": 0.5, **options})


CONNECTIONS = {
    "array: wrong password": Case("lun_provision", on_array(password="wrong"), ("127.0.0.1:", "refuses user admin", "array.password")),
    "array: wrong user": Case("lun_provision", on_array(username="nobody"), ("refuses user nobody", "array.username")),
    "array: untrusted certificate": Case(
        "lun_provision",
        lambda lab: on_array(ca_path=lab.hypervisor["ca_path"])(lab),
        ("certificate of 127.0.0.1:", "is not trusted", "array.ca_path"),
    ),
    "array: no such name": Case(
        "lun_provision", on_array(hostname="array.invalid"), ("array array.invalid:", "cannot be reached", "array.hostname")
    ),
    "array: nobody listens": Case("lun_provision", on_array(port=1), ("array 127.0.0.1:1 cannot be reached", "refused", "array.port")),
    "array: a vCenter": Case("lun_provision", lambda lab: on_array(**vcenter(lab))(lab), ("does not answer as ONTAP", "array.hostname")),
    "array: no hostname": Case("lun_provision", on_array(hostname=None), ("array.hostname is not set", "CROSSVISOR_ARRAY_HOSTNAME")),
    "array: no password": Case("lun_provision", on_array(password=None), ("array.password is not set", "CROSSVISOR_ARRAY_PASSWORD")),
    "array: no file of authorities": Case("lun_provision", on_array(ca_path="/nowhere/ca.pem"), ("/nowhere/ca.pem", "array.ca_path")),
    "hypervisor: wrong password": Case(
        "hba_info", on_hypervisor(password="wrong"), ("127.0.0.1:", "refuses the user administrator@vsphere.local", "hypervisor.password")
    ),
    "hypervisor: untrusted certificate": Case(
        "hba_info",
        lambda lab: on_hypervisor(ca_path=lab.array["ca_path"])(lab),
        ("certificate of 127.0.0.1:", "is not trusted", "hypervisor.ca_path"),
    ),
    "hypervisor: no such name": Case(
        "hba_info", on_hypervisor(hostname="vcenter.invalid"), ("hypervisor vcenter.invalid", "cannot be reached", "hypervisor.hostname")
    ),
    "hypervisor: nobody listens": Case("hba_info", on_hypervisor(port=1), ("hypervisor 127.0.0.1:1 cannot be reached", "hypervisor.port")),
    "hypervisor: an array": Case(
        "hba_info", lambda lab: on_hypervisor(**array(lab))(lab), ("none of", "VMware vCenter Server", "hypervisor.hostname")
    ),
    "hypervisor: an array, said to be vSphere": Case(
        "hba_info", lambda lab: on_hypervisor(type="vmware", **array(lab))(lab), ("vCenter Server or ESXi", "hypervisor.hostname")
    ),
    "hypervisor: no password": Case("hba_info", on_hypervisor(password=None), ("hypervisor.password is not set", "CROSSVISOR_HYP")),
    "hypervisor: none for the disk": Case(
        "ptd_attach", disk(hypervisor=None), ("hypervisor.hostname is not set", "CROSSVISOR_HYPERVISOR_HOSTNAME")
    ),
    "hypervisor: none for its hosts": Case("hba_info", lambda _: {"vm": "app01"}, ("hypervisor.hostname", "read this machine")),
}

NAMES = {
    "unknown VM": Case("ptd_attach", disk(vm="app99"), ("no VM 'app99' among the 15 VMs", "correct it")),
    "unknown VM, but for the case": Case("ptd_attach", disk(vm="APP01"), ("no VM 'APP01'", "did you mean app01")),
    "unknown VM, its initiators": Case("hba_info", lambda lab: {"hypervisor": lab.hypervisor, "vm": "app99"}, ("no VM 'app99'",)),
    "unknown VM, its map": Case("vm_storage_map", lambda lab: {"hypervisor": lab.hypervisor, "vms": ["app01", "app99"]}, ("'app99'",)),
    "ambiguous VM": Case("ptd_attach", disk(vm="twin"), ("'twin' stands for 2 VMs", "apps", "archive", "identifier or UUID")),
    "unknown host": Case("hba_info", lambda lab: {"hypervisor": lab.hypervisor, "hosts": ["esx99"]}, ("no host 'esx99'", "esx01.lab")),
    "unknown cluster": Case("vm_storage_map", lambda lab: {"hypervisor": lab.hypervisor, "clusters": ["test"]}, ("'test'", "dev, prod")),
    "host to ignore that is not there": Case("ptd_attach", disk(ignore_hosts=["esx99"]), ("no host 'esx99'",)),
    "malformed NAA": Case("ptd_attach", disk(naa="naa.600a09"), ("naa.600a09",)),
    "malformed serial": Case("ptd_attach", disk(naa=None, serial="short"), ("short", "12")),
    "malformed place": Case("ptd_attach", disk(place="slot 3"), ("'slot 3' is not a place", "SCSI(1:3)")),
    "malformed NAA to withdraw": Case("lun_provision", withdrawal(naa="vml.02"), ("vml.02",)),
    "malformed WWPN": Case("lun_provision", lun(initiators=["10:00:zz"]), ("10:00:zz", "WWPN")),
    "malformed IQN": Case("lun_provision", lun(initiators=["iqn.host1"]), ("iqn.host1",)),
    "malformed size": Case("lun_provision", lun(size="ten"), ("'ten' is not a size", "10GiB")),
    "a size of nothing": Case("lun_provision", lun(size="0"), ("'0' is not a size",)),
    "malformed name of a LUN": Case("lun_provision", lun(name="a/b"), ("a/b", "create the qtree")),
    "unknown SVM": Case("lun_provision", lun(svm="svm_none"), ("svm_none",)),
    "unknown volume": Case("lun_provision", lun(volume="vol_none"), ("vol_none", "svm_san")),
    "LUN of another vendor": Case(
        "lun_provision", withdrawal(naa="naa.60002ac0000000000000000000000001"), ("not the name of an ONTAP LUN",)
    ),
}

RULES = {
    "a LUN that no host sees": Case(
        "ptd_attach", disk(), (f"LUN naa.{SPARE} is not visible on esx01.lab, esx02.lab after 0.5 s", "hba_info")
    ),
    "a LUN that the array maps to no host": Case(
        "ptd_attach",
        lambda lab: {**disk(timeout=600)(lab), "array": lab.array},
        (f"LUN naa.{SPARE} (svm_san:/vol/vol_dev/spare) is mapped to no initiator of esx01.lab, esx02.lab on array", "attach_disk"),
    ),
    "a LUN that does not exist": Case("ptd_attach", disk(naa=MISSING_LUN), (f"LUN naa.{MISSING_LUN} is not visible",)),
    "the LUN of another VM": Case("ptd_attach", disk(naa=SHARED_RDM), (f"naa.{SHARED_RDM} is used by VM db01", "detach it there first")),
    "the LUN of a datastore": Case(
        "ptd_attach", disk(naa=DATASTORE_LUN, sharing="multi_writer"), ("vmfs file system ds_single", "remove the file system first")
    ),
    "unmapping the LUN of a VM": Case("lun_provision", withdrawal(naa=SHARED_RDM), ("used by VM db01", "unmapped", "ptd_attach")),
    "deleting the LUN of a VM": Case("lun_provision", withdrawal(naa=SHARED_RDM, delete=True), ("used by VM db01", "deleted")),
    "deleting the LUN of a datastore": Case(
        "lun_provision",
        withdrawal(naa=DATASTORE_LUN, delete=True),
        ("vmfs file system ds_single", "will not be deleted", "remove the file system first"),
    ),
    "releasing the LUN of another VM": Case(
        "ptd_attach", disk(naa=SHARED_RDM, state="absent", release=True), ("used by VM db01", "released")
    ),
    "forgetting the LUN of a VM": Case("ptd_attach", disk(naa=SHARED_RDM, state="forgotten"), ("used by VM db01", "forgotten")),
    "withdrawing a LUN that nobody vouches for": Case(
        "lun_provision", withdrawal(naa=SPARE, hypervisor=None), ("assume_unused", "hypervisor")
    ),
    "shrinking": Case("lun_provision", spare(size="1GiB"), ("/vol/vol_dev/spare", "never")),
    "no space": Case("lun_provision", lun(volume="vol_small", size="10GiB", thin=False), ("space", "enlarge the volume")),
    "a LUN with another os_type": Case("lun_provision", spare(size="5GiB", os_type="windows"), ("/vol/vol_dev/spare", "os_type", "vmware")),
    "a new LUN without size": Case("lun_provision", lun(size=None), ("size",)),
    "a LUN id that is taken": Case("lun_provision", spare(initiators=HOSTS, lun_id=0, igroup="mine"), ("LUN id 0",)),
    "a LUN id that does not exist": Case("lun_provision", spare(initiators=HOSTS, lun_id=5000), ("5000",)),
    "another LUN id than the present": Case(
        "lun_provision", lun(name="shared_rdm", size=None, os_type="vmware", initiators=HOSTS, lun_id=20), ("10", "20")
    ),
    "creating by NAA": Case(
        "lun_provision", lambda lab: {"array": lab.array, "naa": SPARE}, ("naa names a LUN to withdraw", "svm, volume")
    ),
}

ATTACHING = {
    "the controller's own unit": Case("ptd_attach", disk(place="SCSI(0:7)"), ("SCSI(0:7) is the controller itself",)),
    "a taken unit": Case("ptd_attach", disk(place="SCSI(0:0)"), ("SCSI(0:0) of VM app01 is taken by Hard disk 1",)),
    "a unit that does not exist": Case("ptd_attach", disk(place="SCSI(0:99)"), ("SCSI(0:99) does not exist on VM app01",)),
    "a bus that does not exist": Case("ptd_attach", disk(place="SCSI(4)"), ("SCSI bus 4 does not exist",)),
    "an unknown datastore": Case("ptd_attach", disk(datastore="ds_none"), ("no datastore 'ds_none'", "ds_single")),
    "a datastore that cannot hold mapping files": Case("ptd_attach", disk(datastore="nfs01"), ("nfs01", "cannot hold the mapping file")),
    "a disk mode that does not exist in physical mode": Case(
        "ptd_attach", disk(disk_mode="persistent"), ("disk_mode persistent does not exist", "mode virtual")
    ),
}


def array(lab: Lab) -> Arguments:
    return {option: lab.array[option] for option in ("port", "ca_path")}


def vcenter(lab: Lab) -> Arguments:
    return {option: lab.hypervisor[option] for option in ("port", "ca_path")}


def cases(table: Mapping[str, Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", table.values(), ids=table.keys())


def refuse(lab: Lab, modules: ModuleRunner, case: Case) -> None:
    """Run a case, which has to fail as it says, and to leave everything as it is."""
    before = lab.state()
    message = modules.fail(case.module, case.arguments(lab))
    print(message)
    assert [fragment for fragment in case.says if fragment not in message] == [], message
    assert lab.state() == before


def show_spare(lab: Lab, modules: ModuleRunner) -> None:
    """Let the hosts of cluster prod see the spare LUN."""
    modules.succeed("lun_provision", spare(initiators=HOSTS, igroup_os_type="vmware")(lab))


@cases(CONNECTIONS)
def test_a_connection_that_cannot_be_made(lab: Lab, modules: ModuleRunner, case: Case) -> None:
    refuse(lab, modules, case)


@cases(NAMES)
def test_a_name_that_stands_for_nothing(lab: Lab, modules: ModuleRunner, case: Case) -> None:
    refuse(lab, modules, case)


@cases(RULES)
def test_a_change_that_would_lose_something_or_cannot_be(lab: Lab, modules: ModuleRunner, case: Case) -> None:
    refuse(lab, modules, case)


@cases(ATTACHING)
def test_a_place_that_cannot_be_had(lab: Lab, modules: ModuleRunner, case: Case) -> None:
    show_spare(lab, modules)
    refuse(lab, modules, case)
    assert lab.device_losses() == []


@contextmanager
def managed(lab: Lab, vm: str) -> Iterator[tuple[VimSession, Any]]:
    """A VM as vSphere's own library has it, to bring it into a state that the modules never do."""
    session = VimSession(Connection("hypervisor", **lab.hypervisor))
    (moid,) = [record.moid for record in session.retrieve({"VirtualMachine": ["name"]}) if record.text("name") == vm]
    yield session, session.managed("VirtualMachine", moid)
    session.close()


def template(_session: VimSession, vm: Any) -> None:
    """Make the VM a template."""
    vm.MarkAsTemplate()


def suspended(session: VimSession, vm: Any) -> None:
    """Suspend the VM."""
    session.wait(vm.SuspendVM_Task(), SECONDS)


def full(session: VimSession, vm: Any) -> None:
    """Give the VM all controllers that it can have, and a disk on each unit of them."""
    devices = [device for device in vm.config.hardware.device if isinstance(device, vim.vm.device.VirtualSCSIController)]
    new = [
        vim.vm.device.ParaVirtualSCSIController(key=-bus, busNumber=bus, sharedBus="noSharing")
        for bus in set(range(4)) - {device.busNumber for device in devices}
    ]
    taken = {(device.controllerKey, device.unitNumber) for device in vm.config.hardware.device}
    places = [(controller.key, unit) for controller in (*devices, *new) for unit in range(64) if unit != 7]
    disks = [
        vim.vm.device.VirtualDisk(
            key=-100 - number,
            controllerKey=controller,
            unitNumber=unit,
            capacityInKB=1024,
            backing=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName="", diskMode="persistent", thinProvisioned=True),
        )
        for number, (controller, unit) in enumerate(places)
        if (controller, unit) not in taken
    ]
    changes = [vim.vm.device.VirtualDeviceSpec(operation="add", device=device) for device in new]
    changes += [vim.vm.device.VirtualDeviceSpec(operation="add", fileOperation="create", device=device) for device in disks]
    session.wait(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=changes)), SECONDS)


@pytest.mark.parametrize(
    ("vm", "prepare", "says"),
    [
        ("app01", full, ("All 4 SCSI controllers of VM app01 are full", "detach a disk")),
        ("app01", suspended, ("VM app01 is suspended", "power it on or off")),
        ("old01", template, ("VM old01 is a template", "convert it")),
    ],
)
def test_a_vm_that_takes_no_disk(
    lab: Lab, modules: ModuleRunner, vm: str, prepare: Callable[[VimSession, Any], None], says: tuple[str, ...]
) -> None:
    show_spare(lab, modules)
    with managed(lab, vm) as (session, machine):
        prepare(session, machine)
    refuse(lab, modules, Case("ptd_attach", disk(vm=vm), says))


class WebServer(BaseHTTPRequestHandler):
    """Greets whoever asks for whatever."""

    def do_GET(self) -> None:
        body = b"<html><body>It works!</body></html>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the name that http.server looks up

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""


@contextmanager
def served(certificates: Certificates | None) -> Iterator[int]:
    """The port of a web server, with TLS if there are certificates."""
    server = HTTPServer(("127.0.0.1", 0), WebServer)
    if certificates:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.certificate, certificates.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("module", "option", "says"),
    [
        ("lun_provision", "array", ("does not answer as ONTAP", "array.hostname")),
        ("hba_info", "hypervisor", ("none of", "hypervisor.hostname")),
    ],
)
def test_some_other_web_server(lab: Lab, modules: ModuleRunner, tmp_path: Path, module: str, option: str, says: tuple[str, ...]) -> None:
    certificates = issue(tmp_path)
    with served(certificates) as port:
        place = {"port": port, "ca_path": str(certificates.authority)}
        arguments = on_array(**place) if option == "array" else on_hypervisor(**place)
        refuse(lab, modules, Case(module, arguments, says))


@pytest.mark.parametrize(("module", "arguments"), [("lun_provision", on_array), ("hba_info", on_hypervisor)])
def test_a_server_without_tls(lab: Lab, modules: ModuleRunner, module: str, arguments: Callable[..., Any]) -> None:
    with served(None) as port:
        refuse(lab, modules, Case(module, arguments(port=port), ("does not speak TLS", f"127.0.0.1:{port}")))


@pytest.mark.parametrize(("module", "arguments"), [("lun_provision", on_array), ("hba_info", on_hypervisor)])
def test_a_server_that_never_answers(lab: Lab, modules: ModuleRunner, module: str, arguments: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        refuse(lab, modules, Case(module, arguments(port=port, timeout=0.5), (f"127.0.0.1:{port} did not answer within 0.5 s",)))


@pytest.mark.parametrize(
    ("module", "arguments", "missing", "package"),
    [
        ("lun_provision", on_array(), "requests", "requests"),
        ("hba_info", on_hypervisor(type="vmware"), "pyVmomi", "pyvmomi"),
        ("hba_info", on_hypervisor(type="vmware"), "lxml", "lxml"),
    ],
)
def test_a_library_that_is_not_installed(
    lab: Lab, tmp_path: Path, module: str, arguments: Callable[[Lab], Arguments], missing: str, package: str
) -> None:
    (tmp_path / f"{missing}.py").write_text(f"raise ModuleNotFoundError('No module named {missing}')\n")
    order = tmp_path / "arguments.json"
    order.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": arguments(lab)}))
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{COLLECTIONS}:{ROOT}"}
    command = [sys.executable, "-m", f"{MODULES}.{module}", str(order)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (1, "")
    message = sentence(json.loads(ended.stdout))
    assert "not installed where this task runs" in message
    assert f"pip install {package}" in message
