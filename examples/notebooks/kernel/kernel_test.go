package main

import (
	"bufio"
	"context"
	"crypto/hmac"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"
)

// cells runs cells in one session and gives what each showed, and the error of
// the last.
func cells(t *testing.T, sources ...string) ([]*nbCell, error) {
	t.Helper()
	s, err := newSession(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	var out []*nbCell
	for _, src := range sources {
		c := &nbCell{}
		out = append(out, c)
		if err := s.run(context.Background(), src, c); err != nil {
			return out, err
		}
	}
	return out, nil
}

func TestDeclarationsStay(t *testing.T) {
	out, err := cells(t,
		"import \"fmt\"\nimport \"strings\"\nfunc f() int { return 1 }\ntype T struct{ n int }\nfunc (t *T) get() int { return t.n }",
		"%%\nfmt.Println(f())",
		"func f() int { return 2 }",
		"%%\nfmt.Println(f(), (&T{3}).get())",
		"!echo from a shell",
	)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range map[int]string{1: "1\n", 3: "2 3\n", 4: "from a shell\n"} {
		if got := out[i].texts(); got != want {
			t.Errorf("cell %d: %q, want %q", i, got, want)
		}
	}
}

func TestErrorsNameTheCellsLine(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"import \"fmt\"\n\n%%\nfmt.Println(\"a\")\nundefined()", "cell[1]:5"},
		{"func f() int {\n\treturn \"x\"\n}", "cell[1]:2"},
		{"%%\npanic(\"boom\")", "boom"},
		{"!exit 3", ""},
		{"func (", "cell[1]:1"},
		{"%unknown", "not known"},
	} {
		out, err := cells(t, c.text)
		if err == nil {
			t.Errorf("%q: no error", c.text)
			continue
		}
		if text := out[0].texts() + err.Error(); !strings.Contains(text, c.want) {
			t.Errorf("%q: %q does not name %q", c.text, text, c.want)
		}
	}
}

// A cell that does not compile leaves no declarations behind.
func TestFailedCellLeavesNothing(t *testing.T) {
	s, err := newSession(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for _, src := range []string{"func f() int { return 1 }", "func f() int { return \"x\" }"} {
		_ = s.run(context.Background(), src, &nbCell{})
	}
	c := &nbCell{}
	if err := s.run(context.Background(), "import \"fmt\"\n\n%%\nfmt.Println(f())", c); err != nil || c.texts() != "1\n" {
		t.Errorf("%q, %v", c.texts(), err)
	}
}

func TestDisplays(t *testing.T) {
	c := &nbCell{}
	w := &writer{out: c, mu: &sync.Mutex{}, name: "stdout", shows: true}
	text := "a" + showStart + "eyJpZCI6IngiLCJtaW1lIjoidGV4dC9odG1sIiwiZGF0YSI6Ijxzdmc+PC9zdmc+In0=" + showEnd + "b\x1b[1mc"
	for i := range text { // byte by byte: displays may be cut anywhere
		if _, err := w.Write([]byte(text[i : i+1])); err != nil {
			t.Fatal(err)
		}
	}
	w.flush()
	if len(c.Outputs) != 3 || c.Outputs[0].Text != "a" || c.Outputs[1].Data["text/html"] != "<svg></svg>" || c.Outputs[2].Text != "b\x1b[1mc" {
		b, _ := json.Marshal(c.Outputs)
		t.Errorf("%s", b)
	}
	if !c.hasGraph() {
		t.Error("no graph")
	}
}

func TestMissingGraph(t *testing.T) {
	in := filepath.Join(t.TempDir(), "n.ipynb")
	text := `{"cells":[{"cell_type":"code","id":"g","metadata":{"tags":["graph"]},"outputs":[],"source":["%%\n","println()"]}],"metadata":{},"nbformat":4,"nbformat_minor":5}`
	if err := os.WriteFile(in, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out.ipynb")
	if err := runNotebook(context.Background(), in, out); err == nil || !strings.Contains(err.Error(), "no graph") {
		t.Errorf("%v", err)
	}
	if b, err := os.ReadFile(out); err != nil || !strings.Contains(string(b), `"output_type": "error"`) {
		t.Errorf("%s, %v", b, err)
	}
}

// A front end's requests over Jupyter's protocol: a cell's output and result.
func TestJupyter(t *testing.T) {
	conn := connection{IP: "127.0.0.1", Transport: "tcp", Key: "secret"}
	for _, port := range []*int{&conn.Shell, &conn.Control, &conn.IOPub, &conn.Stdin, &conn.Heartbeat} {
		*port = freePort(t)
	}
	b, err := json.Marshal(conn)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "conn.json")
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	served := make(chan error, 1)
	go func() { served <- serve(ctx, file) }()

	client := &server{conn: conn, id: "client"}
	shell, sub := zmq4.NewDealer(ctx), zmq4.NewSub(ctx)
	client.shell, client.iopub = shell, sub
	dial(t, shell, conn.Shell)
	dial(t, sub, conn.IOPub)
	if err := sub.SetOption(zmq4.OptionSubscribe, ""); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond) // subscriptions are not acknowledged
	client.send(shell, nil, nil, "execute_request", map[string]any{"code": "import \"fmt\"\n\n%%\nfmt.Println(6*7)"})
	var kinds []string
	for text := ""; !strings.Contains(text, "idle"); {
		m, err := client.receive(sub)
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, m.header.Type)
		text = string(m.content)
		if m.header.Type == "stream" && !strings.Contains(text, `42\n`) {
			t.Errorf("stream %s", text)
		}
	}
	if got := strings.Join(kinds, " "); got != "status execute_input stream status" {
		t.Errorf("published %s", got)
	}
	m, err := client.receive(shell)
	if err != nil || m.header.Type != "execute_reply" || !strings.Contains(string(m.content), `"ok"`) {
		t.Fatalf("%+v, %v", m, err)
	}
	client.send(shell, nil, nil, "shutdown_request", map[string]any{})
	if err := <-served; err != nil {
		t.Error(err)
	}
	if !hmac.Equal(client.sign(nil), client.sign(nil)) {
		t.Error("signatures differ")
	}
}

func dial(t *testing.T, s zmq4.Socket, port int) {
	t.Helper()
	for range 100 {
		c, err := net.DialTCP("tcp", nil, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err == nil {
			c.Close()
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := s.Dial("tcp://127.0.0.1:" + strconv.Itoa(port)); err != nil {
		t.Fatal(err)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Every notebook of the folder can be read, has ids, and at least one graph.
func TestNotebooksAreWellFormed(t *testing.T) {
	paths, err := filepath.Glob("../*.ipynb")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	for _, p := range paths {
		f, err := os.Open(p)
		if err != nil {
			t.Fatal(err)
		}
		var nb notebook
		if err := json.NewDecoder(bufio.NewReader(f)).Decode(&nb); err != nil {
			t.Fatal(p, err)
		}
		f.Close()
		ids, graphs := map[string]bool{}, 0
		for _, c := range nb.Cells {
			if c.ID == "" || ids[c.ID] {
				t.Errorf("%s: id %q", p, c.ID)
			}
			ids[c.ID] = true
			if len(c.Metadata.Tags) > 0 {
				graphs++
			}
			if len(c.Outputs) > 0 {
				t.Errorf("%s: cell %s has outputs", p, c.ID)
			}
		}
		if graphs == 0 {
			t.Errorf("%s: no graph", p)
		}
	}
}
