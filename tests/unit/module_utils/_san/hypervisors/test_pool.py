# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The right backend is found before any credential is sent, and only it is loaded."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import HYPERVISOR, Connection, connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import ConnectionFailed, InvalidInput, NotFound
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import Descriptor
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.pool import DESCRIPTORS, has_endpoint, resolve


def descriptor(kind: str, answers: bool, probed: list[Connection]) -> Descriptor:
    def probe(endpoint: Connection) -> bool:
        probed.append(endpoint)
        return answers

    return replace(
        DESCRIPTORS[0],
        type=kind,
        products=kind.title(),
        default_port=1000 + len(kind),
        probe=probe,
        environment={"hostname": f"{kind.upper()}_HOST", "password": f"{kind.upper()}_PASSWORD"},
    )


def test_auto_takes_the_first_backend_that_knows_the_endpoint() -> None:
    probed: list[Connection] = []
    known = [descriptor("ape", False, probed), descriptor("bear", True, probed), descriptor("cat", True, probed)]
    found, complete = resolve(connection(HYPERVISOR, {"hostname": "x", "password": "p"}, {}), {"CAT_PASSWORD": "c"}, known)
    assert (found.type, complete.type, complete.port) == ("bear", "bear", 1004)
    assert [endpoint.port for endpoint in probed] == [1003, 1004]


def test_a_type_that_there_is_not_is_told_and_nobody_is_asked() -> None:
    probed: list[Connection] = []
    given = connection(HYPERVISOR, {"hostname": "x"}, {"CROSSVISOR_HYPERVISOR_TYPE": "xen"})
    with pytest.raises(InvalidInput, match=r"^hypervisor\.type is 'xen': say one of auto, ape\.$"):
        resolve(given, {}, [descriptor("ape", True, probed)])
    assert probed == []


def test_an_unknown_product_is_told_with_what_is_known() -> None:
    with pytest.raises(NotFound, match=r"endpoint x answers but is none of: Ape, Bear; check hypervisor\.hostname"):
        resolve(connection(HYPERVISOR, {"hostname": "x"}, {}), {}, [descriptor("ape", False, []), descriptor("bear", False, [])])


def silent(kind: str) -> Descriptor:
    """A backend on whose port nothing answers."""

    def probe(endpoint: Connection) -> bool:
        raise ConnectionFailed(f"Nothing answers at {endpoint}.")

    return replace(descriptor(kind, False, []), probe=probe)


def test_a_closed_port_does_not_end_the_search() -> None:
    found, _complete = resolve(connection(HYPERVISOR, {"hostname": "x"}, {}), {}, [silent("ape"), descriptor("bear", True, [])])
    assert found.type == "bear"


def test_when_nothing_answers_every_attempt_is_told() -> None:
    with pytest.raises(ConnectionFailed, match=r"at x:1003; Nothing answers at x:1004; name hypervisor\.type and hypervisor\.port"):
        resolve(connection(HYPERVISOR, {"hostname": "x"}, {}), {}, [silent("ape"), silent("bear")])


def test_a_given_port_that_does_not_answer_is_told_once() -> None:
    with pytest.raises(ConnectionFailed, match=r"^Nothing answers at x:99\.$"):
        resolve(connection(HYPERVISOR, {"hostname": "x", "port": 99}, {}), {}, [silent("ape"), silent("bear")])


def test_a_guess_does_not_wait_as_long_as_a_request() -> None:
    probed: list[Connection] = []
    resolve(connection(HYPERVISOR, {"hostname": "x", "timeout": 600}, {}), {}, [descriptor("ape", True, probed)])
    assert probed[0].timeout == 10


def test_a_platforms_password_goes_to_no_other_platform() -> None:
    known = [descriptor("ape", True, []), descriptor("bear", True, [])]
    _found, complete = resolve(connection(HYPERVISOR, {"hostname": "x"}, {}), {"BEAR_PASSWORD": "b", "APE_PASSWORD": "a"}, known)
    assert complete.password == "a"


def test_an_explicit_type_is_not_probed() -> None:
    probed: list[Connection] = []
    found, _complete = resolve(connection(HYPERVISOR, {"hostname": "x", "type": "bear"}, {}), {}, [descriptor("bear", False, probed)])
    assert found.type == "bear"
    assert probed == []


def test_the_environment_alone_names_an_endpoint() -> None:
    nothing = connection(HYPERVISOR, None, {})
    assert not has_endpoint(nothing, {})
    assert has_endpoint(nothing, {"VMWARE_HOST": "vc"})
    _found, complete = resolve(nothing, {"VMWARE_HOST": "vc", "VMWARE_USER": "u", "VMWARE_VALIDATE_CERTS": "no"})
    assert (complete.type, complete.hostname, complete.username, complete.validate_certs) == ("vmware", "vc", "u", False)


def test_no_endpoint_at_all_is_one_sentence() -> None:
    with pytest.raises(InvalidInput, match=r"hypervisor\.hostname is not set"):
        resolve(connection(HYPERVISOR, {"type": "vmware"}, {}), {})


def test_the_pool_loads_no_vendor_library() -> None:
    program = (
        "import sys; from ansible_collections.crossvisor.san.plugins.module_utils._san.endpoints import hypervisors; "
        "print(sorted({'pyVmomi', 'lxml', 'winrm', 'XenAPI', 'libvirt'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_uri_means_kvm_and_asks_nobody() -> None:
    given = connection(HYPERVISOR, {"uri": "qemu:///system"}, {})
    assert has_endpoint(given, {})
    found, complete = resolve(given, {})
    assert (found.type, complete.type, complete.uri, str(complete)) == ("kvm", "kvm", "qemu:///system", "qemu:///system")


def test_a_uri_from_the_environment_is_an_endpoint_too() -> None:
    given = connection(HYPERVISOR, None, {"CROSSVISOR_HYPERVISOR_URI": "qemu+ssh://kvm01/system"})
    assert resolve(given, {})[1].uri == "qemu+ssh://kvm01/system"


def test_a_uri_and_another_type_contradict_each_other() -> None:
    with pytest.raises(InvalidInput, match=r"hypervisor\.uri is qemu:///system, which is for type kvm, but hypervisor\.type is vmware"):
        resolve(connection(HYPERVISOR, {"uri": "qemu:///system", "type": "vmware"}, {}), {})


def test_a_backend_without_a_probe_is_taken_only_by_its_name() -> None:
    known = [replace(descriptor("ape", True, []), probe=None), descriptor("bear", True, [])]
    assert resolve(connection(HYPERVISOR, {"hostname": "x"}, {}), {}, known)[0].type == "bear"
    assert resolve(connection(HYPERVISOR, {"hostname": "x", "type": "ape"}, {}), {}, known)[0].type == "ape"


def test_a_xen_pool_is_completed_from_the_variables_of_other_tools_for_it() -> None:
    environ = {
        "XENSERVER_HOST": "xen01",
        "XENSERVER_USER": "root",
        "XENSERVER_PASSWORD": "p",
        "XENSERVER_VALIDATE_CERTS": "no",
        "VMWARE_PASSWORD": "q",
    }
    found, complete = resolve(connection(HYPERVISOR, {}, {}), environ)
    assert (found.type, complete.hostname, complete.port) == ("xen", "xen01", 443)
    assert (complete.username, complete.password, complete.validate_certs) == ("root", "p", False)
