# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What becomes of a result, an error and a secret."""

from __future__ import annotations

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

    def test_of_a_defect_is_its_traceback(self) -> None:
        def fail() -> Mapping[str, Any]:
            raise KeyError("a defect of ours")

        with module() as there, pytest.raises(KeyError, match="a defect of ours"):
            runtime.run(there, fail)
