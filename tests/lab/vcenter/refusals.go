// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"

	"github.com/vmware/govmomi/vim25/types"
)

// The faults with which a vCenter refuses a device change. index is the position of the device in the spec.

func invalidSpec(index int, property, reason string) *refusal {
	return &refusal{&types.InvalidDeviceSpec{InvalidVmConfig: types.InvalidVmConfig{Property: property}, DeviceIndex: int32(index)},
		fmt.Sprintf("Invalid configuration for device '%d': %s.", index, reason)}
}

func invalidBacking(index int, reason string) *refusal {
	spec := types.InvalidDeviceSpec{
		InvalidVmConfig: types.InvalidVmConfig{Property: fmt.Sprintf("virtualDeviceSpec(%d).device.backing", index)}, DeviceIndex: int32(index),
	}
	return &refusal{&types.InvalidDeviceBacking{InvalidDeviceSpec: spec},
		fmt.Sprintf("Incompatible device backing specified for device '%d': %s.", index, reason)}
}

func invalidController(index int, key int32) *refusal {
	return &refusal{&types.InvalidController{InvalidDeviceSpec: types.InvalidDeviceSpec{DeviceIndex: int32(index)}, ControllerKey: key},
		fmt.Sprintf("Invalid configuration for device '%d': there is no disk controller with key %d.", index, key)}
}

func invalidOperation(index int, operation types.VirtualDeviceConfigSpecOperation, file types.VirtualDeviceConfigSpecFileOperation, reason string) *refusal {
	return &refusal{
		&types.InvalidDeviceOperation{
			InvalidDeviceSpec: types.InvalidDeviceSpec{DeviceIndex: int32(index)}, BadOp: operation, BadFileOp: file,
		},
		fmt.Sprintf("Invalid operation for device '%d': %s.", index, reason),
	}
}

func poweredOnRefusal(reason string) *refusal {
	return &refusal{
		&types.InvalidPowerState{RequestedState: types.VirtualMachinePowerStatePoweredOff, ExistingState: types.VirtualMachinePowerStatePoweredOn},
		"The attempted operation cannot be performed in the current state (Powered on): " + reason + ".",
	}
}

func invalidDatastore(name string) *refusal {
	return &refusal{&types.InvalidDatastore{Name: name}, fmt.Sprintf("Invalid datastore '%s'.", name)}
}

func fileNotFound(file string) *refusal {
	return &refusal{&types.FileNotFound{FileFault: types.FileFault{File: file}}, "File " + file + " was not found"}
}

func fileLocked(file string) *refusal {
	return &refusal{&types.FileLocked{FileFault: types.FileFault{File: file}}, "Unable to access file " + file + " since it is locked"}
}
