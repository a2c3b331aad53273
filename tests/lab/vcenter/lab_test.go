// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/task"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	gib       = 1 << 30
	targetIQN = "iqn.1992-08.com.netapp:sn.test:vs.1"
	wwpn1     = "10:00:00:90:fa:01:00:02"
	wwpn2     = "f0:00:00:90:fa:02:00:02" // top bit set: negative in the API
	iqn1      = "iqn.1998-01.com.vmware:esx01"
	iqn2      = "iqn.1998-01.com.vmware:ESX02"
)

var (
	ports = []targetPort{
		{Kind: "iscsi", IQN: targetIQN, Address: "192.0.2.11", Port: 3260},
		{Kind: "iscsi", IQN: targetIQN, Address: "192.0.2.12", Port: 3260},
		{Kind: "fc", WWPN: "20:01:00:a0:98:c0:ff:e1", WWNN: "20:00:00:a0:98:c0:ff:e0"},
	}
	dataLUN  = presentation{NAA: naaOf("DATASTORE001"), Serial: "DATASTORE001", LUN: 0, Size: 100 * gib}
	otherLUN = presentation{NAA: naaOf("OTHERDS00001"), Serial: "OTHERDS00001", LUN: 1, Size: 100 * gib}
	usedLUN  = presentation{NAA: naaOf("USEDBYDB0001"), Serial: "USEDBYDB0001", LUN: 2, Size: 10 * gib}
	newLUN   = presentation{NAA: naaOf("FRESHLUN0001"), Serial: "FRESHLUN0001", LUN: 300, Size: 3 * gib}
	spareLUN = presentation{NAA: naaOf("SPARELUN0001"), Serial: "SPARELUN0001", LUN: 4, Size: 5 * gib}
)

func naaOf(serial string) string {
	digits := "600a0980"
	for _, character := range []byte(serial) {
		digits += string("0123456789abcdef"[character>>4]) + string("0123456789abcdef"[character&15])
	}
	return digits
}

// fakeArray presents LUNs by initiator (in lower case).
type fakeArray struct {
	mu   sync.Mutex
	maps map[string][]presentation
	down bool
}

func (f *fakeArray) presented(_ context.Context, initiators []string) ([]presentation, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return nil, errors.New("the array is down")
	}
	var rows []presentation
	for _, initiator := range initiators {
		for _, lun := range f.maps[strings.ToLower(initiator)] {
			lun.Initiator, lun.Vendor, lun.Model, lun.Revision, lun.Ports = initiator, "NETAPP", "LUN C-Mode", "9161", ports
			rows = append(rows, lun)
		}
	}
	return rows, nil
}

func (f *fakeArray) present(lun presentation, initiators ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, initiator := range initiators {
		key := strings.ToLower(initiator)
		f.maps[key] = append(slices.Clone(f.maps[key]), lun)
	}
}

func (f *fakeArray) withdraw(lun presentation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for initiator, luns := range f.maps {
		f.maps[initiator] = slices.DeleteFunc(slices.Clone(luns), func(l presentation) bool { return l.NAA == lun.NAA })
	}
}

func testHost(name, wwpn, iqn string) worldHost {
	return worldHost{Name: name, UUID: stableUUID(name), HBAs: []worldHBA{
		{Device: "vmhba0", Kind: kindBlock, Status: "unknown", Model: "SATA", Driver: "vmw_ahci", PCI: "0000:00:17.0"},
		{Device: "vmhba2", Kind: kindFC, Status: "online", Model: "Emulex LPe32002", Driver: "lpfc", PCI: "0000:3b:00.0", WWPN: wwpn, WWNN: wwpn, Speed: 32},
		{
			Device: "vmhba64", Kind: kindSoftwareISCSI, Status: "online", Model: "iSCSI Software Adapter", Driver: "iscsi_vmk", IQN: iqn,
			Targets: []worldTarget{{"192.0.2.11", 3260}},
		},
	}}
}

func testWorld() *world {
	machine := func(name, host string, disks ...worldDisk) worldMachine {
		return worldMachine{
			Name: name, UUID: stableUUID(name), InstanceUUID: stableUUID("i" + name), Cluster: "prod", Host: host, Folder: "apps", Power: "on", Disks: disks,
		}
	}
	db := machine("db01", "esx01.lab", worldDisk{"ds1", 20 * gib})
	db.RDMs = []worldRDM{{NAA: usedLUN.NAA, Compatibility: "physicalMode", Sharing: "sharingNone", Datastore: "ds1"}}
	old := machine("old01", "esx01.lab", worldDisk{"ds1", 8 * gib})
	old.Power, old.Version = "off", "vmx-13"
	w := &world{
		Name: "test", Datacenter: "DC0",
		Clusters: []worldCluster{{Name: "prod", Hosts: []worldHost{testHost("esx01.lab", wwpn1, iqn1), testHost("esx02.lab", wwpn2, iqn2)}}},
		Datastores: []worldDatastore{
			{Name: "ds1", Type: "vmfs", Clusters: []string{"prod"}, Extents: []string{dataLUN.NAA}, Capacity: 100 * gib},
			{Name: "ds2", Type: "vmfs", Host: "esx02.lab", Extents: []string{otherLUN.NAA}, Capacity: 100 * gib},
			{Name: "nfs01", Type: "nfs", Clusters: []string{"prod"}, Server: "192.0.2.21", Path: "/vol_nfs", Capacity: 100 * gib},
		},
		VMs: []worldMachine{
			machine("app01", "esx01.lab", worldDisk{"ds1", 20 * gib}),
			machine("app02", "esx02.lab", worldDisk{"ds1", 20 * gib}, worldDisk{"nfs01", 5 * gib}),
			db, old,
		},
	}
	if err := w.check(); err != nil {
		panic(err)
	}
	return w
}

