#!/usr/bin/env bash
# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# build.sh OUTPUT: builds the lab's vCenter as one static program, with the Go that scripts/go finds or installs.
set -euo pipefail

output=$(realpath -m "${1:?usage: build.sh OUTPUT}")
sources=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$sources/../../.." && pwd)
export GOFLAGS=-mod=readonly CGO_ENABLED=0

mkdir -p "$(dirname "$output")"
cd "$sources"
temporary=$(mktemp "$output.XXXXXX")
trap 'rm -f "$temporary"' EXIT
"$root/scripts/go" build -trimpath -ldflags='-s -w' -o "$temporary" .
chmod 755 "$temporary"
mv "$temporary" "$output"
