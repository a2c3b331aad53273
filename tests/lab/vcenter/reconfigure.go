// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// ReconfigVMTask checks the whole spec first and changes nothing when any part is refused; then vcsim carries it out.
func (o *overlay) ReconfigVMTask(ctx *simulator.Context, req *types.ReconfigVM_Task) soap.HasFault {
	vm := o.registry().Get(req.This).(*simulator.VirtualMachine)
	task := o.startTask(ctx, vm, "reconfigVm", func() (_ types.AnyType, refused *refusal) {
		ctx.WithLock(vm, func() { refused = o.reconfigure(ctx, vm, &req.Spec) })
		return nil, refused
	})
	return &methods.ReconfigVM_TaskBody{Res: &types.ReconfigVM_TaskResponse{Returnval: task}}
}

// change is one reconfiguration while it is checked: devices is the list as it will be.
type change struct {
	*lab
	ctx       *simulator.Context
	vm        *simulator.VirtualMachine
	host      *host
	devices   []types.BaseVirtualDevice
	keys      map[int32]int32 // temporary key in the spec -> the controller's key
	created   []newMapping
	destroyed []string // mapping files
	released  []int32  // keys of the disks that leave
}

func (l *lab) reconfigure(ctx *simulator.Context, vm *simulator.VirtualMachine, spec *types.VirtualMachineConfigSpec) *refusal {
	c := &change{
		lab: l, ctx: ctx, vm: vm, host: l.hostByRef[*vm.Runtime.Host],
		devices: slices.Clone(vm.Config.Hardware.Device), keys: map[int32]int32{},
	}
	if refused := c.check(spec); refused != nil {
		return refused
	}
	if refused := c.writeMappings(); refused != nil {
		return refused
	}
	// vcsim edits the list in place, while answers that were collected before are still being encoded from it.
	vm.Config.Hardware.Device = slices.Clone(vm.Config.Hardware.Device)
	if refused := c.carryOut(spec); refused != nil {
		c.removeMappings()
		return refused
	}
	c.settle()
	return nil
}

func (c *change) check(spec *types.VirtualMachineConfigSpec) *refusal {
	if refused := c.connected(c.vm.Self); refused != nil {
		return refused
	}
	if spec.ChangeVersion != "" && spec.ChangeVersion != c.vm.Config.ChangeVersion {
		return &refusal{&types.ConcurrentAccess{}, "The object has changed since it was read."}
	}
	spec.DeviceChange = slices.DeleteFunc(spec.DeviceChange, func(d types.BaseVirtualDeviceConfigSpec) bool {
		return d.GetVirtualDeviceConfigSpec().Operation == ""
	})
	for index, device := range spec.DeviceChange {
		d := device.GetVirtualDeviceConfigSpec()
		var refused *refusal
		switch d.Operation {
		case types.VirtualDeviceConfigSpecOperationAdd:
			refused = c.add(index, d)
		case types.VirtualDeviceConfigSpecOperationEdit:
			refused = c.edit(index, d)
		case types.VirtualDeviceConfigSpecOperationRemove:
			refused = c.remove(index, d)
		default:
			refused = invalidOperation(index, d.Operation, d.FileOperation, "the operation is unknown")
		}
		if refused != nil {
			return refused
		}
	}
	return c.checkLeftovers(spec)
}

// checkLeftovers refuses to remove a controller under devices that stay.
func (c *change) checkLeftovers(spec *types.VirtualMachineConfigSpec) *refusal {
	for index, device := range spec.DeviceChange {
		d := device.GetVirtualDeviceConfigSpec()
		if d.Operation != types.VirtualDeviceConfigSpecOperationRemove {
			continue
		}
		for _, other := range c.devices {
			if other.GetVirtualDevice().ControllerKey == d.Device.GetVirtualDevice().Key {
				return invalidOperation(index, d.Operation, "", "the controller still has devices")
			}
		}
	}
	return nil
}

func (c *change) find(key int32) types.BaseVirtualDevice {
	for _, device := range c.devices {
		if device.GetVirtualDevice().Key == key {
			return device
		}
	}
	return nil
}

