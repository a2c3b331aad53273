#!/usr/bin/env bash
# Usage: build.sh DIRECTORY
# Makes the disk of all machines (machine.img, ext4 without partitions), their kernel (vmlinuz) and initrd in DIRECTORY, without mounting anything.
set -euo pipefail
directory=$1
recipe=$(cd "$(dirname "$0")" && pwd)
common=$recipe/../../kvm/guest/files
tree=$directory/tree

SYSTEM=linux-image-amd64,initramfs-tools,systemd-sysv,udev,dbus,iproute2,ethtool,kmod,procps,psmisc,openssh-server,openssh-client,python3
STORAGE=multipath-tools,open-iscsi,sg3-utils,lsscsi,lvm2
VIRTUALISATION=libvirt-daemon-system,libvirt-daemon-driver-qemu,libvirt-clients,python3-libvirt,qemu-system-x86,qemu-utils,netcat-openbsd
# What no virtual machine of the lab has: two thirds of the kernel's drivers.
NO_DRIVERS=(drivers/{gpu,media,net/wireless,net/ethernet,staging,infiniband,iio,usb,hid,input,isdn,bluetooth,ata,hwmon,mtd,edac,comedi,android}
    drivers/{thunderbolt,video,mfd,md/bcache,platform,power} sound net/{mac80211,wireless,bluetooth,sctp,ceph,batman-adv}
    fs/{ocfs2,gfs2,ceph,cifs,btrfs,nfs,nfsd,smb,ubifs,f2fs,jfs,reiserfs})
NO_FILES=(/usr/share/{man,doc,locale}/'*' /usr/share/qemu/{edk2,openbios,skiboot}'*')
UNUSED=(apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer logrotate.timer
    getty@tty1.service serial-getty@ttyS0.service systemd-pstore.service systemd-timesyncd.service libvirt-guests.service open-iscsi.service
    lvm2-monitor.service)

excludes=("${NO_DRIVERS[@]/#//lib/modules/*/kernel/}")
excludes=("${excludes[@]/%//*}" "${NO_FILES[@]}")
# shellcheck disable=SC2016 # what the hooks call $1 is the tree
mmdebstrap --quiet --variant=minbase --mode=root --include="$SYSTEM,$STORAGE,$VIRTUALISATION" \
    --aptopt='APT::Install-Recommends "false"' --dpkgopt=force-unsafe-io "${excludes[@]/#/--dpkgopt=path-exclude=}" \
    --essential-hook="sync-in $common /" --essential-hook="sync-in $recipe/files /" \
    --customize-hook='rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/machine-id && : >"$1"/etc/machine-id' \
    --customize-hook="chroot \"\$1\" systemctl --quiet mask ${UNUSED[*]}" \
    --customize-hook='chroot "$1" systemctl --quiet disable libvirtd.service iscsid.service' \
    --customize-hook='chroot "$1" systemctl --quiet enable systemd-networkd.service lab-keys.service' \
    bookworm "$tree"

cp "$tree"/boot/vmlinuz-* "$directory/vmlinuz"
cp "$tree"/boot/initrd.img-* "$directory/initrd"
rm -r "${tree:?}/boot" && mkdir "$tree/boot"
truncate -s 3G "$directory/machine.img"
mke2fs -q -t ext4 -L machine -d "$tree" "$directory/machine.img"
rm -r "$tree"
