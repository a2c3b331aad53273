// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// world is the vCenter's part of the world file (tests/lab/README.md). Sizes are bytes.
type world struct {
	Name       string            `json:"name"`
	Datacenter string            `json:"datacenter"`
	Clusters   []worldCluster    `json:"clusters"`
	Datastores []worldDatastore  `json:"datastores"`
	VMs        []worldMachine    `json:"vms"`
	hostOf     map[string]string // host name -> cluster name
}

type worldCluster struct {
	Name  string      `json:"name"`
	Hosts []worldHost `json:"hosts"`
}

type worldHost struct {
	Name string     `json:"name"`
	UUID string     `json:"uuid"`
	HBAs []worldHBA `json:"hbas"`
}

type hbaKind string

const (
	kindBlock         hbaKind = "block"
	kindSAS           hbaKind = "sas"
	kindFC            hbaKind = "fc"
	kindFCoE          hbaKind = "fcoe"
	kindSoftwareISCSI hbaKind = "iscsi_software"
	kindHardwareISCSI hbaKind = "iscsi_hardware"
)

type worldHBA struct {
	Device  string        `json:"device"`
	Kind    hbaKind       `json:"kind"`
	Status  string        `json:"status"`
	Model   string        `json:"model"`
	Driver  string        `json:"driver"`
	PCI     string        `json:"pci"`
	WWPN    string        `json:"wwpn"`
	WWNN    string        `json:"wwnn"`
	Speed   int64         `json:"speed"`
	IQN     string        `json:"iqn"`
	Targets []worldTarget `json:"targets"`
}

type worldTarget struct {
	Address string `json:"address"`
	Port    int32  `json:"port"`
}

type worldDatastore struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Clusters []string `json:"clusters"`
	Host     string   `json:"host"`
	Extents  []string `json:"extents"`
	Server   string   `json:"server"`
	Path     string   `json:"path"`
	Capacity int64    `json:"capacity"`
}

type worldMachine struct {
	Name         string      `json:"name"`
	UUID         string      `json:"uuid"`
	InstanceUUID string      `json:"instance_uuid"`
	Cluster      string      `json:"cluster"`
	Host         string      `json:"host"`
	Folder       string      `json:"folder"`
	Power        string      `json:"power"`
	Version      string      `json:"version"`
	Disks        []worldDisk `json:"disks"`
	RDMs         []worldRDM  `json:"rdms"`
}

type worldDisk struct {
	Datastore string `json:"datastore"`
	Size      int64  `json:"size"`
}

type worldRDM struct {
	NAA           string `json:"naa"`
	Compatibility string `json:"compatibility"`
	Sharing       string `json:"sharing"`
	DiskMode      string `json:"disk_mode"`
	Datastore     string `json:"datastore"`
}

func loadWorld(file string) (*world, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	whole := struct {
		VCenter *world `json:"vcenter"`
	}{}
	if err := json.Unmarshal(content, &whole); err != nil {
		return nil, fmt.Errorf("%s is not a world file: %w", file, err)
	}
	if whole.VCenter == nil {
		return nil, fmt.Errorf("%s describes no vcenter", file)
	}
	return whole.VCenter, whole.VCenter.check()
}

// check refuses references to things that the world does not contain.
func (w *world) check() error {
	w.hostOf = map[string]string{}
	for _, cluster := range w.Clusters {
		for _, host := range cluster.Hosts {
			w.hostOf[host.Name] = cluster.Name
		}
	}
	datastores := map[string]bool{}
	for _, datastore := range w.Datastores {
		datastores[datastore.Name] = true
	}
	for _, vm := range w.VMs {
		if _, ok := w.hostOf[vm.Host]; !ok {
			return fmt.Errorf("VM %s runs on host %s, which the world does not contain", vm.Name, vm.Host)
		}
		for _, name := range vm.datastores() {
			if !datastores[name] {
				return fmt.Errorf("VM %s lies on datastore %s, which the world does not contain", vm.Name, name)
			}
		}
		if len(vm.datastores()) == 0 {
			return fmt.Errorf("VM %s lies on no datastore", vm.Name)
		}
	}
	return nil
}

// datastores are the datastores of a VM's files; the first one holds its home directory.
func (m worldMachine) datastores() []string {
	var names []string
	for _, disk := range m.Disks {
		names = append(names, disk.Datastore)
	}
	for _, rdm := range m.RDMs {
		if rdm.Datastore != "" {
			names = append(names, rdm.Datastore)
		}
	}
	return names
}

// visibleOn tells whether the host of that name in that cluster mounts the datastore.
func (d worldDatastore) visibleOn(cluster, host string) bool {
	if d.Host != "" {
		return d.Host == host
	}
	for _, name := range d.Clusters {
		if name == cluster {
			return true
		}
	}
	return false
}
