# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests and answers of ZAPI as XML.

Source: netapp-lib, which makes the requests, and the answers that OpenStack cinder's tests of its NetApp driver quote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from tests.lab.ontap.zapi.errors import INVALID_INPUT, ZapiError

PATH = "/servlets/netapp.servlets.admin.XMLrequest_filer"
NAMESPACE = "http://www.netapp.com/filer/admin"
_PROLOGUE = b"<?xml version='1.0' encoding='UTF-8' ?>\n<!DOCTYPE netapp SYSTEM 'file:/etc/netapp_gx.dtd'>\n"

Tree = Mapping[str, Any]
"""By name of an element, its text, its children as another tree, or a list of (name, text or tree) for a list."""


@dataclass(frozen=True)
class Call:
    """One request: the API, its arguments, and the SVM that it is tunnelled to."""

    api: str
    arguments: ElementTree.Element
    svm: str = ""


def parse(raw: bytes) -> Call:
    """Return the request; raises ZapiError for what is none."""
    try:
        root = ElementTree.fromstring(raw)
    except ElementTree.ParseError as error:
        raise ZapiError(INVALID_INPUT, f"The request is no XML: {error}") from error
    if local(root) != "netapp" or len(root) != 1 or not root.tag.startswith(f"{{{NAMESPACE}}}") or "version" not in root.attrib:
        raise ZapiError(INVALID_INPUT, "The request is no netapp element with a version and one API in it.")
    return Call(local(root[0]), root[0], root.attrib.get("vfiler", ""))


def local(element: ElementTree.Element) -> str:
    """Return the name of an element without its namespace."""
    return element.tag.rpartition("}")[2]


def passed(content: Tree) -> bytes:
    """Return the answer of an API that did what was asked."""
    results = ElementTree.Element("results", {"status": "passed"})
    _fill(results, content)
    return _whole(results)


def failed(error: ZapiError) -> bytes:
    """Return a refusal, which comes with HTTP 200."""
    return _whole(ElementTree.Element("results", {"status": "failed", "errno": error.number, "reason": error.reason}))


def _whole(results: ElementTree.Element) -> bytes:
    netapp = ElementTree.Element("netapp", {"version": "1.180", "xmlns": NAMESPACE})
    netapp.append(results)
    return _PROLOGUE + ElementTree.tostring(netapp)


def _fill(parent: ElementTree.Element, content: Any) -> None:
    for name, value in content if isinstance(content, list) else content.items():
        if value is None:
            continue
        child = ElementTree.SubElement(parent, name)
        if isinstance(value, (Mapping, list)):
            _fill(child, value)
        else:
            child.text = text_of(value)


def text_of(value: object) -> str:
    """Return a value as ZAPI writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
