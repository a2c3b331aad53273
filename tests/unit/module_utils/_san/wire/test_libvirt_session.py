# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Calls to libvirt, and what its errors become."""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    CrossvisorError,
    MissingLibrary,
    NotFound,
    OutcomeUnknown,
    RemoteError,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import libvirt_session, libvirt_uri
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.libvirt_session import CONFIG, LIVE, DomainRecord, Volume
from tests.unit import libvirt
from tests.unit.libvirt import BY_IO_ERROR, BY_MIGRATION, BY_USER, Connect, Domain, LibvirtError, Pool, domain_xml, uuid_of

XML = domain_xml("app", "")
LOCAL = libvirt_uri.parse("qemu:///system")


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """The module libvirt, whose `openAuth` each test says."""
    module = types.SimpleNamespace(libvirtError=LibvirtError, registerErrorHandler=lambda _handler, _context: None)
    monkeypatch.setitem(sys.modules, "libvirt", module)
    return module


def opened(library: types.SimpleNamespace, answer: Callable[[str, list[Any]], object], patience: float = 5, password: str = "") -> object:
    library.openAuth = lambda uri, authentication, _flags: answer(uri, authentication)
    return libvirt_session.open_session(LOCAL, "ops", password, patience)


def refusing(message: str, code: int) -> Callable[[str, list[Any]], object]:
    def answer(_uri: str, _authentication: list[Any]) -> object:
        raise LibvirtError(message, code, 7)

    return answer


def test_without_the_library_it_is_one_sentence_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "libvirt", None)
    with pytest.raises(MissingLibrary, match="libvirt-python is needed to reach KVM hosts"):
        libvirt_session.open_session(LOCAL, None, None, 1)


def test_a_login_that_wants_a_password_gets_the_given_one(library: types.SimpleNamespace) -> None:
    credentials: list[list[Any]] = [[2, "user", None, None, None], [5, "password", None, None, None]]

    def answer(_uri: str, authentication: list[Any]) -> object:
        assert authentication[1](credentials, None) == 0
        return Connect()

    opened(library, answer, password="geheim")
    assert [credential[4] for credential in credentials] == ["ops", "geheim"]


def test_a_question_that_nobody_can_answer_ends_the_login(library: types.SimpleNamespace) -> None:
    def answer(_uri: str, authentication: list[Any]) -> object:
        assert authentication[1]([[8, "realm", None, None, None]], None) == -1
        return Connect()

    opened(library, answer)


@pytest.mark.parametrize(
    ("message", "code", "error", "words"),
    [
        ("Failed to connect socket", 38, ConnectionFailed, r"cannot be reached at qemu:///system: .*check hypervisor\.uri"),
        ("authentication failed: SASL", 45, AuthenticationFailed, "refuses the login"),
        ("Failed to connect socket to '/run/x': Permission denied", 38, AuthenticationFailed, "use an account of group libvirt"),
    ],
)
def test_a_host_that_is_not_reached_is_one_sentence(
    library: types.SimpleNamespace, message: str, code: int, error: type[CrossvisorError], words: str
) -> None:
    with pytest.raises(error, match=words):
        opened(library, refusing(message, code))


def test_a_host_that_does_not_answer_is_given_up(library: types.SimpleNamespace) -> None:
    answered = threading.Event()

    def never(_uri: str, _authentication: list[Any]) -> object:
        answered.wait(10)
        return Connect()

    with pytest.raises(ConnectionFailed, match=r"did not answer within 0\.05 s"):
        opened(library, never, patience=0.05)
    answered.set()


def test_a_running_domain_has_two_xmls_a_transient_or_stopped_one_has_one() -> None:
    domains = [Domain("both", XML, XML), Domain("transient", XML), Domain("off", config=XML)]
    found = libvirt.session(Connect(domains)).domains()
    assert [(record.name, record.state, record.targets) for record in found] == [
        ("both", "on", LIVE | CONFIG),
        ("transient", "on", LIVE),
        ("off", "off", CONFIG),
    ]
    assert found[2] == DomainRecord(uuid_of("off"), "off", "off", "", XML)


def test_a_domain_that_is_off_has_a_third_in_its_managed_save_image_or_one_that_cannot_be_read() -> None:
    domains = [Domain("off", config=XML), Domain("saved", config=XML, saved=True), Domain("odd", config=XML, saved=True, image=None)]
    found = libvirt.session(Connect(domains)).domains()
    assert [(record.is_saved, record.saved) for record in found] == [(False, None), (True, XML), (True, "")]


