package replay

// ModelsOf lists the models that a capture has data for, by its files. It is
// empty for a folder that holds nothing that can be replayed.
func ModelsOf(c Capture) []string {
	var out []string
	for _, k := range kinds {
		if k.has(c) {
			out = append(out, k.model)
		}
	}
	return out
}
