// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"
)

const sectorSize = 512

// A mapping file is a descriptor whose extent is of type VMFSRDM, and a pointer file that names the LUN.
const mappingDescriptor = `# Disk DescriptorFile
version=1
encoding="UTF-8"
CID=fffffffe
parentCID=ffffffff
createType="%s"

# Extent description
RW %d VMFSRDM "%s"

# The Disk Data Base
#DDB

ddb.adapterType = "lsilogic"
ddb.virtualHWVersion = "20"
`

const imageDescriptor = `# Disk DescriptorFile
version=1
encoding="UTF-8"
CID=fffffffe
parentCID=ffffffff
createType="vmfs"

# Extent description
RW %d VMFS "%s"

# The Disk Data Base
#DDB

ddb.adapterType = "lsilogic"
ddb.thinProvisioned = "1"
ddb.virtualHWVersion = "20"
`

// mapping is the content of a mapping file.
type mapping struct {
	naa  string
	mode types.VirtualDiskCompatibilityMode
	size int64
}

var createTypes = map[types.VirtualDiskCompatibilityMode]string{
	types.VirtualDiskCompatibilityModePhysicalMode: "vmfsPassthroughRawDeviceMap",
	types.VirtualDiskCompatibilityModeVirtualMode:  "vmfsRawDeviceMap",
}

// extentSuffix is how the pointer file's name ends: -rdmp for physical, -rdm for virtual compatibility.
func (m mapping) extentSuffix() string {
	if m.mode == types.VirtualDiskCompatibilityModePhysicalMode {
		return "-rdmp.vmdk"
	}
	return "-rdm.vmdk"
}

func (l *lab) writeMapping(file object.DatastorePath, m mapping) error {
	descriptor, ok := l.filePath(file.String())
	if !ok {
		return fmt.Errorf("there is no datastore %s", file.Datastore)
	}
	extent := strings.TrimSuffix(descriptor, ".vmdk") + m.extentSuffix()
	if err := os.WriteFile(extent, []byte(fmt.Sprintf("%s %d\n", m.naa, m.size)), 0o600); err != nil {
		return err
	}
	text := fmt.Sprintf(mappingDescriptor, createTypes[m.mode], m.size/sectorSize, path.Base(extent))
	return os.WriteFile(descriptor, []byte(text), 0o600)
}

// readMapping returns what the mapping file of that datastore path maps; ok is false when there is no such mapping file.
func (l *lab) readMapping(datastorePath string) (m mapping, ok bool) {
	descriptor, known := l.filePath(datastorePath)
	if !known {
		return m, false
	}
	text, err := os.ReadFile(descriptor)
	if err != nil {
		return m, false
	}
	for mode, createType := range createTypes {
		if !strings.Contains(string(text), `createType="`+createType+`"`) {
			continue
		}
		m.mode = mode
		pointer, err := os.ReadFile(strings.TrimSuffix(descriptor, ".vmdk") + m.extentSuffix())
		if err != nil {
			return m, false
		}
		_, err = fmt.Sscan(string(pointer), &m.naa, &m.size)
		return m, err == nil
	}
	return m, false
}

func (l *lab) removeMapping(datastorePath string, m mapping) error {
	descriptor, ok := l.filePath(datastorePath)
	if !ok {
		return fmt.Errorf("%s is not a datastore path", datastorePath)
	}
	return errors.Join(os.Remove(strings.TrimSuffix(descriptor, ".vmdk")+m.extentSuffix()), os.Remove(descriptor))
}

// writeImage creates a thin disk whose extent, a sparse file, has the length that the disk occupies.
func (l *lab) writeImage(file object.DatastorePath, size, used int64) error {
	descriptor, ok := l.filePath(file.String())
	if !ok {
		return fmt.Errorf("there is no datastore %s", file.Datastore)
	}
	extent := strings.TrimSuffix(descriptor, ".vmdk") + "-flat.vmdk"
	if err := os.WriteFile(extent, nil, 0o600); err != nil {
		return err
	}
	if err := os.Truncate(extent, used); err != nil {
		return err
	}
	text := fmt.Sprintf(imageDescriptor, size/sectorSize, path.Base(extent))
	return os.WriteFile(descriptor, []byte(text), 0o600)
}

// makeHome creates the VM's directory and .vmx file; a second VM of the same name gets "name_1".
func (l *lab) makeHome(datastore, name string) (object.DatastorePath, error) {
	home := object.DatastorePath{Datastore: datastore, Path: name}
	for n := 1; ; n++ {
		directory, _ := l.filePath(home.String())
		err := os.Mkdir(directory, 0o700)
		if err == nil {
			return home, os.WriteFile(path.Join(directory, name+".vmx"), []byte(".encoding = \"UTF-8\"\n"), 0o600)
		}
		if !errors.Is(err, fs.ErrExist) {
			return home, err
		}
		home.Path = fmt.Sprintf("%s_%d", name, n)
	}
}

func (l *lab) ensureDirectory(datastore, name string) (object.DatastorePath, error) {
	directory := object.DatastorePath{Datastore: datastore, Path: name}
	location, ok := l.filePath(directory.String())
	if !ok {
		return directory, fmt.Errorf("there is no datastore %s", datastore)
	}
	return directory, os.MkdirAll(location, 0o700)
}

// freeDiskName is the first of name.vmdk, name_1.vmdk, … that the directory does not hold.
func (l *lab) freeDiskName(directory object.DatastorePath, name string) object.DatastorePath {
	file := object.DatastorePath{Datastore: directory.Datastore, Path: path.Join(directory.Path, name+".vmdk")}
	for n := 1; l.fileExists(file.String()); n++ {
		file.Path = path.Join(directory.Path, fmt.Sprintf("%s_%d.vmdk", name, n))
	}
	return file
}

func (l *lab) fileExists(datastorePath string) bool {
	location, ok := l.filePath(datastorePath)
	if !ok {
		return false
	}
	_, err := os.Stat(location)
	return err == nil
}
