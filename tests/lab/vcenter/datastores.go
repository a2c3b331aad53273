// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	maxVirtualRDM  = 62 << 40 // vSphere Configuration Maximums
	maxPhysicalRDM = 64 << 40
)

// buildDatastores creates every datastore on the hosts that mount it.
func (l *lab) buildDatastores() error {
	home := l.registry().OptionManager()
	root := ""
	for _, setting := range home.Setting {
		if option := setting.GetOptionValue(); option.Key == "vcsim.home" {
			root = option.Value.(string)
		}
	}
	for _, wanted := range l.world.Datastores {
		directory := path.Join(root, wanted.Name)
		if err := os.Mkdir(directory, 0o700); err != nil {
			return err
		}
		if err := l.buildDatastore(wanted, directory); err != nil {
			return fmt.Errorf("datastore %s: %w", wanted.Name, err)
		}
	}
	return nil
}

func (l *lab) buildDatastore(wanted worldDatastore, directory string) error {
	for _, h := range l.hosts {
		if !wanted.visibleOn(l.world.hostOf[h.name], h.name) {
			continue
		}
		system := l.registry().Get(*h.system.ConfigManager.DatastoreSystem).(*simulator.HostDatastoreSystem)
		body := system.CreateLocalDatastore(l.ctx, &types.CreateLocalDatastore{Name: wanted.Name, Path: directory}).(*methods.CreateLocalDatastoreBody)
		if fault := body.Fault(); fault != nil {
			return fmt.Errorf("host %s: %s", h.name, fault.String)
		}
		ds := l.registry().FindByName(wanted.Name, h.system.Datastore).(*simulator.Datastore)
		l.datastores[wanted.Name] = ds
		volume := describeDatastore(ds, wanted)
		mount(h, ds, wanted, volume)
	}
	if l.datastores[wanted.Name] == nil {
		return fmt.Errorf("no host mounts it")
	}
	for _, extent := range wanted.Extents {
		l.extents[diskName(extent)] = wanted.Name
	}
	return nil
}

// diskName is the canonical name of an extent that the world gives by its NAA digits or by its full name.
func diskName(extent string) string {
	if strings.Contains(extent, ".") {
		return extent
	}
	return naaPrefix + extent
}

// describeDatastore replaces the simulator's local directory by what a real datastore of this type shows.
func describeDatastore(ds *simulator.Datastore, wanted worldDatastore) types.BaseHostFileSystemVolume {
	id := volumeUUID(wanted.Name)
	address := "ds:///vmfs/volumes/" + id + "/"
	general := types.DatastoreInfo{
		Name: wanted.Name, Url: address, FreeSpace: wanted.Capacity, MaxFileSize: wanted.Capacity,
		MaxVirtualDiskCapacity: 62 << 40, MaxMemoryFileSize: wanted.Capacity, Timestamp: ds.Info.GetDatastoreInfo().Timestamp,
	}
	ds.Summary.Capacity, ds.Summary.FreeSpace = wanted.Capacity, wanted.Capacity
	ds.Summary.MultipleHostAccess = types.NewBool(wanted.Host == "")
	ds.Capability.RawDiskMappingsSupported = wanted.Type == "vmfs"
	ds.Capability.StorageIORMSupported = true
	if wanted.Type == "nfs" {
		volume := &types.HostNasVolume{
			HostFileSystemVolume: types.HostFileSystemVolume{Type: "NFS", Name: wanted.Name, Capacity: wanted.Capacity},
			RemoteHost:           wanted.Server, RemotePath: wanted.Path, RemoteHostNames: []string{wanted.Server},
		}
		ds.Summary.Type = "NFS"
		ds.Info = &types.NasDatastoreInfo{DatastoreInfo: general, Nas: volume}
		return volume
	}
	volume := &types.HostVmfsVolume{
		HostFileSystemVolume: types.HostFileSystemVolume{Type: "VMFS", Name: wanted.Name, Capacity: wanted.Capacity},
		BlockSizeMb:          1, BlockSize: 1024, MaxBlocks: 63 << 20, MajorVersion: 6, Version: "6.82", Uuid: id,
		Ssd: types.NewBool(true), Local: types.NewBool(wanted.Host != ""), ScsiDiskType: "native512",
		UnmapGranularity: 1024, UnmapPriority: "low",
	}
	for _, extent := range wanted.Extents {
		volume.Extent = append(volume.Extent, types.HostScsiDiskPartition{DiskName: diskName(extent), Partition: 1})
	}
	ds.Summary.Type = "VMFS"
	ds.Info = &types.VmfsDatastoreInfo{
		DatastoreInfo: general, Vmfs: volume, MaxPhysicalRDMFileSize: maxPhysicalRDM, MaxVirtualRDMFileSize: maxVirtualRDM,
	}
	return volume
}

