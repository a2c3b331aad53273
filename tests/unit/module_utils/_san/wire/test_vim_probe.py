# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Is it vSphere? Asked of whatever answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import ConnectionFailed
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim_probe import is_vsphere
from tests.unit.vsphere import Answer, Endpoint

pytestmark = pytest.mark.slow

PATH = "/sdk/vimServiceVersions.xml"
VERSIONS = (
    b'<?xml version="1.0" encoding="UTF-8" ?><namespaces version="1.0"><namespace><name>urn:vim25</name><version>8.0.2.0</version>'
    b"<priorVersions><version>8.0.1.0</version></priorVersions></namespace><namespace><name>urn:vim2</name></namespace></namespaces>"
)


def test_an_endpoint_that_lists_the_versions_of_the_api_is_vsphere(endpoint: Endpoint) -> None:
    endpoint.answer(PATH, VERSIONS)
    assert is_vsphere(replace(endpoint.connection, username=None, password=None))


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b"not found", status=404),
        Answer(b"<html>Welcome to nginx</html>"),
        Answer(VERSIONS, status=401),
        Answer(b"<namespaces><namespace><name>urn:other</name></namespace></namespaces>"),
        Answer(b"\xff\xfe\x00", status=200),
    ],
    ids=["404", "html", "401", "other api", "binary"],
)
def test_any_other_web_server_is_not(endpoint: Endpoint, answer: Answer) -> None:
    endpoint.answer(PATH, answer)
    assert not is_vsphere(endpoint.connection)


def test_nobody_answering_is_told_apart(endpoint: Endpoint) -> None:
    with pytest.raises(ConnectionFailed):
        is_vsphere(replace(endpoint.connection, port=1))
