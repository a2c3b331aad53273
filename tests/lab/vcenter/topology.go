// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	blockSize        = 512
	localDiskSize    = 480 << 30
	namespaceGeneric = 0x05 // ScsiLunDurableName: one VPD page 0x83 descriptor with its header
	namespaceSerial  = 0x04 // ScsiLunDurableName: the payload of VPD page 0x80
)

// publish writes the host's storage into the properties that clients read.
func (h *host) publish(ctx *simulator.Context) {
	info := h.deviceInfo()
	state := &types.HostMultipathStateInfo{}
	for _, lun := range info.MultipathInfo.Lun {
		for _, p := range lun.Path {
			state.Path = append(state.Path, types.HostMultipathStateInfoPath{Name: p.Name, PathState: p.PathState})
		}
	}
	ctx.Map.AtomicUpdate(ctx, h.storage, []types.PropertyChange{
		{Name: "storageDeviceInfo", Val: info},
		{Name: "multipathStateInfo", Val: state},
	})
	ctx.Map.AtomicUpdate(ctx, h.system, []types.PropertyChange{
		{Name: "config.storageDevice", Val: info},
		{Name: "config.multipathState", Val: state},
	})
}

func (h *host) deviceInfo() *types.HostStorageDeviceInfo {
	info := &types.HostStorageDeviceInfo{
		ScsiTopology:      &types.HostScsiTopology{},
		MultipathInfo:     &types.HostMultipathInfo{},
		PlugStoreTopology: &types.HostPlugStoreTopology{},
	}
	t := topology{h, info}
	for _, a := range h.adapters {
		info.SoftwareInternetScsiEnabled = info.SoftwareInternetScsiEnabled || a.Kind == kindSoftwareISCSI
		info.HostBusAdapter = append(info.HostBusAdapter, h.hostBusAdapter(a))
		t.addAdapter(a)
	}
	t.addLocalDisk()
	for _, d := range h.sortedDevices() {
		t.addDevice(d)
	}
	return info
}

// topology fills the three views of the same paths: SCSI topology, multipathing and plug-store.
type topology struct {
	host *host
	info *types.HostStorageDeviceInfo
}

func (t topology) addAdapter(a *adapter) {
	t.info.ScsiTopology.Adapter = append(t.info.ScsiTopology.Adapter, types.HostScsiTopologyInterface{
		Key: "key-vim.host.ScsiTopology.Interface-" + a.Device, Adapter: a.key,
	})
	t.info.PlugStoreTopology.Adapter = append(t.info.PlugStoreTopology.Adapter, types.HostPlugStoreTopologyAdapter{
		Key: "key-vim.host.PlugStoreTopology.Adapter-" + a.Device, Adapter: a.key,
	})
}

// addPath enters a path of the LUN into the SCSI topology and the plug-store, and returns the target number on its adapter.
func (t topology) addPath(a *adapter, transport types.BaseHostTargetTransport, same func(types.BaseHostTargetTransport) bool, lun int32, uuid, key, name string) {
	adapters := t.info.ScsiTopology.Adapter
	for i := range adapters {
		if adapters[i].Adapter != a.key {
			continue
		}
		number := -1
		for j, target := range adapters[i].Target {
			if same(target.Transport) {
				number = j
			}
		}
		if number < 0 {
			number = len(adapters[i].Target)
			adapters[i].Target = append(adapters[i].Target, types.HostScsiTopologyTarget{
				Key: fmt.Sprintf("key-vim.host.ScsiTopology.Target-%s:0:%d", a.Device, number), Target: int32(number), Transport: transport,
			})
		}
		target := &adapters[i].Target[number]
		target.Lun = append(target.Lun, types.HostScsiTopologyLun{Key: "key-vim.host.ScsiTopology.Lun-" + uuid, Lun: lun, ScsiLun: key})
		plug := &t.info.PlugStoreTopology.Adapter[i]
		pathKey := fmt.Sprintf("key-vim.host.PlugStoreTopology.Path-%s", name)
		plug.Path = append(plug.Path, pathKey)
		t.info.PlugStoreTopology.Path = append(t.info.PlugStoreTopology.Path, types.HostPlugStoreTopologyPath{
			Key: pathKey, Name: name, TargetNumber: int32(number), LunNumber: lun, Adapter: plug.Key,
			Device: "key-vim.host.PlugStoreTopology.Device-" + uuid,
		})
	}
}

