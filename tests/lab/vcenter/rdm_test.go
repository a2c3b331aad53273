// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	create  = types.VirtualDeviceConfigSpecFileOperationCreate
	destroy = types.VirtualDeviceConfigSpecFileOperationDestroy
)

// wish is a raw device mapping to add; the zero value of a field is left out of the spec, except where plain sets it.
type wish struct {
	lun       presentation
	device    string
	unit      int32
	noUnit    bool
	ctl       int32
	mode      string
	diskMode  string
	sharing   string
	file      string
	capacity  int64
	operation types.VirtualDeviceConfigSpecFileOperation
	key       int32
}

func plain() wish {
	return wish{lun: newLUN, unit: 1, ctl: 1000, mode: "physicalMode", operation: create, key: -1}
}

func (w wish) spec() *types.VirtualDeviceConfigSpec {
	backing := &types.VirtualDiskRawDiskMappingVer1BackingInfo{
		DeviceName: w.device, CompatibilityMode: w.mode, DiskMode: w.diskMode, Sharing: w.sharing,
	}
	if w.device == "" {
		backing.DeviceName = devicesDirectory + "naa." + w.lun.NAA
	}
	backing.FileName = w.file
	disk := &types.VirtualDisk{CapacityInBytes: w.capacity}
	disk.Key, disk.ControllerKey, disk.Backing = w.key, w.ctl, backing
	if !w.noUnit {
		disk.UnitNumber = &w.unit
	}
	return &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationAdd, FileOperation: w.operation, Device: disk}
}

func controller(bus, key int32) *types.VirtualDeviceConfigSpec {
	c := &types.ParaVirtualSCSIController{}
	c.Key, c.BusNumber, c.SharedBus = key, bus, types.VirtualSCSISharingNoSharing
	return &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationAdd, Device: c}
}

func removal(device types.BaseVirtualDevice, operation types.VirtualDeviceConfigSpecFileOperation) *types.VirtualDeviceConfigSpec {
	return &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationRemove, FileOperation: operation, Device: device}
}

func edit(device types.BaseVirtualDevice) *types.VirtualDeviceConfigSpec {
	return &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationEdit, Device: device}
}

func changes(specs ...*types.VirtualDeviceConfigSpec) types.VirtualMachineConfigSpec {
	var spec types.VirtualMachineConfigSpec
	for _, s := range specs {
		spec.DeviceChange = append(spec.DeviceChange, s)
	}
	return spec
}

// newRDMBench has two unused LUNs on esx01.
func newRDMBench(t *testing.T) *bench {
	b := newBench(t)
	for _, lun := range []presentation{newLUN, spareLUN} {
		b.array.present(lun, wwpn1, wwpn2)
	}
	wantFault(t, b.rescan("esx01.lab", ""), "")
	return b
}

func (b *bench) scsiController(vm string, key int32) types.BaseVirtualDevice {
	return object.VirtualDeviceList(b.vm(vm).Config.Hardware.Device).FindByKey(key)
}

