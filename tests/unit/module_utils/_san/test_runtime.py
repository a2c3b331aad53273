# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What becomes of a result, an error and a secret."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san import runtime
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import OutcomeUnknown, RemoteError, StepFailed
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

    @pytest.mark.parametrize(("cause", "unknown"), [(OutcomeUnknown("lost"), True), (RemoteError("refused"), False)])
    def test_tells_whether_the_system_may_still_be_at_work(
        self, capsys: pytest.CaptureFixture[str], cause: Exception, unknown: bool
    ) -> None:
        def fail() -> Mapping[str, Any]:
            raise StepFailed("Could not restore it: lost.") from cause

        def fail_at_once() -> Mapping[str, Any]:
            raise cause

        with module() as there:
            assert told(capsys, there, fail).get("outcome_unknown", False) is unknown
            assert told(capsys, there, fail_at_once).get("outcome_unknown", False) is unknown

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
        assert said["outcome_unknown"] is True
        assert said["msg"] == (
            f"This task was ended by {number.name} and has logged out everywhere: run it again, which finishes what it had begun."
        )

    def test_of_a_defect_is_its_traceback(self) -> None:
        def fail() -> Mapping[str, Any]:
            raise KeyError("a defect of ours")

        with module() as there, pytest.raises(KeyError, match="a defect of ours"):
            runtime.run(there, fail)


LARGE: Mapping[str, Any] = {"rows": [{"vm": 'räum "1"\n</script>', "size": 1 << 40, "lun": None}] * 3, "other": []}


class TestALargeResult:
    def said(
        self, capsys: pytest.CaptureFixture[str], secret: str = "", large: Sequence[str] = ("rows", "other", "absent")
    ) -> dict[str, Any]:
        with module() as there:
            there.no_log_values.add(secret)
            with pytest.raises(SystemExit):
                runtime.run(there, lambda: {"changed": False, **LARGE}, large=large)
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    def test_is_told_as_any_other(self, capsys: pytest.CaptureFixture[str]) -> None:
        said = self.said(capsys, "no such secret")
        assert {name: said[name] for name in ("changed", *LARGE)} == {"changed": False, **LARGE}
        assert said == self.said(capsys, "no such secret", large=())

    @pytest.mark.parametrize("count", [499, 500, 501, 1200])
    def test_of_any_length_is_told_whole(self, capsys: pytest.CaptureFixture[str], count: int) -> None:
        with module() as there, pytest.raises(SystemExit):
            runtime.run(there, lambda: {"changed": False, "rows": [{"vm": number} for number in range(count)]}, large=["rows"])
        assert json.loads(capsys.readouterr().out)["rows"] == [{"vm": number} for number in range(count)]

    @pytest.mark.parametrize("secret", ["räum", '"1"', "</script>", "1099511627776"])
    def test_never_tells_a_secret_in_whatever_spelling(self, capsys: pytest.CaptureFixture[str], secret: str) -> None:
        said = self.said(capsys, secret)
        assert len(said["rows"]) == 3
        assert secret not in [str(value) for row in said["rows"] for value in row.values()]
        assert not any(secret in str(row["vm"]) for row in said["rows"])

    @pytest.mark.parametrize("secret", list("0123456789abcdef"))
    def test_is_told_in_full_with_a_secret_that_is_in_any_text(self, capsys: pytest.CaptureFixture[str], secret: str) -> None:
        assert len(self.said(capsys, secret)["rows"]) == 3
