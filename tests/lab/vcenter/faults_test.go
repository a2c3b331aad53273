// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

func (b *bench) currentTime() error {
	_, err := methods.GetCurrentTime(b.ctx, b.client)
	return err
}

func TestWrongPasswordIsRefused(t *testing.T) {
	b := newBench(t)
	_, err := b.tryLogin("guess")
	wantFault(t, faultOf(t, err), "InvalidLogin")
}

func TestRequestsAreNamedAndCounted(t *testing.T) {
	b := newBench(t)
	b.call(http.MethodDelete, "/requests", "")
	if err := b.currentTime(); err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Total    int
		Requests []journalEntry
	}
	if err := json.Unmarshal([]byte(b.call(http.MethodGet, "/requests", "")), &answer); err != nil {
		t.Fatal(err)
	}
	if answer.Total != 1 || answer.Requests[0] != (journalEntry{1, "CurrentTime", "/sdk", http.StatusOK}) {
		t.Errorf("%+v", answer)
	}
}

func TestInjectedFaults(t *testing.T) {
	b := newBench(t)
	inject := func(rule string) {
		t.Helper()
		if answer := b.call(http.MethodPost, "/faults", rule); answer != "{}\n" {
			t.Fatal(answer)
		}
	}
	inject(`{"call": 2, "action": {"error": {"code": "HostConfigFault", "message": "<broken>"}}}`)
	if err := b.currentTime(); err != nil {
		t.Errorf("the first call: %v", err)
	}
	err := b.currentTime()
	wantFault(t, faultOf(t, err), "HostConfigFault")
	if !strings.Contains(err.Error(), "<broken>") {
		t.Errorf("message: %v", err)
	}
	inject(`{"match": "^CurrentTime /sdk", "times": 2, "action": {"status": 503, "body": "busy"}}`)
	for range 2 {
		if err := b.currentTime(); err == nil || !strings.Contains(err.Error(), "503") {
			t.Errorf("status: %v", err)
		}
	}
	if err := b.currentTime(); err != nil {
		t.Errorf("after the last time: %v", err)
	}
	inject(`{"match": "CurrentTime", "action": {"drop": "before"}}`)
	if b.currentTime() == nil {
		t.Error("the connection was not dropped")
	}
	inject(`{"match": "CurrentTime", "action": {"delay": 0.2}}`)
	started := time.Now()
	if err := b.currentTime(); err != nil || time.Since(started) < 200*time.Millisecond {
		t.Errorf("delay: %v after %s", err, time.Since(started))
	}
	inject(`{"match": "CurrentTime", "action": {"drop": "after"}}`)
	b.call(http.MethodDelete, "/faults", "")
	if err := b.currentTime(); err != nil {
		t.Errorf("after the faults were forgotten: %v", err)
	}
}

func TestDropAfterTheChangeIsMade(t *testing.T) {
	b := newBench(t)
	b.array.present(newLUN, wwpn1)
	b.call(http.MethodPost, "/faults", `{"match": "RescanAllHba", "action": {"drop": "after"}}`)
	storage := b.storage("esx01.lab")
	if _, err := methods.RescanAllHba(b.ctx, b.client, rescanAll(storage)); err == nil {
		t.Error("the connection was not dropped")
	}
	if b.disk("esx01.lab", newLUN) == nil {
		t.Error("the rescan was not carried out")
	}
}

func TestInjectedTaskError(t *testing.T) {
	b := newRDMBench(t)
	b.call(http.MethodPost, "/faults", `{"match": "ReconfigVM_Task", "action": {"task_error": {"code": "GenericVmConfigFault", "message": "no"}}}`)
	wantFault(t, b.reconfigure("app01", changes(plain().spec())), "GenericVmConfigFault")
	wantFault(t, b.reconfigure("app01", changes(plain().spec())), "")
}

func TestSenselessFaultsAreRefused(t *testing.T) {
	b := newBench(t)
	for _, rule := range []string{
		`{"action": {"status": 503}}`, `{"call": 1, "match": "x", "action": {"status": 503}}`, `{"call": 1}`, `{"call": 1, "action": {"drop": "sometime"}}`,
		`{"match": "(", "action": {"status": 503}}`, `{"call": 1, "action": {"error": {"code": "NoSuchFault"}}}`, `{"call": 1, "acton": {}}`,
	} {
		if answer := b.call(http.MethodPost, "/faults", rule); !strings.HasPrefix(answer, "400") {
			t.Errorf("%s was accepted: %s", rule, answer)
		}
	}
}

func rescanAll(storage types.ManagedObjectReference) *types.RescanAllHba {
	return &types.RescanAllHba{This: storage}
}
