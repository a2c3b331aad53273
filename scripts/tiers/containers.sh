# shellcheck shell=bash
# Sourced by the tiers that run containers of the lab: one at a time, and nothing of theirs is left.

lock molecule 14400
environment=$(scripts/podman-env)
eval "$environment"
scripts/lab-images
export MOLECULE_EPHEMERAL_DIRECTORY=$ROOT/build/molecule

remove_leftovers() {
    podman rm --all --force --time 2 >/dev/null
    forget_ports
    podman network prune --force >/dev/null
    scripts/environment-images remove
    rm -rf "$MOLECULE_EPHEMERAL_DIRECTORY"
}
trap remove_leftovers EXIT
remove_leftovers
