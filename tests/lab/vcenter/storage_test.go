// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"net/http"
	"testing"

	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

func (b *bench) storage(host string) types.ManagedObjectReference {
	return *b.host(host).ConfigManager.StorageSystem
}

func (b *bench) rescan(host, adapter string) string {
	b.t.Helper()
	var err error
	if adapter == "" {
		_, err = methods.RescanAllHba(b.ctx, b.client, &types.RescanAllHba{This: b.storage(host)})
	} else {
		_, err = methods.RescanHba(b.ctx, b.client, &types.RescanHba{This: b.storage(host), HbaDevice: adapter})
	}
	return faultOf(b.t, err)
}

func (b *bench) detach(host string, lun presentation) string {
	_, err := methods.DetachScsiLun(b.ctx, b.client, &types.DetachScsiLun{This: b.storage(host), LunUuid: lunUUID(lun.NAA, "LUN C-Mode")})
	return faultOf(b.t, err)
}

func (b *bench) attach(host string, lun presentation) string {
	_, err := methods.AttachScsiLun(b.ctx, b.client, &types.AttachScsiLun{This: b.storage(host), LunUuid: lunUUID(lun.NAA, "LUN C-Mode")})
	return faultOf(b.t, err)
}

func (b *bench) forget(host string, lun presentation) string {
	_, err := methods.DeleteScsiLunState(b.ctx, b.client, &types.DeleteScsiLunState{This: b.storage(host), LunCanonicalName: "naa." + lun.NAA})
	return faultOf(b.t, err)
}

func (b *bench) paths(host string, lun presentation) []types.HostMultipathInfoPath {
	for _, unit := range b.host(host).Config.StorageDevice.MultipathInfo.Lun {
		if unit.Id == lunUUID(lun.NAA, "LUN C-Mode") {
			return unit.Path
		}
	}
	return nil
}

func TestLUNAppearsOnlyByRescanOfItsHost(t *testing.T) {
	b := newBench(t)
	b.array.present(newLUN, wwpn1, wwpn2)
	for _, refresh := range []func() error{
		func() error {
			_, err := methods.RescanVmfs(b.ctx, b.client, &types.RescanVmfs{This: b.storage("esx01.lab")})
			return err
		},
		func() error {
			_, err := methods.RefreshStorageSystem(b.ctx, b.client, &types.RefreshStorageSystem{This: b.storage("esx01.lab")})
			return err
		},
	} {
		if err := refresh(); err != nil {
			t.Fatal(err)
		}
		if b.disk("esx01.lab", newLUN) != nil {
			t.Error("the LUN appeared without a rescan of the adapters")
		}
	}
	wantFault(t, b.rescan("esx01.lab", ""), "")
	if b.disk("esx01.lab", newLUN) == nil {
		t.Error("the LUN did not appear by the rescan")
	}
	if b.disk("esx02.lab", newLUN) != nil {
		t.Error("the LUN appeared on a host that was not rescanned")
	}
}

func TestRescanOfOneAdapterSeesOnlyThroughIt(t *testing.T) {
	b := newBench(t)
	b.array.present(newLUN, wwpn1, iqn1)
	wantFault(t, b.rescan("esx01.lab", "vmhba99"), "NotFound")
	wantFault(t, b.rescan("esx01.lab", "vmhba2"), "")
	if found := b.paths("esx01.lab", newLUN); len(found) != 1 || found[0].Adapter != "key-vim.host.FibreChannelHba-vmhba2" {
		t.Errorf("paths after the rescan of vmhba2: %+v", found)
	}
	wantFault(t, b.rescan("esx01.lab", "vmhba64"), "")
	if found := b.paths("esx01.lab", newLUN); len(found) != 3 {
		t.Errorf("%d paths after the rescan of both adapters, want 1 FC + 2 iSCSI", len(found))
	}
}

func TestInitiatorsAreComparedWithoutRegardToCase(t *testing.T) {
	b := newBench(t)
	b.array.present(newLUN, iqn2)
	wantFault(t, b.rescan("esx02.lab", ""), "")
	if b.disk("esx02.lab", newLUN) == nil {
		t.Error("the host with the upper-case IQN does not see its LUN")
	}
}

func TestWorldWideNamesAreSigned(t *testing.T) {
	b := newBench(t)
	for _, adapter := range b.host("esx02.lab").Config.StorageDevice.HostBusAdapter {
		if fc, ok := adapter.(*types.HostFibreChannelHba); ok && uint64(fc.PortWorldWideName) != 0xf0000090fa020002 {
			t.Errorf("portWorldWideName = %x", uint64(fc.PortWorldWideName))
		}
	}
}

