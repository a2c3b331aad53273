// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"slices"
	"sort"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// host is what the lab adds to a HostSystem: its adapters and the SAN devices that it has found. lab.mu guards it.
type host struct {
	name      string
	system    *simulator.HostSystem
	storage   *simulator.HostStorageSystem
	adapters  []*adapter
	localDisk string             // canonical name
	devices   map[string]*device // by NAA
	detached  map[string]string  // NAA -> UUID of the devices switched off with DetachScsiLun, also after they are gone
	holds     map[string]string  // NAA -> what the host itself has it for: "boot" or "diagnostic"
	degraded  []string           // how it calls a device that has lost some of its paths
	losses    []loss
}

type adapter struct {
	worldHBA
	key      string
	linkDown bool
}

// initiator is the name that the array knows the adapter by; "" for adapters that are no initiators.
func (a *adapter) initiator() string {
	if a.WWPN != "" {
		return a.WWPN
	}
	return a.IQN
}

func (a *adapter) isISCSI() bool { return a.Kind == kindSoftwareISCSI || a.Kind == kindHardwareISCSI }

// device is a SAN disk as the host last saw it.
type device struct {
	presentation
	paths      []lunPath
	lossLogged bool
}

type lunPath struct {
	adapter *adapter
	port    targetPort
	lun     int32
	alive   bool
}

// loss is an all-paths-down event that a real ESXi would have logged.
type loss struct {
	Host   string `json:"host"`
	NAA    string `json:"naa"`
	Reason string `json:"reason"`
}

func (d *device) canonicalName() string { return naaPrefix + d.NAA }

func (d *device) uuid() string { return lunUUID(d.NAA, d.Model) }

func (d *device) vml() string { return vmlName(d.NAA, d.Model, d.LUN) }

func (d *device) reachable() bool {
	return slices.ContainsFunc(d.paths, func(p lunPath) bool { return p.alive })
}

// words are the device's ScsiLun.operationalState on this host: all of them count, and which is first is up to the host.
func (h *host) words(d *device) []string {
	dead := slices.ContainsFunc(d.paths, func(p lunPath) bool { return !p.alive })
	if state := h.state(d); state != types.ScsiLunStateOk || !dead {
		return []string{string(state)}
	}
	return h.degraded
}

// state is the first word of the device's ScsiLun.operationalState on this host.
func (h *host) state(d *device) types.ScsiLunState {
	switch {
	case h.detached[d.NAA] != "":
		return types.ScsiLunStateOff
	case !d.reachable():
		return types.ScsiLunStateLostCommunication
	default:
		return types.ScsiLunStateOk
	}
}

// sortedDevices are the host's SAN disks in the order of their names.
func (h *host) sortedDevices() []*device {
	devices := make([]*device, 0, len(h.devices))
	for _, d := range h.devices {
		devices = append(devices, d)
	}
	sort.Slice(devices, func(i, j int) bool { return devices[i].NAA < devices[j].NAA })
	return devices
}

// find returns the device of that UUID, or nil.
func (h *host) find(uuid string) *device {
	for _, d := range h.devices {
		if d.uuid() == uuid {
			return d
		}
	}
	return nil
}

// scanners are the adapters that look for LUNs in a rescan: all, or the one of that name.
func (h *host) scanners(device string) []*adapter {
	var found []*adapter
	for _, a := range h.adapters {
		if a.initiator() != "" && (device == "" || a.Device == device) {
			found = append(found, a)
		}
	}
	return found
}

// scan asks the array what these adapters see now.
func (h *host) scan(ctx context.Context, f fabric, adapters []*adapter) ([]presentation, error) {
	var initiators []string
	for _, a := range adapters {
		if a.Status != "offline" {
			initiators = append(initiators, a.initiator())
		}
	}
	return f.presented(ctx, initiators)
}

// absorb brings the device list in line with what a rescan of these adapters found.
func (h *host) absorb(adapters []*adapter, rows []presentation) {
	seen := map[string][]lunPath{}
	for _, row := range rows {
		paths := pathsOf(adapters, row)
		d := h.devices[row.NAA]
		if len(paths) == 0 || d == nil && !slices.ContainsFunc(paths, func(p lunPath) bool { return p.alive }) {
			continue
		}
		seen[row.NAA] = append(seen[row.NAA], paths...)
		if d == nil {
			d = &device{}
			h.devices[row.NAA] = d
		}
		d.presentation = row
		d.lossLogged = false
	}
	for naa, d := range h.devices {
		alive := slices.DeleteFunc(slices.Clone(d.paths), func(p lunPath) bool { return !p.alive || slices.Contains(adapters, p.adapter) })
		alive = append(alive, seen[naa]...)
		if slices.ContainsFunc(alive, func(p lunPath) bool { return p.alive }) {
			d.paths = alive
			continue
		}
		h.lose(d)
	}
}

// lose handles a device whose last path is gone: one that was detached first leaves silently, any other is an all-paths-down.
func (h *host) lose(d *device) {
	if h.detached[d.NAA] != "" {
		delete(h.devices, d.NAA)
		return
	}
	for i := range d.paths {
		d.paths[i].alive = false
	}
	h.logLoss(d, "the array no longer presents the LUN and the device was not detached first")
}

func (h *host) logLoss(d *device, reason string) {
	if d.lossLogged {
		return
	}
	d.lossLogged = true
	h.losses = append(h.losses, loss{h.name, d.NAA, reason})
}

// notice logs the losses that the host would see by itself, without a rescan, when the array presents these rows.
func (h *host) notice(rows []presentation) {
	presented := map[string]bool{}
	for _, row := range rows {
		presented[row.NAA] = true
	}
	for _, d := range h.sortedDevices() {
		if !presented[d.NAA] && h.state(d) == types.ScsiLunStateOk {
			h.logLoss(d, "the array withdrew the LUN while the device was attached")
		}
	}
}

// pathsOf are the paths on which one presented LUN is reached: FC by every FC port, iSCSI only after discovery of the portal.
func pathsOf(adapters []*adapter, row presentation) []lunPath {
	var paths []lunPath
	for _, a := range adapters {
		if !strings.EqualFold(a.initiator(), row.Initiator) {
			continue
		}
		for _, port := range row.Ports {
			if a.reaches(port, row.Ports) {
				paths = append(paths, lunPath{a, port, row.LUN, !a.linkDown})
			}
		}
	}
	return paths
}

func (a *adapter) reaches(port targetPort, all []targetPort) bool {
	if !a.isISCSI() {
		return port.Kind == "fc"
	}
	return port.Kind == "iscsi" && slices.ContainsFunc(all, func(p targetPort) bool { return p.IQN == port.IQN && a.discovers(p) })
}

// discovers tells whether SendTargets at one of the configured addresses leads to this portal.
func (a *adapter) discovers(port targetPort) bool {
	return slices.ContainsFunc(a.Targets, func(t worldTarget) bool { return t.Address == port.Address && t.Port == port.Port })
}
