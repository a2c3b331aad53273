// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"log"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

func (o *overlay) RescanAllHba(ctx *simulator.Context, req *types.RescanAllHba) soap.HasFault {
	body := &methods.RescanAllHbaBody{}
	if fault := o.rescan(ctx, req.This, ""); fault != nil {
		body.Fault_ = fault
		return body
	}
	body.Res = &types.RescanAllHbaResponse{}
	return body
}

func (o *overlay) RescanHba(ctx *simulator.Context, req *types.RescanHba) soap.HasFault {
	body := &methods.RescanHbaBody{}
	if !o.hostByStorage[req.This].hasAdapter(req.HbaDevice) {
		body.Fault_ = simulator.Fault("The object or item referred to could not be found.", &types.NotFound{})
		return body
	}
	if fault := o.rescan(ctx, req.This, req.HbaDevice); fault != nil {
		body.Fault_ = fault
		return body
	}
	body.Res = &types.RescanHbaResponse{}
	return body
}

// RescanVmfs looks for new file systems on known devices only: it finds no LUN.
func (o *overlay) RescanVmfs(*simulator.Context, *types.RescanVmfs) soap.HasFault {
	return &methods.RescanVmfsBody{Res: &types.RescanVmfsResponse{}}
}

// RefreshStorageSystem refreshes what is known of the present devices: it finds no LUN.
func (o *overlay) RefreshStorageSystem(*simulator.Context, *types.RefreshStorageSystem) soap.HasFault {
	return &methods.RefreshStorageSystemBody{Res: &types.RefreshStorageSystemResponse{}}
}

// rescan asks the array through all adapters of the host, or the one of that name, and publishes what they see.
func (l *lab) rescan(ctx *simulator.Context, storage types.ManagedObjectReference, adapter string) *soap.Fault {
	h := l.hostByStorage[storage]
	if refused := l.connected(h.system.Self); refused != nil {
		return simulator.Fault(refused.message, refused.fault)
	}
	scanners := h.scanners(adapter)
	rows, err := h.scan(ctx, l.fabric, scanners)
	if err != nil {
		log.Printf("rescan of %s: %v", h.name, err)
		return simulator.Fault("The lab's array does not answer: "+err.Error(), &types.HostConfigFault{})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	h.absorb(scanners, rows)
	h.publish(ctx)
	l.remount(ctx, h)
	return nil
}

func (h *host) hasAdapter(device string) bool {
	for _, a := range h.adapters {
		if a.Device == device {
			return true
		}
	}
	return false
}
