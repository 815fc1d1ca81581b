package main

import (
	"context"
	"net/http"
	"time"

	acmeinstall "github.com/cert-manager/cert-manager/internal/apis/acme/install"
	cminstall "github.com/cert-manager/cert-manager/internal/apis/certmanager/install"
	metainstall "github.com/cert-manager/cert-manager/internal/apis/meta/install"
	"github.com/cert-manager/cert-manager/internal/webhook/admission/certificaterequest/approval"
	"github.com/cert-manager/cert-manager/internal/webhook/admission/certificaterequest/identity"
	"github.com/cert-manager/cert-manager/internal/webhook/admission/resourcevalidation"
	"github.com/cert-manager/cert-manager/pkg/webhook/admission"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// scheme knows cert-manager's kinds, and how each becomes what its webhook validates.
func scheme() *runtime.Scheme {
	known := runtime.NewScheme()
	cminstall.Install(known)
	acmeinstall.Install(known)
	metainstall.Install(known)
	return known
}

// serveWebhook answers at /validate and /mutate, on the one address that it is told, until ctx ends.
func serveWebhook(ctx context.Context, kubeconfig, listen, certificate, key string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	authorizer, err := authorizerfactory.DelegatingAuthorizerConfig{
		SubjectAccessReviewClient: client.AuthorizationV1(),
		WebhookRetryBackoff:       &wait.Backoff{Duration: time.Second, Factor: 2, Steps: 2},
	}.New()
	if err != nil {
		return err
	}
	// The plugins of internal/webhook/webhook.go, in their order.
	plugins := admission.PluginChain{
		identity.NewPlugin(), approval.NewPlugin(authorizer, client.Discovery()), resourcevalidation.NewPlugin(),
	}
	paths := http.NewServeMux()
	paths.Handle("/validate", admission.NewCustomValidationWebhook(scheme(), plugins))
	paths.Handle("/mutate", admission.NewCustomMutationWebhook(plugins))
	paths.HandleFunc("/readyz", func(http.ResponseWriter, *http.Request) {})
	server := &http.Server{Addr: listen, Handler: paths}
	go func() {
		<-ctx.Done()
		server.Close()
	}()
	if err := server.ListenAndServeTLS(certificate, key); err != http.ErrServerClosed {
		return err
	}
	return nil
}
