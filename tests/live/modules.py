# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run modules as Ansible does, each in a process of its own: arguments in, one JSON object out.

So that hundreds of runs take seconds, the processes are forks of one that has loaded Python and the libraries but run nothing.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from tests.processes import ended, kill_family

ROOT = Path(__file__).resolve().parents[2]
COLLECTIONS = ROOT / "build" / "collections"
MODULES = "ansible_collections.crossvisor.san.plugins.modules"
_UTILS = "ansible_collections.crossvisor.san.plugins.module_utils._san"
LIBRARIES = (
    "ansible.module_utils.testing",
    f"{_UTILS}.arrays.ontap_rest.backend",
    f"{_UTILS}.arrays.ontap_zapi.backend",
    f"{_UTILS}.hypervisors.vmware.backend",
    f"{_UTILS}.hypervisors.hyperv.backend",
    f"{_UTILS}.hypervisors.xen.backend",
)

LONGEST_SECONDS = 1200
"""After which a module hangs, also on an emulated host of a busy machine."""

Result = dict[str, Any]

_SENTENCE = re.compile(r"(?!.*(?:Traceback|MODULE FAILURE|[a-z][.!?] +[A-Z]))\S.*[^.]\.")


class ModuleRunner:
    """Runs modules of the collection."""

    def __init__(self, parent: subprocess.Popen[str], told: Path) -> None:
        self._parent = parent
        self._told = told

    def heard(self) -> str:
        """What the module that runs, or ran last, has said that it is at, a line each."""
        return self._told.read_text()

    def run(
        self,
        module: str,
        arguments: Mapping[str, Any],
        *,
        check: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> Result:
        """What the module returns, with its exit code as `rc`. Fails when it says anything else, such as a traceback."""
        settings = {"_ansible_check_mode": check, "_ansible_diff": True}
        answer = self._answer({"module": module, "arguments": {**arguments, **settings}, "environment": dict(environment or {})})
        return {**json.loads(answer["stdout"]), "rc": answer["rc"]}

    def kill(self, module: str, arguments: Mapping[str, Any], request: int) -> bool:
        """Run a module that gets SIGKILL once its n-th WS-Management request was carried out, before it hears of it.

        Tells whether it came that far.
        """
        answer = self._answer({"module": module, "arguments": dict(arguments), "environment": {}, "kill": request})
        return bool(answer["rc"] == -signal.SIGKILL)

    def _answer(self, order: Mapping[str, Any]) -> Result:
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._told.write_text("")
        self._parent.stdin.write(json.dumps({**order, "told": str(self._told)}) + "\n")
        self._parent.stdin.flush()
        try:
            answered, _none, _none = select.select([self._parent.stdout], [], [], LONGEST_SECONDS)
            assert answered, f"{order['module']} has not ended after {LONGEST_SECONDS} s, and was last at: {self.heard()[-200:]}"
            answer: Result = json.loads(self._parent.stdout.readline())
        except BaseException:
            kill_family(self._parent.pid)  # or the next test would take this answer for its own
            raise
        assert answer["stderr"] == "", answer["stderr"]
        return answer

    def fail(self, module: str, arguments: Mapping[str, Any], *, environment: Mapping[str, str] | None = None) -> str:
        """The one sentence in which the module says why it failed."""
        result = self.run(module, arguments, environment=environment)
        assert (result["rc"], result.get("failed")) == (1, True), result
        return sentence(result)

    def succeed(self, module: str, arguments: Mapping[str, Any], *, check: bool = False) -> Result:
        """What the module returns when it must not fail."""
        result = self.run(module, arguments, check=check)
        assert result["rc"] == 0, result["msg"]
        return result


def sentence(result: Result) -> str:
    """The message of a failed module. Fails unless it is one sentence and nothing more."""
    message: str = result["msg"]
    assert _SENTENCE.fullmatch(message), message
    assert "exception" not in result, result["exception"]
    return message


@contextmanager
def module_runner() -> Iterator[ModuleRunner]:
    """Keep a runner until the block ends."""
    environment = {**os.environ, "PYTHONPATH": f"{COLLECTIONS}:{ROOT}"}
    command = [sys.executable, "-m", "tests.live.modules"]
    with (
        tempfile.NamedTemporaryFile() as told,
        subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent,
        ended(parent),
    ):
        yield ModuleRunner(parent, Path(told.name))


def _serve(orders: IO[str]) -> None:
    for name in LIBRARIES:
        import_module(name)
    for file in sorted((ROOT / "plugins" / "modules").glob("*.py")):
        import_module(f"{MODULES}.{file.stem}")
    for line in orders:
        print(json.dumps(_in_a_process(json.loads(line))), flush=True)


def _in_a_process(order: Mapping[str, Any]) -> Result:
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        child = os.fork()
        if child == 0:
            os.dup2(stdout.fileno(), 1)
            os.dup2(stderr.fileno(), 2)
            _exit(_run(order))
        _pid, status = os.waitpid(child, 0)
        return {"rc": os.waitstatus_to_exitcode(status), "stdout": _text(stdout), "stderr": _text(stderr)}


def _run(order: Mapping[str, Any]) -> int:
    from ansible.module_utils.testing import patch_module_args

    os.environ.clear()
    os.environ.update(order["environment"])
    _listen(Path(order["told"]))
    if "kill" in order:
        _die_at(order["kill"])
    try:
        with patch_module_args(order["arguments"]):
            import_module(f"{MODULES}.{order['module']}").main()
    except SystemExit as end:
        return int(end.code or 0)
    except Exception:  # noqa: BLE001 - whatever it is, the caller gets to see it
        traceback.print_exc()
    return 1


def _listen(told: Path) -> None:
    """Let this process write down what it is at."""

    def heard(text: str) -> None:
        with told.open("a") as lines:
            lines.write(f"{text}\n")

    import_module(f"{_UTILS}.progress").listen(heard)


def _die_at(request: int) -> None:
    """Let this process be killed when the answer to its n-th request arrives."""
    transport = import_module(f"{_UTILS}.wire.wsman_transport").WsmanTransport
    send, left = transport.send, itertools.count(request - 1, -1)

    def sending(self: Any, *message: Any) -> bytes:
        answer: bytes = send(self, *message)
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    transport.send = sending


def _exit(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


if __name__ == "__main__":
    _serve(sys.stdin)
