// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// The faults of these methods are those of the vSphere API reference (HostStorageSystem.DetachScsiLun and following).

func (o *overlay) DetachScsiLun(ctx *simulator.Context, req *types.DetachScsiLun) soap.HasFault {
	body := &methods.DetachScsiLunBody{}
	if body.Fault_ = o.switchDevice(ctx, req.This, req.LunUuid, (*lab).detach); body.Fault_ == nil {
		body.Res = &types.DetachScsiLunResponse{}
	}
	return body
}

func (o *overlay) AttachScsiLun(ctx *simulator.Context, req *types.AttachScsiLun) soap.HasFault {
	body := &methods.AttachScsiLunBody{}
	if body.Fault_ = o.switchDevice(ctx, req.This, req.LunUuid, (*lab).attach); body.Fault_ == nil {
		body.Res = &types.AttachScsiLunResponse{}
	}
	return body
}

func (o *overlay) DetachScsiLunExTask(ctx *simulator.Context, req *types.DetachScsiLunEx_Task) soap.HasFault {
	return &methods.DetachScsiLunEx_TaskBody{Res: &types.DetachScsiLunEx_TaskResponse{
		Returnval: o.switchDevices(ctx, req.This, "detachScsiLunEx", req.LunUuid, (*lab).detach),
	}}
}

func (o *overlay) AttachScsiLunExTask(ctx *simulator.Context, req *types.AttachScsiLunEx_Task) soap.HasFault {
	return &methods.AttachScsiLunEx_TaskBody{Res: &types.AttachScsiLunEx_TaskResponse{
		Returnval: o.switchDevices(ctx, req.This, "attachScsiLunEx", req.LunUuid, (*lab).attach),
	}}
}

// DeleteScsiLunState forgets a device that was detached and that the array no longer presents.
func (o *overlay) DeleteScsiLunState(ctx *simulator.Context, req *types.DeleteScsiLunState) soap.HasFault {
	body := &methods.DeleteScsiLunStateBody{}
	o.mu.Lock()
	defer o.mu.Unlock()
	h := o.hostByStorage[req.This]
	if refused := o.connected(h.system.Self); refused != nil {
		body.Fault_ = simulator.Fault(refused.message, refused.fault)
		return body
	}
	for naa := range h.detached {
		if naaPrefix+naa != req.LunCanonicalName {
			continue
		}
		if h.devices[naa] != nil {
			body.Fault_ = simulator.Fault("The device "+req.LunCanonicalName+" is still connected to the host.", &types.HostConfigFault{})
			return body
		}
		delete(h.detached, naa)
		body.Res = &types.DeleteScsiLunStateResponse{}
		return body
	}
	body.Fault_ = simulator.Fault("The device "+req.LunCanonicalName+" is not in the detached list of the host.", &types.HostConfigFault{})
	return body
}

type deviceSwitch func(l *lab, ctx *simulator.Context, h *host, uuid string) *refusal

func (l *lab) switchDevice(ctx *simulator.Context, storage types.ManagedObjectReference, uuid string, act deviceSwitch) *soap.Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.hostByStorage[storage]
	refused := l.connected(h.system.Self)
	if refused == nil {
		refused = act(l, ctx, h, uuid)
	}
	if refused != nil {
		return simulator.Fault(refused.message, refused.fault)
	}
	l.publishLater(ctx, h)
	return nil
}

// publishLater lets vCenter's copy of the host follow after the lag.
func (l *lab) publishLater(ctx *simulator.Context, h *host) {
	if l.lag == 0 {
		h.publish(ctx)
		return
	}
	time.AfterFunc(l.lag, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		h.publish(l.privateContext())
	})
}

// setLag is POST /lag, tests/lab/README.md.
func (s *server) setLag(w http.ResponseWriter, r *http.Request) {
	lag, err := time.ParseDuration(r.URL.Query().Get("seconds") + "s")
	if err != nil || lag < 0 {
		refuse(w, http.StatusBadRequest, fmt.Errorf("no number of seconds: %q", r.URL.Query().Get("seconds")))
		return
	}
	lab, _ := s.current()
	lab.mu.Lock()
	defer lab.mu.Unlock()
	lab.lag = lag
	answer(w, struct{}{})
}

// switchDevices does the same for several devices in a task whose result tells the outcome of each.
func (l *lab) switchDevices(
	ctx *simulator.Context, storage types.ManagedObjectReference, name string, uuids []string, act deviceSwitch,
) types.ManagedObjectReference {
	h := l.hostByStorage[storage]
	return l.startTask(ctx, h.storage, name, func() (types.AnyType, *refusal) {
		var results []types.HostStorageSystemScsiLunResult
		for _, uuid := range uuids {
			result := types.HostStorageSystemScsiLunResult{Key: uuid}
			if refused := act(l, ctx, h, uuid); refused != nil {
				result.Fault = &types.LocalizedMethodFault{Fault: refused.fault, LocalizedMessage: refused.message}
			}
			results = append(results, result)
		}
		h.publish(ctx)
		return types.ArrayOfHostStorageSystemScsiLunResult{HostStorageSystemScsiLunResult: results}, nil
	})
}

func (l *lab) detach(ctx *simulator.Context, h *host, uuid string) *refusal {
	d := h.find(uuid)
	switch {
	case d == nil:
		return &refusal{&types.NotFound{}, "The object or item referred to could not be found."}
	case h.detached[d.NAA] != "":
		return &refusal{&types.InvalidState{}, "The device " + d.canonicalName() + " is already detached."}
	}
	if ds := l.extents[d.canonicalName()]; ds != "" {
		return inUse("Datastore", ds, d)
	}
	if what := h.holds[d.NAA]; what != "" {
		return inUse("Host", h.name+" ("+what+")", d)
	}
	if vm := l.mappedBy(ctx, h, d.NAA); vm != "" {
		return inUse("VirtualMachine", vm, d)
	}
	h.detached[d.NAA] = uuid
	return nil
}

func inUse(kind, name string, d *device) *refusal {
	return &refusal{
		&types.ResourceInUse{Type: kind, Name: name},
		fmt.Sprintf("The resource '%s' is in use: %s %s uses it.", d.canonicalName(), kind, name),
	}
}

func (l *lab) attach(_ *simulator.Context, h *host, uuid string) *refusal {
	d := h.find(uuid)
	switch {
	case d == nil:
		return &refusal{&types.NotFound{}, "The object or item referred to could not be found."}
	case h.detached[d.NAA] == "":
		return &refusal{&types.InvalidState{}, "The device " + d.canonicalName() + " is already attached."}
	}
	delete(h.detached, d.NAA)
	return nil
}

// mappedBy is the name of a VM on the host with a raw device mapping of the LUN, or "".
func (l *lab) mappedBy(ctx *simulator.Context, h *host, naa string) string {
	for _, use := range l.mappingUses(ctx, naa) {
		if *use.vm.Runtime.Host == h.system.Self {
			return use.vm.Name
		}
	}
	return ""
}
