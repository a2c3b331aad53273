# shellcheck shell=bash
# Sourced by the scripts beside it: strict mode, the repository's root as working directory, and a few words.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
VENV=$ROOT/build/venv
MEMORY=/dev/shm/crossvisor-$(printf '%s' "$ROOT" | cksum | cut -d ' ' -f 1) # what unit tests write, where memory can hold it
export ROOT VENV MEMORY
CANNOT_RUN=77 # exit code of a tier whose prerequisites are missing, as in automake
NOT_OFFERED=78 # exit code of a tier for which this platform has no interpreter

say() { printf '%s\n' "$*" >&2; }

die() {
    say "$*"
    exit 1
}

cannot_run() {
    printf 'cannot run: %s\n' "$*"
    exit "$CANNOT_RUN"
}

# What no package of this platform could bring, such as another Python; with EVERY_PYTHON set, it has to be there.
not_offered() {
    [ -z "${EVERY_PYTHON:-}" ] || cannot_run "$@"
    printf 'left out: %s\n' "$*"
    exit "$NOT_OFFERED"
}

# stop_labs DIRECTORY...: stops every lab that left its endpoints.json or kvm-san.json below one of these, which need not be there.
stop_labs() {
    [ -x "$VENV/bin/python" ] || return 0
    left_by endpoints.json "$@" | while read -r directory; do
        "$VENV/bin/python" -m tests.lab.launch down --dir "$directory"
    done
    left_by kvm-san.json "$@" | while read -r directory; do
        "$VENV/bin/python" -m tests.lab.kvm_san stop --dir "$directory" >/dev/null
    done
}

# left_by NAME DIRECTORY...: the directories below these in which a file of that name lies.
left_by() { find "${@:2}" -name "$1" -not -path 'build/podman/*' -printf '%h\n' 2>/dev/null || true; }

have() { command -v "$1" >/dev/null 2>&1; }

is_root() { [ "$(id -u)" -eq 0 ]; }

# need_namespaces WHAT: ends where mounts and processes of one's own, of which WHAT is made, cannot be had.
need_namespaces() {
    is_root || cannot_run "$1 mount namespaces, which only root makes: run it as root"
    unshare --mount --pid --fork true 2>/dev/null ||
        cannot_run "$1 mount namespaces, which this machine lets nobody make: run it on a machine, or in a container, with CAP_SYS_ADMIN"
}

# lock NAME [SECONDS]: serialises whoever calls it with the same NAME, until the caller ends, and waits so long for the others.
lock() {
    mkdir -p build
    exec 9>"build/.$1.lock"
    flock --timeout "${2:-1800}" 9 || die "Somebody has held build/.$1.lock for ${2:-1800} seconds: see what runs there and end it."
}

# How uv works here: with this machine's Pythons, authorities and package index.
prepare_uv() {
    export UV_NATIVE_TLS=1 UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=hardlink
    [ -z "${PIP_INDEX_URL:-}" ] || export UV_DEFAULT_INDEX=$PIP_INDEX_URL
}

# pull_as IMAGE NAME: whether a registry has the image for us, which is then called NAME.
pull_as() { timeout 120 podman pull --quiet "$1" </dev/null && podman tag "$1" "$2"; }

# forget_ports: removes the rules that containers of ours, killed with their podman, left: whatever is sent to a port that one had published, which
# the next server on this machine may get, would go on to where nobody is. A network has one chain, to which a rule for each port leads.
forget_ports() {
    local network
    if ! is_root || ! have iptables-save; then return; fi
    podman network ls --format '{{.Name}}' --filter 'name=^crossvisor-' | while read -r network; do
        rules_of "$network" | while read -r rule; do
            xargs iptables --wait --table nat --delete <<<"$rule"
            printf '%s\n' "${rule##* }"
        done | sort --unique | while read -r chain; do
            iptables --wait --table nat --flush "$chain"
            iptables --wait --table nat --delete-chain "$chain"
        done
    done
}

# rules_of NETWORK: the rules for ports of containers on it, as `iptables --delete` takes them.
rules_of() { iptables-save --table nat | sed -n "s/^-A \(NETAVARK-HOSTPORT-DNAT .*dnat name: $1 id: .*\)/\1/p"; }
