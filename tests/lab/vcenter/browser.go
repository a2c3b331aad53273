// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// QueryConfigTarget adds the LUNs of the host that can become raw device mappings. As vCenter's storage filters have it,
// LUNs that carry VMFS or that any VM maps already are not among them.
func (o *overlay) QueryConfigTarget(ctx *simulator.Context, req *types.QueryConfigTarget) soap.HasFault {
	browser := o.registry().Get(req.This).(*simulator.EnvironmentBrowser)
	answer := browser.QueryConfigTarget(ctx, req)
	body, ok := answer.(*methods.QueryConfigTargetBody)
	if !ok || body.Res == nil || body.Res.Returnval == nil || req.Host == nil {
		return answer
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	h := o.hostByRef[*req.Host]
	if h == nil {
		return answer
	}
	mapped := o.mappedLUNs(ctx)
	for _, d := range h.sortedDevices() {
		if h.state(d) != types.ScsiLunStateOk || o.extents[d.canonicalName()] != "" || mapped[d.NAA] {
			continue
		}
		body.Res.Returnval.ScsiDisk = append(body.Res.Returnval.ScsiDisk, types.VirtualMachineScsiDiskDeviceInfo{
			VirtualMachineDiskDeviceInfo: types.VirtualMachineDiskDeviceInfo{
				VirtualMachineTargetInfo: types.VirtualMachineTargetInfo{Name: d.canonicalName()}, Capacity: d.Size,
			},
			Disk: h.scsiDisk(d), TransportHint: d.paths[0].port.Kind, LunNumber: d.LUN,
		})
	}
	return answer
}

func (o *overlay) QueryConfigOption(_ *simulator.Context, req *types.QueryConfigOption) soap.HasFault {
	browser := o.registry().Get(req.This).(*simulator.EnvironmentBrowser)
	answer := browser.QueryConfigOption(req)
	if body, ok := answer.(*methods.QueryConfigOptionBody); ok && body.Res != nil {
		body.Res.Returnval = withControllerLimits(body.Res.Returnval)
	}
	return answer
}

func (o *overlay) QueryConfigOptionEx(_ *simulator.Context, req *types.QueryConfigOptionEx) soap.HasFault {
	browser := o.registry().Get(req.This).(*simulator.EnvironmentBrowser)
	answer := browser.QueryConfigOptionEx(req)
	if body, ok := answer.(*methods.QueryConfigOptionExBody); ok && body.Res != nil {
		body.Res.Returnval = withControllerLimits(body.Res.Returnval)
	}
	return answer
}

// withControllerLimits tells the limits that reconfigure.go enforces on VMs of the newest hardware version.
func withControllerLimits(option *types.VirtualMachineConfigOption) *types.VirtualMachineConfigOption {
	limited := copyOf(option)
	limited.Version = defaultHardware
	pvscsi := &types.ParaVirtualSCSIControllerOption{VirtualSCSIControllerOption: scsiOption("ParaVirtualSCSIController", unitsOfPVSCSI)}
	sas := &types.VirtualLsiLogicSASControllerOption{VirtualSCSIControllerOption: scsiOption("VirtualLsiLogicSASController", unitsOfSCSI)}
	parallel := &types.VirtualLsiLogicControllerOption{VirtualSCSIControllerOption: scsiOption("VirtualLsiLogicController", unitsOfSCSI)}
	limited.HardwareOptions.VirtualDeviceOption = []types.BaseVirtualDeviceOption{pvscsi, sas, parallel}
	return limited
}

func scsiOption(kind string, units int32) types.VirtualSCSIControllerOption {
	option := types.VirtualSCSIControllerOption{
		NumSCSIDisks: types.IntOption{Min: 0, Max: units - 1}, NumSCSICdroms: types.IntOption{Min: 0, Max: units - 1},
		NumSCSIPassthrough: types.IntOption{Min: 0, Max: units - 1}, ScsiCtlrUnitNumber: scsiControllerUnit,
		HotAddRemove: types.BoolOption{Supported: true, DefaultValue: true},
		Sharing: []types.VirtualSCSISharing{
			types.VirtualSCSISharingNoSharing, types.VirtualSCSISharingVirtualSharing, types.VirtualSCSISharingPhysicalSharing,
		},
		DefaultSharedIndex: 0,
	}
	option.Type = kind
	option.Devices = types.IntOption{Min: 0, Max: units - 1}
	option.SupportedDevice = []string{"VirtualDisk", "VirtualCdrom", "VirtualSCSIPassthrough"}
	return option
}

// RefreshDatastore changes nothing: what vcsim would write (a terabyte per host) is not the world's capacity.
func (o *overlay) RefreshDatastore(*simulator.Context, *types.RefreshDatastore) soap.HasFault {
	return &methods.RefreshDatastoreBody{Res: &types.RefreshDatastoreResponse{}}
}

// DeleteVirtualDiskTask deletes a mapping file with its pointer; images are left to vcsim.
func (o *overlay) DeleteVirtualDiskTask(ctx *simulator.Context, req *types.DeleteVirtualDisk_Task) soap.HasFault {
	manager := o.registry().VirtualDiskManager()
	m, ok := o.readMapping(req.Name)
	if !ok {
		return manager.DeleteVirtualDiskTask(ctx, req)
	}
	task := o.startTask(ctx, manager, "deleteVirtualDisk", func() (types.AnyType, *refusal) {
		for _, use := range o.mappingUses(ctx, m.naa) {
			if use.file == req.Name {
				return nil, &refusal{&types.FileLocked{FileFault: types.FileFault{File: req.Name}}, "Unable to access file since it is locked"}
			}
		}
		if err := o.removeMapping(req.Name, m); err != nil {
			return nil, &refusal{&types.CannotDeleteFile{FileFault: types.FileFault{File: req.Name}}, err.Error()}
		}
		return nil, nil
	})
	return &methods.DeleteVirtualDisk_TaskBody{Res: &types.DeleteVirtualDisk_TaskResponse{Returnval: task}}
}
