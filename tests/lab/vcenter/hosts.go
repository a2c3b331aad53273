// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// buildHosts creates the clusters with their hosts and the adapters of each.
func (l *lab) buildHosts(hostFolder *simulator.Folder) error {
	for _, cluster := range l.world.Clusters {
		body := hostFolder.CreateClusterEx(l.ctx, &types.CreateClusterEx{This: hostFolder.Self, Name: cluster.Name}).(*methods.CreateClusterExBody)
		if fault := body.Fault(); fault != nil {
			return fmt.Errorf("cluster %s: %s", cluster.Name, fault.String)
		}
		compute := l.registry().Get(body.Res.Returnval).(*simulator.ClusterComputeResource)
		for _, wanted := range cluster.Hosts {
			if err := l.buildHost(compute, wanted); err != nil {
				return fmt.Errorf("host %s: %w", wanted.Name, err)
			}
		}
	}
	return nil
}

func (l *lab) buildHost(cluster *simulator.ClusterComputeResource, wanted worldHost) error {
	body := cluster.AddHostTask(l.ctx, &types.AddHost_Task{
		This: cluster.Self, Spec: types.HostConnectSpec{HostName: wanted.Name}, AsConnected: true,
	}).(*methods.AddHost_TaskBody)
	task := l.registry().Get(body.Res.Returnval).(*simulator.Task)
	task.Wait()
	if task.Info.Error != nil {
		return fmt.Errorf("%s", task.Info.Error.LocalizedMessage)
	}
	system := l.registry().Get(task.Info.Result.(types.ManagedObjectReference)).(*simulator.HostSystem)
	describeHost(system, wanted)
	h := &host{
		name: wanted.Name, system: system,
		storage:   l.registry().Get(*system.ConfigManager.StorageSystem).(*simulator.HostStorageSystem),
		localDisk: "t10.ATA_____LabDisk____" + strings.SplitN(wanted.Name, ".", 2)[0],
		devices:   map[string]*device{}, detached: map[string]string{}, holds: map[string]string{},
		degraded: []string{"ok", "degraded"},
	}
	for _, hba := range wanted.HBAs {
		a := &adapter{worldHBA: hba}
		key, err := adapterKey(hba)
		if err != nil {
			return err
		}
		a.key = key
		h.adapters = append(h.adapters, a)
	}
	l.giveISCSIManager(system, h.adapters)
	l.hosts = append(l.hosts, h)
	l.hostByRef[system.Self] = h
	l.hostByStorage[h.storage.Self] = h
	return nil
}

// describeHost gives the host the identity and the size of a current two-socket server.
func describeHost(system *simulator.HostSystem, wanted worldHost) {
	hardware := system.Summary.Hardware
	hardware.Uuid = wanted.UUID
	hardware.Vendor, hardware.Model = "Lab Systems", "LS-2U"
	hardware.CpuModel = "Intel(R) Xeon(R) Gold 6430"
	hardware.NumCpuPkgs, hardware.NumCpuCores, hardware.NumCpuThreads = 2, 64, 128
	hardware.CpuMhz, hardware.MemorySize = 2100, 512<<30
	system.Hardware.SystemInfo.Uuid = wanted.UUID
	system.Hardware.SystemInfo.Vendor, system.Hardware.SystemInfo.Model = hardware.Vendor, hardware.Model
	system.Hardware.MemorySize = hardware.MemorySize
	system.Hardware.PciDevice = slices.Clone(system.Hardware.PciDevice)
	for _, hba := range wanted.HBAs {
		known := slices.ContainsFunc(system.Hardware.PciDevice, func(device types.HostPciDevice) bool { return device.Id == hba.PCI })
		if hba.PCI != "" && !known {
			system.Hardware.PciDevice = append(system.Hardware.PciDevice, types.HostPciDevice{
				Id: hba.PCI, Bus: byte(pciBus(hba.PCI)), DeviceName: hba.Model, VendorName: strings.SplitN(hba.Model, " ", 2)[0],
			})
		}
	}
	system.Config.FileSystemVolume = &types.HostFileSystemVolumeInfo{
		VolumeTypeList: []string{"VMFS", "NFS", "NFS41", "VMFSOS", "vsan", "VVOL", "VFFS", "OTHER", "PMEM"},
	}
}

// localAdapter is the controller of the host's own disks, or nil.
func (h *host) localAdapter() *adapter {
	for _, a := range h.adapters {
		if a.Kind == kindBlock || a.Kind == kindSAS {
			return a
		}
	}
	return nil
}

var adapterTypes = map[hbaKind]string{
	kindBlock: "BlockHba", kindSAS: "SerialAttachedHba", kindFC: "FibreChannelHba", kindFCoE: "FibreChannelOverEthernetHba",
	kindSoftwareISCSI: "InternetScsiHba", kindHardwareISCSI: "InternetScsiHba",
}

