// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

const devicesDirectory = "/vmfs/devices/disks/"

// newMapping is a mapping file that a checked spec will create.
type newMapping struct {
	mapping
	file object.DatastorePath
}

// modesOfVirtual are the disk modes that ESXi supports; undoable and append are of older products.
var modesOfVirtual = []string{
	string(types.VirtualDiskModePersistent), string(types.VirtualDiskModeNonpersistent),
	string(types.VirtualDiskModeIndependent_persistent), string(types.VirtualDiskModeIndependent_nonpersistent),
}

func (c *change) addMapping(
	index int, d *types.VirtualDeviceConfigSpec, disk *types.VirtualDisk, backing *types.VirtualDiskRawDiskMappingVer1BackingInfo,
) *refusal {
	switch d.FileOperation {
	case types.VirtualDeviceConfigSpecFileOperationCreate:
		d.FileOperation = "" // the file exists when vcsim gets the spec
		return c.createMapping(index, disk, backing)
	case "":
		return c.reuseMapping(index, disk, backing)
	default:
		return invalidOperation(index, d.Operation, d.FileOperation, "a raw device mapping can only be created or reused")
	}
}

// createMapping checks a new mapping of a LUN and chooses its file.
func (c *change) createMapping(index int, disk *types.VirtualDisk, backing *types.VirtualDiskRawDiskMappingVer1BackingInfo) *refusal {
	m := mapping{mode: types.VirtualDiskCompatibilityMode(backing.CompatibilityMode)}
	if createTypes[m.mode] == "" {
		return invalidSpec(index, "backing.compatibilityMode", "a new raw device mapping needs physicalMode or virtualMode")
	}
	lun, refused := c.lun(index, backing)
	if refused != nil {
		return refused
	}
	m.naa, m.size = lun.NAA, lun.Size
	if refused := c.checkUnmapped(index, lun); refused != nil {
		return refused
	}
	if refused := checkCapacity(index, disk, m); refused != nil {
		return refused
	}
	if refused := checkModes(index, backing, m.mode); refused != nil {
		return refused
	}
	file, refused := c.mappingFile(index, backing)
	if refused != nil {
		return refused
	}
	backing.FileName = file.String()
	c.created = append(c.created, newMapping{m, file})
	c.completeMapping(disk, backing, m, lun)
	return nil
}

// reuseMapping checks a disk on a mapping file that exists already, its own or another VM's.
func (c *change) reuseMapping(index int, disk *types.VirtualDisk, backing *types.VirtualDiskRawDiskMappingVer1BackingInfo) *refusal {
	if _, refused := c.datastore(backing.FileName, backing.Datastore); refused != nil {
		return refused
	}
	m, ok := c.readMapping(backing.FileName)
	if !ok {
		return fileNotFound(backing.FileName)
	}
	if backing.CompatibilityMode != "" && backing.CompatibilityMode != string(m.mode) {
		return invalidSpec(index, "backing.compatibilityMode", "the mapping file is of another compatibility mode")
	}
	if backing.DeviceName == "" {
		backing.DeviceName = devicesDirectory + naaPrefix + m.naa
	}
	lun, refused := c.lun(index, backing)
	if refused != nil {
		return refused
	}
	if lun.NAA != m.naa {
		return invalidBacking(index, "the mapping file maps another LUN")
	}
	if refused := checkModes(index, backing, m.mode); refused != nil {
		return refused
	}
	if refused := checkCapacity(index, disk, m); refused != nil {
		return refused
	}
	if refused := c.checkSharing(index, disk, backing, m); refused != nil {
		return refused
	}
	c.completeMapping(disk, backing, m, lun)
	return nil
}

func (c *change) completeMapping(disk *types.VirtualDisk, backing *types.VirtualDiskRawDiskMappingVer1BackingInfo, m mapping, lun *device) {
	c.fillMapping(backing, m, lun)
	disk.CapacityInBytes, disk.CapacityInKB = m.size, m.size/1024
}

