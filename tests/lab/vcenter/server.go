// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/vmware/govmomi/vim25"
)

// server owns the running lab and swaps it for a fresh one at a reset.
type server struct {
	world       *world
	fabric      fabric
	credentials credentials
	faults      *faults
	journal     *journal

	mu   sync.RWMutex
	lab  *lab
	soap http.Handler
}

func newServer(w *world, f fabric, c credentials) (*server, error) {
	s := &server{world: w, fabric: f, credentials: c, faults: &faults{}, journal: &journal{}}
	return s, s.reset()
}

// reset rebuilds the world. Sessions end, as in a restart.
func (s *server) reset() error {
	fresh, err := newLab(s.world, s.fabric, s.credentials, s.faults)
	if err != nil {
		return err
	}
	service := fresh.model.Service
	service.RegisterSDK(fresh.registry(), vim25.Path+"/vimService")
	service.ServeMux.HandleFunc(vim25.Path+"/vimServiceVersions.xml", serviceVersions)
	service.ServeMux.HandleFunc("/folder/", service.ServeDatastore)

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lab != nil {
		s.lab.close()
	}
	s.lab, s.soap = fresh, service.ServeMux
	return nil
}

func (s *server) current() (*lab, http.Handler) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.lab, s.soap
}

func (s *server) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lab.close()
}

// api is the handler of the API port: it names each request, applies injected faults and keeps the journal.
func (s *server) api() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, err := methodName(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, next := s.current()
		entry := s.journal.open(name, r.URL.RequestURI())
		recorder := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
		s.faults.apply(recorder, r, name, next)
		s.journal.close(entry, recorder.status)
	})
}

// methodName is the SOAP method of a call to /sdk, else the HTTP method.
func methodName(r *http.Request) (string, error) {
	if r.Method != http.MethodPost || !strings.HasPrefix(r.URL.Path, vim25.Path) {
		return r.Method, nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return "", err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	decoder := xml.NewDecoder(bytes.NewReader(body))
	for inBody := false; ; {
		token, err := decoder.Token()
		if err != nil {
			return r.Method, nil //nolint:nilerr // not SOAP: the simulator answers that itself
		}
		start, ok := token.(xml.StartElement)
		switch {
		case !ok:
		case inBody:
			return start.Name.Local, nil
		case start.Name.Local == "Body":
			inBody = true
		}
	}
}

type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (r *statusRecorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// priorVersions are the API versions that a vCenter 8.0 Update 2 also speaks.
var priorVersions = []string{
	"8.0.1.0", "8.0.0.2", "8.0.0.1", "8.0.0.0", "7.0.3.2", "7.0.3.1", "7.0.3.0", "7.0.2.0", "7.0.1.1", "7.0.1.0", "7.0.0.2", "7.0.0.0",
	"6.9.1", "6.8.7", "6.7.3", "6.7.2", "6.7.1", "6.7", "6.5", "6.0", "5.5", "5.1", "5.0", "4.1", "4.0", "2.5u2", "2.5", "2.0",
}

func serviceVersions(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/xml")
	fmt.Fprintf(w, "%s<namespaces version=\"1.0\">\n <namespace>\n  <name>urn:vim25</name>\n  <version>%s</version>\n  <priorVersions>\n",
		xml.Header, about("").ApiVersion)
	for _, version := range priorVersions {
		fmt.Fprintf(w, "   <version>%s</version>\n", version)
	}
	fmt.Fprint(w, "  </priorVersions>\n </namespace>\n</namespaces>\n")
}
