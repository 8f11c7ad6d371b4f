package trace

// Decoder fills the payloads of events that no [Reader] read: a caller who has
// an event's name and text from another format sets Event.Name, System and
// Args and gets Kind and payload. The zero value is ready to use.
type Decoder struct {
	texts interner
	dec   decoder
}

// Decode sets ev.Kind by ev.Name, unless it is set already, and fills the
// payload of that kind from ev.Args. Texts of the payload are interned;
// Probe.P is valid until the next call. It fails with a [ParseError] that has
// ev.Line as its line, and then leaves the payload unspecified.
func (d *Decoder) Decode(ev *Event) error {
	if ev.Kind == KindUnknown {
		ev.Kind = KindByName(ev.Name)
	}
	d.dec.texts = &d.texts
	p := payloadOf(ev.Kind)
	if p.decode == nil || d.dec.decode(p, ev) {
		return nil
	}
	return &ParseError{Line: ev.Line, Found: quote(d.dec.found) + " in " + ev.Name, Expected: d.dec.expected}
}
