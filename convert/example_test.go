package convert_test

import (
	"bytes"
	"fmt"
	"log"
	"os"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/convert"
	"github.com/kernsim/kernsim/trace"
)

// A trace of any format becomes text of the kernel.
func ExampleCopy() {
	csv := "time,cpu,pid,tgid,comm,flags,system,event,args,stamp,form,kind,lost\n" +
		"1000000,0,7,-1,sh,d..1.,,mm_page_free,page=0000000000000010 pfn=0x10 order=0,us,tracefs,,0\n"
	src, format, err := convert.Open(bytes.NewReader([]byte(csv)), int64(len(csv)), "trace.csv")
	if err != nil {
		log.Fatal(err)
	}
	dst, err := convert.New(os.Stdout, convert.Text, convert.Options{})
	if err != nil {
		log.Fatal(err)
	}
	n, err := convert.Copy(dst, src)
	fmt.Println(n, "events from", format, err)
	// Output:
	//               sh-7       [000] d..1.     0.001000: mm_page_free: page=0000000000000010 pfn=0x10 order=0
	// 1 events from csv <nil>
}

// What a model does can be opened in KernelShark or Perfetto.
func ExampleNew() {
	memory := []buddy.MemRange{{PhysRange: buddy.PhysRange{Start: 1 << 20, End: 64 << 20}}}
	a, err := buddy.NewMachine(&buddy.Machine{Memory: memory}, buddy.Linux6_1)
	if err != nil {
		log.Fatal(err)
	}
	var file bytes.Buffer
	sink, err := convert.New(&file, convert.Dat, convert.Options{})
	if err != nil {
		log.Fatal(err)
	}
	for i := range uint64(3) {
		pfn, err := a.AllocPages(0, buddy.GFPKernel, 0)
		if err != nil {
			log.Fatal(err)
		}
		ev := trace.Event{Time: i * 1000, PID: 1, TGID: -1, Comm: "model", Kind: trace.KindMMPageAlloc}
		ev.Page = trace.Page{PFN: uint64(pfn), HasPFN: true, GFPFlags: "GFP_KERNEL"}
		if err := sink.Write(&ev); err != nil {
			log.Fatal(err)
		}
	}
	if err := sink.Close(); err != nil {
		log.Fatal(err)
	}
	src, format, err := convert.Open(bytes.NewReader(file.Bytes()), int64(file.Len()), "trace.dat")
	if err != nil {
		log.Fatal(err)
	}
	var ev trace.Event
	for src.Read(&ev) == nil {
		fmt.Println(format, ev.Name, ev.Page.PFN, ev.Page.GFPFlags)
	}
	// Output:
	// dat mm_page_alloc 4096 GFP_KERNEL
	// dat mm_page_alloc 4097 GFP_KERNEL
	// dat mm_page_alloc 4098 GFP_KERNEL
}
