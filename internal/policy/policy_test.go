package policy

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/kernsim/kernsim/"

// models has for each model package the packages of this module that it may
// import.
var models = map[string][]string{
	"trace": {},
	"buddy": {"trace"},
	"slab":  {"trace", "buddy"},
	"mm":    {"trace", "buddy", "slab"},
	"sched": {"trace"},
	"sync":  {"trace", "sched"},
}

// others have what further packages of this module may import of it.
var others = map[string][]string{
	"captures": {},
	"convert":  {"trace"},
	"replay":   {"trace", "buddy", "slab", "mm", "sched", "sync"},
	"bench":    {"trace", "buddy", "slab", "replay"},
	"viz":      {"trace", "buddy", "slab", "mm", "sched", "sync"},
}

// sources parses a package's files without its tests; nil if there is no such
// package yet.
func sources(t *testing.T, fset *token.FileSet, dir string) []*ast.File {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("..", "..", dir, "*.go"))
	require.NoError(t, err)
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		require.NoError(t, err)
		files = append(files, f)
	}
	return files
}

// subpackages gives a package's folder and those below it that have code.
func subpackages(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(filepath.Join(root, dir), func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if d.Name() == "testdata" {
			return fs.SkipDir
		}
		rel, err := filepath.Rel(root, p)
		out = append(out, filepath.ToSlash(rel))
		return err
	})
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(t, err)
	return out
}

func imports(t *testing.T, dir string) []string {
	var out []string
	for _, f := range sources(t, token.NewFileSet(), dir) {
		for _, i := range f.Imports {
			out = append(out, strings.Trim(i.Path.Value, `"`))
		}
	}
	return out
}

func TestImportsFollowTheArrows(t *testing.T) {
	for _, rules := range []map[string][]string{models, others} {
		for top, allowed := range rules {
			_, model := models[top]
			for _, dir := range subpackages(t, top) {
				for _, imp := range imports(t, dir) {
					own, inModule := strings.CutPrefix(imp, module)
					room, _, _ := strings.Cut(own, "/")
					switch {
					case inModule:
						assert.True(t, room == top || slices.Contains(allowed, room), "%s imports %s", dir, imp)
					case model || top == "captures":
						assert.NotContains(t, strings.Split(imp, "/")[0], ".", "%s imports %s, which is not of the standard library", dir, imp)
					}
				}
			}
		}
	}
}

// forbidden are packages that would let a model's result depend on more than
// its input.
var forbidden = []string{"time", "os", "net", "sync", "runtime", "math/rand", "crypto/rand"}

// searches are not models that are stepped but searches over all executions of a
// program: they may use all cores, because their results are sorted.
var searches = []string{"sync/lkmm"}

func TestModelsDependOnNothingOutside(t *testing.T) {
	for top := range models {
		for _, dir := range subpackages(t, top) {
			if slices.Contains(searches, dir) {
				continue
			}
			for _, imp := range imports(t, dir) {
				assert.NotContains(t, forbidden, imp, dir)
			}
			fset := token.NewFileSet()
			for _, f := range sources(t, fset, dir) {
				ast.Inspect(f, func(n ast.Node) bool {
					switch n.(type) {
					case *ast.GoStmt, *ast.SelectStmt, *ast.SendStmt:
						assert.Fail(t, "goroutines or channels in a model", fset.Position(n.Pos()))
					}
					return true
				})
			}
		}
	}
}

// mapLoopComment has to stand at a loop over a map.
const mapLoopComment = "order does not matter"

func TestModelsLoopOverNoMaps(t *testing.T) {
	fset := token.NewFileSet()
	imp := importer.ForCompiler(fset, "source", nil)
	for _, top := range []string{"trace", "buddy", "slab", "mm", "sched", "sync"} {
		for _, dir := range subpackages(t, top) {
			files := sources(t, fset, dir)
			if len(files) == 0 {
				continue
			}
			info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
			conf := types.Config{Importer: imp}
			_, err := conf.Check(path.Join(module, dir), fset, files, info)
			require.NoError(t, err)
			for _, f := range files {
				noted := commentLines(fset, f)
				ast.Inspect(f, func(n ast.Node) bool {
					loop, ok := n.(*ast.RangeStmt)
					if !ok {
						return true
					}
					if _, isMap := info.Types[loop.X].Type.Underlying().(*types.Map); isMap {
						line := fset.Position(loop.Pos()).Line
						assert.True(t, noted[line] || noted[line-1], "%s: loop over a map", fset.Position(loop.Pos()))
					}
					return true
				})
			}
		}
	}
}

// commentLines are the lines on which a comment with mapLoopComment ends.
func commentLines(fset *token.FileSet, f *ast.File) map[int]bool {
	out := map[int]bool{}
	for _, g := range f.Comments {
		if strings.Contains(g.Text(), mapLoopComment) {
			out[fset.Position(g.End()).Line] = true
		}
	}
	return out
}

// maxRepository is the most that the files of the repository may take.
const maxRepository = 25 << 20

func TestRepositorySize(t *testing.T) {
	var n int64
	require.NoError(t, filepath.WalkDir(filepath.Join("..", ".."), func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == ".git" || strings.HasPrefix(name, "kernsim-report") {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		n += info.Size()
		return err
	}))
	assert.LessOrEqual(t, n, int64(maxRepository))
}
