// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// refusal is a fault with the sentence that a client shows.
type refusal struct {
	fault   types.BaseMethodFault
	message string
}

// startTask runs work asynchronously as a task of the entity, under lab.mu. Unlike vcsim's own runner it reports real messages.
func (l *lab) startTask(ctx *simulator.Context, entity mo.Reference, name string, work func() (types.AnyType, *refusal)) types.ManagedObjectReference {
	task := simulator.CreateTask(entity, name, nil)
	l.registry().Put(task)
	ref := task.Self
	ctx.Map.AtomicUpdate(ctx, task, []types.PropertyChange{
		{Name: "info.key", Val: ref.Value},
		{Name: "info.task", Val: ref},
		{Name: "info.startTime", Val: time.Now()},
		{Name: "info.state", Val: types.TaskInfoStateRunning},
	})
	injected := l.faults.takeTaskError()
	go func() {
		var result types.AnyType
		var failed *refusal
		if injected != nil {
			failed = &refusal{newFault(injected), injected.Message}
		} else {
			result, failed = l.exclusively(work)
		}
		changes := []types.PropertyChange{{Name: "info.completeTime", Val: time.Now()}}
		if failed == nil {
			changes = append(changes,
				types.PropertyChange{Name: "info.result", Val: result},
				types.PropertyChange{Name: "info.state", Val: types.TaskInfoStateSuccess})
		} else {
			changes = append(changes,
				types.PropertyChange{Name: "info.error", Val: types.LocalizedMethodFault{Fault: failed.fault, LocalizedMessage: failed.message}},
				types.PropertyChange{Name: "info.state", Val: types.TaskInfoStateError})
		}
		ctx.Map.AtomicUpdate(ctx, task, changes)
	}()
	return ref
}

func (l *lab) exclusively(work func() (types.AnyType, *refusal)) (types.AnyType, *refusal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return work()
}
