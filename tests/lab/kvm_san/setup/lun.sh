#!/usr/bin/env bash
# Usage: lun.sh NAME SERIAL SIZE ID HOST...
# Makes a LUN that looks like one of ONTAP with this serial number (12 characters), and shows it to these hosts' IQNs and WWPNs by this number.
# Paths of fabric a are optimized, those of b are not.
set -euo pipefail
name=$1 serial=$2 size=$3 id=$4
initiators=("${@:5}")
TARGET=/sys/kernel/config/target
device=$TARGET/core/fileio_0/$name

mkdir -p "$device"
truncate -s "$size" "/srv/luns/$name"
echo "fd_dev_name=/srv/luns/$name,fd_dev_size=$(stat -c %s "/srv/luns/$name"),fd_buffered_io=1" >"$device/control"
echo 1 >"$device/enable"
hex=$(printf %s "$serial" | od -An -tx1 | tr -d ' \n')
while IFS== read -r key value; do echo "$value" >"$device/wwn/$key"; done <<IDENTITY
vendor_id=NETAPP
product_id=LUN C-Mode
revision=9161
company_id=0x00a098
vpd_unit_serial=0$hex
IDENTITY
while read -r group number state; do
    mkdir -p "$device/alua/$group"
    echo "$number" >"$device/alua/$group/tg_pt_gp_id"
    echo 1 >"$device/alua/$group/alua_access_type" # implicit only
    echo "$state" >"$device/alua/$group/alua_access_state"
done <<GROUPS_BY_NODE
optimized 1 0
other 2 1
GROUPS_BY_NODE

offer() { # offer PORT GROUP
    mkdir -p "$1/lun/lun_$id"
    ln -s "$device" "$1/lun/lun_$id/$name"
    echo "$2" >"$1/lun/lun_$id/alua_tg_pt_gp"
    for initiator in "${initiators[@]}"; do
        [ -d "$1/acls/$initiator" ] || continue
        mkdir -p "$1/acls/$initiator/lun_$id"
        ln -s "$1/lun/lun_$id" "$1/acls/$initiator/lun_$id/$name"
    done
}
groups=(optimized other)
for kind in iscsi fc; do
    fabric=0
    for port in "$TARGET/$kind"/*/tpgt_*; do # the ports of fabric a come first
        offer "$port" "${groups[$fabric]}"
        fabric=$((fabric + 1))
    done
done
