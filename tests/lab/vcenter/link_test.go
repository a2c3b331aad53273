// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"slices"
	"testing"

	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

func (b *bench) link(wanted link) {
	b.t.Helper()
	lab, _ := b.server.current()
	if err := lab.setLink(wanted); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) words(lun presentation) []string {
	b.t.Helper()
	return b.disk("esx01.lab", lun).OperationalState
}

func TestADeviceThatLosesSomeOfItsPathsIsDegradedAndWorks(t *testing.T) {
	b := newBench(t)
	b.link(link{Host: "esx01.lab", Adapter: "vmhba2"})
	if words := b.words(usedLUN); !slices.Equal(words, []string{"ok", "degraded"}) {
		t.Errorf("it is %v", words)
	}
	b.link(link{Host: "esx01.lab", Adapter: "vmhba2", Words: []string{"degraded"}})
	b.array.present(newLUN, wwpn1, iqn1)
	if _, err := methods.RescanAllHba(b.ctx, b.client, &types.RescanAllHba{This: *b.host("esx01.lab").ConfigManager.StorageSystem}); err != nil {
		t.Fatal(err)
	}
	if words := b.words(usedLUN); !slices.Equal(words, []string{"degraded"}) {
		t.Errorf("after a rescan it is %v", words)
	}
	if words := b.words(newLUN); !slices.Equal(words, []string{"ok"}) {
		t.Errorf("a device whose other path was never seen is %v", words)
	}
	b.link(link{Host: "esx01.lab", Adapter: "vmhba2", Up: true})
	if words := b.words(usedLUN); !slices.Equal(words, []string{"ok"}) {
		t.Errorf("with all paths it is %v", words)
	}
}

func TestADeviceThatLosesItsLastPathIsLostAndANewOneIsNotFound(t *testing.T) {
	b := newBench(t)
	b.link(link{Host: "esx01.lab", Adapter: "vmhba2"})
	b.link(link{Host: "esx01.lab", Adapter: "vmhba64"})
	if words := b.words(usedLUN); !slices.Equal(words, []string{"lostCommunication"}) {
		t.Errorf("it is %v", words)
	}
	b.array.present(newLUN, wwpn1, iqn1)
	if _, err := methods.RescanAllHba(b.ctx, b.client, &types.RescanAllHba{This: *b.host("esx01.lab").ConfigManager.StorageSystem}); err != nil {
		t.Fatal(err)
	}
	if b.disk("esx01.lab", newLUN) != nil {
		t.Error("a device was found without a path")
	}
	lab, _ := b.server.current()
	if lab.setLink(link{Host: "esx01.lab", Adapter: "vmhba9"}) == nil {
		t.Error("an adapter that is not there was taken")
	}
}