// adapterKey checks the adapter and returns the key that links it with its paths.
func adapterKey(hba worldHBA) (string, error) {
	name, ok := adapterTypes[hba.Kind]
	if !ok {
		return "", fmt.Errorf("adapter %s is of unknown kind %q", hba.Device, hba.Kind)
	}
	if hba.Kind == kindFC || hba.Kind == kindFCoE {
		for _, wwn := range []string{hba.WWPN, hba.WWNN} {
			if _, err := wwnNumber(wwn); err != nil {
				return "", fmt.Errorf("adapter %s: %w", hba.Device, err)
			}
		}
	}
	return fmt.Sprintf("key-vim.host.%s-%s", name, hba.Device), nil
}

// pciBus is the bus of a PCI address such as 0000:3b:00.0, and 0 for adapters that are not on one.
func pciBus(address string) int32 {
	fields := strings.Split(address, ":")
	if len(fields) != 3 {
		return 0
	}
	bus, _ := strconv.ParseInt(fields[1], 16, 32)
	return int32(bus)
}

// hostBusAdapter is the adapter as HostStorageDeviceInfo.hostBusAdapter shows it.
func (h *host) hostBusAdapter(a *adapter) types.BaseHostHostBusAdapter {
	common := types.HostHostBusAdapter{
		Key: a.key, Device: a.Device, Bus: pciBus(a.PCI), Status: a.Status, Model: a.Model, Driver: a.Driver, Pci: a.PCI, StorageProtocol: "scsi",
	}
	switch a.Kind {
	case kindFC, kindFCoE:
		fc := fibreChannel(common, a)
		if a.Kind == kindFCoE {
			return &types.HostFibreChannelOverEthernetHba{HostFibreChannelHba: fc}
		}
		return &fc
	case kindSoftwareISCSI, kindHardwareISCSI:
		return h.internetSCSI(common, a)
	case kindSAS:
		return &types.HostSerialAttachedHba{HostHostBusAdapter: common, NodeWorldWideName: wwnDigits(a.WWNN)}
	default:
		return &types.HostBlockHba{HostHostBusAdapter: common}
	}
}

func fibreChannel(common types.HostHostBusAdapter, a *adapter) types.HostFibreChannelHba {
	wwpn, _ := wwnNumber(a.WWPN)
	wwnn, _ := wwnNumber(a.WWNN)
	return types.HostFibreChannelHba{
		HostHostBusAdapter: common, PortWorldWideName: wwpn, NodeWorldWideName: wwnn,
		PortType: types.FibreChannelPortTypeFabric, Speed: a.Speed,
	}
}

func (h *host) internetSCSI(common types.HostHostBusAdapter, a *adapter) *types.HostInternetScsiHba {
	no := types.NewBool(false)
	hba := &types.HostInternetScsiHba{
		HostHostBusAdapter: common, IsSoftwareBased: a.Kind == kindSoftwareISCSI, CanBeDisabled: no, IScsiName: a.IQN,
		NetworkBindingSupport: types.HostInternetScsiHbaNetworkBindingSupportTypeOptional,
		DiscoveryCapabilities: types.HostInternetScsiHbaDiscoveryCapabilities{
			StaticTargetDiscoverySettable: true, SendTargetsDiscoverySettable: true,
		},
		DiscoveryProperties: types.HostInternetScsiHbaDiscoveryProperties{
			StaticTargetDiscoveryEnabled: true, SendTargetsDiscoveryEnabled: true,
		},
		AuthenticationCapabilities: types.HostInternetScsiHbaAuthenticationCapabilities{ChapAuthSettable: true},
		AuthenticationProperties:   types.HostInternetScsiHbaAuthenticationProperties{ChapAuthenticationType: "chapProhibited"},
		IpProperties:               types.HostInternetScsiHbaIPProperties{Mac: "00:00:00:00:00:00", DhcpConfigurationEnabled: false},
		MaxSpeedMb:                 25000, CurrentSpeedMb: 25000,
	}
	for _, t := range a.Targets {
		hba.ConfiguredSendTarget = append(hba.ConfiguredSendTarget, types.HostInternetScsiHbaSendTarget{Address: t.Address, Port: t.Port})
	}
	hba.ConfiguredStaticTarget = h.discovered(a)
	return hba
}

// discovered are the targets that SendTargets has found so far: those at the far end of the adapter's paths.
func (h *host) discovered(a *adapter) []types.HostInternetScsiHbaStaticTarget {
	var targets []types.HostInternetScsiHbaStaticTarget
	seen := map[targetPort]bool{}
	for _, d := range h.sortedDevices() {
		for _, p := range d.paths {
			if p.adapter != a || seen[p.port] {
				continue
			}
			seen[p.port] = true
			targets = append(targets, types.HostInternetScsiHbaStaticTarget{
				Address: p.port.Address, Port: p.port.Port, IScsiName: p.port.IQN, DiscoveryMethod: "sendTargetMethod",
				Parent: fmt.Sprintf("%s:%d", a.Targets[0].Address, a.Targets[0].Port),
			})
		}
	}
	return targets
}
