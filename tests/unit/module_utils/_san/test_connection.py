# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where an endpoint and its credentials come from: the task first, then the environment."""

from __future__ import annotations

import re

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import (
    ARRAY,
    GUEST,
    HYPERVISOR,
    Connection,
    connection,
    connection_option,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput


def test_the_task_goes_before_the_environment() -> None:
    found = connection(HYPERVISOR, {"hostname": "a"}, {"CROSSVISOR_HYPERVISOR_HOSTNAME": "b", "CROSSVISOR_HYPERVISOR_USERNAME": "u"})
    assert (found.hostname, found.username) == ("a", "u")


def test_without_both_there_is_no_endpoint() -> None:
    assert connection(HYPERVISOR, None, {}).hostname is None


def test_variables_have_the_types_of_their_options() -> None:
    variables = {
        "CROSSVISOR_HYPERVISOR_PORT": "8443",
        "CROSSVISOR_HYPERVISOR_VALIDATE_CERTS": "False",
        "CROSSVISOR_HYPERVISOR_TIMEOUT": "2.5",
    }
    found = connection(HYPERVISOR, {}, variables)
    assert (found.port, found.validate_certs, found.timeout) == (8443, False, 2.5)
    assert found.verify is False


@pytest.mark.parametrize(("variable", "text"), [("PORT", "https"), ("TIMEOUT", "soon"), ("VALIDATE_CERTS", "maybe")])
def test_a_malformed_variable_is_named(variable: str, text: str) -> None:
    with pytest.raises(InvalidInput, match=f"CROSSVISOR_HYPERVISOR_{variable} is '{text}'"):
        connection(HYPERVISOR, {}, {f"CROSSVISOR_HYPERVISOR_{variable}": text})


def test_certificates_are_verified_unless_the_user_says_no() -> None:
    assert connection(HYPERVISOR, {"hostname": "a"}, {}).verify is True
    assert connection(HYPERVISOR, {"hostname": "a", "ca_path": "/ca.pem"}, {}).verify == "/ca.pem"
    assert connection(HYPERVISOR, {"hostname": "a", "ca_path": "/ca.pem", "validate_certs": False}, {}).verify is False


def test_a_missing_option_is_named_with_its_variable() -> None:
    with pytest.raises(InvalidInput, match=r"hypervisor\.password is not set.*CROSSVISOR_HYPERVISOR_PASSWORD"):
        connection(HYPERVISOR, {"hostname": "a"}, {}).required("password")


def test_the_password_is_in_no_representation() -> None:
    assert "geheim" not in repr(connection(HYPERVISOR, {"hostname": "a", "password": "geheim"}, {}))


def test_the_argument_spec_hides_the_password_and_offers_detection() -> None:
    spec = connection_option(HYPERVISOR, ["vmware"])
    assert spec["options"]["password"]["no_log"] is True
    assert spec["options"]["type"]["choices"] == ["auto", "vmware"]


def test_a_guest_has_no_type_and_an_array_has_no_windows_login() -> None:
    assert "type" not in connection_option(GUEST)["options"]
    assert "transport" not in connection_option(ARRAY, ["ontap_rest"])["options"]


def test_nodes_and_transport_come_from_the_environment_too() -> None:
    variables = {"CROSSVISOR_HYPERVISOR_NODES": "n1=10.0.0.1, n2=10.0.0.2:5986", "CROSSVISOR_HYPERVISOR_TRANSPORT": "kerberos"}
    found = connection(HYPERVISOR, {}, variables)
    assert found.nodes == {"n1": "10.0.0.1", "n2": "10.0.0.2:5986"}
    assert found.transport == "kerberos"


@pytest.mark.parametrize(("variable", "text"), [("NODES", "n1"), ("NODES", "n1="), ("TRANSPORT", "telnet"), ("SCHEME", "ftp")])
def test_a_variable_that_is_no_choice_or_no_pair_is_named(variable: str, text: str) -> None:
    with pytest.raises(InvalidInput, match=rf"CROSSVISOR_HYPERVISOR_{variable}\)? is '{text}'"):
        connection(HYPERVISOR, {}, {f"CROSSVISOR_HYPERVISOR_{variable}": text})


@pytest.mark.parametrize("word", ["ntlm", "NTLM", "Ntlm"])
def test_words_may_be_written_in_any_case(word: str) -> None:
    wanted = ("hyperv", "ntlm", "https")
    given = connection(HYPERVISOR, {"type": "HyperV", "transport": word, "scheme": "HTTPS"}, {})
    assert (given.type, given.transport, given.scheme) == wanted
    variables = {"TYPE": "HYPERV", "TRANSPORT": word, "SCHEME": "Https"}
    found = connection(HYPERVISOR, None, {f"CROSSVISOR_HYPERVISOR_{option}": text for option, text in variables.items()})
    assert (found.type, found.transport, found.scheme) == wanted


def test_a_word_that_is_none_of_them_is_told_with_those_there_are() -> None:
    with pytest.raises(InvalidInput, match=r"^guest\.transport .* is 'telnet': say one of ntlm, kerberos, credssp, basic, certificate\.$"):
        connection(GUEST, {"transport": "telnet"}, {})


@pytest.mark.parametrize("hostname", ["vc01", "vc01.example.com", "192.0.2.1", "2001:db8::1", "[2001:db8::1]", "fe80::1%eth0"])
def test_a_host_is_named_by_its_name_or_address(hostname: str) -> None:
    assert connection(HYPERVISOR, {"hostname": hostname}, {}).hostname == hostname


@pytest.mark.parametrize(
    ("hostname", "way_out"),
    [
        ("https://vc01/", "give the name or address alone, vc01."),
        ("HTTPS://vc01:8443/sdk", "give the name or address alone, vc01, and 8443 as hypervisor.port."),
        ("vc01:443", "give the name or address alone, vc01, and 443 as hypervisor.port."),
        ("[2001:db8::1]:443", "give the name or address alone, 2001:db8::1, and 443 as hypervisor.port."),
        ("root@kvm01", "give the name or address alone, kvm01, and root as hypervisor.username."),
        (
            "qemu+ssh://root@kvm01/system",
            "give the name or address alone, kvm01, and root as hypervisor.username, or the whole as hypervisor.uri.",
        ),
        (" vc01", "give the name or address alone, vc01."),
    ],
)
def test_a_url_for_a_host_is_told_with_what_to_write(hostname: str, way_out: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{re.escape(f'hypervisor.hostname is {hostname!r}: {way_out}')}$"):
        connection(HYPERVISOR, {"hostname": hostname}, {})
    with pytest.raises(InvalidInput, match=re.escape(way_out)):
        connection(HYPERVISOR, None, {"CROSSVISOR_HYPERVISOR_HOSTNAME": hostname})


@pytest.mark.parametrize("hostname", ["my host", "a:b", "https://", "/sdk"])
def test_what_is_no_host_at_all_is_told(hostname: str) -> None:
    with pytest.raises(InvalidInput, match=r"^array\.hostname is not the name or address of a host"):
        connection(ARRAY, {"hostname": hostname}, {})


def test_a_password_in_a_url_is_not_told() -> None:
    with pytest.raises(InvalidInput, match="give the name or address alone, vc01") as told:
        connection(HYPERVISOR, {"hostname": "https://root:geheim@vc01/"}, {})
    assert "geheim" not in str(told.value)


class TestTheTimeout:
    def test_of_the_task_goes_before_the_environment(self) -> None:
        assert connection(HYPERVISOR, {"timeout": 5.0}, {"CROSSVISOR_HYPERVISOR_TIMEOUT": "7"}).timeout == 5.0

    def test_is_a_minute_when_nobody_says_otherwise(self) -> None:
        assert connection(HYPERVISOR, {"hostname": "a"}, {}).timeout == 60.0
        assert connection(HYPERVISOR, {"hostname": "a", "timeout": None}, {"CROSSVISOR_HYPERVISOR_TIMEOUT": ""}).timeout == 60.0


class TestTheType:
    @pytest.mark.parametrize(
        ("params", "environ", "found"),
        [
            ({"type": "kvm"}, {"CROSSVISOR_HYPERVISOR_TYPE": "vmware"}, "kvm"),
            ({}, {"CROSSVISOR_HYPERVISOR_TYPE": "vmware"}, "vmware"),
            ({"type": None}, {}, "auto"),
        ],
        ids=["of the task", "of the environment", "to be found out"],
    )
    def test_is_said_by_the_task_then_by_the_environment(self, params: dict[str, str], environ: dict[str, str], found: str) -> None:
        assert connection(HYPERVISOR, params, environ).type == found


def test_what_a_task_leaves_out_may_come_from_the_environment() -> None:
    unset = {"hostname": None, "port": None, "username": "", "validate_certs": None}
    variables = {"CROSSVISOR_ARRAY_HOSTNAME": "a", "CROSSVISOR_ARRAY_PORT": "8443", "CROSSVISOR_ARRAY_CA_PATH": "/ca.pem"}
    found = connection(ARRAY, unset, variables)
    assert (found.hostname, found.port, found.username, found.ca_path) == ("a", 8443, "", "/ca.pem")


def test_the_variables_of_one_role_are_no_others() -> None:
    assert connection(GUEST, {}, {"CROSSVISOR_GUEST_HOSTNAME": "g", "CROSSVISOR_ARRAY_HOSTNAME": "a"}).hostname == "g"


@pytest.mark.parametrize("text", ["1", "true", "yes", "on", "y", "t", "TRUE", "Yes"])
def test_a_variable_says_true_as_ansible_does(text: str) -> None:
    assert connection(HYPERVISOR, {}, {"CROSSVISOR_HYPERVISOR_VALIDATE_CERTS": text}).validate_certs is True


@pytest.mark.parametrize("text", ["0", "false", "no", "off", "n", "f", "FALSE", "No"])
def test_a_variable_says_false_as_ansible_does(text: str) -> None:
    assert connection(HYPERVISOR, {}, {"CROSSVISOR_HYPERVISOR_VALIDATE_CERTS": text}).validate_certs is False


def test_pairs_may_be_followed_by_a_comma_and_all_of_them_are_whole() -> None:
    def nodes(text: str) -> object:
        return connection(HYPERVISOR, {}, {"CROSSVISOR_HYPERVISOR_NODES": text}).nodes

    assert nodes("n1=10.0.0.1, ,") == {"n1": "10.0.0.1"}
    for text in ("n1=10.0.0.1,n2", "=10.0.0.1", "n1=10.0.0.1, =10.0.0.2"):
        with pytest.raises(InvalidInput, match="write it as name=value,name=value"):
            nodes(text)


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        (Connection(HYPERVISOR, uri="qemu+ssh://kvm01/system", hostname="a"), "qemu+ssh://kvm01/system"),
        (Connection(ARRAY, hostname="a", port=8443), "a:8443"),
        (Connection(ARRAY, hostname="a"), "a"),
    ],
)
def test_an_endpoint_is_shown_as_it_is_reached(found: Connection, shown: str) -> None:
    assert str(found) == shown