func TestReconfigureRefuses(t *testing.T) {
	b := newRDMBench(t)
	wantFault(t, b.detach("esx01.lab", spareLUN), "")
	with := func(change func(*wish)) types.VirtualMachineConfigSpec {
		w := plain()
		change(&w)
		return changes(w.spec())
	}
	stale := changes(plain().spec())
	stale.ChangeVersion = "1"
	second := plain()
	second.unit, second.key = 2, -2
	mapped := b.disks("db01")[1].Backing.(*types.VirtualDiskRawDiskMappingVer1BackingInfo)

	for name, c := range map[string]struct {
		vm    string
		spec  types.VirtualMachineConfigSpec
		fault string
	}{
		"the controller's own unit":         {"app01", with(func(w *wish) { w.unit = 7 }), "InvalidDeviceSpec"},
		"a unit beyond PVSCSI's 64":         {"app01", with(func(w *wish) { w.unit = 64 }), "InvalidDeviceSpec"},
		"a unit beyond 16 on old hardware":  {"old01", with(func(w *wish) { w.unit = 16 }), "InvalidDeviceSpec"},
		"a taken unit":                      {"app01", with(func(w *wish) { w.unit = 0 }), "InvalidDeviceSpec"},
		"no unit":                           {"app01", with(func(w *wish) { w.noUnit = true }), "InvalidDeviceSpec"},
		"an unknown controller":             {"app01", with(func(w *wish) { w.ctl = 1001 }), "InvalidController"},
		"the PCI controller":                {"app01", with(func(w *wish) { w.ctl = 100 }), "InvalidController"},
		"an unknown LUN":                    {"app01", with(func(w *wish) { w.device = devicesDirectory + "naa.600a0980" }), "InvalidDeviceBacking"},
		"a LUN that the host does not see":  {"app02", with(func(w *wish) { w.unit = 5 }), "InvalidDeviceBacking"},
		"a LUN that is detached":            {"app01", with(func(w *wish) { w.lun = spareLUN }), "InvalidDeviceBacking"},
		"a LUN with VMFS":                   {"app01", with(func(w *wish) { w.lun = dataLUN }), "InvalidDeviceBacking"},
		"a local disk":                      {"app01", with(func(w *wish) { w.device = devicesDirectory + "t10.ATA_____LabDisk____esx01" }), "InvalidDeviceBacking"},
		"a LUN mapped by another VM":        {"app01", with(func(w *wish) { w.lun = usedLUN }), "InvalidDeviceBacking"},
		"a LUN mapped by the same VM":       {"db01", with(func(w *wish) { w.lun, w.unit = usedLUN, 5 }), "InvalidDeviceBacking"},
		"a LUN twice in one spec":           {"app01", changes(plain().spec(), second.spec()), "InvalidDeviceBacking"},
		"another VM's file, unshared":       {"app01", with(func(w *wish) { w.lun, w.mode, w.operation, w.file = usedLUN, "", "", mapped.FileName }), "FileLocked"},
		"a stale changeVersion":             {"app01", stale, "ConcurrentAccess"},
		"an unknown datastore":              {"app01", with(func(w *wish) { w.file = "[nowhere]" }), "InvalidDatastore"},
		"a datastore of another host":       {"app01", with(func(w *wish) { w.file = "[ds2]" }), "InvalidDatastore"},
		"a mapping file on NFS":             {"app01", with(func(w *wish) { w.file = "[nfs01]" }), "RDMNotSupportedOnDatastore"},
		"a mapping file that exists":        {"app01", with(func(w *wish) { w.file = "[ds1] app01/app01.vmdk" }), "FileAlreadyExists"},
		"a directory that does not":         {"app01", with(func(w *wish) { w.file = "[ds1] nowhere/app01.vmdk" }), "FileNotFound"},
		"a mapping file that does not":      {"app01", with(func(w *wish) { w.operation, w.file = "", "[ds1] app01/none.vmdk" }), "FileNotFound"},
		"a capacity that is not the LUN's":  {"app01", with(func(w *wish) { w.capacity = 4 * gib }), "InvalidDeviceSpec"},
		"no compatibility mode":             {"app01", with(func(w *wish) { w.mode = "" }), "InvalidDeviceSpec"},
		"a disk mode in physicalMode":       {"app01", with(func(w *wish) { w.diskMode = "persistent" }), "InvalidDeviceSpec"},
		"an unsupported disk mode":          {"app01", with(func(w *wish) { w.mode, w.diskMode = "virtualMode", "undoable" }), "InvalidDeviceSpec"},
		"an unknown sharing":                {"app01", with(func(w *wish) { w.sharing = "sharingEveryone" }), "InvalidDeviceSpec"},
		"the file operation replace":        {"app01", with(func(w *wish) { w.operation = "replace" }), "InvalidDeviceOperation"},
		"a fifth SCSI controller":           {"app01", changes(controller(1, -1), controller(2, -2), controller(3, -3), controller(0, -4)), "TooManyDevices"},
		"a taken bus":                       {"app01", changes(controller(0, -1)), "InvalidDeviceSpec"},
		"a bus beyond 3":                    {"app01", changes(controller(4, -1)), "InvalidDeviceSpec"},
		"removing a controller under disks": {"app01", changes(removal(b.scsiController("app01", 1000), "")), "InvalidDeviceOperation"},
		"removing an unknown device":        {"app01", changes(removal(&types.VirtualDisk{VirtualDevice: types.VirtualDevice{Key: 2099}}, "")), "InvalidDeviceSpec"},
	} {
		t.Run(name, func(t *testing.T) {
			before := b.call(http.MethodGet, "/state", "")
			wantFault(t, b.reconfigure(c.vm, c.spec), c.fault)
			if b.call(http.MethodGet, "/state", "") != before {
				t.Error("a refused change changed something")
			}
		})
	}
}

