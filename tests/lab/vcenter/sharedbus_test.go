// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"
)

func sharedController(bus, key int32) *types.VirtualDeviceConfigSpec {
	added := controller(bus, key)
	added.Device.(*types.ParaVirtualSCSIController).SharedBus = types.VirtualSCSISharingPhysicalSharing
	return added
}

// newCluster has two nodes, app02 on esx02 and old01, which is off, on esx01: both have the LUN on a bus that they share.
func newCluster(t *testing.T) *bench {
	b := newRDMBench(t)
	wantFault(t, b.rescan("esx02.lab", ""), "")
	first := plain()
	first.ctl, first.unit = -101, 0
	wantFault(t, b.reconfigure("old01", changes(sharedController(1, -101), first.spec())), "")
	second := first
	second.operation, second.mode = "", ""
	second.file = b.disks("old01")[1].Backing.(*types.VirtualDiskRawDiskMappingVer1BackingInfo).FileName
	wantFault(t, b.reconfigure("app02", changes(sharedController(1, -101), second.spec())), "")
	return b
}

func (b *bench) powerOn(vm string) string {
	b.t.Helper()
	started, err := object.NewVirtualMachine(b.client.Client, b.vm(vm).Self).PowerOn(b.ctx)
	if err != nil {
		return faultOf(b.t, err)
	}
	return faultOf(b.t, started.Wait(b.ctx))
}

func (b *bench) snapshot(vm string) string {
	b.t.Helper()
	started, err := object.NewVirtualMachine(b.client.Client, b.vm(vm).Self).CreateSnapshot(b.ctx, "before", "", false, false)
	if err != nil {
		return faultOf(b.t, err)
	}
	return faultOf(b.t, started.Wait(b.ctx))
}

func (b *bench) shareBus(vm string, key int32, sharing types.VirtualSCSISharing) string {
	b.t.Helper()
	found := b.scsiController(vm, key).(*types.ParaVirtualSCSIController)
	found.SharedBus = sharing
	return b.reconfigure(vm, changes(edit(found)))
}

func TestNodesThatShareTheirBusRunAtTheSameTime(t *testing.T) {
	b := newCluster(t)
	wantFault(t, b.powerOn("old01"), "")
}

func TestANodeThatDoesNotShareItsBusDoesNotStartBesideOneThatRuns(t *testing.T) {
	b := newCluster(t)
	wantFault(t, b.shareBus("old01", 1001, types.VirtualSCSISharingNoSharing), "")
	wantFault(t, b.powerOn("old01"), "FileLocked")
}

func TestASharedBusUnderOneVMAloneDoesNotLetAnotherHaveTheFile(t *testing.T) {
	b := newRDMBench(t)
	first := plain()
	first.ctl, first.unit = -101, 0
	wantFault(t, b.reconfigure("app01", changes(sharedController(1, -101), first.spec())), "")
	second := plain()
	second.operation, second.mode, second.unit = "", "", 5
	second.file = b.disks("app01")[1].Backing.(*types.VirtualDiskRawDiskMappingVer1BackingInfo).FileName
	wantFault(t, b.reconfigure("db01", changes(second.spec())), "FileLocked")
}

func TestABusUnderAThinDiskIsSharedOnlyUntilTheVMStarts(t *testing.T) {
	b := newBench(t)
	wantFault(t, b.shareBus("old01", 1000, types.VirtualSCSISharingPhysicalSharing), "")
	wantFault(t, b.powerOn("old01"), "GenericVmConfigFault")
}

func TestTheBusOfARunningVMIsNotShared(t *testing.T) {
	b := newBench(t)
	wantFault(t, b.shareBus("app01", 1000, types.VirtualSCSISharingPhysicalSharing), "InvalidPowerState")
}

func TestSnapshotsAndASharedBusExcludeEachOther(t *testing.T) {
	b := newCluster(t)
	wantFault(t, b.snapshot("app02"), "SharedBusControllerNotSupported")
	wantFault(t, b.snapshot("app01"), "")
	wantFault(t, b.reconfigure("app01", changes(sharedController(1, -101))), "SharedBusControllerNotSupported")
	wantFault(t, b.reconfigure("app01", changes(controller(1, -101))), "")
}
