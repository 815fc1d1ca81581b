// certmanager is cert-manager: its controllers for an API server, and its webhook; or only what the webhook says of manifests.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "of an administrator")
	listen := flag.String("listen", "", "where the webhook answers, host:port")
	certificate := flag.String("certificate", "", "the webhook's, a file")
	key := flag.String("key", "", "the certificate's, a file")
	check := flag.Bool("check", false, "say what the webhook says of the files that are named, and run nothing")
	flag.Parse()
	if *check {
		os.Exit(checkFiles(flag.Args()))
	}
	if *kubeconfig == "" || *listen == "" {
		must(errors.New("usage: certmanager -kubeconfig FILE -listen HOST:PORT -certificate FILE -key FILE, or -check FILE..."))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	go func() { must(serveWebhook(ctx, *kubeconfig, *listen, *certificate, *key)) }()
	must(runControllers(ctx, *kubeconfig))
}
