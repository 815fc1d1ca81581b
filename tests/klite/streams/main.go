// kubelet-streams is the part of a kubelet that the API server connects to: logs, commands and connections into pods.
//
// It starts and stops nothing. The pods are those of klite's Python, which keeps a folder NAMESPACE_POD for each, and
// in it a folder for each container with its log and, in the file pid, its first process.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	address := flag.String("listen", "", "address and port")
	folder := flag.String("pods", "", "folder of the pods")
	certificate := flag.String("tls-cert", "", "certificate, as PEM")
	key := flag.String("tls-key", "", "its key")
	authority := flag.String("client-ca", "", "authority of clients")
	client := flag.String("client", "", "common name of the one client that may ask")
	flag.Parse()

	pair, err := tls.LoadX509KeyPair(*certificate, *key)
	must(err)
	pem, err := os.ReadFile(*authority)
	must(err)
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(pem) {
		must(fmt.Errorf("%s: no certificate", *authority))
	}
	config := &tls.Config{
		MinVersion:       tls.VersionTLS13,
		Certificates:     []tls.Certificate{pair},
		ClientAuth:       tls.RequireAndVerifyClientCert,
		ClientCAs:        trusted,
		VerifyConnection: only(*client),
		NextProtos:       []string{"http/1.1"}, // streams are upgrades, which HTTP/2 has not
	}
	listener, err := tls.Listen("tcp", *address, config)
	must(err)
	fmt.Println("listening") // what who started it waits for
	serve(listener, node{*folder})
}

// only lets in the client of that name: whoever else has a certificate of the same authority could run what it likes.
func only(name string) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		if found := state.PeerCertificates[0].Subject.CommonName; found != name {
			return fmt.Errorf("client %q may not ask", found)
		}
		return nil
	}
}

// serve answers until it is told to end. The paths are those of k8s.io/kubernetes/pkg/kubelet/server/server.go.
func serve(listener net.Listener, here node) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(out http.ResponseWriter, _ *http.Request) { fmt.Fprint(out, "ok") })
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", here.serveLogs)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		mux.HandleFunc(method+" /exec/{namespace}/{pod}/{container}", here.serveExec)
		mux.HandleFunc(method+" /portForward/{namespace}/{pod}", here.servePortForward)
	}
	server := &http.Server{Handler: mux}
	told, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(told, func() { server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		must(err)
	}
}
