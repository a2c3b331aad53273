# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.lab.kvm_san.shell import CONFIGURATION, KNOWN_HOSTS, write_configuration


def _written(directory: Path) -> str:
    (directory / "host_key.pub").write_text("ssh-ed25519 AAAA lab\n")
    write_configuration(directory, {"san": 40022, "kvm1": 40023})
    return (directory / CONFIGURATION).read_text()


def test_every_machine_has_its_port_and_all_have_the_key_of_the_lab(tmp_path: Path) -> None:
    text = _written(tmp_path)
    assert "Host san\n    Port 40022\nHost kvm1\n    Port 40023\nHost *\n" in text
    assert f'    IdentityFile "{tmp_path}/key"\n' in text


def test_a_machine_that_does_not_prove_itself_is_not_talked_to(tmp_path: Path) -> None:
    text = _written(tmp_path)
    assert '    StrictHostKeyChecking "yes"\n' in text
    assert f'    UserKnownHostsFile "{tmp_path}/{KNOWN_HOSTS}"\n' in text
    assert (tmp_path / KNOWN_HOSTS).read_text() == "[127.0.0.1]:40022 ssh-ed25519 AAAA\n[127.0.0.1]:40023 ssh-ed25519 AAAA\n"


def test_the_command_is_one_that_any_program_can_start(tmp_path: Path) -> None:
    directory = tmp_path / "a b"
    directory.mkdir()
    _written(directory)
    (tmp_path / "ssh").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "ssh").chmod(0o700)
    told = subprocess.run(
        [directory / "ssh", "-p", "1", "kvm1"], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=True
    )
    assert told.stdout.splitlines() == ["-F", f"{directory}/{CONFIGURATION}", "-p", "1", "kvm1"]