func TestMappingIsReadBackAsVCenterSpellsIt(t *testing.T) {
	b := newRDMBench(t)
	w := plain()
	w.ctl, w.unit = -101, 0
	wantFault(t, b.reconfigure("app01", changes(controller(1, -101), w.spec())), "")
	disk := b.disks("app01")[1]
	backing := disk.Backing.(*types.VirtualDiskRawDiskMappingVer1BackingInfo)
	for what, pair := range map[string][2]string{
		"fileName":   {backing.FileName, "[ds1] app01/app01_1.vmdk"},
		"lunUuid":    {backing.LunUuid, "0200000000" + newLUN.NAA + "4c554e20432d"},
		"deviceName": {backing.DeviceName, "vml.02002c0100" + newLUN.NAA + "4c554e20432d"},
		"diskMode":   {backing.DiskMode, "independent_persistent"},
		"sharing":    {backing.Sharing, "sharingNone"},
		"label":      {disk.DeviceInfo.GetDescription().Label, "Hard disk 2"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s = %q, want %q", what, pair[0], pair[1])
		}
	}
	if disk.ControllerKey != 1001 || disk.Key != 2016 || disk.CapacityInBytes != newLUN.Size || disk.CapacityInKB != newLUN.Size/1024 {
		t.Errorf("key %d, controller %d, %d bytes, %d KB", disk.Key, disk.ControllerKey, disk.CapacityInBytes, disk.CapacityInKB)
	}
	if keys := b.scsiController("app01", 1001).(*types.ParaVirtualSCSIController).Device; len(keys) != 1 || keys[0] != 2016 {
		t.Errorf("devices of the controller: %v", keys)
	}
	if disk.StorageIOAllocation == nil || disk.StorageIOAllocation.Shares == nil {
		t.Error("storageIOAllocation.shares is not filled")
	}
}

func TestDestroyRemovesTheMappingFile(t *testing.T) {
	b := newRDMBench(t)
	before := b.call(http.MethodGet, "/state", "")
	wantFault(t, b.reconfigure("app01", changes(plain().spec())), "")
	if !strings.Contains(b.call(http.MethodGet, "/state", ""), "app01_1-rdmp.vmdk") {
		t.Error("there is no pointer file")
	}
	wantFault(t, b.reconfigure("app01", changes(removal(b.disks("app01")[1], destroy))), "")
	if b.call(http.MethodGet, "/state", "") != before {
		t.Error("something is left")
	}
}

func TestRemovalWithoutDestroyLeavesTheMappingFile(t *testing.T) {
	b := newRDMBench(t)
	wantFault(t, b.reconfigure("app01", changes(plain().spec())), "")
	file := b.disks("app01")[1].Backing.(*types.VirtualDiskRawDiskMappingVer1BackingInfo).FileName
	wantFault(t, b.reconfigure("app01", changes(removal(b.disks("app01")[1], ""))), "")
	if !strings.Contains(b.call(http.MethodGet, "/state", ""), "app01_1.vmdk") {
		t.Fatal("the mapping file is gone")
	}
	again := plain()
	again.operation, again.mode, again.file = "", "", file
	wantFault(t, b.reconfigure("app01", changes(again.spec())), "")
	wantFault(t, faultOfTask(b, file), "FileLocked")
	wantFault(t, b.reconfigure("app01", changes(removal(b.disks("app01")[1], ""))), "")
	wantFault(t, faultOfTask(b, file), "")
	if strings.Contains(b.call(http.MethodGet, "/state", ""), "app01_1") {
		t.Error("the mapping file is still there")
	}
}

func faultOfTask(b *bench, file string) string {
	datacenter, err := b.finder().Datacenter(b.ctx, "/DC0")
	if err != nil {
		b.t.Fatal(err)
	}
	started, err := object.NewVirtualDiskManager(b.client.Client).DeleteVirtualDisk(b.ctx, file, datacenter)
	if err != nil {
		b.t.Fatal(err)
	}
	return faultOf(b.t, started.Wait(b.ctx))
}

