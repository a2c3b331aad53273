// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/simulator/esx"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	defaultHardware = "vmx-20"
	pciController   = 100
	firstSCSI       = 1000 // key of SCSI controller 0
	firstDisk       = 2000 // key of the disk at SCSI 0:0
	firstNIC        = 4000
	guestID         = "rhel9_64Guest"
	guestName       = "Red Hat Enterprise Linux 9 (64-bit)"
	thinlyUsed      = 10 // per cent of a thin disk that its datastore counts as used
)

// buildMachines puts the VMs into the inventory as finished objects: CreateVM_Task would take a minute per thousand.
func (l *lab) buildMachines(top *simulator.Folder) error {
	folders := map[string]*simulator.Folder{"": top}
	for number, wanted := range l.world.VMs {
		folder, err := l.folder(folders, wanted.Folder)
		if err != nil {
			return err
		}
		if err := l.buildMachine(folder, wanted, number); err != nil {
			return fmt.Errorf("VM %s: %w", wanted.Name, err)
		}
	}
	return nil
}

// folder returns the VM folder of that path, created where it is missing.
func (l *lab) folder(known map[string]*simulator.Folder, name string) (*simulator.Folder, error) {
	if folder := known[name]; folder != nil {
		return folder, nil
	}
	parentName := strings.TrimSuffix(path.Dir(name), ".")
	parent, err := l.folder(known, parentName)
	if err != nil {
		return nil, err
	}
	body := parent.CreateFolder(l.ctx, &types.CreateFolder{This: parent.Self, Name: path.Base(name)}).(*methods.CreateFolderBody)
	if fault := body.Fault(); fault != nil {
		return nil, fmt.Errorf("folder %s: %s", name, fault.String)
	}
	known[name] = l.registry().Get(body.Res.Returnval).(*simulator.Folder)
	return known[name], nil
}

// builder assembles one virtual machine.
type builder struct {
	lab    *lab
	wanted worldMachine
	number int
	host   *host
	home   object.DatastorePath // its directory
	vm     *simulator.VirtualMachine
	scsi   *types.ParaVirtualSCSIController
}

func (l *lab) buildMachine(folder *simulator.Folder, wanted worldMachine, number int) error {
	b := &builder{lab: l, wanted: wanted, number: number, vm: &simulator.VirtualMachine{DataSets: map[string]*simulator.DataSet{}}}
	for _, h := range l.hosts {
		if h.name == wanted.Host {
			b.host = h
		}
	}
	home, err := l.makeHome(wanted.datastores()[0], wanted.Name)
	if err != nil {
		return err
	}
	b.home = home
	b.identity()
	b.standardDevices()
	for _, disk := range wanted.Disks {
		if err := b.addImage(disk); err != nil {
			return err
		}
	}
	for _, rdm := range wanted.RDMs {
		if err := b.addMapping(rdm); err != nil {
			return err
		}
	}
	b.guest()
	b.summary()
	l.appendChild(folder, b.vm)
	b.link()
	return nil
}

func (b *builder) poweredOn() bool { return b.wanted.Power != "off" }