// lun finds the device that the backing names on the VM's host. It must be a whole, healthy SAN LUN without VMFS.
func (c *change) lun(index int, backing *types.VirtualDiskRawDiskMappingVer1BackingInfo) (*device, *refusal) {
	name := strings.TrimPrefix(backing.DeviceName, devicesDirectory)
	if name == "" {
		return nil, invalidBacking(index, "no device is named")
	}
	for _, d := range c.host.devices {
		if name != d.canonicalName() && name != d.vml() {
			continue
		}
		switch {
		case c.host.state(d) != types.ScsiLunStateOk:
			return nil, invalidBacking(index, fmt.Sprintf("the device %s is %s on %s", d.canonicalName(), c.host.state(d), c.host.name))
		case c.extents[d.canonicalName()] != "":
			return nil, invalidBacking(index, fmt.Sprintf("the device %s carries the datastore %s", d.canonicalName(), c.extents[d.canonicalName()]))
		case backing.LunUuid != "" && backing.LunUuid != d.uuid():
			return nil, invalidBacking(index, "lunUuid is of another LUN than deviceName")
		}
		return d, nil
	}
	return nil, invalidBacking(index, fmt.Sprintf("the host %s has no such LUN: %s", c.host.name, backing.DeviceName))
}

// otherUses are the disks on the LUN that stay when this spec is carried out.
func (c *change) otherUses(naa string) []mappingUse {
	return slices.DeleteFunc(c.mappingUses(c.ctx, naa), func(use mappingUse) bool {
		return use.vm == c.vm && slices.Contains(c.released, use.key)
	})
}

// checkUnmapped refuses a second mapping file of one LUN: VMs that share a LUN must share its mapping file.
func (c *change) checkUnmapped(index int, lun *device) *refusal {
	for _, use := range c.otherUses(lun.NAA) {
		return invalidBacking(index, fmt.Sprintf("the LUN %s is mapped by %s of VM %s", lun.canonicalName(), use.file, use.vm.Name))
	}
	for _, created := range c.created {
		if created.naa == lun.NAA {
			return invalidBacking(index, fmt.Sprintf("the LUN %s is mapped twice", lun.canonicalName()))
		}
	}
	return nil
}

// checkSharing lets several disks use one mapping file only when all of them share it.
func (c *change) checkSharing(index int, disk *types.VirtualDisk, backing *types.VirtualDiskRawDiskMappingVer1BackingInfo, m mapping) *refusal {
	mine := mappingUse{
		shared: backing.Sharing == string(types.VirtualDiskSharingSharingMultiWriter), sharedBus: sharesBus(c.devices, disk.ControllerKey),
	}
	for _, use := range c.otherUses(m.naa) {
		switch {
		case use.file != backing.FileName:
			return invalidBacking(index, fmt.Sprintf("the LUN is mapped by another file, %s of VM %s", use.file, use.vm.Name))
		case use.vm == c.vm:
			return invalidBacking(index, "the virtual machine has this disk already")
		case !alike(mine, use):
			return fileLocked(backing.FileName)
		}
	}
	for _, other := range c.devices {
		if d, ok := other.(*types.VirtualDisk); ok && d != disk {
			if b, ok := d.Backing.(*types.VirtualDiskRawDiskMappingVer1BackingInfo); ok && b.FileName == backing.FileName {
				return invalidBacking(index, "the virtual machine has this disk already")
			}
		}
	}
	return nil
}

// checkCapacity refuses a capacity that is given and is not the LUN's, and a LUN that is too large for the mode.
func checkCapacity(index int, disk *types.VirtualDisk, m mapping) *refusal {
	const property = "capacityInBytes"
	if disk.CapacityInBytes != 0 && disk.CapacityInBytes != m.size || disk.CapacityInKB != 0 && disk.CapacityInKB != m.size/1024 {
		return invalidSpec(index, property, fmt.Sprintf("the capacity of the LUN is %d bytes", m.size))
	}
	limit := int64(maxVirtualRDM)
	if m.mode == types.VirtualDiskCompatibilityModePhysicalMode {
		limit = maxPhysicalRDM
	}
	if m.size > limit {
		return invalidBacking(index, fmt.Sprintf("the LUN is larger than the %d bytes that a mapping in %s can have", limit, m.mode))
	}
	return nil
}