func TestGrownLUNShowsItsSizeAfterRescan(t *testing.T) {
	b := newBench(t)
	b.array.present(newLUN, wwpn1)
	wantFault(t, b.rescan("esx01.lab", ""), "")
	grown := newLUN
	grown.Size = 7 * gib
	b.array.withdraw(newLUN)
	b.array.present(grown, wwpn1)
	if size := b.disk("esx01.lab", newLUN).Capacity.Block * 512; size != newLUN.Size {
		t.Errorf("size before the rescan: %d", size)
	}
	wantFault(t, b.rescan("esx01.lab", ""), "")
	if size := b.disk("esx01.lab", newLUN).Capacity.Block * 512; size != grown.Size {
		t.Errorf("size after the rescan: %d", size)
	}
}

func TestNamesOfALUN(t *testing.T) {
	b := newBench(t)
	b.array.present(newLUN, wwpn1)
	wantFault(t, b.rescan("esx01.lab", ""), "")
	disk := b.disk("esx01.lab", newLUN)
	if want := "0200000000" + newLUN.NAA + "4c554e20432d"; disk.Uuid != want {
		t.Errorf("uuid = %s, want %s", disk.Uuid, want)
	}
	if want := "vml.02002c0100" + newLUN.NAA + "4c554e20432d"; disk.Descriptor[1].Id != want { // LUN 300, low byte first
		t.Errorf("descriptor = %s, want %s", disk.Descriptor[1].Id, want)
	}
	serial := disk.AlternateName[len(disk.AlternateName)-1]
	if serial.Namespace != "SERIALNUM" || string(serial.Data) != newLUN.Serial {
		t.Errorf("serial number: %s %q", serial.Namespace, serial.Data)
	}
	if disk.Vendor != "NETAPP  " || disk.Model != "LUN C-Mode      " {
		t.Errorf("INQUIRY fields are not padded: %q %q", disk.Vendor, disk.Model)
	}
}

func TestDetachRefusesDevicesInUse(t *testing.T) {
	b := newBench(t)
	wantFault(t, b.detach("esx01.lab", newLUN), "NotFound")
	wantFault(t, b.detach("esx01.lab", dataLUN), "ResourceInUse")
	wantFault(t, b.detach("esx01.lab", usedLUN), "ResourceInUse")
	wantFault(t, b.detach("esx02.lab", usedLUN), "") // the VM that maps it runs on esx01
	wantFault(t, b.detach("esx02.lab", usedLUN), "InvalidState")
	if state := b.disk("esx02.lab", usedLUN).OperationalState[0]; state != "off" {
		t.Errorf("state of the detached device: %s", state)
	}
	wantFault(t, b.attach("esx02.lab", usedLUN), "")
	wantFault(t, b.attach("esx02.lab", usedLUN), "InvalidState")
	if state := b.disk("esx02.lab", usedLUN).OperationalState[0]; state != "ok" {
		t.Errorf("state of the attached device: %s", state)
	}
}

func TestDetachedDeviceLeavesSilently(t *testing.T) {
	b := newBench(t)
	b.array.present(newLUN, wwpn1)
	wantFault(t, b.rescan("esx01.lab", ""), "")
	wantFault(t, b.forget("esx01.lab", newLUN), "HostConfigFault")
	wantFault(t, b.detach("esx01.lab", newLUN), "")
	wantFault(t, b.forget("esx01.lab", newLUN), "HostConfigFault")
	b.array.withdraw(newLUN)
	wantFault(t, b.rescan("esx01.lab", ""), "")
	if b.disk("esx01.lab", newLUN) != nil {
		t.Error("the device is still there")
	}
	wantFault(t, b.forget("esx01.lab", newLUN), "")
	wantFault(t, b.forget("esx01.lab", newLUN), "HostConfigFault")
	if losses := b.losses(); len(losses) != 0 {
		t.Errorf("losses were logged: %v", losses)
	}
}