// volumeUUID has the form that ESXi gives to VMFS volumes.
func volumeUUID(name string) string {
	digits := strings.ReplaceAll(stableUUID("datastore/"+name), "-", "")
	return fmt.Sprintf("%s-%s-%s-%s", digits[:8], digits[8:16], digits[16:20], digits[20:32])
}

// mount enters the volume into the host's file systems; it is accessible where the host sees every extent.
func mount(h *host, ds *simulator.Datastore, wanted worldDatastore, volume types.BaseHostFileSystemVolume) {
	accessible := h.seesAll(wanted.Extents)
	info := types.HostMountInfo{
		Path: "/vmfs/volumes/" + volumeUUID(wanted.Name), AccessMode: string(types.HostMountModeReadWrite),
		Mounted: types.NewBool(true), Accessible: types.NewBool(accessible),
	}
	for i := range ds.Host {
		if ds.Host[i].Key == h.system.Self {
			ds.Host[i].MountInfo = info
		}
	}
	system := h.system.Config.FileSystemVolume
	system.MountInfo = append(system.MountInfo, types.HostFileSystemMountInfo{
		MountInfo: info, Volume: volume, VStorageSupport: "vStorageSupported",
	})
	h.storage.FileSystemVolumeInfo = *system
}

// remount brings the accessibility of the host's VMFS volumes in line with the extents that it sees.
func (l *lab) remount(ctx *simulator.Context, h *host) {
	volumes := copyOf(h.system.Config.FileSystemVolume)
	volumes.MountInfo = slices.Clone(volumes.MountInfo)
	for _, wanted := range l.world.Datastores {
		accessible := types.NewBool(h.seesAll(wanted.Extents))
		for i := range volumes.MountInfo {
			if volumes.MountInfo[i].Volume.GetHostFileSystemVolume().Name == wanted.Name {
				volumes.MountInfo[i].MountInfo.Accessible = accessible
			}
		}
		ds := l.datastores[wanted.Name]
		mounts, anywhere := slices.Clone(ds.Host), false
		for i := range mounts {
			if mounts[i].Key == h.system.Self {
				mounts[i].MountInfo.Accessible = accessible
			}
			anywhere = anywhere || *mounts[i].MountInfo.Accessible
		}
		ctx.Map.AtomicUpdate(ctx, ds, []types.PropertyChange{
			{Name: "host", Val: mounts}, {Name: "summary.accessible", Val: anywhere}, {Name: "info", Val: l.infoOf(wanted.Name, ds, anywhere)},
		})
	}
	ctx.Map.AtomicUpdate(ctx, h.system, []types.PropertyChange{{Name: "config.fileSystemVolume", Val: volumes}})
	ctx.Map.AtomicUpdate(ctx, h.storage, []types.PropertyChange{{Name: "fileSystemVolumeInfo", Val: *volumes}})
}

// infoOf is what a datastore tells of itself: one that no host can reach no longer names its extents (VmfsDatastoreInfo.vmfs).
func (l *lab) infoOf(name string, ds *simulator.Datastore, accessible bool) types.BaseDatastoreInfo {
	info, ok := ds.Info.(*types.VmfsDatastoreInfo)
	if !ok {
		return ds.Info
	}
	if info.Vmfs != nil {
		l.volumes[name] = info.Vmfs
	}
	shown := copyOf(info)
	shown.Vmfs = nil
	if accessible {
		shown.Vmfs = l.volumes[name]
	}
	return shown
}

func (h *host) seesAll(extents []string) bool {
	for _, extent := range extents {
		name := diskName(extent)
		if name == h.localDisk {
			continue
		}
		d := h.devices[strings.TrimPrefix(name, naaPrefix)]
		if d == nil || !d.reachable() {
			return false
		}
	}
	return true
}

// datastoreOf is the datastore that the datastore path names, or nil.
func (l *lab) datastoreOf(datastorePath string) *simulator.Datastore {
	var p object.DatastorePath
	if !p.FromString(datastorePath) {
		return nil
	}
	return l.datastores[p.Datastore]
}

// filePath is where the simulator keeps the file of that datastore path ("[datastore] directory/file").
func (l *lab) filePath(datastorePath string) (string, bool) {
	var p object.DatastorePath
	ds := l.datastoreOf(datastorePath)
	if ds == nil || !p.FromString(datastorePath) {
		return "", false
	}
	return path.Join(ds.Summary.Url, p.Path), true
}
