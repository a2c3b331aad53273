// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// overlay answers the methods that stock vcsim lacks or answers wrongly. The registry's handler redirects a call to it;
// the request still names the object that the client addressed. It opts out of vcsim's per-object locking: lab.mu orders its work.
// It embeds a type of the API because vcsim's searches, such as FindByUuid, walk over all that is registered and end on what has none.
type overlay struct {
	mo.ExtensibleManagedObject
	*lab
}

func (*overlay) Lock()   {}
func (*overlay) Unlock() {}

// intercepted are the methods of the overlay, by the type of object that clients call them on.
var intercepted = map[string]map[string]bool{
	"HostStorageSystem": {
		"RescanAllHba": true, "RescanHba": true, "RescanVmfs": true, "RefreshStorageSystem": true,
		"DetachScsiLun": true, "AttachScsiLun": true, "DetachScsiLunEx_Task": true, "AttachScsiLunEx_Task": true, "DeleteScsiLunState": true,
	},
	"VirtualMachine":     {"ReconfigVM_Task": true, "PowerOnVM_Task": true, "CreateSnapshot_Task": true},
	"EnvironmentBrowser": {"QueryConfigTarget": true, "QueryConfigOption": true, "QueryConfigOptionEx": true},
	"Datastore":          {"RefreshDatastore": true},
	"VirtualDiskManager": {"DeleteVirtualDisk_Task": true},
}

// reads are what the overlay answers in the property collector's stead while something cannot be looked into.
var reads = map[string]bool{"RetrievePropertiesEx": true, "ContinueRetrievePropertiesEx": true, "RetrieveProperties": true}

func (l *lab) intercept() {
	o := &overlay{lab: l}
	o.Self = types.ManagedObjectReference{Type: "LabOverlay", Value: "lab-overlay"}
	l.registry().Put(o)
	l.registry().Handler = func(ctx *simulator.Context, method *simulator.Method) (mo.Reference, types.BaseMethodFault) {
		if method.This.Type == "PropertyCollector" && reads[method.Name] && l.anyViews() {
			method.This = o.Self
			return o, nil
		}
		if !intercepted[method.This.Type][method.Name] {
			return nil, nil
		}
		if l.registry().Get(method.This) == nil {
			return nil, &types.ManagedObjectNotFound{Obj: method.This}
		}
		method.This = o.Self
		return o, nil
	}
}