func (c *change) poweredOn() bool {
	return c.vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn
}

func (c *change) add(index int, d *types.VirtualDeviceConfigSpec) *refusal {
	var refused *refusal
	switch device := d.Device.(type) {
	case types.BaseVirtualSCSIController:
		refused = c.addController(index, device)
	case *types.VirtualDisk:
		refused = c.addDisk(index, d, device)
	case types.BaseVirtualEthernetCard:
		refused = c.checkNetwork(index, device)
	}
	if refused == nil {
		c.devices = append(c.devices, d.Device)
	}
	return refused
}

func (c *change) addController(index int, device types.BaseVirtualSCSIController) *refusal {
	controller := device.GetVirtualSCSIController()
	if len(c.controllers()) >= maxSCSIControllers {
		return &refusal{
			&types.TooManyDevices{InvalidVmConfig: types.InvalidVmConfig{Property: fmt.Sprintf("virtualDeviceSpec(%d).device", index)}},
			fmt.Sprintf("The virtual machine has %d SCSI controllers already, the maximum.", maxSCSIControllers),
		}
	}
	if refused := c.checkBus(index, controller); refused != nil {
		return refused
	}
	if refused := c.checkBusSharing(controller); refused != nil {
		return refused
	}
	fresh := newPVSCSI(firstSCSI+controller.BusNumber, controller.BusNumber)
	if c.find(controller.Key) == nil {
		c.keys[controller.Key] = fresh.Key
	}
	controller.Key, controller.ControllerKey, controller.UnitNumber = fresh.Key, fresh.ControllerKey, fresh.UnitNumber
	controller.ScsiCtlrUnitNumber, controller.HotAddRemove = fresh.ScsiCtlrUnitNumber, fresh.HotAddRemove
	summary := "LSI Logic"
	if _, ok := device.(*types.ParaVirtualSCSIController); ok {
		summary = fresh.DeviceInfo.GetDescription().Summary
	}
	controller.DeviceInfo = &types.Description{Label: fresh.DeviceInfo.GetDescription().Label, Summary: summary}
	return nil
}

func (c *change) controllers() []*types.VirtualSCSIController {
	var found []*types.VirtualSCSIController
	for _, device := range c.devices {
		if controller, ok := device.(types.BaseVirtualSCSIController); ok {
			found = append(found, controller.GetVirtualSCSIController())
		}
	}
	return found
}

func (c *change) checkBus(index int, controller *types.VirtualSCSIController) *refusal {
	if controller.BusNumber < 0 || controller.BusNumber >= maxSCSIControllers {
		return invalidSpec(index, "busNumber", fmt.Sprintf("bus number %d is outside 0 to 3", controller.BusNumber))
	}
	if !slices.Contains(types.VirtualSCSISharing("").Values(), controller.SharedBus) {
		return invalidSpec(index, "sharedBus", fmt.Sprintf("%q is no bus sharing", controller.SharedBus))
	}
	for _, other := range c.controllers() {
		if other.BusNumber == controller.BusNumber && other.Key != controller.Key {
			return invalidSpec(index, "busNumber", fmt.Sprintf("bus number %d is taken", controller.BusNumber))
		}
	}
	return nil
}

func (c *change) checkNetwork(index int, card types.BaseVirtualEthernetCard) *refusal {
	backing, ok := card.GetVirtualEthernetCard().Backing.(*types.VirtualEthernetCardNetworkBackingInfo)
	if ok && c.registry().FindByName(backing.DeviceName, c.host.system.Network) == nil {
		return invalidBacking(index, "the host has no network "+backing.DeviceName)
	}
	return nil
}