// checkModes refuses what the compatibility mode does not allow: disk modes exist in virtual compatibility only.
func checkModes(index int, backing *types.VirtualDiskRawDiskMappingVer1BackingInfo, mode types.VirtualDiskCompatibilityMode) *refusal {
	allowed := modesOfVirtual
	if mode == types.VirtualDiskCompatibilityModePhysicalMode {
		allowed = []string{string(types.VirtualDiskModeIndependent_persistent)}
	}
	if backing.DiskMode != "" && !slices.Contains(allowed, backing.DiskMode) {
		return invalidSpec(index, "backing.diskMode", fmt.Sprintf("disk mode %q is not supported in %s", backing.DiskMode, mode))
	}
	if backing.Sharing != "" && !slices.Contains(types.VirtualDiskSharing("").Strings(), backing.Sharing) {
		return invalidSpec(index, "backing.sharing", fmt.Sprintf("%q is no sharing", backing.Sharing))
	}
	return nil
}

// mappingFile is the file that a new mapping will be: as named, or the next free one in the VM's directory.
func (c *change) mappingFile(index int, backing *types.VirtualDiskRawDiskMappingVer1BackingInfo) (file object.DatastorePath, refused *refusal) {
	ds, refused := c.datastore(backing.FileName, backing.Datastore)
	if refused != nil {
		return file, refused
	}
	if backing.Datastore != nil && *backing.Datastore != ds.Self {
		return file, invalidSpec(index, "backing.datastore", "datastore and fileName name different datastores")
	}
	if !ds.Capability.RawDiskMappingsSupported {
		return file, &refusal{
			&types.RDMNotSupportedOnDatastore{Device: c.nextLabel(), Datastore: ds.Self, DatastoreName: ds.Name},
			fmt.Sprintf("Virtual disk '%s' is a mapped direct-access LUN, and its mapping file cannot lie on the datastore '%s'.", c.nextLabel(), ds.Name),
		}
	}
	file.FromString(backing.FileName)
	if file.Path == "" {
		return c.freeMappingFile(ds), nil
	}
	directory := object.DatastorePath{Datastore: file.Datastore, Path: path.Dir(file.Path)}
	switch {
	case path.Ext(file.Path) != ".vmdk":
		return file, invalidSpec(index, "backing.fileName", "the name of a disk file ends in .vmdk")
	case !c.fileExists(directory.String()):
		return file, fileNotFound(directory.String())
	case c.fileExists(file.String()) || c.willCreate(file):
		return file, &refusal{&types.FileAlreadyExists{FileFault: types.FileFault{File: file.String()}}, "Cannot complete the operation because the file " + file.String() + " already exists."}
	}
	return file, nil
}

func (c *change) freeMappingFile(ds *simulator.Datastore) object.DatastorePath {
	var home object.DatastorePath
	home.FromString(c.vm.Config.Files.VmPathName)
	directory := path.Dir(home.Path)
	if ds.Name != home.Datastore {
		directory = c.vm.Name
	}
	file := object.DatastorePath{Datastore: ds.Name, Path: path.Join(directory, c.vm.Name+".vmdk")}
	for n := 1; c.fileExists(file.String()) || c.willCreate(file); n++ {
		file.Path = path.Join(directory, fmt.Sprintf("%s_%d.vmdk", c.vm.Name, n))
	}
	return file
}

func (c *change) willCreate(file object.DatastorePath) bool {
	return slices.ContainsFunc(c.created, func(m newMapping) bool { return m.file == file })
}

