// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import "fmt"

// link is the cable of an adapter: POST /link, tests/lab/README.md.
type link struct {
	Host    string   `json:"host"`
	Adapter string   `json:"adapter"`
	Up      bool     `json:"up"`
	Words   []string `json:"words"` // operationalState of a device that keeps some of its paths; "ok", "degraded" if not given
}

func (l *lab) setLink(wanted link) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.hosts {
		for _, a := range h.adapters {
			if h.name == wanted.Host && a.Device == wanted.Adapter {
				h.setLink(a, wanted)
				h.publish(l.privateContext())
				l.remount(l.privateContext(), h)
				return nil
			}
		}
	}
	return fmt.Errorf("there is no adapter %s on host %s", wanted.Adapter, wanted.Host)
}

func (h *host) setLink(a *adapter, wanted link) {
	a.linkDown = !wanted.Up
	if len(wanted.Words) > 0 {
		h.degraded = wanted.Words
	}
	for _, d := range h.sortedDevices() {
		for i := range d.paths {
			if d.paths[i].adapter == a {
				d.paths[i].alive = wanted.Up
			}
		}
		if !d.reachable() {
			h.logLoss(d, "the last path is down")
		}
	}
}
