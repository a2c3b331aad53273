# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts the module `vm_freeze`: in the playbook's own worker where that is the same, as ever everywhere else."""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.plugin_utils._in_process import InProcessAction, preload

preload(__name__)


class ActionModule(InProcessAction):
    """The action of that name."""
