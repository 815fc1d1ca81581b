package main

import (
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
)

// plugins are what is compiled in, by kind and name, as Vault asks for it.
type plugins map[consts.PluginType]map[string]logical.Factory

func (all plugins) Contains(name string, kind consts.PluginType) bool {
	_, known := all[kind][name]
	return known
}

func (all plugins) Get(name string, kind consts.PluginType) (func() (interface{}, error), bool) {
	factory, known := all[kind][name]
	return func() (interface{}, error) { return factory, nil }, known
}

func (all plugins) Keys(kind consts.PluginType) []string {
	var names []string
	for name := range all[kind] {
		names = append(names, name)
	}
	return names
}

func (all plugins) DeprecationStatus(name string, kind consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, all.Contains(name, kind)
}

func (all plugins) IsBuiltinEntPlugin(string, consts.PluginType) bool {
	return false
}
