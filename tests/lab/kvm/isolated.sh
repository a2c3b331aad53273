#!/usr/bin/env bash
# Usage: isolated.sh DIRECTORY
# Runs libvirtd as process 1 of mount and process namespaces of its own, with DIRECTORY/{etc,lib,cache,log,run} in the place of the system's directories.
# When this process ends, the kernel ends libvirtd and every QEMU with it.
set -euo pipefail
directory=$1

for place in etc:/etc/libvirt lib:/var/lib/libvirt cache:/var/cache/libvirt log:/var/log/libvirt run:/run/libvirt; do
    mkdir -p "$directory/${place%%:*}" "${place#*:}"
    mount --bind "$directory/${place%%:*}" "${place#*:}"
done
# libvirtd looks its default account up before it reads the configuration that names another. A package that the lab does not need makes it.
known_here() {
    local database=$1 entry=$2
    ! getent "$database" "${entry%%:*}" >/dev/null || return 0
    { cat "/etc/$database" && echo "$entry"; } >"$directory/$database"
    mount --bind "$directory/$database" "/etc/$database"
}
known_here passwd libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin
known_here group libvirt-qemu:x:64055:

libvirtd --pid-file /run/libvirt/libvirtd.pid --config /etc/libvirt/libvirtd.conf &
wait $!
