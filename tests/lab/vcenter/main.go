// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// vcenter is the lab's vCenter: VMware's simulator (govmomi) plus the storage rules that it lacks. See README.md.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

type options struct {
	worldFile, listen         string
	port, controlPort         int
	certFile, keyFile         string
	arrayControl              string
	username, password        string
	shutdownGrace, arrayGrace time.Duration
}

func parseOptions(arguments []string) (options, error) {
	o := options{
		username: os.Getenv("LAB_USERNAME"), password: os.Getenv("LAB_PASSWORD"),
		shutdownGrace: 2 * time.Second, arrayGrace: 10 * time.Second,
	}
	flags := flag.NewFlagSet("vcenter", flag.ContinueOnError)
	flags.StringVar(&o.worldFile, "world", "", "world file, see tests/lab/README.md")
	flags.StringVar(&o.listen, "listen", "127.0.0.1", "address to listen on")
	flags.IntVar(&o.port, "port", 0, "API port, 0 for any free one")
	flags.IntVar(&o.controlPort, "control-port", 0, "control port, 0 for any free one")
	flags.StringVar(&o.certFile, "tls-cert", "", "PEM certificate chain of the API port")
	flags.StringVar(&o.keyFile, "tls-key", "", "PEM private key of the API port")
	flags.StringVar(&o.arrayControl, "array-control", "", "URL of the array's control port")
	if err := flags.Parse(arguments); err != nil {
		return o, err
	}
	for name, value := range map[string]string{
		"--world": o.worldFile, "--tls-cert": o.certFile, "--tls-key": o.keyFile, "--array-control": o.arrayControl,
		"the environment variable LAB_USERNAME": o.username, "the environment variable LAB_PASSWORD": o.password,
	} {
		if value == "" {
			return o, fmt.Errorf("%s is missing", name)
		}
	}
	return o, nil
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "vcenter:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	o, err := parseOptions(arguments)
	if err != nil {
		return err
	}
	world, err := loadWorld(o.worldFile)
	if err != nil {
		return err
	}
	certificate, err := tls.LoadX509KeyPair(o.certFile, o.keyFile)
	if err != nil {
		return err
	}
	fabric := newArrayControl(o.arrayControl)
	if err := fabric.wait(ctx, o.arrayGrace); err != nil {
		return err
	}
	server, err := newServer(world, fabric, credentials{o.username, o.password})
	if err != nil {
		return err
	}
	defer server.close()
	return serve(ctx, server, certificate, o)
}

// serve listens on both ports, announces them and returns when ctx ends.
func serve(ctx context.Context, server *server, certificate tls.Certificate, o options) error {
	api, err := net.Listen("tcp", net.JoinHostPort(o.listen, strconv.Itoa(o.port)))
	if err != nil {
		return err
	}
	control, err := net.Listen("tcp", net.JoinHostPort(o.listen, strconv.Itoa(o.controlPort)))
	if err != nil {
		return err
	}
	// HTTP/1.1 only: a dropped connection (faults.go) needs the connection itself, which HTTP/2 does not hand out.
	tlsConfig := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
	servers := []*http.Server{{Handler: server.api()}, {Handler: server.control()}}
	failed := make(chan error, len(servers))
	go func() { failed <- servers[0].Serve(tls.NewListener(api, tlsConfig)) }()
	go func() { failed <- servers[1].Serve(control) }()

	ready, err := json.Marshal(map[string]int{
		"port":         api.Addr().(*net.TCPAddr).Port,
		"control_port": control.Addr().(*net.TCPAddr).Port,
	})
	if err != nil {
		return err
	}
	fmt.Println("READY", string(ready))

	select {
	case <-ctx.Done():
	case err := <-failed:
		return err
	}
	grace, cancel := context.WithTimeout(context.Background(), o.shutdownGrace)
	defer cancel()
	for _, s := range servers {
		if s.Shutdown(grace) != nil {
			_ = s.Close()
		}
	}
	return nil
}
