// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"slices"
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// chain are the files of the VM's first image disk, nearest first.
func (b *bench) chain(vm *object.VirtualMachine) []string {
	b.t.Helper()
	var found mo.VirtualMachine
	if err := vm.Properties(b.ctx, vm.Reference(), []string{"config.hardware.device"}, &found); err != nil {
		b.t.Fatal(err)
	}
	var files []string
	for _, device := range found.Config.Hardware.Device {
		disk, ok := device.(*types.VirtualDisk)
		if !ok {
			continue
		}
		backing, _ := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
		for ; backing != nil; backing = backing.Parent {
			files = append(files, backing.FileName)
		}
		break
	}
	return files
}

func (b *bench) finished(task *object.Task, err error) {
	b.t.Helper()
	if err == nil {
		err = task.Wait(b.ctx)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func TestADiskWithSnapshotsIsAChainOfFiles(t *testing.T) {
	b := newBench(t)
	vm, err := b.finder().VirtualMachine(b.ctx, "/DC0/vm/apps/app02")
	if err != nil {
		t.Fatal(err)
	}
	b.finished(vm.CreateSnapshot(b.ctx, "one", "", false, false))
	b.finished(vm.Reconfigure(b.ctx, types.VirtualMachineConfigSpec{
		Files:       &types.VirtualMachineFileInfo{SnapshotDirectory: "[nfs01] app02"},
		ExtraConfig: []types.BaseOptionValue{&types.OptionValue{Key: redoNotWithParent, Value: "TRUE"}},
	}))
	b.finished(vm.CreateSnapshot(b.ctx, "two", "", false, false))
	wanted := []string{"[nfs01] app02/app02-000002.vmdk", "[ds1] app02/app02-000001.vmdk", "[ds1] app02/app02.vmdk"}
	if files := b.chain(vm); !slices.Equal(files, wanted) {
		t.Errorf("the chain is %v", files)
	}
	var snapshot mo.VirtualMachine
	if err := vm.Properties(b.ctx, vm.Reference(), []string{"snapshot"}, &snapshot); err != nil {
		t.Fatal(err)
	}
	if snapshot.Snapshot == nil || len(snapshot.Snapshot.RootSnapshotList) != 1 {
		t.Errorf("the snapshots are %v", snapshot.Snapshot)
	}
}
