# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What netapp-lib's `NaServer` lacks: authorities and verification, time limits, the login in the first request, and a kept connection.

The library makes the request and reads the answer; an `HttpsSession` carries it. An answer names a document type (`file:/etc/netapp_gx.dtd`
in NetApp's examples), which is not looked for, and one that brings entities of its own is none of ONTAP's.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.elements import Element, Value, as_texts
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import MissingLibrary
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.https import HttpsSession

try:
    from lxml import etree
    from netapp_lib.api.zapi.zapi import NaElement, NaServer

    NETAPP_LIB_IMPORT_ERROR: str | None = None
except ImportError:
    NETAPP_LIB_IMPORT_ERROR = traceback.format_exc()
    NaServer = object

ONTAPI = (1, 110)
"""The version of the interface that is asked for: that of ONTAP 9.1, which every later one speaks."""


class Failed(Exception):
    """ZAPI said no: `code` is a text, or a number where HTTP said it."""

    def __init__(self, code: str | int, message: str) -> None:
        super().__init__(message)
        self.code = code


class NoAnswer(Exception):
    """What came is none of ZAPI's answers; the text goes on after "an answer that"."""


class Server(NaServer):  # type: ignore[misc]  # netapp-lib has no types
    """ZAPI over a session of ours."""

    def __init__(self, connection: Connection) -> None:
        """Nothing is sent, and the library is not told the password. Raises `MissingLibrary` or `InvalidInput`."""
        if NETAPP_LIB_IMPORT_ERROR:
            raise MissingLibrary(
                "The Python library 'netapp-lib', which array.type=ontap_zapi needs, is not installed where this task runs: "
                "pip install netapp-lib."
            )
        super().__init__(str(connection.hostname))
        self.set_api_version(*ONTAPI)
        self._session = HttpsSession(connection, authenticate=True)
        self._reads = False

    def ask(self, api: str, arguments: Mapping[str, Value], reads: bool, svm: str = "") -> Element:
        """Send one request, to an SVM if one is named, and return its results. Raises `Failed`, `NoAnswer`, or what the session raises."""
        request = NaElement(api)
        request.translate_struct(as_texts(arguments))
        self.set_vserver(svm)
        self._reads = reads
        results = self.invoke_elem(request, enable_tunneling=True)
        if results.get_attr("status") != "passed":
            raise Failed(str(results.get_attr("errno") or "ESTATUSFAILED"), str(results.get_attr("reason") or ""))
        return results

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def invoke_elem(self, na_element: Any, enable_tunneling: bool = False) -> Any:
        _unsent, envelope = self._create_request(na_element, enable_tunneling)
        response = self._session.post(
            f"/{self._url}",
            str(na_element.get_name()),
            self._reads,
            data=envelope.to_string(),
            headers={"Content-Type": "text/xml; charset=UTF-8"},
        )
        if response.status_code != HTTPStatus.OK:
            raise Failed(response.status_code, "")
        result = self._get_result(response.content)
        if result is None:
            raise NoAnswer("has no results")
        return result

    def _parse_response(self, response: bytes) -> Any:
        parser = etree.XMLParser(resolve_entities=False)
        try:
            root = etree.fromstring(response, parser)
        except etree.XMLSyntaxError as error:
            raise NoAnswer("is no XML") from error
        declared: Any = root.getroottree().docinfo.internalDTD
        if declared is not None and any(True for _entity in declared.iterentities()):
            raise NoAnswer("declares entities")
        return NaElement(root)
