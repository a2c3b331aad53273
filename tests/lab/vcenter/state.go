// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// labState is GET /state: everything that a client can change, without values that differ from run to run.
type labState struct {
	Hosts      map[string]hostState `json:"hosts"`
	VMs        []machineState       `json:"vms"`
	Datastores map[string][]string  `json:"datastores"`
}

type hostState struct {
	LUNs     []lunState `json:"luns"`
	Detached []string   `json:"detached"`
}

type lunState struct {
	Name  string   `json:"name"`
	LUN   int32    `json:"lun"`
	Size  int64    `json:"size"`
	State string   `json:"state"`
	Paths []string `json:"paths"`
}

type machineState struct {
	Name        string            `json:"name"`
	Folder      string            `json:"folder"`
	UUID        string            `json:"uuid"`
	Host        string            `json:"host"`
	Power       string            `json:"power"`
	Controllers []controllerState `json:"controllers"`
	Disks       []diskState       `json:"disks"`
}

type controllerState struct {
	Key     int32  `json:"key"`
	Type    string `json:"type"`
	Bus     int32  `json:"bus"`
	Sharing string `json:"sharing"`
}

type diskState struct {
	Key        int32  `json:"key"`
	Label      string `json:"label"`
	Controller int32  `json:"controller"`
	Unit       int32  `json:"unit"`
	Size       int64  `json:"size"`
	Kind       string `json:"kind"`
	File       string `json:"file"`
	NAA        string `json:"naa,omitempty"`
	Mode       string `json:"mode,omitempty"`
	DiskMode   string `json:"disk_mode"`
	Sharing    string `json:"sharing"`
}

func (l *lab) state() labState {
	l.mu.Lock()
	defer l.mu.Unlock()
	ctx := l.privateContext()
	state := labState{Hosts: map[string]hostState{}, VMs: []machineState{}, Datastores: map[string][]string{}}
	for _, h := range l.hosts {
		state.Hosts[h.name] = h.snapshot()
	}
	for _, vm := range l.machines() {
		ctx.WithLock(vm, func() { state.VMs = append(state.VMs, l.machineState(vm)) })
	}
	sort.Slice(state.VMs, func(i, j int) bool { return state.VMs[i].sortKey() < state.VMs[j].sortKey() })
	for name, ds := range l.datastores {
		state.Datastores[name] = filesBelow(ds.Summary.Url)
	}
	return state
}

func (m machineState) sortKey() string { return m.Folder + "/" + m.Name + "/" + m.UUID }

// privateContext locks objects on behalf of nobody else.
func (l *lab) privateContext() *simulator.Context {
	return &simulator.Context{Map: l.registry(), Context: l.ctx.Context}
}

func (h *host) snapshot() hostState {
	state := hostState{LUNs: []lunState{}, Detached: []string{}}
	for _, d := range h.sortedDevices() {
		lun := lunState{Name: d.canonicalName(), LUN: d.LUN, Size: d.Size, State: string(h.state(d)), Paths: []string{}}
		for _, p := range d.paths {
			lun.Paths = append(lun.Paths, fmt.Sprintf("%s %s alive=%t", p.adapter.Device, p.target(), p.alive))
		}
		slices.Sort(lun.Paths)
		state.LUNs = append(state.LUNs, lun)
	}
	for naa := range h.detached {
		state.Detached = append(state.Detached, naaPrefix+naa)
	}
	slices.Sort(state.Detached)
	return state
}

func (p lunPath) target() string {
	if p.adapter.isISCSI() {
		return fmt.Sprintf("%s %s:%d", p.port.IQN, p.port.Address, p.port.Port)
	}
	return p.port.WWPN
}

func (l *lab) machineState(vm *simulator.VirtualMachine) machineState {
	state := machineState{
		Name: vm.Name, UUID: vm.Config.Uuid, Power: string(vm.Runtime.PowerState), Folder: l.folderPath(vm.Parent),
		Host: l.hostByRef[*vm.Runtime.Host].name, Controllers: []controllerState{}, Disks: []diskState{},
	}
	for _, device := range vm.Config.Hardware.Device {
		switch d := device.(type) {
		case types.BaseVirtualSCSIController:
			c := d.GetVirtualSCSIController()
			state.Controllers = append(state.Controllers, controllerState{c.Key, typeName(device), c.BusNumber, string(c.SharedBus)})
		case *types.VirtualDisk:
			state.Disks = append(state.Disks, l.diskState(d))
		}
	}
	sort.Slice(state.Controllers, func(i, j int) bool { return state.Controllers[i].Key < state.Controllers[j].Key })
	sort.Slice(state.Disks, func(i, j int) bool { return state.Disks[i].Key < state.Disks[j].Key })
	return state
}

func (l *lab) diskState(d *types.VirtualDisk) diskState {
	state := diskState{Key: d.Key, Controller: d.ControllerKey, Size: d.CapacityInBytes, Kind: typeName(d.Backing)}
	if d.DeviceInfo != nil {
		state.Label = d.DeviceInfo.GetDescription().Label
	}
	if d.UnitNumber != nil {
		state.Unit = *d.UnitNumber
	}
	switch b := d.Backing.(type) {
	case *types.VirtualDiskFlatVer2BackingInfo:
		state.File, state.DiskMode, state.Sharing = b.FileName, b.DiskMode, b.Sharing
	case *types.VirtualDiskRawDiskMappingVer1BackingInfo:
		m, _ := l.readMapping(b.FileName)
		state.File, state.DiskMode, state.Sharing = b.FileName, b.DiskMode, b.Sharing
		state.NAA, state.Mode = m.naa, b.CompatibilityMode
	}
	return state
}

// typeName is the name of the object's type in the vSphere API.
func typeName(value any) string {
	name := fmt.Sprintf("%T", value)
	return name[strings.LastIndex(name, ".")+1:]
}

// folderPath is the path of the folder below the datacenter's VM folder.
func (l *lab) folderPath(ref *types.ManagedObjectReference) string {
	var names []string
	for ref != nil {
		entity, ok := l.registry().Get(*ref).(mo.Entity)
		if !ok || ref.Type != "Folder" {
			break
		}
		names = append([]string{entity.Entity().Name}, names...)
		ref = entity.Entity().Parent
	}
	if len(names) == 0 {
		return ""
	}
	return strings.Join(names[1:], "/")
}

func filesBelow(directory string) []string {
	files := []string{}
	_ = filepath.WalkDir(directory, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, strings.TrimPrefix(name, directory+string(os.PathSeparator)))
		}
		return nil
	})
	slices.Sort(files)
	return files
}