func (t topology) addDevice(d *device) {
	disk := t.host.scsiDisk(d)
	t.info.ScsiLun = append(t.info.ScsiLun, disk)
	unit := types.HostMultipathInfoLogicalUnit{
		Key: "key-vim.host.MultipathInfo.LogicalUnit-" + disk.Uuid, Id: disk.Uuid, Lun: disk.Key,
		Policy:                 &types.HostMultipathInfoLogicalUnitPolicy{Policy: "VMW_PSP_RR"},
		StorageArrayTypePolicy: &types.HostMultipathInfoLogicalUnitStorageArrayTypePolicy{Policy: "VMW_SATP_ALUA"},
	}
	preferred := preferredPort(d.paths)
	for _, p := range d.paths {
		name := p.name(d)
		transport, same := p.transport()
		t.addPath(p.adapter, transport, same, p.lun, disk.Uuid, disk.Key, name)
		state := types.MultipathStateDead
		if p.alive && t.host.state(d) == types.ScsiLunStateOff {
			state = types.MultipathStateDisabled
		} else if p.alive {
			state = types.MultipathStateActive
		}
		unit.Path = append(unit.Path, types.HostMultipathInfoPath{
			Key: "key-vim.host.MultipathInfo.Path-" + name, Name: name, PathState: string(state), State: string(state),
			IsWorkingPath: types.NewBool(state == types.MultipathStateActive && p.port == preferred[p.port.Kind]),
			Adapter:       p.adapter.key, Lun: unit.Key, Transport: transport,
		})
	}
	t.info.MultipathInfo.Lun = append(t.info.MultipathInfo.Lun, unit)
	t.addPlugStoreDevice(disk.Uuid, disk.Key, unit.Path)
}

// preferredPort is, for each protocol, the port on the node that owns the LUN: the optimised one of ALUA.
func preferredPort(paths []lunPath) map[string]targetPort {
	preferred := map[string]targetPort{}
	for _, p := range paths {
		if _, ok := preferred[p.port.Kind]; !ok {
			preferred[p.port.Kind] = p.port
		}
	}
	return preferred
}

func (t topology) addPlugStoreDevice(uuid, lunKey string, paths []types.HostMultipathInfoPath) {
	entry := types.HostPlugStoreTopologyDevice{Key: "key-vim.host.PlugStoreTopology.Device-" + uuid, Lun: lunKey}
	for _, p := range paths {
		entry.Path = append(entry.Path, "key-vim.host.PlugStoreTopology.Path-"+p.Name)
	}
	t.info.PlugStoreTopology.Device = append(t.info.PlugStoreTopology.Device, entry)
}