// bench is a running vCenter with a logged-in client.
type bench struct {
	t       *testing.T
	ctx     context.Context
	array   *fakeArray
	server  *server
	api     *httptest.Server
	control *httptest.Server
	client  *govmomi.Client
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, ctx: t.Context(), array: &fakeArray{maps: map[string][]presentation{}}}
	b.array.present(dataLUN, wwpn1, iqn1, wwpn2, iqn2)
	b.array.present(otherLUN, wwpn2)
	b.array.present(usedLUN, wwpn1, iqn1, wwpn2, iqn2)
	server, err := newServer(testWorld(), b.array, credentials{"admin", "secret"})
	if err != nil {
		t.Fatal(err)
	}
	b.server = server
	b.api, b.control = httptest.NewTLSServer(server.api()), httptest.NewServer(server.control())
	t.Cleanup(func() { b.api.Close(); b.control.Close(); server.close() })
	b.client = b.login("secret")
	return b
}

func (b *bench) tryLogin(password string) (*govmomi.Client, error) {
	address, err := url.Parse(b.api.URL + "/sdk")
	if err != nil {
		b.t.Fatal(err)
	}
	address.User = url.UserPassword("admin", password)
	return govmomi.NewClient(b.ctx, address, true)
}

func (b *bench) login(password string) *govmomi.Client {
	b.t.Helper()
	client, err := b.tryLogin(password)
	if err != nil {
		b.t.Fatal(err)
	}
	return client
}

func (b *bench) finder() *find.Finder { return find.NewFinder(b.client.Client, false) }

func (b *bench) host(name string) mo.HostSystem {
	b.t.Helper()
	found, err := b.finder().HostSystem(b.ctx, "/DC0/host/prod/"+name)
	if err != nil {
		b.t.Fatal(err)
	}
	var host mo.HostSystem
	if err := found.Properties(b.ctx, found.Reference(), []string{"name", "config", "configManager", "hardware"}, &host); err != nil {
		b.t.Fatal(err)
	}
	return host
}

func (b *bench) disk(host string, lun presentation) *types.HostScsiDisk {
	b.t.Helper()
	for _, l := range b.host(host).Config.StorageDevice.ScsiLun {
		if disk, ok := l.(*types.HostScsiDisk); ok && disk.CanonicalName == "naa."+lun.NAA {
			return disk
		}
	}
	return nil
}

func (b *bench) vm(name string) mo.VirtualMachine {
	b.t.Helper()
	found, err := b.finder().VirtualMachine(b.ctx, "/DC0/vm/apps/"+name)
	if err != nil {
		b.t.Fatal(err)
	}
	var vm mo.VirtualMachine
	if err := property.DefaultCollector(b.client.Client).RetrieveOne(b.ctx, found.Reference(), nil, &vm); err != nil {
		b.t.Fatal(err)
	}
	return vm
}

func (b *bench) disks(vm string) []*types.VirtualDisk {
	var disks []*types.VirtualDisk
	for _, device := range b.vm(vm).Config.Hardware.Device {
		if disk, ok := device.(*types.VirtualDisk); ok {
			disks = append(disks, disk)
		}
	}
	return disks
}

func (b *bench) reconfigure(vm string, spec types.VirtualMachineConfigSpec) string {
	b.t.Helper()
	started, err := object.NewVirtualMachine(b.client.Client, b.vm(vm).Self).Reconfigure(b.ctx, spec)
	if err != nil {
		return faultOf(b.t, err)
	}
	return faultOf(b.t, started.Wait(b.ctx))
}

// faultOf is the name of the vSphere fault in the error, "" for no error.
func faultOf(t *testing.T, err error) string {
	t.Helper()
	var failed task.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &failed):
		return typeName(failed.Fault())
	case soap.IsSoapFault(err):
		return typeName(soap.ToSoapFault(err).VimFault())
	}
	t.Fatal(err)
	return ""
}

func (b *bench) call(method, path, body string) string {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.ctx, method, b.control.URL+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		return response.Status + " " + string(text)
	}
	return string(text)
}

func (b *bench) losses() []loss {
	b.t.Helper()
	var found []loss
	if err := json.Unmarshal([]byte(b.call(http.MethodGet, "/apd", "")), &found); err != nil {
		b.t.Fatal(err)
	}
	return found
}

// wantFault fails the test unless the fault is of that type.
func wantFault(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("fault %q, want %q", got, want)
	}
}
