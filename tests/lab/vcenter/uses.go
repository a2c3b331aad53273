// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// mappingUse is one VM's disk on a raw device mapping.
type mappingUse struct {
	vm         *simulator.VirtualMachine
	key        int32
	file       string
	naa        string
	shared     bool // multi-writer
	sharedBus  bool // the controller shares its bus
	deviceName string
}

// mappingUses are the disks that map the LUN, in any VM. The caller holds lab.mu.
func (l *lab) mappingUses(ctx *simulator.Context, naa string) []mappingUse {
	var found []mappingUse
	for _, use := range l.allMappingUses(ctx) {
		if use.naa == naa {
			found = append(found, use)
		}
	}
	return found
}

func (l *lab) mappedLUNs(ctx *simulator.Context) map[string]bool {
	mapped := map[string]bool{}
	for _, use := range l.allMappingUses(ctx) {
		mapped[use.naa] = true
	}
	return mapped
}

func (l *lab) allMappingUses(ctx *simulator.Context) []mappingUse {
	var found []mappingUse
	for _, vm := range l.machines() {
		ctx.WithLock(vm, func() { found = append(found, l.usesOf(vm)...) })
	}
	return found
}

func (l *lab) usesOf(vm *simulator.VirtualMachine) []mappingUse {
	var found []mappingUse
	for _, device := range vm.Config.Hardware.Device {
		disk, ok := device.(*types.VirtualDisk)
		if !ok {
			continue
		}
		backing, ok := disk.Backing.(*types.VirtualDiskRawDiskMappingVer1BackingInfo)
		if !ok {
			continue
		}
		m, _ := l.readMapping(backing.FileName)
		found = append(found, mappingUse{
			vm: vm, key: disk.Key, file: backing.FileName, naa: m.naa, deviceName: backing.DeviceName,
			shared:    backing.Sharing == string(types.VirtualDiskSharingSharingMultiWriter),
			sharedBus: sharesBus(vm.Config.Hardware.Device, disk.ControllerKey),
		})
	}
	return found
}

func sharesBus(devices []types.BaseVirtualDevice, key int32) bool {
	for _, device := range devices {
		controller, ok := device.(types.BaseVirtualSCSIController)
		if ok && controller.GetVirtualSCSIController().Key == key {
			sharing := controller.GetVirtualSCSIController().SharedBus
			return sharing == types.VirtualSCSISharingPhysicalSharing || sharing == types.VirtualSCSISharingVirtualSharing
		}
	}
	return false
}
