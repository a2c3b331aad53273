# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lookup `storage_maps`: storage maps that were written as files."""

from __future__ import annotations

DOCUMENTATION = r"""
name: storage_maps
short_description: Storage maps that were written as files
version_added: 0.1.0
author: The crossvisor.san authors (@crossvisor)
description:
  - Reads storage maps, as the role P(crossvisor.san.storage_report#role) writes them, from files on the controller.
  - A file that holds none, such as one that was cut off, is an error that names it.
options:
  _terms:
    description: Files, or directories in which, at any depth, every C(storage_map.json) is read.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Join what the sites have written
  ansible.builtin.set_fact:
    map: "{{ query('crossvisor.san.storage_maps', '/srv/reports/sites') | crossvisor.san.merged_maps }}"
"""

RETURN = r"""
_raw:
  description: The storage maps, in the order of their paths.
  type: list
  elements: dict
"""


import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.maps.document import checked

_NAME = "storage_map.json"


class LookupModule(LookupBase):  # type: ignore[misc]  # Ansible tells no types
    """Ansible's entry point."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        """The maps. Raises `AnsibleLookupError` for a file that holds none."""
        return [_read(file) for term in terms for file in _files(Path(str(term)).expanduser())]


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from sorted(path.rglob(_NAME))
    else:
        yield path


def _read(file: Path) -> dict[str, Any]:
    try:
        return dict(checked(json.loads(file.read_text(encoding="utf-8"))))
    except OSError as error:
        raise AnsibleLookupError(f"The storage map {file} cannot be read: {error.strerror}.") from None
    except ValueError:
        raise AnsibleLookupError(f"{file} is cut off or no JSON: let the role storage_report write it again, or leave it out.") from None
    except InvalidInput as error:
        raise AnsibleLookupError(f"{file} holds no storage map. {error}") from None
