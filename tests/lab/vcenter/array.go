// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// presentation is one LUN that the array shows to one initiator.
type presentation struct {
	NAA       string       `json:"naa"`
	Serial    string       `json:"serial"`
	LUN       int32        `json:"lun"`
	Size      int64        `json:"size"`
	Vendor    string       `json:"vendor"`
	Model     string       `json:"model"`
	Revision  string       `json:"revision"`
	Ports     []targetPort `json:"ports"`
	Initiator string       `json:"initiator"`
}

// targetPort is a port of the array: FC (wwpn, wwnn) or iSCSI (iqn, address, port).
type targetPort struct {
	Kind    string `json:"kind"`
	IQN     string `json:"iqn"`
	Address string `json:"address"`
	Port    int32  `json:"port"`
	WWPN    string `json:"wwpn"`
	WWNN    string `json:"wwnn"`
}

// fabric tells what initiators would find in a rescan now.
type fabric interface {
	presented(ctx context.Context, initiators []string) ([]presentation, error)
}

// arrayControl asks the array's control port (GET /presented).
type arrayControl struct {
	base   string
	client *http.Client
}

func newArrayControl(base string) *arrayControl {
	return &arrayControl{strings.TrimSuffix(base, "/"), &http.Client{Timeout: 30 * time.Second}}
}

func (a *arrayControl) presented(ctx context.Context, initiators []string) ([]presentation, error) {
	if len(initiators) == 0 {
		return nil, nil
	}
	address := a.base + "/presented?" + url.Values{"initiator": initiators}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := a.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the array's control port answered %s to %s", response.Status, address)
	}
	var rows []presentation
	if err := json.NewDecoder(response.Body).Decode(&rows); err != nil {
		return nil, fmt.Errorf("the array's control port did not answer a list of presented LUNs: %w", err)
	}
	return rows, nil
}

// wait returns once the array answers, or an error when it has not within the given time.
func (a *arrayControl) wait(ctx context.Context, limit time.Duration) error {
	deadline := time.Now().Add(limit)
	for {
		_, err := a.presented(ctx, []string{"iqn.1998-01.com.vmware:lab-probe"})
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("the array's control port %s does not answer: %w", a.base, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}
