# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a task is at, for whoever wants to listen: the playbook's worker does, when it runs the module itself.

A module that Ansible has packed and started has nobody to tell before its end, and tells nothing.
"""

from __future__ import annotations

from collections.abc import Callable

Listener = Callable[[str], None]


def _nobody(_text: str) -> None:
    pass


_listeners: list[Listener] = [_nobody]


def listen(listener: Listener) -> None:
    """Let this one hear from now on what the process is at."""
    _listeners[:] = [listener]


def tell(text: str) -> None:
    """Say in a few words of one line what is being done or waited for; cheap, and to be said as often as it changes."""
    _listeners[-1](text)
