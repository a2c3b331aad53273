# shellcheck shell=bash
# Sourced by the scripts beside it: strict mode, the repository's root as working directory, and a few words.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
VENV=$ROOT/build/venv
export ROOT VENV
CANNOT_RUN=77 # exit code of a tier whose prerequisites are missing, as in automake

say() { printf '%s\n' "$*" >&2; }

die() {
    say "$*"
    exit 1
}

cannot_run() {
    printf 'cannot run: %s\n' "$*"
    exit "$CANNOT_RUN"
}

have() { command -v "$1" >/dev/null 2>&1; }

is_root() { [ "$(id -u)" -eq 0 ]; }

# Serialises whoever calls it with the same NAME, until the caller ends.
lock() {
    mkdir -p build
    exec 9>"build/.$1.lock"
    flock 9
}

# How uv works here: with this machine's Pythons, authorities and package index.
prepare_uv() {
    export UV_NATIVE_TLS=1 UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=hardlink
    [ -z "${PIP_INDEX_URL:-}" ] || export UV_DEFAULT_INDEX=$PIP_INDEX_URL
}
