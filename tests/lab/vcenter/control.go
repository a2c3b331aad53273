// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
)

// journal lists the requests that the API port got since it was last cleared.
type journal struct {
	mu      sync.Mutex
	entries []*journalEntry
}

type journalEntry struct {
	N      int    `json:"n"`
	Method string `json:"method"`
	Path   string `json:"path"`
	Status int    `json:"status"`
}

func (j *journal) open(method, path string) *journalEntry {
	j.mu.Lock()
	defer j.mu.Unlock()
	entry := &journalEntry{N: len(j.entries) + 1, Method: method, Path: path}
	j.entries = append(j.entries, entry)
	return entry
}

func (j *journal) close(entry *journalEntry, status int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	entry.Status = status
}

func (j *journal) clear() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = nil
}

func (j *journal) list() []journalEntry {
	j.mu.Lock()
	defer j.mu.Unlock()
	copies := make([]journalEntry, 0, len(j.entries))
	for _, entry := range j.entries {
		copies = append(copies, *entry)
	}
	return copies
}

// control is the handler of the control port, see tests/lab/README.md.
func (s *server) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, map[string]string{"status": "ok"}) })
	mux.HandleFunc("GET /requests", func(w http.ResponseWriter, _ *http.Request) {
		entries := s.journal.list()
		answer(w, map[string]any{"total": len(entries), "requests": entries})
	})
	mux.HandleFunc("DELETE /requests", func(w http.ResponseWriter, _ *http.Request) { s.journal.clear(); answer(w, struct{}{}) })
	mux.HandleFunc("POST /faults", obeying(s.addFault))
	mux.HandleFunc("DELETE /faults", func(w http.ResponseWriter, _ *http.Request) { s.faults.clear(); answer(w, struct{}{}) })
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, _ *http.Request) {
		lab, _ := s.current()
		answer(w, lab.state())
	})
	mux.HandleFunc("GET /apd", s.apd)
	mux.HandleFunc("POST /view", inLab(s, (*lab).addView))
	mux.HandleFunc("POST /hold", inLab(s, (*lab).addHold))
	mux.HandleFunc("POST /link", inLab(s, (*lab).setLink))
	mux.HandleFunc("POST /lag", s.setLag)
	mux.HandleFunc("POST /reset", func(w http.ResponseWriter, _ *http.Request) {
		if err := s.reset(); err != nil {
			refuse(w, http.StatusInternalServerError, err)
			return
		}
		s.faults.clear()
		s.journal.clear()
		answer(w, struct{}{})
	})
	return mux
}

// obeying is the handler of a call whose body is a T: it refuses what is none, and what obey refuses.
func obeying[T any](obey func(T) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var wanted T
		decoder := json.NewDecoder(r.Body)
		decoder.DisallowUnknownFields()
		err := decoder.Decode(&wanted)
		if err == nil {
			err = obey(wanted)
		}
		if err != nil {
			refuse(w, http.StatusBadRequest, err)
			return
		}
		answer(w, struct{}{})
	}
}

// inLab is the same, obeyed by the lab as it is when the call comes.
func inLab[T any](s *server, obey func(*lab, T) error) http.HandlerFunc {
	return obeying(func(wanted T) error {
		lab, _ := s.current()
		return obey(lab, wanted)
	})
}

func (s *server) addFault(rule faultRule) error {
	if err := rule.check(); err != nil {
		return err
	}
	s.faults.add(&rule)
	return nil
}

func (s *server) apd(w http.ResponseWriter, r *http.Request) {
	lab, _ := s.current()
	losses, err := lab.losses(r.Context())
	if err != nil {
		refuse(w, http.StatusBadGateway, err)
		return
	}
	answer(w, losses)
}

// losses are the device losses so far, after a look at what the array presents now.
func (l *lab) losses(ctx context.Context) ([]loss, error) {
	found := []loss{}
	for _, h := range l.hosts {
		rows, err := h.scan(ctx, l.fabric, h.scanners(""))
		if err != nil {
			return nil, err
		}
		l.mu.Lock()
		h.notice(rows)
		found = append(found, slices.Clone(h.losses)...)
		l.mu.Unlock()
	}
	return found, nil
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

func refuse(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
}
