// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// read asks for properties of one object, as a client does that pages.
func (b *bench) read(ref types.ManagedObjectReference, paths ...string) types.ObjectContent {
	b.t.Helper()
	answer, err := methods.RetrievePropertiesEx(b.ctx, b.client, &types.RetrievePropertiesEx{
		This: b.client.ServiceContent.PropertyCollector,
		SpecSet: []types.PropertyFilterSpec{{
			PropSet:   []types.PropertySpec{{Type: ref.Type, PathSet: paths}},
			ObjectSet: []types.ObjectSpec{{Obj: ref}},
		}},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return answer.Returnval.Objects[0]
}

func (b *bench) show(wanted view) {
	b.t.Helper()
	lab, _ := b.server.current()
	if err := lab.addView(wanted); err != nil {
		b.t.Fatal(err)
	}
}

func TestAnInaccessibleMachineHasNoConfigurationAndKeepsItsDisks(t *testing.T) {
	b := newBench(t)
	found, err := b.finder().VirtualMachine(b.ctx, "/DC0/vm/apps/db01")
	if err != nil {
		t.Fatal(err)
	}
	b.show(view{Type: "VirtualMachine", Name: "db01", Hide: []string{"config"}, Show: map[string]string{"runtime.connectionState": "inaccessible"}})
	content := b.read(found.Reference(), "name", "config.hardware.device", "runtime.connectionState")
	if len(content.PropSet) != 2 || len(content.MissingSet) != 0 {
		t.Fatalf("told %v, missing %v", content.PropSet, content.MissingSet)
	}
	if state := content.PropSet[1].Val; state != types.VirtualMachineConnectionStateInaccessible {
		t.Errorf("it is %v", state)
	}
	lab, _ := b.server.current()
	if uses := lab.mappedLUNs(lab.privateContext()); !uses[usedLUN.NAA] {
		t.Error("the disk is gone")
	}
	task, err := found.Reconfigure(b.ctx, types.VirtualMachineConfigSpec{})
	if err != nil {
		t.Fatal(err)
	}
	if err := task.Wait(b.ctx); err == nil {
		t.Error("an inaccessible VM was reconfigured")
	}
}

func TestWhatAnAccountMayNotReadIsMissingWithTheReason(t *testing.T) {
	b := newBench(t)
	found, err := b.finder().VirtualMachine(b.ctx, "/DC0/vm/apps/db01")
	if err != nil {
		t.Fatal(err)
	}
	b.show(view{Type: "VirtualMachine", Name: "db01", Hide: []string{"config"}, Why: "NoPermission"})
	content := b.read(found.Reference(), "config.hardware.device")
	if len(content.PropSet) != 0 || len(content.MissingSet) != 1 || content.MissingSet[0].Path != "config.hardware.device" {
		t.Fatalf("told %v, missing %v", content.PropSet, content.MissingSet)
	}
	if _, ok := content.MissingSet[0].Fault.Fault.(*types.NoPermission); !ok {
		t.Errorf("the reason is %T", content.MissingSet[0].Fault.Fault)
	}
}

func TestADisconnectedHostTakesNoOrders(t *testing.T) {
	b := newBench(t)
	storage := *b.host("esx01.lab").ConfigManager.StorageSystem
	b.show(view{Type: "HostSystem", Name: "esx01.lab", Show: map[string]string{"runtime.connectionState": "disconnected"}})
	_, err := methods.RescanAllHba(b.ctx, b.client, &types.RescanAllHba{This: storage})
	if err == nil || !soap.IsSoapFault(err) {
		t.Fatalf("the rescan ended with %v", err)
	}
	if _, ok := soap.ToSoapFault(err).VimFault().(types.HostNotConnected); !ok {
		t.Errorf("the fault is %T", soap.ToSoapFault(err).VimFault())
	}
}

func TestAViewOfNothingIsRefused(t *testing.T) {
	b := newBench(t)
	lab, _ := b.server.current()
	for _, wrong := range []view{{Type: "VirtualMachine", Name: "nobody"}, {Type: "VirtualMachine", Name: "db01", Why: "Whatever"}} {
		if lab.addView(wrong) == nil {
			t.Errorf("%v was taken", wrong)
		}
	}
}

func TestALUNThatAHostHasForItselfIsNotDetached(t *testing.T) {
	b := newBench(t)
	lab, _ := b.server.current()
	for _, as := range []string{holdBoot, holdDiagnostic} {
		if err := lab.addHold(hold{"esx01.lab", usedLUN.NAA, as}); err != nil {
			t.Fatal(err)
		}
		host := b.host("esx01.lab")
		_, err := methods.DetachScsiLun(b.ctx, b.client, &types.DetachScsiLun{
			This: *host.ConfigManager.StorageSystem, LunUuid: b.disk("esx01.lab", usedLUN).Uuid,
		})
		if err == nil || !soap.IsSoapFault(err) {
			t.Fatalf("%s: the detaching ended with %v", as, err)
		}
		if fault, ok := soap.ToSoapFault(err).VimFault().(types.ResourceInUse); !ok || fault.Type != "Host" {
			t.Errorf("%s: the fault is %v", as, soap.ToSoapFault(err).VimFault())
		}
		if shown := host.Config.ActiveDiagnosticPartition.Id.DiskName; (shown == naaPrefix+usedLUN.NAA) != (as == holdDiagnostic) {
			t.Errorf("%s: the diagnostic partition is on %s", as, shown)
		}
	}
	for _, wrong := range []hold{{"esx09.lab", usedLUN.NAA, holdBoot}, {"esx01.lab", newLUN.NAA, holdBoot}, {"esx01.lab", usedLUN.NAA, "toy"}} {
		if lab.addHold(wrong) == nil {
			t.Errorf("%v was taken", wrong)
		}
	}
}

func TestADatastoreThatNoHostReachesDoesNotNameItsExtents(t *testing.T) {
	b := newBench(t)
	found, err := b.finder().Datastore(b.ctx, "/DC0/datastore/ds1")
	if err != nil {
		t.Fatal(err)
	}
	extents := func() int {
		info := b.read(found.Reference(), "info").PropSet[0].Val.(types.VmfsDatastoreInfo)
		if info.Vmfs == nil {
			return 0
		}
		return len(info.Vmfs.Extent)
	}
	rescan := func() {
		for _, name := range []string{"esx01.lab", "esx02.lab"} {
			if _, err := methods.RescanAllHba(b.ctx, b.client, &types.RescanAllHba{This: *b.host(name).ConfigManager.StorageSystem}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if extents() != 1 {
		t.Fatalf("it has %d extents", extents())
	}
	b.array.withdraw(dataLUN)
	rescan()
	if extents() != 0 {
		t.Error("it names its extents although no host reaches it")
	}
	b.array.present(dataLUN, wwpn1, wwpn2)
	rescan()
	if extents() != 1 {
		t.Error("it does not name its extents again")
	}
}

func TestVCenterMayShowADetachedDeviceALittleLater(t *testing.T) {
	b := newBench(t)
	lab, _ := b.server.current()
	lab.lag = 200 * time.Millisecond
	b.array.present(newLUN, wwpn1)
	storage := *b.host("esx01.lab").ConfigManager.StorageSystem
	if _, err := methods.RescanAllHba(b.ctx, b.client, &types.RescanAllHba{This: storage}); err != nil {
		t.Fatal(err)
	}
	detach := &types.DetachScsiLun{This: storage, LunUuid: b.disk("esx01.lab", newLUN).Uuid}
	if _, err := methods.DetachScsiLun(b.ctx, b.client, detach); err != nil {
		t.Fatal(err)
	}
	if _, err := methods.DetachScsiLun(b.ctx, b.client, detach); err == nil {
		t.Error("the host does not know that the device is off")
	}
	for b.words(newLUN)[0] != "off" {
		time.Sleep(10 * time.Millisecond)
	}
}
