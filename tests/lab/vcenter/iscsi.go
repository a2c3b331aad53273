// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"slices"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// iscsiManager answers for one host which network adapters an iSCSI adapter is bound to: none, it routes over any of the host's.
// Stock vcsim names such an object for every host and has none.
type iscsiManager struct {
	mo.IscsiManager
	adapters []*adapter
}

// giveISCSIManager registers the object that the host names as its own.
func (l *lab) giveISCSIManager(system *simulator.HostSystem, adapters []*adapter) {
	manager := &iscsiManager{adapters: adapters}
	manager.Self = types.ManagedObjectReference{Type: "IscsiManager", Value: "iscsiManager-" + system.Self.Value}
	l.registry().Put(manager)
	system.ConfigManager.IscsiManager = &manager.Self
}

// QueryBoundVnics fails for what is no iSCSI adapter, by the fault that the vSphere API reference gives it.
func (m *iscsiManager) QueryBoundVnics(_ *simulator.Context, req *types.QueryBoundVnics) soap.HasFault {
	known := slices.ContainsFunc(m.adapters, func(a *adapter) bool { return a.Device == req.IScsiHbaName && a.IQN != "" })
	if !known {
		return &methods.QueryBoundVnicsBody{Fault_: simulator.Fault("The object or item referred to could not be found.", &types.NotFound{})}
	}
	return &methods.QueryBoundVnicsBody{Res: &types.QueryBoundVnicsResponse{}}
}
