// Package register has no generator: what makes secrets by itself is not asked for here.
package register
