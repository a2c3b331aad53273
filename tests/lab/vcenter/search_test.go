// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"testing"

	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

func TestSearchByUUIDPassesOverTheOverlay(t *testing.T) {
	b := newBench(t)
	for _, vmSearch := range []bool{true, false} {
		// A search for what nobody has looks at everything that is registered.
		request := types.FindByUuid{This: *b.client.ServiceContent.SearchIndex, Uuid: "00000000-0000-0000-0000-000000000000", VmSearch: vmSearch}
		answer, err := methods.FindByUuid(b.ctx, b.client, &request)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Returnval != nil {
			t.Errorf("found %v by a UUID that nobody has", answer.Returnval)
		}
	}
}
