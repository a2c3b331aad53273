# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""URIs of KVM hosts, as users write them and as libvirt gets them."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import HYPERVISOR, Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.libvirt_uri import of_connection, parse


@pytest.mark.parametrize(
    ("text", "host", "transport"),
    [
        ("qemu:///system", "", ""),
        ("qemu:///session", "", ""),
        ("qemu+unix:///system?socket=/run/other-sock", "", "unix"),
        ("qemu+tls://kvm01.example.com/system", "kvm01.example.com", "tls"),
        ("qemu://kvm01.example.com/system", "kvm01.example.com", "tls"),
    ],
)
def test_a_uri_is_passed_on_as_it_is(text: str, host: str, transport: str) -> None:
    found = parse(text)
    assert (found.text, found.host, found.transport, found.is_local) == (text, host, transport, not host)
    assert found.ssh_command == []


def test_ssh_never_asks_for_a_password() -> None:
    found = parse("qemu+ssh://root@kvm01:2222/system?keyfile=/home/a/key")
    assert found.text == "qemu+ssh://root@kvm01:2222/system?keyfile=/home/a/key&no_tty=1"
    assert found.ssh_command == ["ssh", "-o", "BatchMode=yes", "-T", "-i", "/home/a/key", "-p", "2222", "-l", "root", "--", "kvm01"]


def test_what_the_user_says_about_asking_is_kept() -> None:
    assert parse("qemu+ssh://kvm01/system?no_tty=0").text == "qemu+ssh://kvm01/system?no_tty=0"


@pytest.mark.parametrize(
    "text", ["xen:///system", "kvm01", "qemu+ssh:///system", "qemu:///nonsense", "qemu+tcp://h:port/system", "qemu+ssh://[::1/system"]
)
def test_what_is_no_uri_of_a_kvm_host_is_told(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"is not the libvirt URI of a KVM host: write qemu:///system"):
        parse(text)


@pytest.mark.parametrize(
    ("connection", "text"),
    [
        (Connection(HYPERVISOR, hostname="kvm01", port=22), "qemu+ssh://kvm01/system?no_tty=1"),
        (Connection(HYPERVISOR, hostname="kvm01", port=2222, username="ops"), "qemu+ssh://ops@kvm01:2222/system?no_tty=1"),
        (Connection(HYPERVISOR, hostname="2001:db8::1"), "qemu+ssh://[2001:db8::1]/system?no_tty=1"),
        (Connection(HYPERVISOR, hostname="ignored", uri="qemu:///system"), "qemu:///system"),
    ],
)
def test_a_host_name_means_ssh_and_a_uri_goes_before_it(connection: Connection, text: str) -> None:
    assert of_connection(connection).text == text
