# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which host is asked for a file: that of the VM or, for one on a Cluster Shared Volume, the node that owns the volume."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import cached_property

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.extents import Layer
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files.image import HardDiskFile
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files.reading import NotTold
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, in_one_sentence
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster import shared_volumes
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.shared_volumes import SharedVolume
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.host_files import HostFiles
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.nodes import Nodes
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.volume_places import Place, VolumePlaces
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.volumes import Directories
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_shell import Shell


class _Source:
    """What is asked until that fails."""

    def __init__(self) -> None:
        self._lost = ""

    @contextlib.contextmanager
    def asked(self, of: str = "") -> Iterator[None]:
        """Ask it. A `CrossvisorError` is `NotTold` from then on, with these words before its own."""
        if self._lost:
            raise NotTold(of + self._lost)
        try:
            yield
        except CrossvisorError as error:
            self._lost = in_one_sentence(str(error))
            raise NotTold(of + self._lost) from error


class ImageHost(_Source):
    """A host whose files are read, in a shell that it gives when it is first needed, and what was learnt of them."""

    def __init__(self, nodes: Nodes, host: str, undo: ExitStack) -> None:
        super().__init__()
        self._nodes, self._host, self._undo = nodes, host, undo
        self.images: dict[str, HardDiskFile] = {}
        self.layers: dict[str, tuple[Place, Layer]] = {}

    @cached_property
    def files(self) -> HostFiles:
        """Its files. Raises a `CrossvisorError` when it gives no shell."""
        shell = self._undo.enter_context(Shell(self._nodes.client(self._host).session))
        return HostFiles(shell, self._nodes.name_of(self._host))

    @cached_property
    def places(self) -> VolumePlaces:
        """Its volumes. Raises a `CrossvisorError` when there is no connection."""
        return VolumePlaces(self._nodes.client(self._host))


class ImageHosts:
    """The hosts of one question, until the end of `undo`."""

    def __init__(self, nodes: Nodes, undo: ExitStack) -> None:
        self._nodes, self._undo = nodes, undo
        self._hosts: dict[str, ImageHost] = {}
        self._cluster = _Source()

    def host(self, node_id: str) -> ImageHost:
        """A host by its `Node.id`."""
        return self._hosts.setdefault(node_id.upper(), ImageHost(self._nodes, node_id, self._undo))

    @contextlib.contextmanager
    def asked(self, vm_host: str, path: str) -> Iterator[ImageHost]:
        """The host that a file of a VM is asked of. Raises `NotTold` when there is none, or it cannot be asked."""
        shared = self.shared_volume(path)
        if shared is None:
            with self.host(vm_host).asked():
                yield self.host(vm_host)
            return
        on = f"{path} is on the cluster shared volume {shared.directory},"
        if shared.trouble:
            raise NotTold(f"{on} which {shared.trouble}")
        with self.host(shared.owner).asked(f"{on} whose owner {shared.owner} cannot be asked: "):
            yield self.host(shared.owner)

    def shared_volume(self, path: str) -> SharedVolume | None:
        """The Cluster Shared Volume that a file is on, as it was when it was first looked for."""
        with self._cluster.asked():
            return self._first_told.get(self._shared_directories.holder(path))

    def refuse_changed(self, path: str) -> None:
        """Raises `NotTold` when the Cluster Shared Volume of a file is another than at first, or in another state."""
        before = self.shared_volume(path)
        if before is None:
            return
        with self._cluster.asked():
            now = self._told().get(before.directory)
        if now != before:
            rest = "now: look again when it has come to rest"
            found = (now.trouble or f"belongs to {now.owner} {rest}") if now else f"is gone {rest}"
            raise NotTold(
                f"{path} is on the cluster shared volume {before.directory}, which was changed while it was read: it belonged to "
                f"{before.owner}, and {found}"
            )

    def _told(self) -> Mapping[str, SharedVolume]:
        if not self._nodes.cluster:
            return {}
        return shared_volumes.shared_volumes(self._nodes.client(self._nodes.entry.id), self._nodes.resources)

    @cached_property
    def _first_told(self) -> Mapping[str, SharedVolume]:
        return self._told()

    @cached_property
    def _shared_directories(self) -> Directories:
        found = Directories()
        for volume in self._first_told.values():
            found.add(filter(None, (volume.directory, volume.volume)), volume.directory)
        return found