func (c *change) addDisk(index int, d *types.VirtualDeviceConfigSpec, disk *types.VirtualDisk) *refusal {
	if key, ok := c.keys[disk.ControllerKey]; ok && c.find(disk.ControllerKey) == nil {
		disk.ControllerKey = key
	}
	if refused := c.checkPlace(index, disk); refused != nil {
		return refused
	}
	var refused *refusal
	switch backing := disk.Backing.(type) {
	case *types.VirtualDiskRawDiskMappingVer1BackingInfo:
		refused = c.addMapping(index, d, disk, backing)
	case *types.VirtualDiskFlatVer2BackingInfo:
		refused = c.checkImage(index, d, disk, backing)
	default:
		refused = invalidBacking(index, "ESXi does not support this type of backing for a new disk")
	}
	if refused != nil {
		return refused
	}
	if controller, ok := c.find(disk.ControllerKey).(types.BaseVirtualSCSIController); ok {
		disk.Key = diskKey(controller.GetVirtualSCSIController().BusNumber, *disk.UnitNumber)
	}
	disk.DeviceInfo = &types.Description{Label: c.nextLabel(), Summary: kilobytes(disk.CapacityInKB)}
	completeDisk(disk)
	return nil
}

// diskKey is the key of the disk at SCSI bus:unit; the first 16 units of all buses come first.
func diskKey(bus, unit int32) int32 {
	if unit < unitsOfSCSI {
		return firstDisk + bus*unitsOfSCSI + unit
	}
	const wide = unitsOfPVSCSI - unitsOfSCSI
	return firstDisk + maxSCSIControllers*unitsOfSCSI + bus*wide + unit - unitsOfSCSI
}

func (c *change) nextLabel() string {
	used := map[string]bool{}
	for _, device := range c.devices {
		if info := device.GetVirtualDevice().DeviceInfo; info != nil {
			used[info.GetDescription().Label] = true
		}
	}
	for n := 1; ; n++ {
		if label := fmt.Sprintf("Hard disk %d", n); !used[label] {
			return label
		}
	}
}

// checkPlace refuses an unknown controller and a unit that is missing, out of range, the controller's own, or taken.
func (c *change) checkPlace(index int, disk *types.VirtualDisk) *refusal {
	controller := c.find(disk.ControllerKey)
	if _, ok := controller.(types.BaseVirtualController); !ok || disk.ControllerKey == pciController {
		return invalidController(index, disk.ControllerKey)
	}
	const property = "unitNumber"
	if disk.UnitNumber == nil || *disk.UnitNumber < 0 {
		return invalidSpec(index, property, "the disk has no unit number")
	}
	unit := *disk.UnitNumber
	if _, ok := controller.(types.BaseVirtualSCSIController); ok {
		if unit == scsiControllerUnit {
			return invalidSpec(index, property, "unit 7 is the SCSI controller itself")
		}
		if limit := unitsOf(controller, c.vm.Config.Version); unit >= limit {
			return invalidSpec(index, property, fmt.Sprintf("unit %d is beyond the last unit %d of the controller", unit, limit-1))
		}
	}
	for _, other := range c.devices {
		o := other.GetVirtualDevice()
		if o.ControllerKey == disk.ControllerKey && o.UnitNumber != nil && *o.UnitNumber == unit && o.Key != disk.Key {
			return invalidSpec(index, property, fmt.Sprintf("unit %d of the controller is taken", unit))
		}
	}
	return nil
}

func (c *change) checkImage(index int, d *types.VirtualDeviceConfigSpec, disk *types.VirtualDisk, backing *types.VirtualDiskFlatVer2BackingInfo) *refusal {
	if _, refused := c.datastore(backing.FileName, backing.Datastore); refused != nil {
		return refused
	}
	if d.FileOperation == types.VirtualDeviceConfigSpecFileOperationCreate && disk.CapacityInKB <= 0 && disk.CapacityInBytes <= 0 {
		return invalidSpec(index, "capacityInKB", "a new disk needs a capacity")
	}
	return nil
}

