# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server of the lab that is told its port finds it free, also when it comes back at it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.lab import ports


@pytest.fixture
def ephemeral(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which the kernel says which ports it gives unasked."""
    file = tmp_path / "ip_local_port_range"
    monkeypatch.setattr(ports, "EPHEMERAL", file)
    monkeypatch.setattr(ports, "_given", set())
    return file


@pytest.mark.parametrize(("low", "high"), [(10002, 65535), (1024, 65533)])
def test_a_port_is_none_that_the_kernel_gives_unasked_and_none_is_given_twice(ephemeral: Path, low: int, high: int) -> None:
    ephemeral.write_text(f"{low}\t{high}\n")
    assert {ports.free_port(), ports.free_port()} == ({10000, 10001} if low > ports.LOWEST else {65534, 65535})
    with pytest.raises(OSError, match=f"no port from 10000 on is free outside of .*, which says {low} to {high}"):
        ports.free_port()


def test_a_port_on_which_somebody_listens_is_not_given(ephemeral: Path) -> None:
    ephemeral.write_text("1024\t65533\n")
    with socket.create_server((ports.LISTEN, 65534)):
        assert ports.free_port() == 65535
