# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's command shell by clients that others wrote, and our scripts by a grammar of PowerShell that others wrote."""

from __future__ import annotations

import pytest
import tree_sitter
import tree_sitter_powershell
from pypsrp.client import Client
from pypsrp.exceptions import WSManFaultError as PypsrpFault
from pypsrp.shell import Process, WinRS
from winrm.exceptions import WSManFaultError
from winrm.protocol import Protocol

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import host_files
from tests.conformance.hyperv.conftest import Lab
from tests.conformance.hyperv.test_pywinrm import TRANSPORTS, connect
from tests.lab.launch import Endpoint

UNKNOWN = b"'nothing.exe' is not recognized as an internal or external command"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_pywinrm_runs_a_command_and_reads_how_it_ended(lab: Lab, transport: str) -> None:
    client = connect(lab.host, transport)
    shell = client.open_shell(codepage=65001)
    command = client.run_command(shell, "nothing.exe", ["file", "queryextents"])
    out, err, code = client.get_command_output(shell, command)
    client.cleanup_command(shell, command)
    client.close_shell(shell)
    assert (out, err[: len(UNKNOWN)], code) == (b"", UNKNOWN, 1)


@pytest.fixture
def client(lab: Lab) -> Protocol:
    return connect(lab.host, "ssl")


def test_a_shell_that_was_deleted_or_never_was_is_refused(client: Protocol) -> None:
    shell = client.open_shell()
    client.close_shell(shell, close_session=False)
    for gone in (shell, "11111111-2222-3333-4444-555555555555"):
        with pytest.raises(WSManFaultError) as refusal:
            client.run_command(gone, "nothing.exe")
        assert (refusal.value.fault_subcode, refusal.value.wsman_fault_code) == ("w:InvalidSelectors", 2150858843)


def test_a_command_that_was_signalled_or_never_was_is_refused(client: Protocol) -> None:
    shell = client.open_shell()
    command = client.run_command(shell, "nothing.exe")
    client.cleanup_command(shell, command)
    for gone in (command, "11111111-2222-3333-4444-555555555555"):
        with pytest.raises(WSManFaultError) as refusal:
            client.get_command_output(shell, gone)
        assert refusal.value.wsman_fault_code == 87
    client.close_shell(shell)


def test_more_shells_than_a_user_may_have_are_refused(client: Protocol) -> None:
    shells = [client.open_shell() for _shell in range(30)]
    with pytest.raises(WSManFaultError) as refusal:
        client.open_shell()
    assert refusal.value.wsman_fault_code == 2150859174
    client.close_shell(shells[0], close_session=False)
    assert client.open_shell()


def test_a_command_line_that_is_too_long_is_refused_by_cmd(client: Protocol) -> None:
    shell = client.open_shell()
    command = client.run_command(shell, "nothing.exe", ["x" * 8200])
    assert client.get_command_output(shell, command)[1:] == (b"The command line is too long.\r\n", 1)
    client.close_shell(shell)


def opened(endpoint: Endpoint) -> Client:
    return Client(
        endpoint.hostname,
        port=endpoint.port,
        username=endpoint.username,
        password=endpoint.password,
        ssl=True,
        auth="basic",
        cert_validation=endpoint.ca_path,
        no_proxy=True,
    )


def test_pypsrp_runs_a_command_too(lab: Lab) -> None:
    with opened(lab.host) as client, WinRS(client.wsman, codepage=65001, no_profile=True) as shell:
        process = Process(shell, "nothing.exe", ["file"])
        process.invoke()
        process.signal("http://schemas.microsoft.com/wbem/wsman/1/windows/shell/signal/terminate")
        assert (process.stdout, process.stderr[: len(UNKNOWN)], process.rc) == (b"", UNKNOWN, 1)


def test_an_option_that_no_shell_has_is_refused(lab: Lab) -> None:
    with opened(lab.host) as client, WinRS(client.wsman) as shell, pytest.raises(PypsrpFault):
        Process(shell, "nothing.exe", no_shell=True).invoke()


@pytest.mark.parametrize(
    "script", [host_files._EXTENTS, *(script for script, _ in host_files._reads("E:\\VMs\\it's.vhdx", [(0, 8), (1 << 40, 4096)]))]
)
def test_a_script_is_powershell_by_a_grammar_of_others(script: str) -> None:
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))
    assert not parser.parse(script.encode()).root_node.has_error
    assert parser.parse(script.replace("}", "", 1).replace("(", "", 1).encode()).root_node.has_error
