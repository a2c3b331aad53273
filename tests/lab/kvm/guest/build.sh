#!/usr/bin/env bash
# Usage: build.sh DIRECTORY
# Makes the guest's disk (guest.img, ext4 without partitions), kernel (vmlinuz) and initrd in DIRECTORY, without mounting anything.
set -euo pipefail
directory=$1
recipe=$(cd "$(dirname "$0")" && pwd)
tree=$directory/tree

SYSTEM=linux-image-cloud-amd64,initramfs-tools,systemd-sysv,udev,iproute2,kmod,openssh-server,python3,qemu-guest-agent
STORAGE=e2fsprogs,xfsprogs,parted,gdisk,lsscsi,sg3-utils,lvm2,multipath-tools
UNUSED=(apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer getty@tty1.service
    systemd-pstore.service)

# shellcheck disable=SC2016 # what the hooks call $1 is the tree
mmdebstrap --quiet --variant=minbase --mode=root --include="$SYSTEM,$STORAGE" \
    --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --essential-hook="sync-in $recipe/files /" \
    --customize-hook='rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/machine-id && : >"$1"/etc/machine-id' \
    --customize-hook="chroot \"\$1\" systemctl --quiet mask ${UNUSED[*]}" \
    --customize-hook='chroot "$1" systemctl --quiet enable systemd-networkd.service ssh-host-key.service' \
    bookworm "$tree"

cp "$tree"/boot/vmlinuz-* "$directory/vmlinuz"
cp "$tree"/boot/initrd.img-* "$directory/initrd"
rm -r "${tree:?}/boot" && mkdir "$tree/boot"
truncate -s 2G "$directory/guest.img"
mke2fs -q -t ext4 -L guest -d "$tree" "$directory/guest.img"
rm -r "$tree"
