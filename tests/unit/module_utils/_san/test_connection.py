# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where an endpoint and its credentials come from: the task first, then the environment."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import ARRAY, GUEST, HYPERVISOR, connection, connection_option
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
    with pytest.raises(InvalidInput, match=f"CROSSVISOR_HYPERVISOR_{variable} is '{text}'"):
        connection(HYPERVISOR, {}, {f"CROSSVISOR_HYPERVISOR_{variable}": text})
