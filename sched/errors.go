package sched

import "fmt"

// ConfigError says which value of a configuration or of a system call's
// argument is not valid.
type ConfigError struct {
	Field string
	Value int64
	Want  string
}

// Error names the field, what was found and what is valid.
func (e *ConfigError) Error() string {
	return fmt.Sprintf("sched: %s is %d, want %s", e.Field, e.Value, e.Want)
}
