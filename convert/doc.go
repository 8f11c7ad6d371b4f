// Package convert carries traces between the formats of the tools that people
// have: the kernel's trace text, trace-cmd's trace.dat, Perfetto's protobuf and
// the JSON of Chrome's trace viewer, the text of perf script and of
// babeltrace2, and CSV. In between every event is a [trace.Event], which is
// what kernsim's models emit and its replays read. So a simulated run can be
// opened in KernelShark or in Perfetto, and a trace recorded by any of these
// tools can be replayed.
//
//	source            a file's events, one after the other      Open
//	sink              where events are written                  New
//	Copy              from a source to a sink
//
//	format    read  write  opened by
//	text      yes   yes    tracefs readers, Perfetto's text importer
//	perf      yes   yes    readers of perf script's text
//	plain     yes   yes    "time [cpu] event: fields"
//	lttng     yes   yes    readers of babeltrace2's text
//	dat       yes   yes    trace-cmd report, KernelShark (version 6 is written, 6 and 7 are read)
//	perfetto  yes   yes    Perfetto
//	json      yes   yes    Perfetto, chrome://tracing, speedscope
//	csv       yes   yes    spreadsheets, data frames
//
// # What is kept
//
// text, perf, plain, lttng and csv keep what their columns have room for. dat,
// perfetto and json keep every event whole: what the format itself cannot say
// (a task's name at a time, the latency columns' number, the order of events
// in one microsecond) goes into fields that the tools skip, and is used when
// the file is read again. Foreign files do not have these fields and are read
// by the format's own rules. The one loss: trace.dat has no room for the two
// lazy columns of PREEMPT_RT's patches up to 6.6.
//
// # trace.dat
//
// A trace.dat holds for each event a description of its binary fields and of
// how they are printed, as a C expression. For reading, these expressions are
// parsed and evaluated ([EventFormat]), so events of any kernel are printed as
// that kernel prints them; where an expression uses what a file cannot tell,
// the fields are listed by name, and an address of the kernel counts as 0 (page=
// of mm_page_alloc then repeats the page frame number). For writing, descriptions are made from the
// events' texts: "order=3 gfp=GFP_KERNEL" becomes a number and a string, and
// gives the same text when it is printed. Events of one name whose texts are
// built differently get one description each.
//
// A trace.dat begins with what is only known at the end, so its sink keeps all
// events in memory, some 100 bytes and their text each.
//
// Times of a trace.dat are nanoseconds; those of a text with microseconds are
// moved apart by single nanoseconds where several are equal, so that tools
// show the events in their order.
//
// # Broken input
//
// Every reader reports broken input as a [trace.ParseError] for text and a
// [FormatError] for binary files, and bounds its memory by the file's size.
package convert
