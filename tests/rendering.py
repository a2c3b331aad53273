# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Templates as Ansible renders them, in a process that is started once (templating.py)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.processes import ended

Render = Callable[..., str]


@contextmanager
def rendering() -> Iterator[Render]:
    """`render(template, **variables)` is the text that Ansible makes of it. Raises `ValueError`."""
    with (
        subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("templating.py"))],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as ansible,
        ended(ansible),
    ):
        assert ansible.stdin
        assert ansible.stdout
        requests, answers = ansible.stdin, ansible.stdout

        def rendered(template: str, **variables: object) -> str:
            print(json.dumps({"template": template, "variables": variables}), file=requests, flush=True)
            answer: dict[str, str] = json.loads(answers.readline())
            if "error" in answer:
                raise ValueError(answer["error"])
            return answer["text"]

        yield rendered