func TestDetachedStateOutlivesTheDevice(t *testing.T) {
	b := newBench(t)
	b.array.present(newLUN, wwpn1)
	wantFault(t, b.rescan("esx01.lab", ""), "")
	wantFault(t, b.detach("esx01.lab", newLUN), "")
	b.array.withdraw(newLUN)
	wantFault(t, b.rescan("esx01.lab", ""), "")
	b.array.present(newLUN, wwpn1)
	wantFault(t, b.rescan("esx01.lab", ""), "")
	if disk := b.disk("esx01.lab", newLUN); disk == nil || disk.OperationalState[0] != "off" {
		t.Errorf("a device that comes back is not off: %+v", disk)
	}
}

func TestWithdrawnDeviceIsAllPathsDown(t *testing.T) {
	b := newBench(t)
	b.array.present(newLUN, wwpn1, wwpn2)
	wantFault(t, b.rescan("esx01.lab", ""), "")
	b.array.withdraw(newLUN)
	if losses := b.losses(); len(losses) != 1 || losses[0].Host != "esx01.lab" || losses[0].NAA != newLUN.NAA {
		t.Errorf("losses without a rescan: %v", losses)
	}
	wantFault(t, b.rescan("esx01.lab", ""), "")
	if disk := b.disk("esx01.lab", newLUN); disk.OperationalState[0] != "lostCommunication" {
		t.Errorf("state: %v", disk.OperationalState)
	}
	if found := b.paths("esx01.lab", newLUN); found[0].PathState != "dead" {
		t.Errorf("paths: %+v", found)
	}
	if losses := b.losses(); len(losses) != 1 {
		t.Errorf("one loss was logged as %v", losses)
	}
}

func TestVMFSOnALostLUNIsInaccessible(t *testing.T) {
	b := newBench(t)
	accessible := func() (mounted, anywhere bool) {
		b.t.Helper()
		found, err := b.finder().Datastore(b.ctx, "/DC0/datastore/ds2")
		if err != nil {
			t.Fatal(err)
		}
		var ds mo.Datastore
		if err := found.Properties(b.ctx, found.Reference(), []string{"host", "summary"}, &ds); err != nil {
			t.Fatal(err)
		}
		return *ds.Host[0].MountInfo.Accessible, ds.Summary.Accessible
	}
	for _, step := range []struct {
		change func()
		want   bool
	}{
		{func() {}, true},
		{func() { b.array.withdraw(otherLUN) }, false},
		{func() { b.array.present(otherLUN, wwpn2) }, true},
	} {
		step.change()
		wantFault(t, b.rescan("esx02.lab", ""), "")
		if mounted, anywhere := accessible(); mounted != step.want || anywhere != step.want {
			t.Errorf("accessible: %t on the host, %t in the summary, want %t", mounted, anywhere, step.want)
		}
	}
}

func TestRescanFailsWhenTheArrayDoesNotAnswer(t *testing.T) {
	b := newBench(t)
	b.array.mu.Lock()
	b.array.down = true
	b.array.mu.Unlock()
	wantFault(t, b.rescan("esx01.lab", ""), "HostConfigFault")
	if b.disk("esx01.lab", dataLUN).OperationalState[0] != "ok" {
		t.Error("a failed rescan changed a device")
	}
}

func TestConfigTargetOffersUnusedLUNsOnly(t *testing.T) {
	b := newBench(t)
	b.array.present(newLUN, wwpn1)
	b.array.present(spareLUN, wwpn1)
	wantFault(t, b.rescan("esx01.lab", ""), "")
	wantFault(t, b.detach("esx01.lab", spareLUN), "")
	host := b.host("esx01.lab").Self
	answer, err := methods.QueryConfigTarget(b.ctx, b.client, &types.QueryConfigTarget{This: b.vm("app01").EnvironmentBrowser, Host: &host})
	if err != nil {
		t.Fatal(err)
	}
	if offered := answer.Returnval.ScsiDisk; len(offered) != 1 || offered[0].Disk.CanonicalName != "naa."+newLUN.NAA {
		t.Errorf("offered: %+v", offered)
	}
}

func TestControlPortReportsStateWithoutVolatileValues(t *testing.T) {
	b := newBench(t)
	before := b.call(http.MethodGet, "/state", "")
	b.array.present(newLUN, wwpn1)
	wantFault(t, b.rescan("esx01.lab", ""), "")
	if b.call(http.MethodGet, "/state", "") == before {
		t.Error("the state does not show the new LUN")
	}
	b.array.withdraw(newLUN)
	if answer := b.call(http.MethodPost, "/reset", ""); answer != "{}\n" {
		t.Fatal(answer)
	}
	if b.call(http.MethodGet, "/state", "") != before {
		t.Error("a reset does not lead back to the world file")
	}
}
