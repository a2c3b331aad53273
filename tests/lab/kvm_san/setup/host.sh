#!/usr/bin/env bash
# Usage: host.sh IQN NUMBER IQN_OF_SAN WWPN_OF_SAN...
# Makes this machine a KVM host on two fabrics: a Fibre Channel adapter and an iSCSI session on each, multipathd, libvirtd.
# The description of a domain comes by $DOMAIN, which is defined and started, its processor stopped.
# Ends when the ports of the SAN are there and the sessions are up; the LUNs are found by rescans.
set -euo pipefail
iqn=$1 number=$2 san_iqn=$3 description=${DOMAIN:?}
san_wwpns=("${@:4}")
WAIT_SECONDS=600

modprobe -a fcoe dm_multipath dm_service_time
for fabric in 1 2; do
    ethtool -s eth$fabric speed 10000 duplex full
    ip link set eth$fabric mtu 2500 up
    ip address replace 10.8.$fabric."$number"/24 dev eth$fabric
    echo eth$fabric >/sys/bus/fcoe/ctlr_create
done
for controller in /sys/bus/fcoe/devices/ctlr_*; do
    echo vn2vn >"$controller/mode"
    echo 1 >"$controller/enabled"
done

echo "InitiatorName=$iqn" >/etc/iscsi/initiatorname.iscsi
# How soon a path that is gone is said to be gone.
sed -i -e 's/^\(node.session.timeo.replacement_timeout\) .*/\1 = 5/' -e 's/^\(node.conn\[0\].timeo.noop_out_interval\) .*/\1 = 2/' \
    -e 's/^\(node.conn\[0\].timeo.noop_out_timeout\) .*/\1 = 3/' -e 's/^\(node.startup\) .*/\1 = automatic/' /etc/iscsi/iscsid.conf
# How soon one that is back is used again: multipathd tries a path ever more seldom, after five seconds at first and every twenty in the end.
sed -i 's/^defaults {$/&\n    polling_interval 2\n    max_polling_interval 2/' /etc/multipath.conf
systemctl start iscsid.service multipathd.service libvirtd.service

is_target() { # is_target WWPN
    grep -l "0x${1//:/}" /sys/class/fc_remote_ports/*/port_name 2>/dev/null | xargs -r -n 1 dirname | while read -r port; do cat "$port/roles"; done | grep -q Target
}
within() { # within COMMAND...
    local end=$((SECONDS + WAIT_SECONDS))
    until "$@"; do
        if [ $SECONDS -ge $end ]; then
            echo "not so within $WAIT_SECONDS s: $*" >&2
            exit 1
        fi
        sleep 0.5
    done
}
for fabric in 1 2; do
    within iscsiadm --mode discovery --type sendtargets --portal 10.8.$fabric.1
    within iscsiadm --mode node --target "$san_iqn" --portal 10.8.$fabric.1 --login
done
for wwpn in "${san_wwpns[@]}"; do within is_target "$wwpn"; done

domain=app0${HOSTNAME#kvm}
qemu-img create -q -f qcow2 "/var/lib/libvirt/images/$domain.qcow2" 64M
echo "${description//app01/$domain}" >"/tmp/$domain.xml"
virsh --quiet define "/tmp/$domain.xml"
virsh --quiet start --paused "$domain"
