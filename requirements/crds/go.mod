module pgbearer.invalid/requirements/crds

go 1.26.4

require (
	github.com/cert-manager/cert-manager v1.21.2
	github.com/cloudnative-pg/cloudnative-pg v1.30.0
	github.com/external-secrets/external-secrets v0.20.4
	github.com/prometheus-operator/prometheus-operator v0.85.0
	github.com/spiffe/spire-controller-manager v0.6.3
)