func (b *builder) identity() {
	vm, directory := b.vm, b.home.String()
	version := b.wanted.Version
	if version == "" {
		version = defaultHardware
	}
	created := time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)
	allocation := types.DefaultResourceConfigSpec()
	vm.Name = b.wanted.Name
	vm.Config = &types.VirtualMachineConfigInfo{
		ChangeVersion: created.Format(time.RFC3339), Modified: created, CreateDate: &created,
		Name: b.wanted.Name, Uuid: b.wanted.UUID, InstanceUuid: b.wanted.InstanceUUID, LocationId: stableUUID("location/" + b.host.name),
		GuestId: guestID, GuestFullName: guestName, Version: version, Firmware: string(types.GuestOsDescriptorFirmwareTypeEfi),
		Files: types.VirtualMachineFileInfo{
			VmPathName:        b.home.String() + "/" + b.wanted.Name + ".vmx",
			SnapshotDirectory: directory, SuspendDirectory: directory, LogDirectory: directory,
		},
		Tools: &types.ToolsConfigInfo{ToolsVersion: 12389, AfterPowerOn: types.NewBool(true), AfterResume: types.NewBool(true)},
		Flags: types.VirtualMachineFlagInfo{EnableLogging: types.NewBool(true), DiskUuidEnabled: types.NewBool(true)},
		Hardware: types.VirtualHardware{
			NumCPU: 2, NumCoresPerSocket: types.NewInt32(1), MemoryMB: 4096,
			VirtualICH7MPresent: types.NewBool(false), VirtualSMCPresent: types.NewBool(false),
		},
		CpuAllocation: &allocation.CpuAllocation, MemoryAllocation: &allocation.MemoryAllocation,
		LatencySensitivity: &types.LatencySensitivity{Level: types.LatencySensitivitySensitivityLevelNormal},
		CpuHotAddEnabled:   types.NewBool(false), MemoryHotAddEnabled: types.NewBool(false),
		BootOptions:   &types.VirtualMachineBootOptions{},
		ExtraConfig:   []types.BaseOptionValue{&types.OptionValue{Key: "disk.EnableUUID", Value: "TRUE"}},
		SwapPlacement: "inherit",
	}
	vm.Layout = &types.VirtualMachineFileLayout{}
	vm.LayoutEx = &types.VirtualMachineFileLayoutEx{Timestamp: created}
	vm.Storage = &types.VirtualMachineStorageInfo{Timestamp: created}
	b.addFile(path.Base(vm.Config.Files.VmPathName), string(types.VirtualMachineFileLayoutExFileTypeConfig), 2048)
	vm.Runtime.Host = &b.host.system.Self
	vm.Runtime.ConnectionState = types.VirtualMachineConnectionStateConnected
	vm.Runtime.FaultToleranceState = types.VirtualMachineFaultToleranceStateNotConfigured
	vm.Runtime.RecordReplayState = types.VirtualMachineRecordReplayStateInactive
	vm.Runtime.PowerState = types.VirtualMachinePowerStatePoweredOff
	if b.poweredOn() {
		vm.Runtime.PowerState = types.VirtualMachinePowerStatePoweredOn
		vm.Runtime.BootTime = &created
	}
	vm.Capability.ChangeTrackingSupported = true
}

// standardDevices are those that every VM has, the PVSCSI controller and one network card.
func (b *builder) standardDevices() {
	network := b.lab.registry().Get(b.host.system.Network[0])
	networkName := "VM Network"
	pci := copyOf(esx.VirtualMachineDefaultDevicePCIController)
	pci.Device = append(slices.Clone(pci.Device), firstSCSI, firstNIC)
	ps2 := copyOf(esx.VirtualMachineDefaultDevicePS2Controller)
	ps2.Device = slices.Clone(ps2.Device)
	b.scsi = newPVSCSI(firstSCSI, 0)
	unit := int32(7)
	reference := network.Reference()
	nic := &types.VirtualVmxnet3{}
	nic.Key, nic.ControllerKey, nic.UnitNumber = firstNIC, pciController, &unit
	nic.DeviceInfo = &types.Description{Label: "Network adapter 1", Summary: networkName}
	nic.Backing = &types.VirtualEthernetCardNetworkBackingInfo{
		VirtualDeviceDeviceBackingInfo: types.VirtualDeviceDeviceBackingInfo{DeviceName: networkName}, Network: &reference,
	}
	nic.Connectable = &types.VirtualDeviceConnectInfo{StartConnected: true, AllowGuestControl: true, Connected: b.poweredOn(), Status: "ok"}
	nic.AddressType, nic.MacAddress = "assigned", b.mac()
	nic.WakeOnLanEnabled = types.NewBool(true)
	nic.ResourceAllocation = &types.VirtualEthernetCardResourceAllocation{
		Reservation: types.NewInt64(0), Limit: types.NewInt64(-1), Share: types.SharesInfo{Shares: 50, Level: types.SharesLevelNormal},
	}
	b.vm.Network = []types.ManagedObjectReference{reference}
	b.vm.Config.Hardware.Device = []types.BaseVirtualDevice{
		copyOf(esx.VirtualMachineDefaultDeviceIDEControllerBus0), copyOf(esx.VirtualMachineDefaultDeviceIDEControllerBus1),
		ps2, pci, copyOf(esx.VirtualMachineDefaultDeviceSIOController),
		copyOf(esx.VirtualMachineDefaultDeviceVirtualKeyboard), copyOf(esx.VirtualMachineDefaultDeviceVirtualPointingDevice),
		copyOf(esx.VirtualMachineDefaultDeviceVideoCard), copyOf(esx.VirtualMachineDefaultDeviceVMCIDevice),
		b.scsi, nic,
	}
}