def test_a_given_option_is_a_text() -> None:
    assert connection(HYPERVISOR, {"port": 443}, {}).required("port") == "443"


COMMON = {
    "hostname": {"type": "str"},
    "port": {"type": "int"},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "validate_certs": {"type": "bool"},
    "ca_path": {"type": "path"},
    "timeout": {"type": "float"},
}
WINDOWS = {
    "transport": {"type": "str"},
    "scheme": {"type": "str"},
    "client_cert": {"type": "path"},
    "client_key": {"type": "path", "no_log": False},
}


@pytest.mark.parametrize(
    ("role", "options"),
    [
        (
            "hypervisor",
            {"type": {"type": "str", "choices": ["auto", "x"]}, **COMMON, **WINDOWS, "nodes": {"type": "dict"}, "uri": {"type": "str"}},
        ),
        ("array", {"type": {"type": "str", "choices": ["auto", "x"]}, **COMMON}),
        ("guest", {**COMMON, **WINDOWS}),
    ],
)
def test_the_argument_spec_of_each_role_is_what_its_documentation_promises(role: str, options: dict[str, object]) -> None:
    assert connection_option(role, ["x"], required=True) == {"type": "dict", "required": True, "options": options}
    assert connection_option(role, ["x"], type="list", elements="dict")["type"] == "list"
