package trace

import (
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestImports says that the package itself imports the standard library only,
// and of that nothing that could make two runs differ or start something.
func TestImports(t *testing.T) {
	forbidden := []string{"math/rand", "math/rand/v2", "crypto/rand", "hash/maphash", "time", "os", "net", "reflect", "unsafe", "sync", "runtime"}
	files, err := os.ReadDir(".")
	require.NoError(t, err)
	checked := 0
	for _, file := range files {
		name := file.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range parsed.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			first, _, _ := strings.Cut(path, "/")
			require.NotContains(t, first, ".", "%s imports %s", name, path)
			require.NotContains(t, forbidden, path, "%s imports %s", name, path)
		}
		checked++
	}
	require.Greater(t, checked, 15)
}