func copyOf[T any](template *T) *T {
	duplicate := *template
	return &duplicate
}

func newPVSCSI(key, bus int32) *types.ParaVirtualSCSIController {
	controller := &types.ParaVirtualSCSIController{}
	controller.Key, controller.ControllerKey = key, pciController
	unit := 3 + bus
	controller.UnitNumber = &unit
	controller.DeviceInfo = &types.Description{Label: fmt.Sprintf("SCSI controller %d", bus), Summary: "VMware paravirtual SCSI"}
	controller.BusNumber = bus
	controller.HotAddRemove = types.NewBool(true)
	controller.SharedBus = types.VirtualSCSISharingNoSharing
	controller.ScsiCtlrUnitNumber = scsiControllerUnit
	return controller
}

func (b *builder) mac() string {
	return fmt.Sprintf("00:50:56:%02x:%02x:%02x", 0x80|b.number>>16&0x3f, b.number>>8&0xff, b.number&0xff)
}

// place gives the disk the next free unit of the first controller, and its key and label.
func (b *builder) place(disk *types.VirtualDisk) {
	unit := int32(len(b.scsi.Device))
	if unit >= scsiControllerUnit {
		unit++
	}
	disk.Key, disk.ControllerKey, disk.UnitNumber = firstDisk+unit, b.scsi.Key, &unit
	b.scsi.Device = append(b.scsi.Device, disk.Key)
	disk.DeviceInfo = &types.Description{
		Label: fmt.Sprintf("Hard disk %d", len(b.scsi.Device)), Summary: kilobytes(disk.CapacityInKB),
	}
	completeDisk(disk)
	b.vm.Config.Hardware.Device = append(b.vm.Config.Hardware.Device, disk)
}

func (b *builder) addImage(wanted worldDisk) error {
	disk := &types.VirtualDisk{CapacityInBytes: wanted.Size, CapacityInKB: wanted.Size / 1024}
	file, err := b.newDiskFile(wanted.Datastore)
	if err != nil {
		return err
	}
	ds := b.lab.datastores[wanted.Datastore]
	no := types.NewBool(false)
	disk.Backing = &types.VirtualDiskFlatVer2BackingInfo{
		VirtualDeviceFileBackingInfo: types.VirtualDeviceFileBackingInfo{FileName: file.String(), Datastore: &ds.Self},
		DiskMode:                     string(types.VirtualDiskModePersistent), ThinProvisioned: types.NewBool(true),
		Split: no, WriteThrough: no, DigestEnabled: no, EagerlyScrub: no, Sharing: string(types.VirtualDiskSharingSharingNone),
		Uuid: diskUUID(file.String()), ContentId: strings.ReplaceAll(stableUUID("content/"+file.String()), "-", ""),
	}
	used := wanted.Size / 100 * thinlyUsed
	if err := b.lab.writeImage(file, wanted.Size, used); err != nil {
		return err
	}
	ds.Summary.FreeSpace = max(ds.Summary.FreeSpace-used, ds.Summary.Capacity/20)
	ds.Info.GetDatastoreInfo().FreeSpace = ds.Summary.FreeSpace
	b.place(disk)
	b.addDiskFiles(disk, file, "-flat.vmdk", used)
	return nil
}

