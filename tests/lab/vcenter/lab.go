// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

type credentials struct{ username, password string }

// lab is one vCenter: the simulator's model of the world and, beside it, the SAN that each host has found.
//
// mu guards the hosts and serialises every change that looks at more than one object. It is taken before any of the
// simulator's object locks, never while one is held.
type lab struct {
	world  *world
	fabric fabric
	model  *simulator.Model
	ctx    *simulator.Context
	faults *faults

	mu            sync.Mutex
	hosts         []*host
	hostByRef     map[types.ManagedObjectReference]*host
	hostByStorage map[types.ManagedObjectReference]*host
	datastores    map[string]*simulator.Datastore
	extents       map[string]string // canonical device name -> name of the VMFS datastore on it

	volumes map[string]*types.HostVmfsVolume // of the VMFS datastores, also while none can be reached

	lag time.Duration // until vCenter shows what a host has attached or detached

	viewMu sync.Mutex
	views  map[types.ManagedObjectReference]view
}

// newLab builds the world; the hosts have rescanned once when it returns.
func newLab(w *world, f fabric, c credentials, injected *faults) (*lab, error) {
	if err := os.MkdirAll(os.TempDir(), 0o1777); err != nil { // an empty container has no /tmp
		return nil, err
	}
	model := simulator.VPX()
	model.Datacenter, model.Host, model.Cluster, model.ClusterHost, model.Machine, model.Datastore, model.Portgroup = 0, 0, 0, 0, 0, 0, 0
	model.ServiceContent.About = about(w.Name)
	if err := model.Create(); err != nil {
		return nil, err
	}
	model.Service.Listen = &url.URL{User: url.UserPassword(c.username, c.password)}
	l := &lab{
		world: w, fabric: f, model: model, ctx: model.Service.Context, faults: injected,
		hostByRef: map[types.ManagedObjectReference]*host{}, hostByStorage: map[types.ManagedObjectReference]*host{},
		datastores: map[string]*simulator.Datastore{}, extents: map[string]string{}, views: map[types.ManagedObjectReference]view{},
		volumes: map[string]*types.HostVmfsVolume{},
	}
	if err := l.build(); err != nil {
		model.Remove()
		return nil, err
	}
	l.intercept()
	return l, nil
}

func (l *lab) registry() *simulator.Registry { return l.ctx.Map }

func (l *lab) build() error {
	l.identify()
	root := l.registry().Get(l.model.ServiceContent.RootFolder).(*simulator.Folder)
	body := root.CreateDatacenter(l.ctx, &types.CreateDatacenter{This: root.Self, Name: l.world.Datacenter}).(*methods.CreateDatacenterBody)
	if fault := body.Fault(); fault != nil {
		return fmt.Errorf("datacenter %s: %s", l.world.Datacenter, fault.String)
	}
	datacenter := l.registry().Get(body.Res.Returnval).(*simulator.Datacenter)
	if err := l.buildHosts(l.registry().Get(datacenter.HostFolder).(*simulator.Folder)); err != nil {
		return err
	}
	for _, h := range l.hosts {
		rows, err := h.scan(context.Background(), l.fabric, h.scanners(""))
		if err != nil {
			return err
		}
		h.absorb(h.scanners(""), rows)
	}
	if err := l.buildDatastores(); err != nil {
		return err
	}
	if err := l.buildMachines(l.registry().Get(datacenter.VmFolder).(*simulator.Folder)); err != nil {
		return err
	}
	for _, h := range l.hosts {
		h.publish(l.ctx)
	}
	return nil
}

// about is what a vCenter 8.0 Update 2 says of itself.
func about(name string) types.AboutInfo {
	return types.AboutInfo{
		Name: "VMware vCenter Server", FullName: "VMware vCenter Server 8.0.2 build-22385739", Vendor: "VMware, Inc.",
		Version: "8.0.2", Build: "22385739", LocaleVersion: "INTL", LocaleBuild: "000", OsType: "linux-x64",
		ProductLineId: "vpx", ApiType: "VirtualCenter", ApiVersion: "8.0.2.0", InstanceUuid: stableUUID("vcenter/" + name),
		LicenseProductName: "VMware VirtualCenter Server", LicenseProductVersion: "8.0",
	}
}

// identify gives the service the identity that it keeps over restarts.
func (l *lab) identify() {
	instance := l.registry().Get(vim25.ServiceInstance).(*simulator.ServiceInstance)
	instance.Content.About = about(l.world.Name)
	l.registry().SessionManager().ServiceHostName = l.world.Name
	settings := l.registry().OptionManager()
	for _, setting := range settings.Setting {
		if option := setting.GetOptionValue(); option.Key == "VirtualCenter.InstanceName" {
			option.Value = l.world.Name
			return
		}
	}
	settings.Setting = append(settings.Setting, &types.OptionValue{Key: "VirtualCenter.InstanceName", Value: l.world.Name})
}

// stableUUID is the same for the same name in every lab.
func stableUUID(name string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("lab:"+name)).String()
}

// machines are all virtual machines, in no particular order.
func (l *lab) machines() []*simulator.VirtualMachine {
	var vms []*simulator.VirtualMachine
	for _, entity := range l.registry().All("VirtualMachine") {
		if vm, ok := entity.(*simulator.VirtualMachine); ok {
			vms = append(vms, vm)
		}
	}
	return vms
}

// appendChild enters the object into the inventory below the folder, as the simulator's own create methods do.
func (l *lab) appendChild(folder *simulator.Folder, child mo.Entity) {
	l.registry().PutEntity(folder, child)
	folder.ChildEntity = append(folder.ChildEntity, child.Reference())
}

func (l *lab) close() { l.model.Remove() }