func (t topology) addLocalDisk() {
	a := t.host.localAdapter()
	if a == nil {
		return
	}
	name := t.host.localDisk
	uuid := localUUID(name)
	key := "key-vim.host.ScsiDisk-" + uuid
	t.info.ScsiLun = append(t.info.ScsiLun, &types.HostScsiDisk{
		ScsiLun: types.ScsiLun{
			HostDevice: types.HostDevice{DeviceName: "/vmfs/devices/disks/" + name, DeviceType: "disk"},
			Key:        key, Uuid: uuid, CanonicalName: name, DisplayName: "Local ATA Disk (" + name + ")",
			Descriptor: descriptors(types.ScsiLunDescriptorQualityHighQuality, name, "vml."+uuid, uuid),
			LunType:    string(types.ScsiLunTypeDisk), Vendor: "ATA     ", Model: "LabDisk         ", Revision: "1.0 ",
			SerialNumber: "unavailable", ScsiLevel: 6, QueueDepth: 31, VStorageSupport: "vStorageUnsupported",
			OperationalState: []string{string(types.ScsiLunStateOk)}, Capabilities: &types.ScsiLunCapabilities{},
			ProtocolEndpoint: types.NewBool(false), PerenniallyReserved: types.NewBool(false),
		},
		Capacity:   types.HostDiskDimensionsLba{BlockSize: blockSize, Block: localDiskSize / blockSize},
		DevicePath: "/vmfs/devices/disks/" + name, Ssd: types.NewBool(true), LocalDisk: types.NewBool(true), ScsiDiskType: "native512",
	})
	pathName := fmt.Sprintf("sata.%s-sata.0:0-%s", a.Device, name)
	transport := &types.HostBlockAdapterTargetTransport{}
	t.addPath(a, transport, func(types.BaseHostTargetTransport) bool { return true }, 0, uuid, key, pathName)
	paths := []types.HostMultipathInfoPath{{
		Key: "key-vim.host.MultipathInfo.Path-" + pathName, Name: pathName, PathState: "active", State: "active",
		IsWorkingPath: types.NewBool(true), Adapter: a.key, Lun: "key-vim.host.MultipathInfo.LogicalUnit-" + uuid, Transport: transport,
	}}
	t.info.MultipathInfo.Lun = append(t.info.MultipathInfo.Lun, types.HostMultipathInfoLogicalUnit{
		Key: "key-vim.host.MultipathInfo.LogicalUnit-" + uuid, Id: uuid, Lun: key, Path: paths,
		Policy: &types.HostMultipathInfoFixedLogicalUnitPolicy{
			HostMultipathInfoLogicalUnitPolicy: types.HostMultipathInfoLogicalUnitPolicy{Policy: "VMW_PSP_FIXED"}, Prefer: pathName,
		},
		StorageArrayTypePolicy: &types.HostMultipathInfoLogicalUnitStorageArrayTypePolicy{Policy: "VMW_SATP_LOCAL"},
	})
	t.addPlugStoreDevice(uuid, key, paths)
}

// scsiDisk is the device as HostStorageDeviceInfo.scsiLun shows it.
func (h *host) scsiDisk(d *device) *types.HostScsiDisk {
	name := d.canonicalName()
	return &types.HostScsiDisk{
		ScsiLun: types.ScsiLun{
			HostDevice: types.HostDevice{DeviceName: "/vmfs/devices/disks/" + name, DeviceType: "disk"},
			Key:        "key-vim.host.ScsiDisk-" + d.uuid(), Uuid: d.uuid(), CanonicalName: name,
			DisplayName: fmt.Sprintf("%s %s Disk (%s)", d.Vendor, d.protocolName(), name),
			Descriptor:  descriptors(types.ScsiLunDescriptorQualityHighQuality, name, d.vml(), d.uuid()),
			LunType:     string(types.ScsiLunTypeDisk),
			Vendor:      pad(d.Vendor, 8), Model: pad(d.Model, 16), Revision: pad(d.Revision, 4),
			ScsiLevel: 6, SerialNumber: d.Serial, QueueDepth: 64,
			DurableName: &types.ScsiLunDurableName{Namespace: "GENERIC_VPD", NamespaceId: namespaceGeneric, Data: d.naaDesignator()},
			AlternateName: []types.ScsiLunDurableName{
				{Namespace: "GENERIC_VPD", NamespaceId: namespaceGeneric, Data: d.t10Designator()},
				{Namespace: "GENERIC_VPD", NamespaceId: namespaceGeneric, Data: d.naaDesignator()},
				{Namespace: "SERIALNUM", NamespaceId: namespaceSerial, Data: []byte(d.Serial)},
			},
			StandardInquiry:  d.standardInquiry(),
			OperationalState: h.words(d),
			Capabilities:     &types.ScsiLunCapabilities{UpdateDisplayNameSupported: true},
			VStorageSupport:  "vStorageSupported", ProtocolEndpoint: types.NewBool(false), PerenniallyReserved: types.NewBool(false),
			ApplicationProtocol: "SCSI",
		},
		Capacity:   types.HostDiskDimensionsLba{BlockSize: blockSize, Block: d.Size / blockSize},
		DevicePath: "/vmfs/devices/disks/" + name, Ssd: types.NewBool(true), LocalDisk: types.NewBool(false), ScsiDiskType: "native512",
	}
}