def test_a_driver_without_managed_save_images_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    domain = Domain("off", config=XML)
    monkeypatch.setattr(domain, "hasManagedSaveImage", partial(refusing("this function is not supported by the connection driver", 3), ""))
    assert [record.saved for record in libvirt.session(Connect([domain])).domains()] == [None]


def test_a_managed_save_image_over_a_lost_connection_is_not_one_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    domain = Domain("off", config=XML, saved=True)
    monkeypatch.setattr(domain, "managedSaveGetXMLDesc", partial(refusing("client socket is closed", 39), ""))
    with pytest.raises(ConnectionFailed):
        libvirt.session(Connect([domain])).domain(uuid_of("off"))


@pytest.mark.parametrize(("reason", "held"), [(BY_USER, True), (BY_MIGRATION, False), (BY_IO_ERROR, False)])
def test_a_domain_that_is_suspended_tells_whether_somebody_asked_for_it(reason: int, held: bool) -> None:
    found = libvirt.session(Connect([Domain("app", XML, XML, paused=reason)])).domain(uuid_of("app"))
    assert (found.state, found.held) == ("suspended", held)


@pytest.mark.parametrize(("asked", "count"), [((0, 0), 0), ((2, 3), 5), ((-1, 0), None), ((0, -1), None)])
def test_what_a_guest_has_asked_a_disk_is_counted_where_qemu_tells(asked: tuple[int, int], count: int | None) -> None:
    domain = Domain("app", XML, XML, asked={"sda": asked})
    assert libvirt.session(Connect([domain])).requests(uuid_of("app"), "sda") == count


def test_what_does_not_run_tells_nothing_of_its_disks() -> None:
    assert libvirt.session(Connect([Domain("app", config=XML)])).requests(uuid_of("app"), "sda") is None


def test_a_domain_that_vanishes_meanwhile_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> int:
        raise LibvirtError("Domain not found", 42)

    vanished = Domain("gone", config=XML)
    monkeypatch.setattr(vanished, "isActive", gone)
    assert [record.name for record in libvirt.session(Connect([vanished, Domain("app", config=XML)])).domains()] == ["app"]


def test_sizes_of_all_disks_come_in_one_call() -> None:
    assert libvirt.session(Connect([Domain("app", config=XML)], sizes={"vda": 5})).capacities() == {(uuid_of("app"), "vda"): 5}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (LibvirtError("no domain", 42), NotFound),
        (LibvirtError("access denied", 88), AuthenticationFailed),
        (LibvirtError("client socket is closed", 1, 7), RemoteError),
        (LibvirtError("Cannot recv data", 38, 7), ConnectionFailed),
        (LibvirtError("internal error", 1), RemoteError),
    ],
)
def test_errors_are_ours(error: LibvirtError, expected: type[CrossvisorError]) -> None:
    with pytest.raises(expected, match=str(error)):
        libvirt.session(Connect(failure=lambda: error)).domains()


def test_a_change_whose_answer_was_lost_may_have_been_done() -> None:
    app = Domain("app", domain_xml("app", libvirt.VIRTIO_SCSI), XML, refusal=LibvirtError("Cannot recv data", 38, 7))
    with pytest.raises(OutcomeUnknown, match="was lost: Cannot recv data"):
        libvirt.session(Connect([app])).attach(uuid_of("app"), "<disk/>", LIVE)


def test_mounts_are_the_guest_agents_word_or_unknown() -> None:
    app = Domain("app", XML, XML)
    session = libvirt.session(Connect([app]))
    assert session.mounts(uuid_of("app")) is None
    app.mounted = [("/srv", "sda1", "ext4", ["sda"]), ("/var", "sda2", "ext4", ["sda"])]
    assert session.mounts(uuid_of("app")) == {"sda": ["/srv", "/var"]}


def test_a_volume_is_a_path_and_a_size_or_nothing() -> None:
    session = libvirt.session(Connect(pools=[Pool("<pool><name>images</name></pool>", {"a.img": "/images/a.img"})]))
    assert session.volume("images", "a.img") == Volume("/images/a.img", 3 << 30)
    assert (session.volume("images", "b.img"), session.volume("gone", "a.img")) == (Volume(), Volume())


def test_a_secret_is_found_by_its_usage() -> None:
    session = libvirt.session(Connect(secrets={"array": "twelve-chars"}))
    assert session.secret("array", "") == "twelve-chars"
    with pytest.raises(NotFound, match="read the iSCSI secret other"):
        session.secret("other", "")


def test_versions_are_as_people_write_them_and_closing_never_fails() -> None:
    connect = Connect()
    session = libvirt.session(connect)
    assert (session.versions, session.hostname) == (("7.2.22", "9.0.0"), "kvm01")
    session.close()
    assert connect.closed
