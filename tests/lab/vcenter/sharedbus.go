// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// PowerOnVMTask refuses a VM whose disks another one has opened for itself, or cannot be opened by several.
func (o *overlay) PowerOnVMTask(ctx *simulator.Context, req *types.PowerOnVM_Task) soap.HasFault {
	vm := o.registry().Get(req.This).(*simulator.VirtualMachine)
	if refused := o.refusal(func() *refusal { return o.checkOpening(ctx, vm) }); refused != nil {
		return &methods.PowerOnVM_TaskBody{Res: &types.PowerOnVM_TaskResponse{Returnval: o.refuseTask(ctx, vm, "powerOn", refused)}}
	}
	var answer soap.HasFault
	ctx.WithLock(vm, func() { answer = vm.PowerOnVMTask(ctx, req) })
	return answer
}

func (o *overlay) refusal(check func() *refusal) *refusal {
	_, refused := o.exclusively(func() (types.AnyType, *refusal) { return nil, check() })
	return refused
}

func (o *overlay) refuseTask(ctx *simulator.Context, vm *simulator.VirtualMachine, name string, refused *refusal) types.ManagedObjectReference {
	return o.startTask(ctx, vm, name, func() (types.AnyType, *refusal) { return nil, refused })
}

// checkOpening looks at every file that the VM opens when it starts. The caller holds lab.mu.
func (l *lab) checkOpening(ctx *simulator.Context, vm *simulator.VirtualMachine) (refused *refusal) {
	uses := l.allMappingUses(ctx)
	for _, mine := range uses {
		for _, other := range uses {
			running := other.vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn
			if mine.vm == vm && other.vm != vm && running && other.file == mine.file && !alike(mine, other) {
				return fileLocked(mine.file)
			}
		}
	}
	ctx.WithLock(vm, func() { refused = checkImages(vm) })
	return refused
}

// alike is whether two VMs have the LUN in a way that lets both open it.
func alike(one, other mappingUse) bool {
	return one.shared && other.shared || one.sharedBus && other.sharedBus
}

func checkImages(vm *simulator.VirtualMachine) *refusal {
	for _, device := range vm.Config.Hardware.Device {
		disk, ok := device.(*types.VirtualDisk)
		if !ok || !sharesBus(vm.Config.Hardware.Device, disk.ControllerKey) {
			continue
		}
		backing, ok := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
		if ok && (backing.EagerlyScrub == nil || !*backing.EagerlyScrub) {
			reason := fmt.Sprintf("cannot open the virtual disk %s for clustering: verify that it was created using the thick option", backing.FileName)
			return &refusal{&types.GenericVmConfigFault{Reason: reason}, reason}
		}
	}
	return nil
}

func checkSnapshot(ctx *simulator.Context, vm *simulator.VirtualMachine) (refused *refusal) {
	ctx.WithLock(vm, func() {
		for _, device := range vm.Config.Hardware.Device {
			if sharesBus(vm.Config.Hardware.Device, device.GetVirtualDevice().Key) {
				refused = sharedBusRefusal("a virtual machine that shares a SCSI bus cannot have snapshots")
			}
		}
	})
	return refused
}

// checkBusSharing refuses a shared bus in a VM that has snapshots.
func (c *change) checkBusSharing(controller *types.VirtualSCSIController) *refusal {
	if controller.SharedBus == types.VirtualSCSISharingNoSharing || c.vm.Snapshot == nil || len(c.vm.Snapshot.RootSnapshotList) == 0 {
		return nil
	}
	return sharedBusRefusal("a virtual machine that has snapshots cannot share a SCSI bus")
}

func sharedBusRefusal(reason string) *refusal {
	return &refusal{
		&types.SharedBusControllerNotSupported{DeviceNotSupported: types.DeviceNotSupported{Device: "SCSI controller", Reason: reason}},
		"Controllers engaged in bus sharing are not supported here: " + reason + ".",
	}
}
