package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// A cell has, in gonb's dialect, lines for a shell ("!ls", "!*go mod edit ..."
// in the cells' module), a "%%" line behind which everything is the body of
// main, and Go declarations in front of it.
type cell struct {
	shell []shellLine
	decls string // Go text in front of %%, its lines kept in place
	body  string
	line  int // line of the cell at which body starts
	main  bool
}

// shellLine is a "!" line.
type shellLine struct {
	command  string
	inModule bool
}

// parseCell takes a cell's text apart.
func parseCell(text string) (*cell, error) {
	c := &cell{}
	var decls, body []string
	for i, line := range strings.Split(text, "\n") {
		word := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "!*"):
			c.shell = append(c.shell, shellLine{line[2:], true})
			line = ""
		case strings.HasPrefix(line, "!"):
			c.shell = append(c.shell, shellLine{line[1:], false})
			line = ""
		case !c.main && (word == "%%" || word == "%main"):
			c.main, c.line = true, i+2
			continue
		case !c.main && strings.HasPrefix(line, "%"):
			return nil, fmt.Errorf("line %d: %q is not known: this kernel has %%%%, ! and !*", i+1, word)
		}
		if c.main {
			body = append(body, line)
		} else {
			decls = append(decls, line)
		}
	}
	c.decls, c.body = strings.Join(decls, "\n"), strings.Join(body, "\n")
	return c, nil
}

// declaration is a Go declaration of some cell.
type declaration struct {
	key  string // what it declares; a later one of the same key replaces it
	text string // with a //line comment in front
}

// program is what the cells so far have declared.
type program struct {
	imports []declaration
	decls   []declaration
}

// add takes a cell's declarations and gives the program with them; p itself
// stays, in case the cell does not compile.
func (p program) add(c *cell, name string) (program, error) {
	out := program{slices.Clone(p.imports), slices.Clone(p.decls)}
	fset := token.NewFileSet()
	head := "package main; "
	file, err := parser.ParseFile(fset, name, head+c.decls, parser.ParseComments)
	if err != nil {
		return p, err
	}
	src := head + c.decls
	for _, d := range file.Decls {
		start, end := fset.Position(d.Pos()), fset.Position(d.End())
		text := fmt.Sprintf("//line %s:%d\n%s\n", name, start.Line, src[start.Offset:end.Offset])
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.IMPORT {
			for _, s := range g.Specs {
				spec := s.(*ast.ImportSpec)
				from, to := fset.Position(spec.Pos()).Offset, fset.Position(spec.End()).Offset
				out.imports = put(out.imports, declaration{importName(spec), "import " + src[from:to] + "\n"})
			}
			continue
		}
		out.decls = put(out.decls, declaration{declKey(d), text})
	}
	return out, nil
}

// put adds a declaration, or replaces that of the same key.
func put(list []declaration, d declaration) []declaration {
	for i := range list {
		if list[i].key == d.key && d.key != "" {
			list[i] = d
			return list
		}
	}
	return append(list, d)
}

// importName is the name by which a file uses an import: its own, or the
// path's last element that is no version.
func importName(s *ast.ImportSpec) string {
	if s.Name != nil {
		return s.Name.Name
	}
	path, err := strconv.Unquote(s.Path.Value)
	if err != nil {
		return s.Path.Value
	}
	parts := strings.Split(path, "/")
	last := parts[len(parts)-1]
	if len(parts) > 1 && len(last) > 1 && last[0] == 'v' && strings.Trim(last[1:], "0123456789") == "" {
		last = parts[len(parts)-2]
	}
	return last
}

// declKey says what a declaration declares.
func declKey(d ast.Decl) string {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			if d.Name.Name == "init" || d.Name.Name == "_" {
				return ""
			}
			return "func " + d.Name.Name
		}
		return "method " + receiver(d.Recv.List[0].Type) + "." + d.Name.Name
	case *ast.GenDecl:
		var names []string
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				names = append(names, s.Name.Name)
			case *ast.ValueSpec:
				for _, n := range s.Names {
					names = append(names, n.Name)
				}
			}
		}
		return d.Tok.String() + " " + strings.Join(names, ",")
	}
	return ""
}

// receiver is the name of a method's type.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// source is the program as a Go file, with the cell's body as main. Imports
// that nothing uses are left out.
func (p program) source(c *cell, name string) string {
	var b strings.Builder
	for _, d := range p.decls {
		if d.key != "func main" || !c.main {
			b.WriteString(d.text)
		}
	}
	if c.main {
		fmt.Fprintf(&b, "func main() {\n//line %s:%d\n%s\n}\n", name, max(c.line, 1), c.body)
	}
	text := b.String()
	used := usedNames(text)
	head := "package main\n\n"
	for _, d := range p.imports {
		if used[d.key] || d.key == "_" || d.key == "." {
			head += d.text
		}
	}
	return head + text
}

// usedNames are the names in front of a dot.
func usedNames(text string) map[string]bool {
	used := map[string]bool{}
	file, _ := parser.ParseFile(token.NewFileSet(), "", "package main\n"+text, 0)
	if file == nil {
		return used
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := s.X.(*ast.Ident); ok {
				used[id.Name] = true
			}
		}
		return true
	})
	return used
}