// datastore is where a backing's file lies: named in its path, or by reference, or the VM's own. The host must mount it.
func (c *change) datastore(file string, reference *types.ManagedObjectReference) (*simulator.Datastore, *refusal) {
	var ds *simulator.Datastore
	switch {
	case file != "":
		if ds = c.datastoreOf(file); ds == nil {
			return nil, invalidDatastore(file)
		}
	case reference != nil:
		known, ok := c.registry().Get(*reference).(*simulator.Datastore)
		if !ok {
			return nil, invalidDatastore(reference.Value)
		}
		ds = known
	default:
		ds = c.datastoreOf(c.vm.Config.Files.VmPathName)
	}
	if !slices.Contains(c.host.system.Datastore, ds.Self) {
		return nil, invalidDatastore(ds.Name)
	}
	return ds, nil
}

func (c *change) remove(index int, d *types.VirtualDeviceConfigSpec) *refusal {
	existing := c.find(d.Device.GetVirtualDevice().Key)
	if existing == nil {
		return invalidSpec(index, "key", "the virtual machine has no such device")
	}
	if d.FileOperation != "" && d.FileOperation != types.VirtualDeviceConfigSpecFileOperationDestroy {
		return invalidOperation(index, d.Operation, d.FileOperation, "a removed disk's file can only be destroyed")
	}
	d.Device = existing
	key := existing.GetVirtualDevice().Key
	if disk, ok := existing.(*types.VirtualDisk); ok {
		if refused := c.removeDisk(d, disk); refused != nil {
			return refused
		}
	}
	c.devices = slices.DeleteFunc(c.devices, func(device types.BaseVirtualDevice) bool { return device.GetVirtualDevice().Key == key })
	return nil
}

func (c *change) removeDisk(d *types.VirtualDeviceConfigSpec, disk *types.VirtualDisk) *refusal {
	c.released = append(c.released, disk.Key)
	backing, ok := disk.Backing.(*types.VirtualDiskRawDiskMappingVer1BackingInfo)
	if !ok || d.FileOperation == "" {
		return nil
	}
	m, _ := c.readMapping(backing.FileName)
	for _, use := range c.otherUses(m.naa) {
		if use.file == backing.FileName {
			return fileLocked(backing.FileName)
		}
	}
	d.FileOperation = "" // vcsim would look for the file of an image; settle removes the mapping file
	c.destroyed = append(c.destroyed, backing.FileName)
	return nil
}

func (c *change) edit(index int, d *types.VirtualDeviceConfigSpec) *refusal {
	existing := c.find(d.Device.GetVirtualDevice().Key)
	if existing == nil || reflect.TypeOf(existing) != reflect.TypeOf(d.Device) {
		return invalidSpec(index, "key", "the virtual machine has no such device")
	}
	var merged types.BaseVirtualDevice
	var refused *refusal
	switch wanted := d.Device.(type) {
	case types.BaseVirtualSCSIController:
		merged, refused = c.editController(index, existing, wanted.GetVirtualSCSIController())
	case *types.VirtualDisk:
		merged, refused = c.editDisk(index, existing.(*types.VirtualDisk), wanted)
	default:
		return nil
	}
	if refused != nil {
		return refused
	}
	d.Device = merged
	for i := range c.devices {
		if c.devices[i] == existing {
			c.devices[i] = merged
		}
	}
	return nil
}

func (c *change) editController(index int, existing types.BaseVirtualDevice, wanted *types.VirtualSCSIController) (types.BaseVirtualDevice, *refusal) {
	merged := duplicate(existing)
	controller := merged.(types.BaseVirtualSCSIController).GetVirtualSCSIController()
	moved := wanted.BusNumber != controller.BusNumber || wanted.SharedBus != controller.SharedBus
	controller.BusNumber, controller.SharedBus = wanted.BusNumber, wanted.SharedBus
	if refused := c.checkBus(index, controller); refused != nil {
		return nil, refused
	}
	if moved {
		if refused := c.checkBusSharing(controller); refused != nil {
			return nil, refused
		}
	}
	if moved && c.poweredOn() {
		return nil, poweredOnRefusal("the bus of a SCSI controller cannot be changed")
	}
	return merged, nil
}

