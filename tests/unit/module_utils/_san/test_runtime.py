# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What becomes of a result, an error and a secret."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san import runtime
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError
from tests.unit.endpoint_module import module, told


class TestTheEnd:
    def test_of_an_action_is_its_result(self, capsys: pytest.CaptureFixture[str]) -> None:
        with module() as there:
            assert told(capsys, there, lambda: {"changed": True})["changed"] is True

    @pytest.mark.parametrize("text", ["LUN x is in use: detach it", "LUN x is in use: detach it."])
    def test_of_a_foreseeable_failure_is_one_sentence(self, capsys: pytest.CaptureFixture[str], text: str) -> None:
        def fail() -> Mapping[str, Any]:
            raise RemoteError(text)

        with module() as there:
            said = told(capsys, there, fail)
        assert (said["failed"], said["msg"]) == (True, "LUN x is in use: detach it.")
        assert "exception" not in said

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
    def test_by_a_signal_is_told(self, capsys: pytest.CaptureFixture[str], number: signal.Signals) -> None:
        def be_ended() -> Mapping[str, Any]:
            signal.raise_signal(number)
            return {}

        before = signal.signal(number, lambda *_signal: pytest.fail("nobody caught it"))
        try:
            with module() as there:
                said = told(capsys, there, be_ended)
        finally:
            signal.signal(number, before)
        assert said["msg"] == (
            f"This task was ended by {number.name} and has logged out everywhere: run it again, which finishes what it had begun."
        )

    def test_of_a_defect_is_its_traceback(self) -> None:
        def fail() -> Mapping[str, Any]:
            raise KeyError("a defect of ours")

        with module() as there, pytest.raises(KeyError, match="a defect of ours"):
            runtime.run(there, fail)
