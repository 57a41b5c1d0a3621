// Package rules loads rule files and plans events with them. A rule file is
// YAML that a person wrote, with expressions of the expr language in it; what
// it says is checked when it is loaded, and planning an event does no I/O.
//
//	Load ─▶ source  lines and positions of one file
//	        loader  the shape of a file: keys, names, values
//	        scope   which names an expression may use; compiles it
//	Plan ─▶ run     one event against one file: values computed when first used
package rules
