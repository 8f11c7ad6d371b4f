package viz

import (
	_ "embed"
	"html/template"
	"io"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	// The graphs are made by this package, which escapes what it is given.
	"svg": func(b []byte) template.HTML { return template.HTML(b) },
}).Parse(pageText))

// Page is a report: one HTML file that needs nothing else, in a browser of any
// width, light or dark, or on paper.
type Page struct {
	Title string
	// Lead are the paragraphs under the title.
	Lead []string
	// Good says whether Verdict, the report's result in a sentence, is one to
	// be happy with.
	Good    bool
	Verdict string
	// Table is the overview; Figures stand below it.
	Table    Table
	Figures  []Figure
	Sections []Section
	// Notes are footnotes: how to read the page, how it was made.
	Notes []string
	// Made says with which program, configuration and seed.
	Made string
}

// Table is a table with a heading row.
type Table struct {
	Caption string
	Columns []Column
	Rows    []TableRow
}

// Column is a table's column.
type Column struct {
	Name string
	// Number aligns it to the right.
	Number bool
}

// TableRow is a row of a [Table].
type TableRow struct {
	Cells []string
	// Link, if set, is the ID of the section that the first cell leads to.
	Link string
	// Mark sets the row off: it is not exact.
	Mark bool
}

// Section is a part of a page with its graphs.
type Section struct {
	// ID is unique on the page and made of letters, digits, '-' and '.'.
	ID, Title string
	// Text are paragraphs, Facts names with their values.
	Text    []string
	Facts   []Fact
	Tables  []Table
	Figures []Figure
}

// Fact is a name with its value.
type Fact struct{ Name, Value string }

// WriteHTML writes the page.
func (p *Page) WriteHTML(w io.Writer) error { return pageTemplate.Execute(w, p) }

// IsNumber says whether the i-th column is aligned to the right.
func (t Table) IsNumber(i int) bool { return i < len(t.Columns) && t.Columns[i].Number }
