// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

// faultRule is one body of POST /faults, see tests/lab/README.md.
type faultRule struct {
	Call   int         `json:"call"`
	Match  string      `json:"match"`
	Times  int         `json:"times"`
	Action faultAction `json:"action"`

	pattern *regexp.Regexp
}

type faultAction struct {
	Status    int             `json:"status"`
	Body      json.RawMessage `json:"body"`
	Error     *vimError       `json:"error"`
	TaskError *vimError       `json:"task_error"`
	Drop      string          `json:"drop"`
	Delay     float64         `json:"delay"`
}

// vimError is a fault of the vSphere API by its type's name, for example "HostConfigFault".
type vimError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (r *faultRule) check() error {
	if (r.Call > 0) == (r.Match != "") {
		return errors.New("a fault needs either a call number or a match")
	}
	if r.Match != "" {
		pattern, err := regexp.Compile(r.Match)
		if err != nil {
			return err
		}
		r.pattern = pattern
	}
	if r.Times == 0 {
		r.Times = 1
	}
	for _, e := range []*vimError{r.Action.Error, r.Action.TaskError} {
		if e != nil && newFault(e) == nil {
			return fmt.Errorf("%q is not the name of a vSphere fault", e.Code)
		}
	}
	if a := r.Action; a.Status == 0 && a.Error == nil && a.TaskError == nil && a.Delay == 0 && a.Drop != "before" && a.Drop != "after" {
		return errors.New("a fault needs an action: status, error, task_error, drop (before or after) or delay")
	}
	return nil
}

// newFault returns an empty fault of that type, or nil.
func newFault(e *vimError) types.BaseMethodFault {
	kind, ok := types.TypeFunc()(e.Code)
	if !ok {
		return nil
	}
	fault, _ := reflect.New(kind).Interface().(types.BaseMethodFault)
	return fault
}

// faults are the rules waiting for their request.
type faults struct {
	mu       sync.Mutex
	rules    []*faultRule
	taskFail *vimError
}

func (f *faults) add(rule *faultRule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, rule)
}

func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules, f.taskFail = nil, nil
}

// next counts this request and returns the action that it is to suffer, if any.
func (f *faults) next(request string) *faultAction {
	f.mu.Lock()
	defer f.mu.Unlock()
	var chosen *faultRule
	for _, rule := range f.rules {
		if rule.pattern == nil {
			rule.Call--
		}
		due := rule.Call < 1
		if rule.pattern != nil {
			due = rule.pattern.MatchString(request)
		}
		if due && chosen == nil {
			chosen = rule
		}
	}
	if chosen == nil {
		return nil
	}
	chosen.Times--
	f.rules = slices.DeleteFunc(f.rules, func(rule *faultRule) bool { return rule.Times < 1 })
	return &chosen.Action
}

// takeTaskError returns the fault with which the task that starts now is to fail.
func (f *faults) takeTaskError() *vimError {
	f.mu.Lock()
	defer f.mu.Unlock()
	taken := f.taskFail
	f.taskFail = nil
	return taken
}

func (f *faults) apply(w *statusRecorder, r *http.Request, name string, next http.Handler) {
	action := f.next(name + " " + r.URL.RequestURI())
	switch {
	case action == nil:
		next.ServeHTTP(w, r)
	case action.Status != 0:
		w.WriteHeader(action.Status)
		_, _ = w.Write(action.bodyText())
	case action.Error != nil:
		w.Header().Set("Content-Type", "text/xml; charset=utf-8")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write(action.Error.envelope())
	case action.TaskError != nil:
		f.mu.Lock()
		f.taskFail = action.TaskError
		f.mu.Unlock()
		next.ServeHTTP(w, r)
	case action.Drop == "before":
		drop(w)
	case action.Drop == "after":
		next.ServeHTTP(httptest.NewRecorder(), r)
		drop(w)
	default:
		time.Sleep(time.Duration(action.Delay * float64(time.Second)))
		next.ServeHTTP(w, r)
	}
}

// bodyText is the body as given: a JSON string stands for its text, anything else for its JSON.
func (a *faultAction) bodyText() []byte {
	var text string
	if json.Unmarshal(a.Body, &text) == nil {
		return []byte(text)
	}
	return a.Body
}

// envelope is the SOAP answer that carries the fault.
func (e *vimError) envelope() []byte {
	var message bytes.Buffer
	_ = xml.EscapeText(&message, []byte(e.Message)) // a bytes.Buffer cannot fail
	return fmt.Appendf(nil, `<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<soapenv:Body><soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>%[2]s</faultstring>
<detail><%[1]sFault xmlns="urn:vim25" xsi:type="%[1]s"></%[1]sFault></detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>
`, e.Code, message.String())
}

// drop closes the connection without an answer.
func drop(w *statusRecorder) {
	w.status = 0
	connection, _, err := w.ResponseWriter.(http.Hijacker).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_ = connection.Close()
}
