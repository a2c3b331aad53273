# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One login for all that is asked of a host over ssh, which ends with us, and by no word of a user's text."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san import deadline
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError, TimedOut
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import libvirt_uri
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.ssh import SshConnection
from tests.unit.fake_ssh import LOGIN, ORDER, FakeSsh, fake_ssh

pytestmark = pytest.mark.slow


@pytest.fixture
def fake(tmp_path: Path) -> FakeSsh:
    return fake_ssh(tmp_path / "bin", tmp_path)


@pytest.fixture
def connection(fake: FakeSsh) -> Iterator[SshConnection]:
    found = SshConnection(
        libvirt_uri.parse(f"qemu+ssh://root@kvm01:2222/system?command={fake.program}&keyfile=/k&no_verify=1").ssh_command, "kvm01", 10
    )
    yield found
    found.close()


def sockets(fake: FakeSsh) -> list[Path]:
    """Where connections are held, by the words of those that held them."""
    words = [word for line in fake.words for word in line.split() if word.startswith("ControlPath=")]
    return [Path(word.partition("=")[2]) for word in dict.fromkeys(words)]


def test_many_commands_are_one_login(fake: FakeSsh, connection: SshConnection) -> None:
    assert [connection.run(f"echo {number}", "echo", 5) for number in range(3)] == [b"0\n", b"1\n", b"2\n"]
    assert fake.counts() == {LOGIN: 1, ORDER: 3}


def test_all_go_by_the_uris_own_key_account_and_port(fake: FakeSsh, connection: SshConnection) -> None:
    connection.run("true", "true", 5)
    ours = "-o BatchMode=yes -T -i /k -o StrictHostKeyChecking=no -p 2222 -l root -- kvm01"
    assert len(fake.words) == 3
    assert all(ours in line for line in fake.words)


def test_the_socket_is_in_a_directory_of_our_own_and_goes_at_the_end(fake: FakeSsh, connection: SshConnection) -> None:
    connection.run("true", "true", 5)
    (socket,) = sockets(fake)
    assert socket.parent.stat().st_mode & 0o777 == 0o700
    assert socket.exists()
    connection.close()
    assert not socket.parent.exists()


def test_it_ends_also_after_an_error(fake: FakeSsh, connection: SshConnection) -> None:
    with pytest.raises(RemoteError, match="false on kvm01 failed: it ended with 1"):
        connection.run("false", "false", 5)
    connection.close()
    assert not sockets(fake)[0].parent.exists()


def test_who_shares_connections_by_ssh_s_own_configuration_keeps_that(fake: FakeSsh, connection: SshConnection) -> None:
    fake.configure("user root\ncontrolmaster auto\ncontrolpath /home/a/.ssh/cm-%C\n")
    connection.run("true", "true", 5)
    assert sockets(fake) == []


def test_a_configuration_that_shares_nothing_is_no_reason_not_to(fake: FakeSsh, connection: SshConnection) -> None:
    fake.configure("controlpath none\n")
    connection.run("true", "true", 5)
    assert len(sockets(fake)) == 1


def test_where_no_connection_can_be_kept_each_command_logs_in(fake: FakeSsh, connection: SshConnection) -> None:
    fake.share_nothing()
    assert [connection.run("echo x", "echo", 5) for _time in range(2)] == [b"x\n"] * 2
    assert fake.counts() == {LOGIN: 2, ORDER: 2}


def test_a_host_that_lets_nobody_in_is_told(fake: FakeSsh, connection: SshConnection) -> None:
    fake.refuse()
    with pytest.raises(RemoteError, match="a look on kvm01 failed: it ended with 255"):
        connection.run("true", "a look", 5)


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    connection = SshConnection([f"{tmp_path}/nowhere", "--", "kvm01"], "kvm01", 1)
    with pytest.raises(RemoteError, match="a look on kvm01 could not be run"):
        connection.run("true", "a look", 5)
    connection.close()


def test_a_command_gets_the_rest_of_the_time(connection: SshConnection) -> None:
    connection.run("true", "true", 5)
    with deadline.within(2), pytest.raises(TimedOut, match=r"a look on kvm01 did not end within the [12] s that were left"):
        connection.run("sleep 60", "a look", 60)
    with deadline.within(0), pytest.raises(TimedOut, match="There was no time left for a look on kvm01"):
        connection.run("true", "a look", 60)


def test_nothing_is_left_when_we_are_killed(fake: FakeSsh, tmp_path: Path) -> None:
    """The connection is held by our end of a pipe: whoever reads the socket's directory then finds nobody behind it."""
    program = (
        "import os, signal\n"
        "from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.ssh import SshConnection\n"
        f"SshConnection(['{fake.program}', '--', 'kvm01'], 'kvm01', 10).run('true', 'true', 5)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(filter(None, map(str, sys.path)))}
    subprocess.run([sys.executable, "-c", program], env=environment, check=False, capture_output=True)
    (socket,) = sockets(fake)
    for _time in range(500):
        if not socket.exists():
            return
        time.sleep(0.01)
    pytest.fail("the connection is still held")
