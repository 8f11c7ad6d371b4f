package slab

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// readGz gives a compressed file of testdata.
func readGz(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	b, err := io.ReadAll(z)
	require.NoError(t, err)
	return b
}

// readTable gives the rows of a tab-separated table by column name; lines that
// begin with '#' are left out.
func readTable(t testing.TB, name string) []map[string]string {
	t.Helper()
	var head []string
	var rows []map[string]string
	sc := bufio.NewScanner(bytes.NewReader(readGz(t, name)))
	for sc.Scan() {
		if strings.HasPrefix(sc.Text(), "#") {
			continue
		}
		fields := strings.Split(sc.Text(), "\t")
		if head == nil {
			head = fields
			continue
		}
		require.Len(t, fields, len(head), "%s: %s", name, sc.Text())
		row := map[string]string{}
		for i, f := range fields {
			row[head[i]] = f
		}
		rows = append(rows, row)
	}
	require.NotEmpty(t, rows)
	return rows
}
