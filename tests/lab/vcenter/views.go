// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// view is how vCenter shows an object that it, or the account, cannot look into: POST /view, tests/lab/README.md.
// The object itself goes on as it is: a VM that is inaccessible keeps its disks.
type view struct {
	Type string            `json:"type"`
	Name string            `json:"name"`
	Hide []string          `json:"hide"` // property paths, with all below them
	Why  string            `json:"why"`  // type of the fault in missingSet; without it the properties are unset
	Show map[string]string `json:"show"` // property path -> the enumeration's value that is shown instead
}

var viewFaults = map[string]types.BaseMethodFault{
	"NoPermission":     &types.NoPermission{PrivilegeId: "System.Read"},
	"HostNotConnected": &types.HostNotConnected{},
	"SystemError":      &types.SystemError{},
}

func (l *lab) addView(wanted view) error {
	if wanted.Why != "" && viewFaults[wanted.Why] == nil {
		return fmt.Errorf("the fault %q is not known here", wanted.Why)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, known := range l.registry().All(wanted.Type) {
		if entity, ok := known.(mo.Entity); ok && entity.Entity().Name == wanted.Name {
			l.viewMu.Lock()
			defer l.viewMu.Unlock()
			l.views[known.Reference()] = wanted
			return nil
		}
	}
	return fmt.Errorf("there is no %s %q", wanted.Type, wanted.Name)
}

func (l *lab) anyViews() bool {
	l.viewMu.Lock()
	defer l.viewMu.Unlock()
	return len(l.views) > 0
}

func (l *lab) viewOf(ref types.ManagedObjectReference) view {
	l.viewMu.Lock()
	defer l.viewMu.Unlock()
	return l.views[ref]
}

// connected refuses what vCenter cannot pass on to a host, or to a VM, that it is not connected to.
func (l *lab) connected(ref types.ManagedObjectReference) *refusal {
	switch state := l.viewOf(ref).Show["runtime.connectionState"]; {
	case state == "" || state == "connected":
		return nil
	case ref.Type == "HostSystem":
		return &refusal{&types.HostNotConnected{}, "Unable to communicate with the remote host, since it is disconnected."}
	default:
		return &refusal{&types.InvalidState{}, "The operation is not allowed in the current connection state of the virtual machine (" + state + ")."}
	}
}

func (o *overlay) RetrievePropertiesEx(ctx *simulator.Context, req *types.RetrievePropertiesEx) soap.HasFault {
	answer := (&simulator.PropertyCollector{}).RetrievePropertiesEx(ctx, req)
	if body := answer.(*methods.RetrievePropertiesExBody); body.Res != nil && body.Res.Returnval != nil {
		o.overlook(body.Res.Returnval.Objects, pathsAsked(req.SpecSet))
	}
	return answer
}

// RetrieveProperties is the older form, that govmomi and pyvmomi's helpers use.
func (o *overlay) RetrieveProperties(ctx *simulator.Context, req *types.RetrieveProperties) soap.HasFault {
	answer := (&simulator.PropertyCollector{}).RetrieveProperties(ctx, req)
	if body := answer.(*methods.RetrievePropertiesBody); body.Res != nil {
		o.overlook(body.Res.Returnval, pathsAsked(req.SpecSet))
	}
	return answer
}

func (o *overlay) ContinueRetrievePropertiesEx(ctx *simulator.Context, req *types.ContinueRetrievePropertiesEx) soap.HasFault {
	answer := (&simulator.PropertyCollector{}).ContinueRetrievePropertiesEx(ctx, req)
	if body := answer.(*methods.ContinueRetrievePropertiesExBody); body.Res != nil {
		o.overlook(body.Res.Returnval.Objects, nil)
	}
	return answer
}

func pathsAsked(specs []types.PropertyFilterSpec) map[string][]string {
	asked := map[string][]string{}
	for _, spec := range specs {
		for _, set := range spec.PropSet {
			asked[set.Type] = append(asked[set.Type], set.PathSet...)
		}
	}
	return asked
}

// overlook takes from an answer what a view hides. What was asked for and is hidden with a reason is in missingSet.
func (l *lab) overlook(objects []types.ObjectContent, asked map[string][]string) {
	for i := range objects {
		content := &objects[i]
		hidden := l.viewOf(content.Obj)
		paths := slices.Clone(asked[content.Obj.Type])
		for _, property := range content.PropSet {
			if !slices.Contains(paths, property.Name) {
				paths = append(paths, property.Name)
			}
		}
		content.PropSet = slices.DeleteFunc(slices.Clone(content.PropSet), func(p types.DynamicProperty) bool { return hidden.hides(p.Name) })
		for j := range content.PropSet {
			if shown := hidden.Show[content.PropSet[j].Name]; shown != "" {
				content.PropSet[j].Val = reflect.ValueOf(shown).Convert(reflect.TypeOf(content.PropSet[j].Val)).Interface()
			}
		}
		if hidden.Why == "" {
			continue
		}
		for _, path := range paths {
			if hidden.hides(path) {
				content.MissingSet = append(content.MissingSet, types.MissingProperty{
					Path: path, Fault: types.LocalizedMethodFault{Fault: viewFaults[hidden.Why], LocalizedMessage: hidden.Why},
				})
			}
		}
	}
}

func (v view) hides(path string) bool {
	return slices.ContainsFunc(v.Hide, func(hidden string) bool { return path == hidden || strings.HasPrefix(path, hidden+".") })
}
