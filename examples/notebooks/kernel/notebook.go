package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// notebook is a file of nbformat 4. Fields that are not named here are kept.
type notebook struct {
	Cells    []*nbCell       `json:"cells"`
	Metadata json.RawMessage `json:"metadata"`
	Format   int             `json:"nbformat"`
	Minor    int             `json:"nbformat_minor"`
}

type nbCell struct {
	Type     string `json:"cell_type"`
	Count    *int   `json:"execution_count,omitempty"`
	ID       string `json:"id"`
	Metadata struct {
		Tags []string `json:"tags,omitempty"`
	} `json:"metadata"`
	Outputs []*nbOutput `json:"outputs,omitempty"`
	Source  lines       `json:"source"`
}

// nbOutput is an entry of a cell's outputs.
type nbOutput struct {
	Type     string         `json:"output_type"`
	Name     string         `json:"name,omitempty"`
	Text     lines          `json:"text,omitempty"`
	Data     map[string]any `json:"data,omitempty"`
	Metadata *struct{}      `json:"metadata,omitempty"`
	EName    string         `json:"ename,omitempty"`
	EValue   string         `json:"evalue,omitempty"`
	Trace    []string       `json:"traceback,omitempty"`
	id       string
}

// lines is a text that a notebook holds as one string or as a list of lines.
type lines string

func (l *lines) UnmarshalJSON(b []byte) error {
	var list []string
	if json.Unmarshal(b, &list) == nil {
		*l = lines(strings.Join(list, ""))
		return nil
	}
	return json.Unmarshal(b, (*string)(l))
}

func (l lines) MarshalJSON() ([]byte, error) {
	return encode(strings.SplitAfter(string(l), "\n"), "")
}

// encode writes JSON without escaping HTML.
func encode(v any, indent string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	err := e.Encode(v)
	return bytes.TrimRight(b.Bytes(), "\n"), err
}

// maxCell is how long one cell may take.
const maxCell = 2 * time.Minute

// runNotebook runs all cells of a notebook and writes it with their outputs; an
// empty out writes nothing. A cell that fails, or that has the tag "graph" and
// shows none, is an error.
func runNotebook(ctx context.Context, in, out string) error {
	b, err := os.ReadFile(in)
	if err != nil {
		return err
	}
	var nb notebook
	if err := json.Unmarshal(b, &nb); err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	work, err := filepath.Abs(filepath.Dir(in))
	if err != nil {
		return err
	}
	s, err := newSession(work)
	if err != nil {
		return err
	}
	defer s.close()
	failed := nb.run(ctx, s)
	if out != "" {
		text, err := encode(&nb, " ")
		if err == nil {
			err = os.WriteFile(out, append(text, '\n'), 0o644)
		}
		if err != nil {
			return err
		}
	}
	if failed != nil {
		return fmt.Errorf("%s: %w", in, failed)
	}
	return nil
}

// run runs the code cells and stops at the first that fails.
func (nb *notebook) run(ctx context.Context, s *session) error {
	for i, c := range nb.Cells {
		if c.Type != "code" {
			continue
		}
		c.Outputs = nil
		cellCtx, cancel := context.WithTimeout(ctx, maxCell)
		err := s.run(cellCtx, string(c.Source), c)
		cancel()
		n := s.n
		c.Count = &n
		if err == nil && slices.Contains(c.Metadata.Tags, "graph") && !c.hasGraph() {
			err = fmt.Errorf("no graph is shown")
		}
		if err != nil {
			text := c.texts()
			c.Outputs = append(c.Outputs, &nbOutput{Type: "error", EName: "Error", EValue: err.Error(), Trace: []string{err.Error()}})
			return fmt.Errorf("cell %d (%s): %w\n%s", i+1, c.ID, err, text)
		}
	}
	return nil
}

// hasGraph says whether a cell shows a drawing or picture.
func (c *nbCell) hasGraph() bool {
	for _, o := range c.Outputs {
		html, _ := o.Data["text/html"].(string)
		if o.Data["image/png"] != nil || strings.Contains(html, "<svg") && strings.Contains(html, "</svg>") {
			return true
		}
	}
	return false
}

// texts is what a cell printed.
func (c *nbCell) texts() string {
	var b strings.Builder
	for _, o := range c.Outputs {
		b.WriteString(string(o.Text))
	}
	return b.String()
}

// stream adds text to the cell's output.
func (c *nbCell) stream(name, text string) {
	if n := len(c.Outputs); n > 0 && c.Outputs[n-1].Name == name {
		c.Outputs[n-1].Text += lines(text)
		return
	}
	c.Outputs = append(c.Outputs, &nbOutput{Type: "stream", Name: name, Text: lines(text)})
}

// display adds a display, or replaces the one of the same id.
func (c *nbCell) display(id string, data map[string]any) {
	o := &nbOutput{Type: "display_data", Data: data, Metadata: &struct{}{}, id: id}
	for i := range c.Outputs {
		if id != "" && c.Outputs[i].id == id {
			c.Outputs[i] = o
			return
		}
	}
	c.Outputs = append(c.Outputs, o)
}
