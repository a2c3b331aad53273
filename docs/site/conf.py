# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How Sphinx builds the documentation site. A reference that leads nowhere is an error (``nitpicky``, ``-W``), and no network is needed."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from pygments.lexers.data import JsonLexer

REPOSITORY = Path(os.environ["ROOT"])
GALAXY = yaml.safe_load((REPOSITORY / "galaxy.yml").read_text())
ANSIBLE = "https://docs.ansible.com/projects/ansible/latest/"
PAGES = {
    "action_plugins": "plugins/action.html",
    "ansible_configuration_settings": "reference_appendices/config.html",
    "common_return_values": "reference_appendices/common_return_values.html",
}
"""Labels of antsibull-docs, and where Ansible's own site has what they name."""


project = "crossvisor.san"
project_copyright = "the crossvisor.san authors"
version = release = GALAXY["version"]
title = html_short_title = project

extensions = ["myst_parser", "sphinx_antsibull_ext"]
myst_heading_anchors = 4

default_role = "any"
nitpicky = True
intersphinx_mapping: dict[str, Any] = {}

html_theme = "sphinx_ansible_theme"
html_theme_options = {"documentation_home_url": GALAXY["documentation"], "display_version": True}
html_show_sphinx = False
html_copy_source = False
html_use_index = False
pygments_style = "ansible"
highlight_language = "YAML+Jinja"


def _address_at_ansible(label: str) -> str | None:
    """Where Ansible's own documentation site has what a label of antsibull-docs or one of its variables names, unless it is ours."""
    if label in PAGES:
        return f"{ANSIBLE}{PAGES[label]}"
    if label.startswith("ANSIBLE_"):
        return f"{ANSIBLE}reference_appendices/config.html#envvar-{label}"
    plugin = re.fullmatch(r"ansible_collections\.(\w+)\.(\w+)\.(\w+)_(module|filter|lookup|role)", label)
    if plugin is None or f"{plugin[1]}.{plugin[2]}" == project:
        return None
    return f"{ANSIBLE}collections/{plugin[1]}/{plugin[2]}/{plugin[3]}_{plugin[4]}.html"


def _resolve(app: Any, env: Any, node: Any, content: Any) -> Any:
    address = _address_at_ansible(str(node.get("reftarget", "")))
    return nodes.reference("", "", content, refuri=address, internal=False) if address else None


def _lead_to_the_repository(app: Any, docname: str, source: list[str]) -> None:
    """Let a link of a Markdown file to a file that is no page of the site lead to the repository; one that is not there stays broken."""
    here = (Path(app.srcdir) / docname).parent

    def rewritten(link: re.Match[str]) -> str:
        path, _sharp, anchor = link[2].partition("#")
        inside = os.path.relpath(here / path, app.srcdir)
        if not path or ":" in path or (here / path).is_file() or not (REPOSITORY / inside).exists():
            return link[0]
        kind = "tree" if (REPOSITORY / inside).is_dir() else "blob"
        return f"{link[1]}({GALAXY['repository']}/{kind}/main/{inside}{'#' + anchor if anchor else ''})"

    source[0] = re.sub(r"(\[[^\]]*\])\(([^)\s]+)\)", rewritten, source[0])


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.add_lexer("jsonc", JsonLexer)
    app.connect("missing-reference", _resolve)
    app.connect("source-read", _lead_to_the_repository)
