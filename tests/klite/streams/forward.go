package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/cri-streaming/pkg/streaming"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
)

func (here node) servePortForward(out http.ResponseWriter, request *http.Request) {
	options, err := portforward.NewV4Options(request)
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)
		return
	}
	namespace, pod := request.PathValue("namespace"), request.PathValue("pod")
	if _, err := here.pod(namespace, pod); err != nil {
		http.Error(out, err.Error(), http.StatusNotFound)
		return
	}
	usual := streaming.DefaultConfig
	portforward.ServePortForward(out, request, forwarder{here, namespace}, pod, "", options,
		usual.StreamIdleTimeout, usual.StreamCreationTimeout, usual.SupportedPortForwardProtocols)
}

// lastWords is how long one side may go on when the other has ended.
const lastWords = time.Second

// forwarder connects to ports of the pods of a namespace.
type forwarder struct {
	here      node
	namespace string
}

// PortForward hands on between the stream and the pod's loopback until one side has said all, and a second longer for the
// other. It ends as a container runtime does it (containerd's portForward), for kubectl ends with the first error that
// it hears, and all that it forwards: there, too, a connection that is reset is an error, and has such an end.
func (to forwarder) PortForward(_ context.Context, pod, _ string, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	beside, err := to.here.anyProcess(to.namespace, pod)
	if err != nil {
		return err
	}
	defer beside.close()
	connection, err := beside.dial(port)
	if err != nil {
		return err
	}
	defer connection.Close()
	ended := make(chan error, 2)
	copyTo := func(to io.Writer, from io.Reader) {
		_, err := io.Copy(to, from)
		ended <- err
	}
	go copyTo(stream, connection)
	go copyTo(connection, stream)
	if err := <-ended; err != nil {
		return err
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(lastWords):
		return nil
	}
}

// dial connects to the loopback where the process is: a socket belongs to the network of the thread that makes it.
func (of *process) dial(port int32) (net.Conn, error) {
	var made net.Conn
	err := onThread(func() error {
		err := of.join("net", unix.CLONE_NEWNET)
		if err == nil {
			made, err = net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		}
		return err
	})
	return made, err
}
