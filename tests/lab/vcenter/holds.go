// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	holdBoot       = "boot"       // the host runs from the LUN: nothing in the API says so
	holdDiagnostic = "diagnostic" // the host keeps its coredumps there: HostConfigInfo.activeDiagnosticPartition
)

// hold is a LUN that a host has for itself: POST /hold, tests/lab/README.md.
type hold struct {
	Host string `json:"host"`
	NAA  string `json:"naa"`
	As   string `json:"as"`
}

func (l *lab) addHold(wanted hold) error {
	if wanted.As != holdBoot && wanted.As != holdDiagnostic {
		return fmt.Errorf("a host has no LUN as %q", wanted.As)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.hosts {
		if h.name == wanted.Host && h.devices[wanted.NAA] != nil {
			h.holds[wanted.NAA] = wanted.As
			h.showHold(l.privateContext(), wanted)
			return nil
		}
	}
	return fmt.Errorf("host %s does not see a LUN %s", wanted.Host, wanted.NAA)
}

func (h *host) showHold(ctx *simulator.Context, wanted hold) {
	if wanted.As != holdDiagnostic {
		return
	}
	ctx.Map.AtomicUpdate(ctx, h.system, []types.PropertyChange{{Name: "config.activeDiagnosticPartition", Val: &types.HostDiagnosticPartition{
		StorageType: string(types.DiagnosticPartitionStorageTypeNetworkAttached), DiagnosticType: string(types.DiagnosticPartitionTypeSingleHost),
		Slots: 1, Id: types.HostScsiDiskPartition{DiskName: naaPrefix + wanted.NAA, Partition: 1},
	}}})
}
