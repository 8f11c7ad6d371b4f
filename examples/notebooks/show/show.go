// Package show puts pictures, HTML and Markdown under a notebook's cell, in
// the kernel of this repository and in gonb. Outside of a notebook pictures
// and HTML are left out and Markdown is printed.
package show

import (
	"encoding/base64"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

// Env is the environment variable by which this repository's kernel says that
// it takes displays from the standard output, between Start and End.
const (
	Env   = "KERNSIM_NOTEBOOK"
	Start = "\x1b]kernsim;"
	End   = "\x07\n"
)

// HTML shows HTML.
func HTML(html string) { display("text/html", html) }

// Markdown shows Markdown.
func Markdown(text string) { display("text/markdown", text) }

// Markdownf shows Markdown that is formatted as by fmt.Sprintf.
func Markdownf(format string, args ...any) { Markdown(fmt.Sprintf(format, args...)) }

// SVG shows a drawing. It goes out as HTML, which every front end scales and
// exports.
func SVG(svg []byte) {
	text := string(svg)
	if i := strings.Index(text, "<svg"); i > 0 {
		text = text[i:]
	}
	HTML(`<div class="kernsim-graph" style="max-width:42em">` + text + "</div>")
}

// PNG shows a picture.
func PNG(png []byte) { display("image/png", png) }

// Progress replaces what the same id showed before by a line of text.
func Progress(id, format string, args ...any) {
	send(id, "text/html", "<pre>"+fmt.Sprintf(format, args...)+"</pre>")
}

// Table shows rows as a Markdown table; the first row is the head.
func Table(rows ...[]any) {
	var b strings.Builder
	for i, row := range rows {
		for _, cell := range row {
			fmt.Fprintf(&b, "| %v ", cell)
		}
		b.WriteString("|\n")
		if i == 0 {
			b.WriteString(strings.Repeat("| --- ", len(row)) + "|\n")
		}
	}
	Markdown(b.String())
}

// Check ends the cell with an error if got is not want. It says in one line
// what was compared.
func Check[T comparable](what string, got, want T) {
	if got != want {
		fmt.Fprintf(os.Stderr, "%s: %v, but it should be %v\n", what, got, want)
		os.Exit(1)
	}
	fmt.Printf("%s: %v, as it should be\n", what, got)
}

// Must gives v, or ends the cell if there is an error.
func Must[T any](v T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return v
}

func display(mime string, content any) { send("", mime, content) }

// send gives content to whichever kernel there is.
func send(id, mime string, content any) {
	switch {
	case os.Getenv(Env) != "":
		sendInBand(id, mime, content)
	case os.Getenv("GONB_PIPE") != "":
		sendGonb(id, mime, content)
	case mime == "text/markdown":
		fmt.Println(content)
	}
}

// Display is what is shown, as this repository's kernel reads it. Data is text,
// or for pictures base64.
type Display struct {
	ID   string `json:"id,omitempty"`
	MIME string `json:"mime"`
	Data string `json:"data"`
}

func sendInBand(id, mime string, content any) {
	text, ok := content.(string)
	if !ok {
		text = base64.StdEncoding.EncodeToString(content.([]byte))
	}
	b, err := json.Marshal(Display{id, mime, text})
	if err != nil {
		return // texts always encode
	}
	fmt.Print(Start + base64.StdEncoding.EncodeToString(b) + End)
}

// displayData and commValue have the fields that gonb reads from its pipe, by
// gob.
type displayData struct {
	Data      map[string]any
	Metadata  map[string]any
	DisplayID string
}

type commValue struct {
	Address string
	Request bool
	Value   any
}

var gonb *gob.Encoder

func sendGonb(id, mime string, content any) {
	if gonb == nil {
		gob.RegisterName("github.com/janpfeifer/gonb/gonbui/protocol.CommValue", commValue{})
		pipe, err := os.OpenFile(os.Getenv("GONB_PIPE"), os.O_WRONLY, 0)
		if err != nil {
			fmt.Fprintln(os.Stderr, "show:", err)
			return
		}
		gonb = gob.NewEncoder(pipe)
	}
	if err := gonb.Encode(&displayData{Data: map[string]any{mime: content}, DisplayID: id}); err != nil {
		fmt.Fprintln(os.Stderr, "show:", err)
		return
	}
	syncGonb()
}

var gonbBack *gob.Decoder

// syncGonb waits until gonb has taken what was sent, at most two seconds.
func syncGonb() {
	path := os.Getenv("GONB_PIPE_BACK")
	if path == "" {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if gonbBack == nil {
			pipe, err := os.OpenFile(path, os.O_RDONLY, 0)
			if err != nil {
				return
			}
			gonbBack = gob.NewDecoder(pipe)
		}
		if gonb.Encode(&displayData{Data: map[string]any{"gonb/comm_value": commValue{Address: "#gonbui/sync", Value: 1}}}) != nil {
			return
		}
		var back commValue
		_ = gonbBack.Decode(&back)
	}()
	select {
	case <-done:
	case <-time.After(2 * time.Second):
	}
}
