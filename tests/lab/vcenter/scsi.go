// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

const naaPrefix = "naa."

// wwnNumber is a world wide name as the vSphere API carries it: a signed 64-bit integer.
func wwnNumber(colons string) (int64, error) {
	number, err := strconv.ParseUint(strings.ReplaceAll(colons, ":", ""), 16, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a world wide name", colons)
	}
	return int64(number), nil
}

func wwnDigits(colons string) string { return strings.ToLower(strings.ReplaceAll(colons, ":", "")) }

// modelTail is the end of ESXi's LUN UUIDs and VML names: the first six bytes of the INQUIRY product, as hex.
func modelTail(model string) string {
	return hex.EncodeToString([]byte(pad(model, 16)[:6]))
}

// lunUUID is ScsiLun.uuid of a SAN disk, the same on every host.
func lunUUID(naa, model string) string { return "0200000000" + naa + modelTail(model) }

// vmlName is the VML name of a SAN disk; it carries the LUN number, low byte first.
func vmlName(naa, model string, lun int32) string {
	return fmt.Sprintf("vml.0200%02x%02x00%s%s", lun&0xff, lun>>8&0xff, naa, modelTail(model))
}

// localUUID is ScsiLun.uuid of a disk that only one host has: its name, as hex.
func localUUID(canonicalName string) string {
	return "0100000000" + hex.EncodeToString([]byte(canonicalName))
}

// pad fills an INQUIRY field with spaces, as the target sends it.
func pad(text string, width int) string { return fmt.Sprintf("%-*.*s", width, width, text) }
