#!/usr/bin/env bash
# Usage: isolated.sh DIRECTORY
# Runs libvirtd as process 1 of mount and process namespaces of its own, with DIRECTORY/{etc,lib,cache,log,run} in the place of the system's directories.
# When this process ends, the kernel ends libvirtd and every QEMU with it.
set -euo pipefail
directory=$1
QEMU_USER=libvirt-qemu

# libvirtd looks its default user and group up before it reads that our QEMU runs as root, and ends where they are missing. They come with the
# package that makes libvirt a service of the whole system, which the lab does not need: here they exist in these namespaces alone.
add_entry() {
    local database=$1 entry=$2
    if getent "$database" "$QEMU_USER" >/dev/null; then return; fi
    { cat "/etc/$database" && echo "$entry"; } >"$directory/$database"
    mount --bind "$directory/$database" "/etc/$database"
}

for place in etc:/etc/libvirt lib:/var/lib/libvirt cache:/var/cache/libvirt log:/var/log/libvirt run:/run/libvirt; do
    mkdir -p "$directory/${place%%:*}" "${place#*:}"
    mount --bind "$directory/${place%%:*}" "${place#*:}"
done
add_entry passwd "$QEMU_USER:x:64055:64055::/nonexistent:/usr/sbin/nologin"
add_entry group "$QEMU_USER:x:64055:"
libvirtd --pid-file /run/libvirt/libvirtd.pid --config /etc/libvirt/libvirtd.conf &
wait $!
