# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a range of an image, a file or a device down to a disk of the host, over as many layers as there are. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses import block_stack, file_extents, qemu_image
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.extents import Layer, Span, below, joined, no_address
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import NO_ADDRESS, BlockExtent

_DEEPEST = 64


class Descent:
    """What a host told (`linux.block_probe`), as a way down.

    `tables` are images of which qemu-img tells nothing, by path: their ranges by their own tables, or why those tell nothing either.
    """

    def __init__(self, facts: Mapping[str, Any], tables: Mapping[str, Sequence[Span] | str] = MappingProxyType({})) -> None:
        self._tables = tables
        self._files: Mapping[str, Any] = facts["files"]
        self._devices: Mapping[str, Any] = facts["devices"]
        self._images: Mapping[str, Any] = facts["images"]
        self._layers: dict[str, Layer] = {}

    def image(self, path: str, kind: str, size: int) -> list[BlockExtent]:
        """A whole image of `size` bytes, or of as many as it says itself: one on a LUN may be larger than that."""
        told = self._images.get(path)
        if kind == "raw":
            parts: list[Span] = [Span(0, size, below=path)]
        elif told is None or told["error"]:
            why = told["error"] if told else "nobody has asked"
            parts = [no_address(0, size, f"qemu-img cannot tell where the bytes of {path} are: {' '.join(why.split())}")]
        else:
            own = told["chain"][0].get("virtual-size", 0) if told["chain"] else 0
            table = self._tables.get(path, "") or [*qemu_image.spans(told["chain"], told["map"])]
            whole = max(size, own)
            parts = [no_address(0, whole, table)] if isinstance(table, str) else list(Layer(table).over(0, whole))
        return [extent for part in joined(parts) for extent in self._extents(part)]

    def file(self, path: str) -> list[BlockExtent]:
        """A whole file, or a device that stands for one; of one that cannot be read, a byte that has no address."""
        told = self._files.get(path, {})
        size = told.get("size", 0) or int(bool(told.get("error")))
        return list(self._extents(Span(0, size, below=path))) if size else []

    def files_of(self, path: str, kind: str) -> list[str]:
        """The files of an image's chain."""
        told = self._images.get(path)
        if kind == "raw" or told is None:
            return [path]
        held = (span.below for span in qemu_image.spans(told["chain"], told["map"]) if span.below)
        names = (name for member in told["chain"] for name in qemu_image.files_of(member))
        return list(dict.fromkeys(name for name in (path, *names, *held) if name in self._files))

    def follows(self, path: str, kind: str, known: Collection[str]) -> bool:
        """Whether every file of an image's chain is found on a disk, or is one of `known`."""
        told = self._images.get(path)
        if kind == "raw":
            return True
        names = {name for member in told["chain"] for name in qemu_image.files_of(member)} - {*known} if told else set()
        return bool(told and not told["error"]) and all(name in self._files and self._has_places(name) for name in names)

    def _has_places(self, path: str) -> bool:
        return all(extent.state != NO_ADDRESS for extent in self.file(path))

    def is_over(self, path: str, below: Sequence[str]) -> bool:
        """Whether an image is based on these files and no others, by whatever paths."""
        chain = self._images.get(path, {}).get("chain", [])
        data = {self._identity(qemu_image.data_file_of(member)) for member in chain}
        return {self._identity(member.get("filename", "")) for member in chain[1:]} == {self._identity(name) for name in below} - data

    def _identity(self, path: str) -> tuple[Any, ...]:
        told = self._files.get(path, {})
        return (told["block"],) if told.get("block") else tuple(told.get("stamp", ())[:2]) or (path,)

    def changed(self, paths: list[str]) -> list[str]:
        """Those of the files that were written to while they were read."""
        return [path for path in paths if self._files.get(path, {}).get("changed")]

    def _extents(self, part: Span) -> Iterator[BlockExtent]:
        """A range that lies in a file, as ranges of disks."""
        if not part.has_address:
            yield BlockExtent(part.start, part.length, part.state, part.reason)
            return
        for span in joined(self._down(part, _DEEPEST)):
            place = part.offset + span.start - part.start
            if not span.has_address:
                yield BlockExtent(span.start, span.length, span.state, span.reason, part.below, place)
                continue
            disk = self._devices[span.below]
            yield BlockExtent(
                span.start,
                span.length,
                span.state,
                span.reason,
                part.below,
                place,
                self._device(span.below),
                block_stack.name_of(disk),
                span.offset,
                disk["block_size"],
                span.below,
            )

    def _device(self, number: str) -> str:
        """A disk by the name under which its host uses it: that of the multipath device, if it is a path of one."""
        over = (one for one in self._devices.values() if number in one["slaves"] and block_stack.is_map_of_paths(one))
        found = next(over, None)
        return f"/dev/mapper/{found['map']['name']}" if found else f"/dev/{self._devices[number]['name']}"

    def _down(self, span: Span, deep: int) -> Iterator[Span]:
        """The disks that a span lies on."""
        disk = self._devices.get(span.below)
        if not span.has_address or (disk and block_stack.is_bottom(disk)):
            yield span
        elif not deep:
            yield no_address(span.start, span.length, "more layers lie on each other than anybody builds")
        else:
            for part in below(span, self._next(span)):
                yield from self._down(part, deep - 1)

    def _next(self, span: Span) -> Iterator[Span]:
        start, end = span.offset, span.offset + span.length
        if not span.below.startswith("/"):
            return block_stack.spans(span.below, self._devices, start, end)
        file = self._files.get(span.below)
        if file is None:
            return iter([no_address(start, end - start, f"the host was not asked where {span.below} is")])
        if file.get("block"):
            return iter([Span(start, end - start, below=file["block"], offset=start)])
        if span.below not in self._layers:
            self._layers[span.below] = Layer(file_extents.spans(file))
        return self._layers[span.below].over(start, end)