func TestSharedMappingFile(t *testing.T) {
	b := newRDMBench(t)
	wantFault(t, b.rescan("esx02.lab", ""), "")
	first := plain()
	first.sharing = "sharingMultiWriter"
	wantFault(t, b.reconfigure("app01", changes(first.spec())), "")
	file := b.disks("app01")[1].Backing.(*types.VirtualDiskRawDiskMappingVer1BackingInfo).FileName
	second := plain()
	second.operation, second.mode, second.file, second.unit = "", "", file, 5
	wantFault(t, b.reconfigure("app02", changes(second.spec())), "FileLocked")
	second.sharing = "sharingMultiWriter"
	wantFault(t, b.reconfigure("app02", changes(second.spec())), "")
	wantFault(t, b.reconfigure("app01", changes(removal(b.disks("app01")[1], destroy))), "FileLocked")
	wantFault(t, b.detach("esx01.lab", newLUN), "ResourceInUse")
	wantFault(t, b.reconfigure("app01", changes(removal(b.disks("app01")[1], ""))), "")
	wantFault(t, b.detach("esx01.lab", newLUN), "")
}

func TestEditOfAMapping(t *testing.T) {
	b := newRDMBench(t)
	virtual := plain()
	virtual.mode = "virtualMode"
	for _, vm := range []string{"app01", "old01"} {
		w := virtual
		if vm == "old01" {
			w.lun = spareLUN
		}
		wantFault(t, b.reconfigure(vm, changes(w.spec())), "")
	}
	for name, c := range map[string]struct {
		vm     string
		change func(*types.VirtualDisk, *types.VirtualDiskRawDiskMappingVer1BackingInfo)
		fault  string
	}{
		"another compatibility mode": {"old01", func(_ *types.VirtualDisk, k *types.VirtualDiskRawDiskMappingVer1BackingInfo) {
			k.CompatibilityMode = "physicalMode"
		}, "InvalidDeviceOperation"},
		"another LUN": {"old01", func(_ *types.VirtualDisk, k *types.VirtualDiskRawDiskMappingVer1BackingInfo) { k.LunUuid = "0200" }, "InvalidDeviceBacking"},
		"another size": {"old01", func(d *types.VirtualDisk, _ *types.VirtualDiskRawDiskMappingVer1BackingInfo) {
			d.CapacityInBytes = 99 * gib
		}, "InvalidDeviceOperation"},
		"sharing while running": {"app01", func(_ *types.VirtualDisk, k *types.VirtualDiskRawDiskMappingVer1BackingInfo) {
			k.Sharing = "sharingMultiWriter"
		}, "InvalidPowerState"},
		"unit while running": {"app01", func(d *types.VirtualDisk, _ *types.VirtualDiskRawDiskMappingVer1BackingInfo) {
			d.UnitNumber = types.NewInt32(9)
		}, "InvalidPowerState"},
		"sharing": {"old01", func(_ *types.VirtualDisk, k *types.VirtualDiskRawDiskMappingVer1BackingInfo) {
			k.Sharing = "sharingMultiWriter"
		}, ""},
		"disk mode": {"old01", func(_ *types.VirtualDisk, k *types.VirtualDiskRawDiskMappingVer1BackingInfo) {
			k.DiskMode = "independent_persistent"
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			disk := b.disks(c.vm)[1]
			c.change(disk, disk.Backing.(*types.VirtualDiskRawDiskMappingVer1BackingInfo))
			wantFault(t, b.reconfigure(c.vm, changes(edit(disk))), c.fault)
		})
	}
	backing := b.disks("old01")[1].Backing.(*types.VirtualDiskRawDiskMappingVer1BackingInfo)
	if backing.Sharing != "sharingMultiWriter" || backing.DiskMode != "independent_persistent" || backing.LunUuid == "" {
		t.Errorf("after the edits: %+v", backing)
	}
}

func TestTwoVMsRaceForOneLUN(t *testing.T) {
	b := newRDMBench(t)
	var wait sync.WaitGroup
	faults := make([]string, 2)
	for i, vm := range []string{"app01", "db01"} {
		w := plain()
		w.unit = 9
		wait.Go(func() { faults[i] = b.reconfigure(vm, changes(w.spec())) })
	}
	wait.Wait()
	if (faults[0] == "") == (faults[1] == "") {
		t.Errorf("exactly one VM gets the LUN, not %v", faults)
	}
}

func TestTaskCarriesVCenterMessage(t *testing.T) {
	b := newRDMBench(t)
	w := plain()
	w.lun = dataLUN
	started, err := object.NewVirtualMachine(b.client.Client, b.vm("app01").Self).Reconfigure(b.ctx, changes(w.spec()))
	if err != nil {
		t.Fatal(err)
	}
	if err := started.Wait(b.ctx); err == nil || !strings.HasPrefix(err.Error(), "Incompatible device backing specified for device '0'") {
		t.Errorf("message: %v", err)
	}
}