func (c *change) editDisk(index int, existing, wanted *types.VirtualDisk) (types.BaseVirtualDevice, *refusal) {
	merged := copyOf(wanted)
	if merged.ControllerKey == 0 {
		merged.ControllerKey = existing.ControllerKey
	}
	if merged.UnitNumber == nil {
		merged.UnitNumber = existing.UnitNumber
	}
	if refused := c.checkPlace(index, merged); refused != nil {
		return nil, refused
	}
	moved := merged.ControllerKey != existing.ControllerKey || *merged.UnitNumber != *existing.UnitNumber
	if moved && c.poweredOn() {
		return nil, poweredOnRefusal("a disk cannot be moved to another unit")
	}
	merged.DeviceInfo, merged.DiskObjectId = existing.DeviceInfo, existing.DiskObjectId
	if merged.Backing == nil {
		merged.Backing = existing.Backing
	}
	completeDisk(merged)
	if backing, ok := existing.Backing.(*types.VirtualDiskRawDiskMappingVer1BackingInfo); ok {
		return merged, c.editMapping(index, existing, merged, backing)
	}
	return merged, nil
}

// duplicate is a shallow copy of the device.
func duplicate(device types.BaseVirtualDevice) types.BaseVirtualDevice {
	value := reflect.New(reflect.TypeOf(device).Elem())
	value.Elem().Set(reflect.ValueOf(device).Elem())
	return value.Interface().(types.BaseVirtualDevice)
}

// carryOut lets vcsim apply the checked spec. Its own task is a detail that no client is to see.
func (c *change) carryOut(spec *types.VirtualMachineConfigSpec) *refusal {
	body := c.vm.ReconfigVMTask(c.ctx, &types.ReconfigVM_Task{This: c.vm.Self, Spec: *spec}).(*methods.ReconfigVM_TaskBody)
	inner := c.registry().Get(body.Res.Returnval).(*simulator.Task)
	inner.Wait()
	failure := inner.Info.Error
	c.registry().Remove(c.ctx, inner.Self)
	c.ctx.Update(c.vm, []types.PropertyChange{{Name: "recentTask", Val: without(c.vm.RecentTask, inner.Self)}})
	manager := c.registry().Get(*c.model.ServiceContent.TaskManager).(*simulator.TaskManager)
	manager.Lock()
	defer manager.Unlock()
	c.ctx.Update(manager, []types.PropertyChange{{Name: "recentTask", Val: without(manager.RecentTask, inner.Self)}})
	if failure != nil {
		return &refusal{failure.Fault, typeName(failure.Fault)}
	}
	return nil
}

func without(list []types.ManagedObjectReference, gone types.ManagedObjectReference) []types.ManagedObjectReference {
	return slices.DeleteFunc(slices.Clone(list), func(ref types.ManagedObjectReference) bool { return ref == gone })
}

// settle corrects what vcsim leaves behind: device lists of controllers, the space and the files of mappings.
func (c *change) settle() {
	c.updateControllers()
	for _, created := range c.created {
		ds := c.datastoreOf(created.file.String())
		c.ctx.WithLock(ds, func() {
			ds.Summary.FreeSpace += created.size
			ds.Info.GetDatastoreInfo().FreeSpace = ds.Summary.FreeSpace
		})
	}
	for _, file := range c.destroyed {
		if m, ok := c.readMapping(file); ok {
			_ = c.removeMapping(file, m)
		}
	}
	c.correctLayout()
}

// updateControllers writes VirtualController.device of every controller, in copies: the old ones may be under way to a client.
func (c *change) updateControllers() {
	devices := slices.Clone(c.vm.Config.Hardware.Device)
	for i, device := range devices {
		if _, ok := device.(types.BaseVirtualController); !ok {
			continue
		}
		devices[i] = duplicate(device)
		controller := devices[i].(types.BaseVirtualController).GetVirtualController()
		controller.Device = nil
		for _, other := range devices {
			if other.GetVirtualDevice().ControllerKey == controller.Key {
				controller.Device = append(controller.Device, other.GetVirtualDevice().Key)
			}
		}
	}
	c.ctx.Update(c.vm, []types.PropertyChange{{Name: "config.hardware.device", Val: devices}})
}
