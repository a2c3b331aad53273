// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestACallIsObeyedOrRefusedInWords(t *testing.T) {
	for body, want := range map[string]struct {
		status int
		words  string
	}{
		`{"host": "esx01.lab", "up": true}`: {http.StatusOK, "{}"},
		`{"host": "nobody"}`:                {http.StatusBadRequest, "there is no host nobody"},
		`{"hosts": []}`:                     {http.StatusBadRequest, `unknown field \"hosts\"`},
		`{`:                                 {http.StatusBadRequest, "unexpected EOF"},
	} {
		var obeyed []link
		handler := obeying(func(wanted link) error {
			if wanted.Host == "nobody" {
				return errors.New("there is no host nobody")
			}
			obeyed = append(obeyed, wanted)
			return nil
		})
		answered := httptest.NewRecorder()
		handler(answered, httptest.NewRequest(http.MethodPost, "/link", strings.NewReader(body)))
		if answered.Code != want.status || !strings.Contains(answered.Body.String(), want.words) {
			t.Errorf("%s: %d %s", body, answered.Code, answered.Body)
		}
		if wanted := (want.status == http.StatusOK); wanted != (len(obeyed) == 1) {
			t.Errorf("%s: obeyed %v", body, obeyed)
		}
	}
}
