package explore

import (
	"embed"
	"slices"
	"strings"
)

//go:embed programs/*.txt
var texts embed.FS

// Programs lists the names of the programs that come with the package: locks as
// they are built, and with the mistakes that are made with them.
func Programs() []string {
	entries, _ := texts.ReadDir("programs") // embedded: it cannot fail
	var out []string
	for _, e := range entries {
		out = append(out, strings.TrimSuffix(e.Name(), ".txt"))
	}
	slices.Sort(out)
	return out
}

// Text is the text of a program of [Programs], "" if there is none of the name. The
// line "# expect:" says which failure it has.
func Text(name string) string {
	text, _ := texts.ReadFile("programs/" + name + ".txt")
	return string(text)
}

// Expected is the failure that a program's line "# expect:" names; ok is false if
// it has none. "nothing" is "".
func Expected(text string) (kind FailureKind, ok bool) {
	_, rest, ok := strings.Cut(text, "# expect: ")
	line, _, _ := strings.Cut(rest, "\n")
	if line = strings.TrimSpace(line); line == "nothing" {
		line = ""
	}
	return FailureKind(line), ok
}
