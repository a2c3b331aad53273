# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates of the lab: an authority and a certificate for each server; ``python -m tests.lab.certificates DIRECTORY [NAME...]``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import trustme

ALWAYS = ("localhost", "127.0.0.1")


class Certificates(NamedTuple):
    """PEM files: the authority that clients trust, and what the server presents."""

    authority: Path
    certificate: Path
    key: Path


def issue(directory: Path, names: Sequence[str] = ()) -> Certificates:
    """Write ``ca.pem``, ``server.pem`` and ``server.key`` for localhost, 127.0.0.1 and ``names`` into ``directory``; return the paths."""
    directory.mkdir(parents=True, exist_ok=True)
    files = Certificates(directory / "ca.pem", directory / "server.pem", directory / "server.key")
    authority = trustme.CA(organization_name="crossvisor lab")
    server = authority.issue_cert(*ALWAYS, *names, organization_name="crossvisor lab")
    authority.cert_pem.write_to_path(str(files.authority))
    files.certificate.write_bytes(b"".join(blob.bytes() for blob in server.cert_chain_pems))
    files.key.touch(mode=0o600)
    server.private_key_pem.write_to_path(str(files.key))
    return files


if __name__ == "__main__":
    issue(Path(sys.argv[1]), sys.argv[2:])