func (c *change) writeMappings() *refusal {
	for _, created := range c.created {
		if _, err := c.ensureDirectory(created.file.Datastore, path.Dir(created.file.Path)); err != nil {
			return &refusal{&types.CannotCreateFile{FileFault: types.FileFault{File: created.file.String()}}, err.Error()}
		}
		if err := c.writeMapping(created.file, created.mapping); err != nil {
			c.removeMappings()
			return &refusal{&types.CannotCreateFile{FileFault: types.FileFault{File: created.file.String()}}, err.Error()}
		}
	}
	return nil
}

func (c *change) removeMappings() {
	for _, created := range c.created {
		_ = c.removeMapping(created.file.String(), created.mapping)
	}
}

// editMapping checks the changes to a mapping: its LUN, file, size and compatibility mode stay as they are.
func (c *change) editMapping(index int, existing, merged *types.VirtualDisk, backing *types.VirtualDiskRawDiskMappingVer1BackingInfo) *refusal {
	wanted, ok := merged.Backing.(*types.VirtualDiskRawDiskMappingVer1BackingInfo)
	if !ok {
		return invalidBacking(index, "a raw device mapping cannot become another kind of disk")
	}
	m, known := c.readMapping(backing.FileName)
	if !known {
		return fileNotFound(backing.FileName)
	}
	if wanted.CompatibilityMode != "" && wanted.CompatibilityMode != backing.CompatibilityMode {
		return invalidOperation(index, types.VirtualDeviceConfigSpecOperationEdit, "", "the compatibility mode of a raw device mapping cannot be changed")
	}
	if differs(wanted.FileName, backing.FileName) || differs(wanted.LunUuid, backing.LunUuid) || differs(wanted.DeviceName, backing.DeviceName) {
		return invalidBacking(index, "the LUN and the file of a raw device mapping cannot be changed")
	}
	if merged.CapacityInBytes != 0 && merged.CapacityInBytes != existing.CapacityInBytes || merged.CapacityInKB != 0 && merged.CapacityInKB != existing.CapacityInKB {
		return invalidOperation(index, types.VirtualDeviceConfigSpecOperationEdit, "", "the capacity of a raw device mapping is its LUN's")
	}
	if refused := checkModes(index, wanted, m.mode); refused != nil {
		return refused
	}
	if c.poweredOn() && (differs(wanted.Sharing, backing.Sharing) || differs(wanted.DiskMode, backing.DiskMode)) {
		return poweredOnRefusal("sharing and mode of a disk cannot be changed")
	}
	changed := copyOf(backing)
	if wanted.Sharing != "" {
		changed.Sharing = wanted.Sharing
	}
	if wanted.DiskMode != "" {
		changed.DiskMode = wanted.DiskMode
	}
	merged.Backing = changed
	merged.CapacityInBytes, merged.CapacityInKB = existing.CapacityInBytes, existing.CapacityInKB
	return nil
}

func differs(wanted, existing string) bool { return wanted != "" && wanted != existing }

// correctLayout corrects the file layout: vcsim gives every disk a -flat extent, a mapping has a pointer file instead;
// files that were destroyed after vcsim listed them are gone.
func (c *change) correctLayout() {
	layout := c.vm.LayoutEx
	layout.File = slices.DeleteFunc(layout.File, func(f types.VirtualMachineFileLayoutExFileInfo) bool {
		return slices.ContainsFunc(c.destroyed, func(file string) bool { return strings.HasPrefix(f.Name, strings.TrimSuffix(file, ".vmdk")) }) &&
			!c.fileExists(f.Name)
	})
	for _, use := range c.usesOf(c.vm) {
		m, _ := c.readMapping(use.file)
		base := strings.TrimSuffix(use.file, ".vmdk")
		pointer := base + m.extentSuffix()
		layout.File = slices.DeleteFunc(layout.File, func(f types.VirtualMachineFileLayoutExFileInfo) bool { return f.Name == pointer })
		for i := range layout.File {
			if layout.File[i].Name == base+"-flat.vmdk" {
				layout.File[i].Name, layout.File[i].Type = pointer, string(types.VirtualMachineFileLayoutExFileTypeDiskExtent)
			}
		}
	}
}
