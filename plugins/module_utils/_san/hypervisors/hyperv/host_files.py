# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A file on a Hyper-V host: its bytes, and the clusters of its volume that have them, by two PowerShell scripts that only read.

`fsutil file queryextents` tells a run in a line, `VCN: 0x0 Clusters: 0x5 LCN: 0xce2e` (Microsoft, Windows commands, fsutil file).
A path goes in base64, so that no character of it is PowerShell's; answers go by the console, because PowerShell wraps what it formats.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files.reading import NotTold, Place
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_shell import LONGEST_SCRIPT, Shell

COMPRESSED, ENCRYPTED, SPARSE, REPARSE_POINT, OFFLINE = 0x800, 0x4000, 0x200, 0x400, 0x1000
"""FILE_ATTRIBUTE_* of winnt.h."""
NO_CLUSTER = -1
"""Of a run that is not on the volume."""
_SECONDS = 120.0
_READ = """$ErrorActionPreference='Stop'
$w=[Console]::Out
try{
$p=[Text.Encoding]::Unicode.GetString([Convert]::FromBase64String('PATH'))
$i=New-Object IO.FileInfo $p
$w.WriteLine("file $($i.Length) $([int]$i.Attributes) $($i.LastWriteTimeUtc.Ticks)")
for($d=$i.Directory;$d;$d=$d.Parent){if([int]$d.Attributes -band 1024){$w.WriteLine('through '+$d.FullName)}}
$s=New-Object IO.FileStream($p,'Open','Read','ReadWrite, Delete')
try{
foreach($r in 'PLACES'.Split(' ')){
$o,$n=$r.Split(',')
$n=[int]$n
$b=New-Object byte[] $n
[void]$s.Seek([long]$o,'Begin')
$g=0
while($g -lt $n){$k=$s.Read($b,$g,$n-$g);if(!$k){break};$g+=$k}
$w.WriteLine('data '+[Convert]::ToBase64String($b,0,$g))
}
}finally{$s.Close()}
}catch{$w.WriteLine('error '+$_.Exception.GetBaseException().Message);exit 1}
"""
_EXTENTS = """$p=[Text.Encoding]::Unicode.GetString([Convert]::FromBase64String('PATH'))
& "$env:SystemRoot\\System32\\fsutil.exe" file queryextents $p|ForEach-Object{[Console]::Out.WriteLine($_)}
exit $LASTEXITCODE
"""
_NUMBER = re.compile(r"0x([0-9a-fA-F]{1,16})(?![0-9a-fA-F])")


@dataclass(frozen=True)
class FileFacts:
    """What a host tells of a file."""

    size: int
    attributes: int
    written: str
    """When it was written to last, in whatever the host counts."""
    through: Sequence[str] = ()
    """Directories above it that are reparse points: mounted volumes, and links that lead elsewhere."""


@dataclass(frozen=True)
class Run:
    """Clusters that follow each other in a file and on its volume."""

    first: int
    count: int
    cluster: int
    """The first one's number on the volume, or `NO_CLUSTER`."""


@dataclass
class HostFiles:
    """Files of one host, read in a shell of it. Methods raise `NotTold`, and the errors of the shell."""

    shell: Shell
    host: str
    changed: set[str] = field(default_factory=set)
    """Files that were written to between two looks at them."""
    _known: dict[str, FileFacts] = field(default_factory=dict)

    def facts(self, path: str) -> FileFacts:
        if path not in self._known:
            self.read(path, [(0, 1)])
        return self._known[path]

    def read(self, path: str, places: Sequence[Place]) -> list[bytes]:
        """The bytes of each place, fewer where the file ends."""
        return [data for script, count in _reads(path, places) for data in self._read(path, script, count)]

    def runs(self, path: str) -> list[Run]:
        """All clusters of a file, in order."""
        done = self.shell.run(_EXTENTS.replace("PATH", _encoded(path)), _SECONDS)
        lines = [line.strip() for line in done.out.decode("utf-8", "replace").lstrip("\ufeff").splitlines()]
        if done.code:
            why = " ".join(filter(None, lines)) or "fsutil says no reason"
            raise NotTold(f"host {self.host} does not tell where {path} is on its volume: {why}")
        return [self._run(path, line) for line in lines if line]

    def _read(self, path: str, script: str, count: int) -> list[bytes]:
        """What a script reads of so many places: an answer with fewer was torn on its way, and belongs to nobody knows which of them."""
        found: list[bytes] = []
        through: list[str] = []
        head: list[str] = []
        for line in self.shell.run(script, _SECONDS).out.decode("utf-8", "replace").lstrip("\ufeff").splitlines():
            word, _space, rest = line.strip().partition(" ")
            if word == "error":
                raise NotTold(f"{path} cannot be read on host {self.host}: {' '.join(rest.split()).rstrip('.')}")
            if word == "file":
                head = rest.split()
            elif word == "through":
                through.append(rest)
            elif word == "data":
                found.append(self._data(path, rest))
        if len(head) != 3 or not (head[0].isdecimal() and head[1].isdecimal()):
            raise NotTold(f"{path} cannot be read on host {self.host}: PowerShell answered something else")
        if len(found) != count:
            raise self._torn(path)
        facts = FileFacts(int(head[0]), int(head[1]), head[2], through)
        if self._known.setdefault(path, facts) != facts:
            self.changed.add(path)
        return found

    def _data(self, path: str, text: str) -> bytes:
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise self._torn(path) from error

    def _torn(self, path: str) -> NotTold:
        return NotTold(f"{path} cannot be read on host {self.host}: a part of PowerShell's answer was lost on its way, run this task again")

    def _run(self, path: str, line: str) -> Run:
        numbers = [int(number, 16) for number in _NUMBER.findall(line)]
        if len(numbers) != 3:
            raise NotTold(f"what fsutil says on host {self.host} of where {path} is was not understood: {line[:80]}")
        first, count, cluster = numbers
        return Run(first, count, cluster if cluster < 1 << 63 else NO_CLUSTER)


def _encoded(path: str) -> str:
    return base64.b64encode(path.encode("utf-16-le")).decode("ascii")


def _reads(path: str, places: Sequence[Place]) -> Iterator[tuple[str, int]]:
    """As few scripts as read all places, each as long as a command line may be, and how many places each reads."""
    script = _READ.replace("PATH", _encoded(path))
    room = LONGEST_SCRIPT - len(script)
    if room < 64:
        raise NotTold(f"the path of {path} is longer than a command line has room for")
    batch: list[str] = []
    for word in (f"{offset},{length}" for offset, length in places):
        if batch and len(" ".join([*batch, word])) > room:
            yield script.replace("PLACES", " ".join(batch)), len(batch)
            batch = []
        batch.append(word)
    if batch:
        yield script.replace("PLACES", " ".join(batch)), len(batch)