func (b *builder) addMapping(wanted worldRDM) error {
	d := b.host.devices[wanted.NAA]
	if d == nil {
		return fmt.Errorf("host %s does not see the LUN %s of its raw device mapping", b.host.name, wanted.NAA)
	}
	datastore := wanted.Datastore
	if datastore == "" {
		datastore = b.home.Datastore
	}
	file, err := b.newDiskFile(datastore)
	if err != nil {
		return err
	}
	m := mapping{naa: d.NAA, mode: types.VirtualDiskCompatibilityMode(wanted.Compatibility), size: d.Size}
	backing := &types.VirtualDiskRawDiskMappingVer1BackingInfo{Sharing: wanted.Sharing, DiskMode: wanted.DiskMode}
	backing.FileName = file.String()
	if err := b.lab.writeMapping(file, m); err != nil {
		return err
	}
	b.lab.fillMapping(backing, m, d)
	disk := &types.VirtualDisk{CapacityInBytes: d.Size, CapacityInKB: d.Size / 1024}
	disk.Backing = backing
	b.place(disk)
	b.addDiskFiles(disk, file, m.extentSuffix(), 0)
	return nil
}

// newDiskFile is the name of the VM's next disk file on that datastore: name.vmdk, name_1.vmdk, …
func (b *builder) newDiskFile(datastore string) (object.DatastorePath, error) {
	directory := b.home
	if datastore != b.home.Datastore {
		var err error
		if directory, err = b.lab.ensureDirectory(datastore, b.wanted.Name); err != nil {
			return directory, err
		}
	}
	return b.lab.freeDiskName(directory, b.wanted.Name), nil
}

func (b *builder) addFile(name, kind string, size int64) int32 {
	key := int32(len(b.vm.LayoutEx.File))
	b.vm.LayoutEx.File = append(b.vm.LayoutEx.File, types.VirtualMachineFileLayoutExFileInfo{
		Key: key, Name: b.home.String() + "/" + name, Type: kind, Size: size, UniqueSize: size, Accessible: types.NewBool(true),
	})
	return key
}

func (b *builder) addDiskFiles(disk *types.VirtualDisk, file object.DatastorePath, suffix string, used int64) {
	descriptor := b.addFile("", string(types.VirtualMachineFileLayoutExFileTypeDiskDescriptor), 512)
	extent := b.addFile("", string(types.VirtualMachineFileLayoutExFileTypeDiskExtent), used)
	b.vm.LayoutEx.File[descriptor].Name = file.String()
	b.vm.LayoutEx.File[extent].Name = strings.TrimSuffix(file.String(), ".vmdk") + suffix
	b.vm.LayoutEx.Disk = append(b.vm.LayoutEx.Disk, types.VirtualMachineFileLayoutExDiskLayout{
		Key: disk.Key, Chain: []types.VirtualMachineFileLayoutExDiskUnit{{FileKey: []int32{descriptor, extent}}},
	})
	b.vm.Layout.Disk = append(b.vm.Layout.Disk, types.VirtualMachineFileLayoutDiskLayout{Key: disk.Key, DiskFile: []string{file.String()}})
	ds := b.lab.datastores[file.Datastore].Self
	usage := types.VirtualMachineUsageOnDatastore{Datastore: ds, Committed: used, Unshared: used, Uncommitted: disk.CapacityInBytes - used}
	if suffix != "-flat.vmdk" {
		usage.Uncommitted = 0
	}
	for i := range b.vm.Storage.PerDatastoreUsage {
		known := &b.vm.Storage.PerDatastoreUsage[i]
		if known.Datastore == ds {
			known.Committed += usage.Committed
			known.Unshared += usage.Unshared
			known.Uncommitted += usage.Uncommitted
			return
		}
	}
	b.vm.Storage.PerDatastoreUsage = append(b.vm.Storage.PerDatastoreUsage, usage)
}

