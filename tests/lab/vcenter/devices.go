// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

const (
	scsiControllerUnit  = 7 // the SCSI controller's own id on its bus
	maxSCSIControllers  = 4
	unitsOfPVSCSI       = 64
	unitsOfSCSI         = 16
	widePVSCSIHardware  = 14 // virtual hardware version
	defaultDiskShares   = 1000
	unlimitedThroughput = -1
)

// completeDisk fills what a real vCenter always fills and vcsim leaves open.
func completeDisk(disk *types.VirtualDisk) {
	shares := types.SharesInfo{Shares: defaultDiskShares, Level: types.SharesLevelNormal}
	if disk.Shares == nil {
		disk.Shares = &shares
	}
	if disk.StorageIOAllocation == nil {
		disk.StorageIOAllocation = &types.StorageIOAllocationInfo{}
	}
	allocation := disk.StorageIOAllocation
	if allocation.Limit == nil {
		allocation.Limit = types.NewInt64(unlimitedThroughput)
	}
	if allocation.Shares == nil {
		allocation.Shares = &shares
	}
	if allocation.Reservation == nil {
		allocation.Reservation = types.NewInt32(0)
	}
	if disk.DiskObjectId == "" {
		disk.DiskObjectId = fmt.Sprintf("1-%d", disk.Key)
	}
	if disk.NativeUnmanagedLinkedClone == nil {
		disk.NativeUnmanagedLinkedClone = types.NewBool(false)
	}
}

// fillMapping writes into the backing what vCenter reads back from a mapping file and its device (nil: not on this host).
func (l *lab) fillMapping(backing *types.VirtualDiskRawDiskMappingVer1BackingInfo, m mapping, d *device) {
	backing.CompatibilityMode = string(m.mode)
	backing.DeviceName, backing.LunUuid = "", ""
	if d != nil {
		backing.DeviceName, backing.LunUuid = d.vml(), d.uuid()
	}
	if datastore := l.datastoreOf(backing.FileName); datastore != nil {
		backing.Datastore = &datastore.Self
	}
	if backing.Sharing == "" {
		backing.Sharing = string(types.VirtualDiskSharingSharingNone)
	}
	switch {
	case m.mode == types.VirtualDiskCompatibilityModePhysicalMode:
		backing.DiskMode, backing.Uuid = string(types.VirtualDiskModeIndependent_persistent), ""
	case backing.DiskMode == "":
		backing.DiskMode = string(types.VirtualDiskModePersistent)
		fallthrough
	default:
		backing.Uuid = diskUUID(backing.FileName)
		backing.ContentId = strings.ReplaceAll(stableUUID("content/"+backing.FileName), "-", "")
	}
}

// diskUUID has the form that vSphere gives to virtual disks.
func diskUUID(file string) string { return "6000C29" + stableUUID("disk/" + file)[7:] }

func kilobytes(number int64) string {
	digits := strconv.FormatInt(number, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits + " KB"
}

// hardwareVersion is the number of "vmx-20".
func hardwareVersion(version string) int {
	number, _ := strconv.Atoi(strings.TrimPrefix(version, "vmx-"))
	return number
}

// unitsOf is how many units the SCSI controller has on that virtual hardware, its own one included.
func unitsOf(controller types.BaseVirtualDevice, version string) int32 {
	if _, ok := controller.(*types.ParaVirtualSCSIController); ok && hardwareVersion(version) >= widePVSCSIHardware {
		return unitsOfPVSCSI
	}
	return unitsOfSCSI
}
