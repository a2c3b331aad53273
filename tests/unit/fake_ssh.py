# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A program in place of ssh, which runs what it is told on this machine, below a directory that is the host's root, and counts.

It knows of OpenSSH what matters here: a connection is shared as long as the socket of its holder is there (ssh_config(5), ControlMaster,
ControlPath), and `-G` tells the configuration.
"""

from __future__ import annotations

import shlex
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import host_copy
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.access import OverSsh
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import libvirt_uri

LOGIN, COPY, LOOK, ORDER, TUNNEL = "login", "copy", "look", "order", "tunnel"

_PROGRAM = """#!/bin/sh
said() { echo "$1" >>LOG; }
socket= holds= rest=
for word; do
    case "$word" in
        ControlPath=*) socket=${word#*=} ;;
        ControlMaster=yes) holds=yes ;;
    esac
done
echo "$*" | head -1 >>LOG.words
[ "$1" = -G ] && { cat CONFIGURED; exit; }
[ -e REFUSES ] && exit 255
[ -n "$holds" ] && [ -e UNSHARED ] && exit 255
[ -n "$holds" ] || [ ! -e "$socket" ] && said login
[ "$1" = -W ] && { said tunnel; printf "%s" "$2"; exit; }
while [ "$1" != -- ]; do shift; done
shift 2
if [ -n "$holds" ]; then
    touch "$socket"
    echo "Welcome to this host"
    sh -c "$*"
    rm -f "$socket"
    exit
fi
command=$(printf "%s" "$*" | sed 's#^cd / #cd ROOT #; s#/sys/#ROOT/sys/#g; s#"/dev/"#"ROOT/dev/"#; s#-type b#-type f#')
case "$*" in
    *MARK*) sh -c "$command" >LOG.answer
        if [ "$(head -c 15 LOG.answer | tr -d '\\0')" = SAME ]; then said look; else said copy; fi
        cat LOG.answer ;;
    *) said order
        sh -c "$command"; code=$?
        case "$*" in */scan*) [ -x SCANNED ] && SCANNED ;; esac
        exit $code ;;
esac
"""


@dataclass(frozen=True)
class FakeSsh:
    """The program, and what it was asked for."""

    directory: Path

    @property
    def program(self) -> Path:
        return self.directory / "ssh"

    def access(self, patience: float = 20, clock: Callable[[], float] = time.monotonic) -> OverSsh:
        """Access by this program to the host."""
        return OverSsh(libvirt_uri.parse(f"qemu+ssh://root@kvm01/system?command={self.program}"), patience, clock)

    def counts(self) -> Counter[str]:
        """How often it logged in, copied the host, only looked whether anything has changed, gave an order, made a tunnel."""
        log = self.directory / "log"
        return Counter(log.read_text().split()) if log.exists() else Counter()

    @property
    def words(self) -> list[str]:
        """The first line of each command line."""
        return (self.directory / "log.words").read_text().splitlines()

    def configure(self, text: str) -> None:
        """What the user's own configuration says of the host, as `ssh -G` prints it."""
        (self.directory / "configured").write_text(text)

    def refuse(self) -> None:
        """Let nobody log in from now on."""
        (self.directory / "refuses").touch()

    def share_nothing(self) -> None:
        """Hold no connection for others, as a program that does not know how."""
        (self.directory / "unshared").touch()

    def when_scanned(self, script: str) -> None:
        """What happens on the host when an adapter is told to look for LUNs; a shell script."""
        hook = self.directory / "scanned"
        hook.write_text(f"#!/bin/sh\n{script}\n")
        hook.chmod(0o755)


def fake_ssh(directory: Path, root: Path) -> FakeSsh:
    """A fake program in this directory, before a host whose files are below `root`."""
    directory.mkdir(exist_ok=True)
    names = {"CONFIGURED": "configured", "REFUSES": "refuses", "UNSHARED": "unshared", "SCANNED": "scanned", "LOG": "log"}
    text = (
        _PROGRAM.replace("SAME", host_copy.SAME.decode()).replace("MARK", host_copy.SAME.decode()).replace("ROOT", shlex.quote(str(root)))
    )
    for word, name in names.items():
        text = text.replace(word, shlex.quote(str(directory / name)))
    found = FakeSsh(directory)
    found.configure("")
    found.program.write_text(text)
    found.program.chmod(0o755)
    return found
