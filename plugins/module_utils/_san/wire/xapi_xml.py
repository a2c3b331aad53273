# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""XML as XAPI sends it, read without document types: the answers of XML-RPC, and what storage drivers put into an error.

What stands before the root element is read as text in UTF-8, whatever it declares, so that no encoding hides a document type.
"""

from __future__ import annotations

import xmlrpc.client
from typing import Any
from xml.etree import ElementTree
from xml.parsers.expat import ExpatError

Element = ElementTree.Element
_REFUSED = ("<!DOCTYPE", "<!ENTITY", "\0")


def answer(content: bytes) -> Any:
    """What an XML-RPC response holds. Raises `ValueError` when it is none, `xmlrpc.client.Fault` when it is an XML-RPC fault."""
    try:
        values, _method = xmlrpc.client.loads(_text(content))
    except (ExpatError, xmlrpc.client.ResponseError, TypeError, AttributeError, IndexError, KeyError) as error:
        raise ValueError(f"no XML-RPC ({type(error).__name__})") from error
    if len(values) != 1:
        raise ValueError("no XML-RPC with one value")
    return values[0]


def document(text: str) -> Element:
    """The root of a driver's XML. Raises `ValueError`."""
    try:
        return ElementTree.fromstring(_text(text.encode()))
    except ElementTree.ParseError as error:
        raise ValueError(f"no XML ({error})") from error


def words(of: Element, name: str) -> str:
    """The text of the first child with this name, without the blanks that drivers write around it; empty where there is none."""
    return (of.findtext(name) or "").strip()


def _text(content: bytes) -> str:
    text = content.decode()
    for refused in _REFUSED:
        if refused in text:
            raise ValueError("a document type or a NUL, which XAPI never sends")
    return text.strip()
