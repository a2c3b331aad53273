# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documentation twin of the `hypervisor` option in plugins/module_utils/_san/connection.py."""

from __future__ import annotations


class ModuleDocFragment:
    """How to reach a hypervisor."""

    DOCUMENTATION = r"""
options:
  hypervisor:
    description:
      - Where the hypervisor is managed, and the credentials for it.
      - What is not given here is taken from environment variables, so that AWX credentials and pipelines can provide it.
      - C(module_defaults) of the action group C(crossvisor.san.hypervisor) give it to all modules that take it.
    type: dict
    suboptions:
      type:
        description:
          - Which hypervisor it is.
          - V(auto) asks the endpoint who it is, before any credential is sent to it. KVM is taken for granted where O(hypervisor.uri)
            is given, and is never found by a O(hypervisor.hostname) alone, because a KVM host need not listen on any port but that of ssh.
          - Taken from the environment variable E(CROSSVISOR_HYPERVISOR_TYPE), else V(auto).
        type: str
        choices: [auto, vmware, hyperv, kvm, xen]
      hostname:
        description:
          - Name or address of the endpoint - of the vCenter Server or ESXi host, of the Hyper-V host, of any node of a failover cluster, or
            of a XenServer or XCP-ng host. A host that is not the master of its pool names the master, to which the login is sent then, over
            TLS that is verified alike.
          - With O(hypervisor.type=kvm), the host whose libvirt is reached over ssh as O(hypervisor.username).
          - Taken from E(CROSSVISOR_HYPERVISOR_HOSTNAME), or from E(VMWARE_HOST) or E(XENSERVER_HOST).
        type: str
      port:
        description:
          - Port of the endpoint; without it, the platform's usual one.
          - Taken from E(CROSSVISOR_HYPERVISOR_PORT), or from E(VMWARE_PORT) for VMware.
        type: int
      username:
        description:
          - Account to log in with.
          - Taken from E(CROSSVISOR_HYPERVISOR_USERNAME), from E(VMWARE_USER) for VMware or E(XENSERVER_USER) for Xen.
        type: str
      password:
        description:
          - Password of the account.
          - Taken from E(CROSSVISOR_HYPERVISOR_PASSWORD), from E(VMWARE_PASSWORD) for VMware or E(XENSERVER_PASSWORD) for Xen.
        type: str
      validate_certs:
        description:
          - Whether the endpoint's certificate must be valid. It must be unless this says V(false).
          - Taken from E(CROSSVISOR_HYPERVISOR_VALIDATE_CERTS), from E(VMWARE_VALIDATE_CERTS) for VMware or
            E(XENSERVER_VALIDATE_CERTS) for Xen.
        type: bool
      ca_path:
        description:
          - File with the certificates of the authorities to trust, in PEM format; without it, those of the system.
          - Taken from E(CROSSVISOR_HYPERVISOR_CA_PATH).
        type: path
      timeout:
        description:
          - Seconds that one request may take.
          - Taken from E(CROSSVISOR_HYPERVISOR_TIMEOUT), else 60.
        type: float
      transport:
        description:
          - How to log in to Windows, V(ntlm), V(kerberos), V(credssp), V(basic) or V(certificate).
          - Messages are encrypted by TLS, or over HTTP with the key of an V(ntlm), V(kerberos) or V(credssp) login; the others need TLS.
          - Without it, V(certificate) if O(hypervisor.client_cert) is given, else V(ntlm).
          - V(kerberos) and V(credssp) need the extras of that name of pywinrm.
          - Taken from E(CROSSVISOR_HYPERVISOR_TRANSPORT).
        type: str
      scheme:
        description:
          - What the Windows Remote Management service speaks, V(https) or V(http).
          - Without it, V(http) on port 5985 and V(https) on any other.
          - Taken from E(CROSSVISOR_HYPERVISOR_SCHEME).
        type: str
      client_cert:
        description:
          - File with a client certificate that Windows maps to an account, in PEM format.
          - Taken from E(CROSSVISOR_HYPERVISOR_CLIENT_CERT).
        type: path
      client_key:
        description:
          - File with the key of the client certificate, in PEM format.
          - Taken from E(CROSSVISOR_HYPERVISOR_CLIENT_KEY).
        type: path
      nodes:
        description:
          - Addresses of the nodes of a failover cluster, for nodes that are not reached by their DNS names on the same port.
          - A dictionary from a node's name to its C(address) or C(address:port).
          - Taken from E(CROSSVISOR_HYPERVISOR_NODES), written as C(name=address,name=address).
        type: dict
      uri:
        description:
          - The libvirt connection URI of a KVM host, such as V(qemu:///system) on the host itself, V(qemu+ssh://root@kvm01/system) or
            V(qemu+tls://kvm01/system). It goes before O(hypervisor.hostname).
          - A URI over ssh is used without asking for passwords, so that the key must be known to an agent or named by V(?keyfile=).
          - What libvirt does not tell of a host - the speed and state of its Fibre Channel ports, its iSCSI initiator name, what its file
            systems lie on - is read from the host itself, which is possible where the URI is local or over ssh.
          - Needs the library libvirt-python, which is in C(requirements-kvm.txt), or Debian's C(python3-libvirt).
          - Taken from E(CROSSVISOR_HYPERVISOR_URI).
        type: str
"""

    HYPERVISORS = r"""
options:
  hypervisors:
    description:
      - Further endpoints whose hosts may see the same LUNs, such as the other KVM hosts on a SAN; all of them are asked with O(hypervisor),
        which may be left out then.
      - A VM is found on whichever has it. One that has moved is one VM - it is changed where it runs, and a definition that another host
        has kept loses the LUN too.
      - KVM hosts that are named together are the hosts between which their VMs may move, as those of a cluster are elsewhere. A VM gets a
        LUN only by a name by which each of them gives it, by multipath on all or on none.
      - Who uses a LUN is asked of all. An endpoint that does not answer counts as a host by the name that is given here, and of what it
        has, nobody can tell.
      - Nothing is taken from environment variables, which are for O(hypervisor).
    type: list
    elements: dict
    default: []
    suboptions:
      type:
        description:
          - Which hypervisor it is.
          - V(auto) asks the endpoint who it is, before any credential is sent to it. KVM is taken for granted where
            O(hypervisors[].uri) is given, and is never found by a O(hypervisors[].hostname) alone.
          - Without it, V(auto).
        type: str
        choices: [auto, vmware, hyperv, kvm, xen]
      hostname:
        description:
          - Name or address of the endpoint - of the vCenter Server or ESXi host, of the Hyper-V host, of any node of a failover cluster, or
            of a XenServer or XCP-ng host.
          - With O(hypervisors[].type=kvm), the host whose libvirt is reached over ssh as O(hypervisors[].username).
        type: str
      port:
        description:
          - Port of the endpoint; without it, the platform's usual one.
        type: int
      username:
        description:
          - Account to log in with.
        type: str
      password:
        description:
          - Password of the account.
        type: str
      validate_certs:
        description:
          - Whether the endpoint's certificate must be valid. It must be unless this says V(false).
        type: bool
      ca_path:
        description:
          - File with the certificates of the authorities to trust, in PEM format; without it, those of the system.
        type: path
      timeout:
        description:
          - Seconds that one request may take, by default 60.
        type: float
      transport:
        description:
          - How to log in to Windows, V(ntlm), V(kerberos), V(credssp), V(basic) or V(certificate).
          - Messages are encrypted by TLS, or over HTTP with the key of an V(ntlm), V(kerberos) or V(credssp) login; the others need TLS.
          - Without it, V(certificate) if O(hypervisors[].client_cert) is given, else V(ntlm).
          - V(kerberos) and V(credssp) need the extras of that name of pywinrm.
        type: str
      scheme:
        description:
          - What the Windows Remote Management service speaks, V(https) or V(http).
          - Without it, V(http) on port 5985 and V(https) on any other.
        type: str
      client_cert:
        description:
          - File with a client certificate that Windows maps to an account, in PEM format.
        type: path
      client_key:
        description:
          - File with the key of the client certificate, in PEM format.
        type: path
      nodes:
        description:
          - Addresses of the nodes of a failover cluster, for nodes that are not reached by their DNS names on the same port.
          - A dictionary from a node's name to its C(address) or C(address:port).
        type: dict
      uri:
        description:
          - The libvirt connection URI of a KVM host, such as V(qemu:///system) on the host itself, V(qemu+ssh://root@kvm01/system) or
            V(qemu+tls://kvm01/system). It goes before O(hypervisors[].hostname).
          - A URI over ssh is used without asking for passwords, so that the key must be known to an agent or named by V(?keyfile=).
          - What libvirt does not tell of a host - the speed and state of its Fibre Channel ports, its iSCSI initiator name, what its file
            systems lie on - is read from the host itself, which is possible where the URI is local or over ssh.
          - Needs the library libvirt-python, which is in C(requirements-kvm.txt), or Debian's C(python3-libvirt).
        type: str
"""
