# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a machine runs for a shell: two PowerShell scripts by their text, over real files of the machine that the lab runs on.

There is no PowerShell here. A script is known by its whole text but for a path and places, and what it does is done in Python: the bytes
are those of a real file, the clusters those that a test has read from a real NTFS volume (`ntfsinfo`). Anything else is unknown.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.hyperv.shells import Written

ARCHIVE, REPARSE_POINT = 0x20, 0x400
_POWERSHELL = re.compile(
    r"powershell\.exe -NoLogo -NoProfile -NonInteractive -ExecutionPolicy Bypass -EncodedCommand (?P<script>[A-Za-z0-9+/=]+)"
)
_PATH = r"\$p=\[Text\.Encoding\]::Unicode\.GetString\(\[Convert\]::FromBase64String\('(?P<path>[A-Za-z0-9+/=]+)'\)\)"
_READ = re.compile(
    r"\$ErrorActionPreference='Stop'\n\$w=\[Console\]::Out\ntry\{\n"
    + _PATH
    + r"\n\$i=New-Object IO\.FileInfo \$p\n"
    + re.escape('$w.WriteLine("file $($i.Length) $([int]$i.Attributes) $($i.LastWriteTimeUtc.Ticks)")\n')
    + re.escape("for($d=$i.Directory;$d;$d=$d.Parent){if([int]$d.Attributes -band 1024){$w.WriteLine('through '+$d.FullName)}}\n")
    + re.escape("$s=New-Object IO.FileStream($p,'Open','Read','ReadWrite, Delete')\ntry{\n")
    + r"foreach\(\$r in '(?P<places>[0-9, ]+)'\.Split\(' '\)\)\{\n"
    + re.escape(
        "$o,$n=$r.Split(',')\n$n=[int]$n\n$b=New-Object byte[] $n\n[void]$s.Seek([long]$o,'Begin')\n$g=0\n"
        "while($g -lt $n){$k=$s.Read($b,$g,$n-$g);if(!$k){break};$g+=$k}\n"
        "$w.WriteLine('data '+[Convert]::ToBase64String($b,0,$g))\n}\n}finally{$s.Close()}\n"
        "}catch{$w.WriteLine('error '+$_.Exception.GetBaseException().Message);exit 1}\n"
    )
)
_EXTENTS = re.compile(
    _PATH
    + re.escape('\n& "$env:SystemRoot\\System32\\fsutil.exe" file queryextents $p|ForEach-Object{[Console]::Out.WriteLine($_)}\n')
    + re.escape("exit $LASTEXITCODE\n")
)
_UNIX_EPOCH_TICKS = 621355968000000000


@dataclass
class StoredFile:
    """A file of a Windows machine."""

    local: Path
    """Where its bytes are here."""
    runs: Sequence[tuple[int, int, int]] = ()
    """First cluster in the file, clusters, cluster on the volume; -1 for none."""
    attributes: int = ARCHIVE
    through: Sequence[str] = ()
    """Directories above it that are reparse points, the nearest first."""
    locked: bool = False
    """Whether another process has it open and shares it with nobody."""


@dataclass
class Files:
    """The files of one machine, by their paths in lower case."""

    there: dict[str, StoredFile] = field(default_factory=dict)

    def put(self, path: str, file: StoredFile) -> None:
        """Let the machine have a file."""
        self.there[path.casefold()] = file

    def run(self, line: str) -> Written:
        """Do what a command line says."""
        found = _POWERSHELL.fullmatch(line)
        if not found:
            program = line.split(" ")[0]
            text = f"'{program}' is not recognized as an internal or external command,\r\noperable program or batch file.\r\n"
            return Written(err=text.encode(), code=1)
        script = base64.b64decode(found["script"]).decode("utf-16-le")
        for pattern, program_of in ((_READ, self._read), (_EXTENTS, self._extents)):
            if known := pattern.fullmatch(script):
                return program_of(known.groupdict())
        return Written(err=b"#< CLIXML\r\nThe lab has no PowerShell, and does not know this script.\r\n", code=1)

    def _read(self, words: Mapping[str, str]) -> Written:
        path = _path(words)
        file = self.there.get(path.casefold())
        if file is None:
            return _failed(f"Could not find file '{path}'.")
        seen = file.local.stat()
        lines = [f"file {seen.st_size} {file.attributes} {_UNIX_EPOCH_TICKS + seen.st_mtime_ns // 100}"]
        lines += [f"through {directory}" for directory in file.through]
        if file.locked:
            why = f"The process cannot access the file '{path}' because it is being used by another process."
            return _failed(why, *lines)
        with file.local.open("rb") as opened:
            for place in words["places"].split(" "):
                offset, length = map(int, place.split(","))
                opened.seek(offset)
                lines.append(f"data {base64.b64encode(opened.read(length)).decode()}")
        return Written(_lines(*lines))

    def _extents(self, words: Mapping[str, str]) -> Written:
        file = self.there.get(_path(words).casefold())
        if file is None:
            return Written(_lines("Error:  The system cannot find the file specified."), code=1)
        return Written(
            _lines(*(f"VCN: {first:#x}   Clusters: {count:#x}   LCN: {lcn & 0xFFFFFFFFFFFFFFFF:#x}" for first, count, lcn in file.runs))
        )


def _path(words: Mapping[str, str]) -> str:
    return base64.b64decode(words["path"]).decode("utf-16-le")


def _failed(why: str, *before: str) -> Written:
    return Written(_lines(*before, f"error {why}"), code=1)


def _lines(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode()
