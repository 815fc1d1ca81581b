// Package register has the one provider that is compiled in, in the place of every one that there is.
package register

import (
	// A provider is known by being imported.
	_ "github.com/external-secrets/external-secrets/pkg/provider/vault"
)
