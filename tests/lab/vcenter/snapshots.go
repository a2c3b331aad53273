// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// redoNotWithParent puts what is written after a snapshot into the VM's working directory instead of beside its base.
const redoNotWithParent = "snapshot.redoNotWithParent"

// CreateSnapshotTask refuses a VM that shares a bus; each image disk goes on in a file that is based on the one it had.
func (o *overlay) CreateSnapshotTask(ctx *simulator.Context, req *types.CreateSnapshot_Task) soap.HasFault {
	vm := o.registry().Get(req.This).(*simulator.VirtualMachine)
	task := o.startTask(ctx, vm, "createSnapshot", func() (types.AnyType, *refusal) {
		if refused := checkSnapshot(ctx, vm); refused != nil {
			return nil, refused
		}
		var taken soap.HasFault
		ctx.WithLock(vm, func() { taken = vm.CreateSnapshotTask(ctx, req) })
		stock := o.registry().Get(taken.(*methods.CreateSnapshot_TaskBody).Res.Returnval).(*simulator.Task)
		stock.Wait()
		var err error
		ctx.WithLock(vm, func() { err = o.growChains(vm) })
		if err != nil {
			return nil, &refusal{&types.FileFault{}, err.Error()}
		}
		return stock.Info.Result, nil
	})
	return &methods.CreateSnapshot_TaskBody{Res: &types.CreateSnapshot_TaskResponse{Returnval: task}}
}

func (l *lab) growChains(vm *simulator.VirtualMachine) error {
	devices := slices.Clone(vm.Config.Hardware.Device)
	for i, device := range devices {
		disk, ok := device.(*types.VirtualDisk)
		if !ok {
			continue
		}
		base, ok := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
		if !ok || base.DiskMode != string(types.VirtualDiskModePersistent) {
			continue
		}
		delta, err := l.deltaOf(vm, base, disk.CapacityInBytes)
		if err != nil {
			return err
		}
		grown := copyOf(disk)
		grown.Backing = delta
		devices[i] = grown
	}
	vm.Config.Hardware.Device = devices
	return nil
}

func (l *lab) deltaOf(vm *simulator.VirtualMachine, base *types.VirtualDiskFlatVer2BackingInfo, size int64) (*types.VirtualDiskFlatVer2BackingInfo, error) {
	var file object.DatastorePath
	if !file.FromString(base.FileName) {
		return nil, fmt.Errorf("%s is no datastore path", base.FileName)
	}
	stem, number := strings.TrimSuffix(path.Base(file.Path), ".vmdk"), 1
	for parent := base.Parent; parent != nil; parent = parent.Parent {
		stem, number = strings.TrimSuffix(stem, fmt.Sprintf("-%06d", number)), number+1
	}
	directory := object.DatastorePath{Datastore: file.Datastore, Path: path.Dir(file.Path)}
	if optionOf(vm, redoNotWithParent) == "TRUE" && !directory.FromString(vm.Config.Files.SnapshotDirectory) {
		return nil, fmt.Errorf("%s is no directory of a datastore", vm.Config.Files.SnapshotDirectory)
	}
	directory, err := l.ensureDirectory(directory.Datastore, directory.Path)
	if err != nil {
		return nil, err
	}
	for n := number; ; n++ {
		next := object.DatastorePath{Datastore: directory.Datastore, Path: path.Join(directory.Path, fmt.Sprintf("%s-%06d.vmdk", stem, n))}
		if l.fileExists(next.String()) {
			continue
		}
		if err := l.writeImage(next, size, 0); err != nil {
			return nil, err
		}
		delta := copyOf(base)
		delta.FileName, delta.Datastore, delta.Parent = next.String(), &l.datastores[next.Datastore].Self, base
		return delta, nil
	}
}

func optionOf(vm *simulator.VirtualMachine, key string) string {
	for _, option := range vm.Config.ExtraConfig {
		if value := option.GetOptionValue(); value.Key == key {
			return fmt.Sprint(value.Value)
		}
	}
	return ""
}