func descriptors(quality types.ScsiLunDescriptorQuality, ids ...string) []types.ScsiLunDescriptor {
	list := make([]types.ScsiLunDescriptor, 0, len(ids))
	for _, id := range ids {
		list = append(list, types.ScsiLunDescriptor{Quality: string(quality), Id: id})
	}
	return list
}

func (d *device) protocolName() string {
	if len(d.paths) > 0 && d.paths[0].port.Kind == "fc" {
		return "Fibre Channel"
	}
	return "iSCSI"
}

// naaDesignator is the VPD page 0x83 designator of type NAA, header included (SPC-4, 7.8.5).
func (d *device) naaDesignator() []byte {
	payload, _ := hex.DecodeString(d.NAA)
	return append([]byte{0x01, 0x03, 0x00, byte(len(payload))}, payload...)
}

// t10Designator is the VPD page 0x83 designator of type T10 vendor identification, header included.
func (d *device) t10Designator() []byte {
	payload := pad(d.Vendor, 8) + pad("LUN "+d.Serial, 32)
	return append([]byte{0x02, 0x01, 0x00, byte(len(payload))}, payload...)
}

// standardInquiry is the first 36 bytes of INQUIRY (SPC-4, 6.6.2): a disk, SPC-4, multi-port, ALUA.
func (d *device) standardInquiry() []byte {
	header := []byte{0x00, 0x00, 0x06, 0x12, 0x1f, 0x10, 0x10, 0x02}
	return append(header, pad(d.Vendor, 8)+pad(d.Model, 16)+pad(d.Revision, 4)...)
}

// name is the path's runtime-independent name: adapter, target and device.
func (p lunPath) name(d *device) string {
	a := p.adapter
	if a.isISCSI() {
		return fmt.Sprintf("%s-00023d000001,%s,t,%d-%s", a.IQN, p.port.IQN, portalGroup(p.port), d.canonicalName())
	}
	return fmt.Sprintf("fc.%s:%s-fc.%s:%s-%s", wwnDigits(a.WWNN), wwnDigits(a.WWPN), wwnDigits(p.port.WWNN), wwnDigits(p.port.WWPN), d.canonicalName())
}

// portalGroup is the iSCSI target portal group tag; ONTAP has one per interface, counted from 1024.
func portalGroup(port targetPort) int {
	octets := strings.Split(port.Address, ".")
	interfaceNumber, _ := strconv.Atoi(octets[len(octets)-1])
	return 1024 + interfaceNumber
}

// transport is the target's end of the path, and whether another transport means the same target.
func (p lunPath) transport() (types.BaseHostTargetTransport, func(types.BaseHostTargetTransport) bool) {
	if p.adapter.isISCSI() {
		address := fmt.Sprintf("%s:%d", p.port.Address, p.port.Port)
		return &types.HostInternetScsiTargetTransport{IScsiName: p.port.IQN, IScsiAlias: "", Address: []string{address}},
			func(other types.BaseHostTargetTransport) bool {
				t, ok := other.(*types.HostInternetScsiTargetTransport)
				return ok && t.IScsiName == p.port.IQN && t.Address[0] == address
			}
	}
	wwpn, _ := wwnNumber(p.port.WWPN)
	wwnn, _ := wwnNumber(p.port.WWNN)
	return &types.HostFibreChannelTargetTransport{PortWorldWideName: wwpn, NodeWorldWideName: wwnn},
		func(other types.BaseHostTargetTransport) bool {
			t, ok := other.(*types.HostFibreChannelTargetTransport)
			return ok && t.PortWorldWideName == wwpn
		}
}
