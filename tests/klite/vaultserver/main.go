// vault is a Vault that keeps everything in memory: its core and its HTTP API, with key-value stores and with logins of
// Kubernetes' service accounts. Upstream's command has every storage, every database and every cloud.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/hashicorp/go-hclog"
	kubernetes "github.com/hashicorp/vault-plugin-auth-kubernetes"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	api "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

func main() {
	listen := flag.String("listen", "", "where it answers, host:port")
	certificate := flag.String("certificate", "", "its own, a file")
	key := flag.String("key", "", "the certificate's, a file")
	flag.Parse()
	if *listen == "" {
		must(errors.New("usage: vault -listen HOST:PORT -certificate FILE -key FILE"))
	}
	logger := hclog.New(&hclog.LoggerOptions{Name: "vault"})
	store, err := inmem.NewInmem(nil, logger)
	must(err)
	compiledIn := plugins{
		consts.PluginTypeSecrets:    {"kv": kv.Factory},
		consts.PluginTypeCredential: {"kubernetes": kubernetes.Factory},
	}
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical:           store,
		Logger:             logger,
		DisableMlock:       true, // what is in it is made up
		BuiltinRegistry:    compiledIn,
		LogicalBackends:    compiledIn[consts.PluginTypeSecrets],
		CredentialBackends: compiledIn[consts.PluginTypeCredential],
	})
	must(err)
	server := &http.Server{Addr: *listen, Handler: api.Handler.Handler(&vault.HandlerProperties{Core: core})}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	go func() {
		<-ctx.Done()
		server.Close()
	}()
	if err := server.ListenAndServeTLS(*certificate, *key); err != http.ErrServerClosed {
		must(err)
	}
}
