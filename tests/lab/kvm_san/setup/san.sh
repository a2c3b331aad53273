#!/usr/bin/env bash
# Usage: san.sh IQN WWPN_A WWPN_B INITIATOR...
# Makes this machine a SAN: an iSCSI and a Fibre Channel port on each of two fabrics, which admit these initiators (IQNs and WWPNs).
# A host that sees a Fibre Channel port before this one is a target never takes it for one, so this comes before the links of the hosts.
# $LUNS makes the LUNs that it had before it lost its power: they are there before anybody can log in.
set -euo pipefail
iqn=$1
declare -A wwpns=([1]=$2 [2]=$3)
initiators=("${@:4}")
TARGET=/sys/kernel/config/target
FIRST_TAG=1028

mkdir -p /etc/target/pr /var/target/pr /srv/luns # where LIO keeps persistent reservations
modprobe -a target_core_mod target_core_file iscsi_target_mod fcoe tcm_fc
mkdir -p $TARGET/iscsi $TARGET/fc

admit() { # admit PORT INITIATOR
    mkdir -p "$1/acls/$2"
}

for fabric in 1 2; do
    ethtool -s eth$fabric speed 10000 duplex full
    ip link set eth$fabric mtu 2500 up
    ip address replace 10.8.$fabric.1/24 dev eth$fabric
    port=$TARGET/iscsi/$iqn/tpgt_$((FIRST_TAG + fabric - 1))
    mkdir -p "$port/np/10.8.$fabric.1:3260"
    echo 0 >"$port/attrib/authentication"
    echo 0 >"$port/attrib/generate_node_acls"
    fc=$TARGET/fc/${wwpns[$fabric]}/tpgt_1
    mkdir -p "$fc"
    for initiator in "${initiators[@]}"; do
        case $initiator in
        iqn.*) admit "$port" "$initiator" ;;
        *) admit "$fc" "$initiator" ;;
        esac
    done
done
eval "${LUNS-}"
for port in "$TARGET/iscsi/$iqn"/tpgt_*; do echo 1 >"$port/enable"; done
for fabric in 1 2; do echo eth$fabric >/sys/bus/fcoe/ctlr_create; done
for controller in /sys/bus/fcoe/devices/ctlr_*; do
    echo vn2vn >"$controller/mode"
    echo 1 >"$controller/enabled"
done