// guest is what VMware Tools report from a running VM.
func (b *builder) guest() {
	guest := &types.GuestInfo{
		GuestId: guestID, GuestFullName: guestName, GuestFamily: string(types.VirtualMachineGuestOsFamilyLinuxGuest),
		ToolsVersion: "12389", ToolsVersionStatus: string(types.VirtualMachineToolsVersionStatusGuestToolsCurrent),
		ToolsVersionStatus2: string(types.VirtualMachineToolsVersionStatusGuestToolsCurrent), ToolsInstallType: "guestToolsTypeOpenVMTools",
		ToolsStatus: types.VirtualMachineToolsStatusToolsNotRunning, GuestState: "notRunning",
		ToolsRunningStatus: string(types.VirtualMachineToolsRunningStatusGuestToolsNotRunning),
	}
	b.vm.Guest = guest
	if !b.poweredOn() {
		return
	}
	address := fmt.Sprintf("10.20.%d.%d", b.number/250%256, b.number%250+1)
	guest.ToolsStatus, guest.GuestState = types.VirtualMachineToolsStatusToolsOk, "running"
	guest.ToolsRunningStatus = string(types.VirtualMachineToolsRunningStatusGuestToolsRunning)
	guest.HostName, guest.IpAddress = b.wanted.Name+".lab", address
	guest.GuestOperationsReady = types.NewBool(true)
	guest.Net = []types.GuestNicInfo{{
		Network: "VM Network", IpAddress: []string{address}, MacAddress: b.mac(), Connected: true, DeviceConfigId: firstNIC,
		IpConfig: &types.NetIpConfigInfo{IpAddress: []types.NetIpConfigInfoIpAddress{
			{IpAddress: address, PrefixLength: 16, Origin: "manual", State: "preferred"},
		}},
	}}
}

func (b *builder) summary() {
	vm := b.vm
	summary := &vm.Summary
	summary.Runtime = vm.Runtime
	summary.OverallStatus = types.ManagedEntityStatusGreen
	summary.Config = types.VirtualMachineConfigSummary{
		Name: vm.Name, Uuid: vm.Config.Uuid, InstanceUuid: vm.Config.InstanceUuid, GuestId: guestID, GuestFullName: guestName,
		VmPathName: vm.Config.Files.VmPathName, NumCpu: vm.Config.Hardware.NumCPU, MemorySizeMB: vm.Config.Hardware.MemoryMB,
		NumEthernetCards: 1, NumVirtualDisks: int32(len(b.scsi.Device)), HwVersion: vm.Config.Version,
	}
	summary.Guest = &types.VirtualMachineGuestSummary{
		GuestId: guestID, GuestFullName: guestName, ToolsStatus: vm.Guest.ToolsStatus, ToolsVersionStatus: vm.Guest.ToolsVersionStatus,
		ToolsVersionStatus2: vm.Guest.ToolsVersionStatus2, ToolsRunningStatus: vm.Guest.ToolsRunningStatus,
		HostName: vm.Guest.HostName, IpAddress: vm.Guest.IpAddress,
	}
	summary.QuickStats.GuestHeartbeatStatus = types.ManagedEntityStatusGray
	if b.poweredOn() {
		summary.QuickStats.GuestHeartbeatStatus = types.ManagedEntityStatusGreen
		summary.QuickStats.UptimeSeconds = 86400
	}
	summary.Storage = &types.VirtualMachineStorageSummary{Timestamp: vm.Storage.Timestamp}
	for _, usage := range vm.Storage.PerDatastoreUsage {
		summary.Storage.Committed += usage.Committed
		summary.Storage.Uncommitted += usage.Uncommitted
		summary.Storage.Unshared += usage.Unshared
		vm.Datastore = append(vm.Datastore, usage.Datastore)
	}
	for _, ds := range vm.Datastore {
		for name, known := range b.lab.datastores {
			if known.Self == ds {
				vm.Config.DatastoreUrl = append(vm.Config.DatastoreUrl, types.VirtualMachineConfigInfoDatastoreUrlPair{
					Name: name, Url: known.Info.GetDatastoreInfo().Url,
				})
			}
		}
	}
}

// link enters the VM into the lists of its host, pool and datastores.
func (b *builder) link() {
	registry, ref := b.lab.registry(), b.vm.Self
	b.vm.Summary.Vm = &b.vm.Self
	b.vm.Summary.Runtime.Host = b.vm.Runtime.Host
	cluster := registry.Get(*b.host.system.Parent).(*simulator.ClusterComputeResource)
	pool := registry.Get(*cluster.ResourcePool).(*simulator.ResourcePool)
	b.vm.ResourcePool, b.vm.EnvironmentBrowser = &pool.Self, *cluster.EnvironmentBrowser
	b.host.system.Vm = append(b.host.system.Vm, ref)
	pool.Vm = append(pool.Vm, ref)
	for _, name := range b.vm.Datastore {
		ds := registry.Get(name).(*simulator.Datastore)
		ds.Vm = append(ds.Vm, ref)
	}
}
