// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"testing"

	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

func TestOnlyISCSIAdaptersAreAskedForTheirNetworkAdapters(t *testing.T) {
	b := newBench(t)
	manager := *b.host("esx01.lab").ConfigManager.IscsiManager
	for adapter, fault := range map[string]string{"vmhba64": "", "vmhba2": "NotFound", "vmhba99": "NotFound"} {
		_, err := methods.QueryBoundVnics(b.ctx, b.client, &types.QueryBoundVnics{This: manager, IScsiHbaName: adapter})
		wantFault(t, faultOf(t, err), fault)
	}
	if other := *b.host("esx02.lab").ConfigManager.IscsiManager; other == manager {
		t.Errorf("two hosts share %v", manager)
	}
}
