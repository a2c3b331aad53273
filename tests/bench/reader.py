# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The least that reading vCenter's inventory can cost: the properties that a module reads, fetched and only walked through.

``python -m tests.bench.reader lxml`` parses with bare lxml and keeps nothing; ``… pyvmomi`` has pyvmomi make its objects of them.
A ``Task`` as JSON comes by standard input; printed is how many objects were in the replies.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

Paths = Mapping[str, Sequence[str]]

_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_NS = "{urn:vim25}"


@dataclass(frozen=True)
class Task:
    """Where to read, and for each reply the properties by type of object."""

    hostname: str
    port: int
    username: str
    password: str
    ca_path: str
    page_size: int
    reads: Sequence[Paths]


def read_with_lxml(task: Task) -> int:
    """Fetch and walk; return the number of objects."""
    import requests
    from lxml import etree

    @contextmanager
    def call(method: str, this: str, arguments: str) -> Iterator[Any]:
        body = f'<{method} xmlns="urn:vim25"><_this type="{this.partition(" ")[0]}">{this.partition(" ")[2]}</_this>{arguments}</{method}>'
        envelope = f'<e:Envelope xmlns:e="{_SOAP}" xmlns:xsi="{_XSI}"><e:Body>{body}</e:Body></e:Envelope>'
        with session.post(url, envelope.encode(), headers={"SOAPAction": "urn:vim25/8.0.2.0"}, verify=task.ca_path, stream=True) as reply:
            reply.raise_for_status()
            reply.raw.decode_content = True
            yield reply.raw

    def first_text(method: str, this: str, arguments: str) -> str:
        with call(method, this, arguments) as reply:
            return str(etree.parse(reply).findtext(f".//{_NS}returnval"))

    def page(method: str, arguments: str) -> tuple[int, str]:
        objects, token = 0, ""
        with call(method, "PropertyCollector propertyCollector", arguments) as reply:
            for _event, element in etree.iterparse(reply, tag=(f"{_NS}objects", f"{_NS}token"), huge_tree=True):
                if element.tag == f"{_NS}token":
                    token = element.text or ""
                    continue
                objects += 1
                for _part in element.iter():
                    pass
                element.clear()
                while element.getprevious() is not None:
                    del element.getparent()[0]
        return objects, token

    def pages(paths: Paths) -> int:
        kinds = "".join(f"<type>{kind}</type>" for kind in paths)
        container = f'<container type="Folder">group-d1</container>{kinds}<recursive>true</recursive>'
        view = first_text("CreateContainerView", "ViewManager ViewManager", container)
        objects, token = page("RetrievePropertiesEx", _spec(view, paths, task.page_size))
        while token:
            more, token = page("ContinueRetrievePropertiesEx", f"<token>{token}</token>")
            objects += more
        return objects

    url = f"https://{task.hostname}:{task.port}/sdk"
    with requests.Session() as session:
        session.trust_env = False
        credentials = f"<userName>{escape(task.username)}</userName><password>{escape(task.password)}</password>"
        with call("Login", "SessionManager SessionManager", credentials):
            pass
        return sum(pages(paths) for paths in task.reads)


def _spec(view: str, paths: Paths, page_size: int) -> str:
    properties = "".join(f"<propSet><type>{kind}</type>{_path_set(wanted)}</propSet>" for kind, wanted in paths.items())
    traversal = '<selectSet xsi:type="TraversalSpec"><type>ContainerView</type><path>view</path></selectSet>'
    objects = f'<objectSet><obj type="ContainerView">{view}</obj><skip>true</skip>{traversal}</objectSet>'
    return f"<specSet>{properties}{objects}</specSet><options><maxObjects>{page_size}</maxObjects></options>"


def _path_set(paths: Sequence[str]) -> str:
    return "".join(f"<pathSet>{path}</pathSet>" for path in paths)


def read_with_pyvmomi(task: Task) -> int:
    """Have pyvmomi build its objects; return the number of managed objects they belong to."""
    import ssl

    from pyVim.connect import Disconnect, SmartConnect
    from pyVmomi import vim, vmodl

    collector = vmodl.query.PropertyCollector

    def pages(paths: Paths) -> int:
        kinds = {kind: getattr(vim, kind) for kind in paths}
        view = content.viewManager.CreateContainerView(content.rootFolder, list(kinds.values()), True)
        traversal = collector.TraversalSpec(type=vim.view.ContainerView, path="view")
        spec = collector.FilterSpec(
            propSet=[collector.PropertySpec(type=kind, pathSet=list(paths[name])) for name, kind in kinds.items()],
            objectSet=[collector.ObjectSpec(obj=view, skip=True, selectSet=[traversal])],
        )
        page = content.propertyCollector.RetrievePropertiesEx([spec], collector.RetrieveOptions(maxObjects=task.page_size))
        objects = len(page.objects)
        while page.token:
            page = content.propertyCollector.ContinueRetrievePropertiesEx(page.token)
            objects += len(page.objects)
        return objects

    context = ssl.create_default_context(cafile=task.ca_path)
    service = SmartConnect(host=task.hostname, port=task.port, user=task.username, pwd=task.password, sslContext=context)
    content = service.RetrieveContent()
    try:
        return sum(pages(paths) for paths in task.reads)
    finally:
        Disconnect(service)


READERS: Mapping[str, Callable[[Task], int]] = {"lxml": read_with_lxml, "pyvmomi": read_with_pyvmomi}


if __name__ == "__main__":
    print(READERS[sys.argv[1]](Task(**json.load(sys.stdin))))
