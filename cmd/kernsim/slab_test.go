package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestKsizeCommand(t *testing.T) {
	code, out, errs := runKernsim(t, "ksize", "100", "200100", "600100", "2200100", "4200000", "0")
	require.Zero(t, code, errs)
	for _, want := range []string{"kmalloc-128", "262144", "1048576", "4194304", "larger than KMALLOC_MAX_SIZE", "ZERO_SIZE_PTR"} {
		assert.Contains(t, out, want)
	}
	code, out, _ = runKernsim(t, "ksize", "--json", "--arch=arm64", "--kernel=5.4", "9")
	require.Zero(t, code)
	assert.Contains(t, out, `"cache": "kmalloc-128"`)
	for _, args := range [][]string{{"ksize"}, {"ksize", "many"}, {"ksize", "--arch=vax", "1"}} {
		code, _, _ := runKernsim(t, args...)
		assert.Equal(t, 2, code, args)
	}
}

func TestSlabinfoCommand(t *testing.T) {
	code, out, errs := runKernsim(t, "slabinfo", "x86_64-6.1-slab-1cpu")
	require.Zero(t, code, errs)
	assert.Contains(t, out, "slabinfo - version: 2.1\n# name")
	assert.Contains(t, out, "\nkmalloc-64 ")
	code, out, _ = runKernsim(t, "slabinfo", "--top", "pi3-kmem-pages")
	require.Zero(t, code)
	assert.Contains(t, out, "OBJ SIZE")
	code, _, errs = runKernsim(t, "slabinfo", "nowhere")
	assert.Equal(t, 2, code)
	assert.Contains(t, errs, "nowhere")
}
