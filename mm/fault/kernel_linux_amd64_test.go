package fault

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/kernsim/kernsim/mm/vma"
	"github.com/stretchr/testify/require"
)

// The model against the kernel that runs the test: a child process makes random
// calls and accesses in a range of its address space that nobody else uses, and
// tells after each what it got and what /proc/self/smaps shows there: resident
// and anonymous memory.

const (
	childEnv  = "KERNSIM_FAULT_CHILD"
	rangeBase = uint64(0x200000000000)
	rangeSize = 40 // pages
	// rangeBytes is what the child tells of.
	rangeBytes = 16 << 20

	readCall  = 9998
	writeCall = 9999
)

func TestMain(m *testing.M) {
	if file := os.Getenv(childEnv); file != "" {
		child(file)
		return
	}
	os.Exit(m.Run())
}

func child(file string) {
	fd, err := syscall.Open(file, syscall.O_RDWR, 0)
	if err != nil {
		os.Exit(3)
	}
	pipe := make([]int, 2)
	if syscall.Pipe(pipe) != nil {
		os.Exit(3)
	}
	in := bufio.NewScanner(os.Stdin)
	out := bufio.NewWriter(os.Stdout)
	for in.Scan() {
		var nr, a, b, c, d, e, f uintptr
		if n, _ := fmt.Sscan(in.Text(), &nr, &a, &b, &c, &d, &e, &f); n != 7 {
			continue
		}
		switch {
		case nr == writeCall: // the kernel writes a byte of the file there
			nr, a, b, c, d = syscall.SYS_PREAD64, uintptr(fd), a, 1, 0
		case nr == readCall: // the kernel reads a byte there
			nr, a, b, c = syscall.SYS_WRITE, uintptr(pipe[1]), a, 1
		case nr == syscall.SYS_MMAP && d&uintptr(vma.MapAnonymous) == 0:
			e = uintptr(fd)
		}
		_, _, errno := syscall.Syscall6(nr, a, b, c, d, e, f)
		fmt.Fprintf(out, "%d\n", int(errno))
		smaps, _ := os.ReadFile("/proc/self/smaps")
		var start, end uint64
		inRange := false
		for line := range strings.Lines(string(smaps)) {
			var perms string
			if n, _ := fmt.Sscanf(line, "%x-%x %s ", &start, &end, &perms); n == 3 {
				if inRange = start >= rangeBase && start < rangeBase+rangeBytes; inRange {
					fmt.Fprintf(out, "%x-%x %s\n", start, end, perms)
				}
			} else if inRange {
				fmt.Fprint(out, line)
			}
		}
		fmt.Fprintln(out, ".")
		out.Flush()
	}
}

// comparable leaves out of smaps what belongs to the machine: device, inode and
// path, protection keys and soft-dirty bits.
func comparable(lines []string) (out []string) {
	for _, l := range lines {
		if strings.HasPrefix(l, "ProtectionKey") {
			continue
		}
		if f := strings.Fields(l); len(f) > 2 && strings.Contains(f[0], "-") {
			l = f[0] + " " + f[1]
		}
		out = append(out, strings.Replace(strings.TrimSpace(l), " sd", "", 1))
	}
	return out
}

func (x *Memory) smaps() []string {
	var b strings.Builder
	_ = x.WriteSmaps(&b, true)
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
}

// release618 says that the kernel that runs the test is 6.18.
func release618(t *testing.T) bool {
	var u syscall.Utsname
	require.NoError(t, syscall.Uname(&u))
	var release []byte
	for _, c := range u.Release {
		release = append(release, byte(c))
	}
	return strings.HasPrefix(string(release), "6.18.")
}

func TestAgainstKernel(t *testing.T) {
	if !release618(t) {
		t.Skip("tried with Linux 6.18 only: others differ in where VMAs join")
	}
	file := filepath.Join(t.TempDir(), "file")
	// Page by page: large folios would change what fault-around maps, see
	// DEVIATIONS 20. Synced: fault-around passes over a page while it is locked.
	out, err := os.Create(file)
	require.NoError(t, err)
	for range 64 {
		_, err = out.Write(make([]byte, pageSize))
		require.NoError(t, err)
	}
	require.NoError(t, out.Sync())
	require.NoError(t, out.Close())
	for seed := range uint64(2) {
		thrice(t, func() string { return againstKernel(t, file, seed) })
	}
}

// thrice repeats a comparison that finds a difference: a page that somebody else has
// locked or taken off its list at that moment is passed over by fault-around.
func thrice(t *testing.T, compare func() string) {
	t.Helper()
	var difference string
	for range 3 {
		if difference = compare(); difference == "" {
			return
		}
	}
	t.Fatal(difference)
}

// process is a process that does system calls.
type process struct {
	t     *testing.T
	stdin io.Writer
	out   *bufio.Scanner
	end   func()
}

func newProcess(t *testing.T, file string) *process {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+file)
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	return &process{t, stdin, bufio.NewScanner(stdout), func() { stdin.Close(); require.NoError(t, cmd.Wait()) }}
}

// do does a call and gives its errno and smaps after it.
func (p *process) do(call string) (errno int, smaps []string) {
	_, err := p.stdin.Write([]byte(call))
	require.NoError(p.t, err)
	require.True(p.t, p.out.Scan())
	_, err = fmt.Sscan(p.out.Text(), &errno)
	require.NoError(p.t, err)
	for p.out.Scan() && p.out.Text() != "." {
		smaps = append(smaps, p.out.Text())
	}
	return errno, smaps
}

func againstKernel(t *testing.T, file string, seed uint64) (difference string) {
	t.Helper()
	p := newProcess(t, file)
	defer p.end()
	s, err := vma.New(vma.Config{Unaccount: true})
	require.NoError(t, err)
	m := NewMachine()
	x := New(m, s, 0)
	f := &vma.File{Path: file}
	m.Cache(f, 0, 64)
	rng := rand.New(rand.NewPCG(seed, 0))
	page := func(n int) uint64 { return rangeBase + uint64(n)<<pageShift }
	prots := []vma.Prot{vma.ProtNone, vma.ProtRead, rw, rw, rw}
	var history []string
	for range 200 {
		a, n := rng.IntN(rangeSize), 1+rng.IntN(8)
		n = min(n, rangeSize-a)
		addr, size := page(a), uint64(n)<<pageShift
		prot := prots[rng.IntN(len(prots))]
		var call string
		want := 0
		switch rng.IntN(12) {
		case 0, 1:
			flags, off := anon, uint64(0)
			switch rng.IntN(4) {
			case 0:
				flags = vma.MapFixed | vma.MapShared | vma.MapAnonymous
			case 1:
				flags, off = vma.MapFixed|vma.MapPrivate, uint64(a)
			}
			call = fmt.Sprintln(syscall.SYS_MMAP, addr, size, uint64(prot), uint64(flags), ^uint64(0), off<<pageShift)
			_, err = x.Mmap(addr, size, prot, flags, f, off)
		case 2:
			call = fmt.Sprintln(syscall.SYS_MUNMAP, addr, size, 0, 0, 0, 0)
			err = x.Munmap(addr, size)
		case 3, 4:
			call = fmt.Sprintln(syscall.SYS_MPROTECT, addr, size, uint64(prot), 0, 0, 0)
			err = x.Mprotect(addr, size, prot)
		case 5:
			v, ok := s.At(addr)
			if !ok {
				continue
			}
			size = min(size, v.End-addr)
			call = fmt.Sprintln(syscall.SYS_MADVISE, addr, size, uint64(vma.AdviseDontNeed), 0, 0, 0)
			err = x.DontNeed(addr, size)
		case 6:
			v, ok := s.At(addr)
			to := rng.IntN(rangeSize - n + 1)
			if !ok || v.End < addr+size {
				continue
			}
			call = fmt.Sprintln(syscall.SYS_MREMAP, addr, size, size, uint64(vma.RemapMayMove|vma.RemapFixed), page(to), 0)
			_, err = x.Mremap(addr, size, size, vma.RemapMayMove|vma.RemapFixed, page(to))
		case 7, 8:
			call = fmt.Sprintln(readCall, addr, 0, 0, 0, 0, 0)
			_, err = x.Access(addr, false, false)
		default:
			call = fmt.Sprintln(writeCall, addr, 0, 0, 0, 0, 0)
			_, err = x.Access(addr, true, false)
		}
		switch e := err.(type) {
		case *Signal:
			want = int(syscall.EFAULT)
		case *vma.Error:
			want = map[string]int{"ENOMEM": int(syscall.ENOMEM), "EINVAL": int(syscall.EINVAL), "EFAULT": int(syscall.EFAULT), "EACCES": int(syscall.EACCES)}[e.Errno]
		}
		history = append(history, strings.TrimSpace(call))
		errno, kernel := p.do(call)
		tail := strings.Join(history[max(0, len(history)-6):], "\n")
		require.Equal(t, errno, want, "seed %d, step %d:\n%s", seed, len(history), tail)
		if kernel, mine := comparable(kernel), comparable(x.smaps()); len(kernel)+x.s.Count() > 0 && !slices.Equal(kernel, mine) {
			return fmt.Sprintf("seed %d, step %d:\n%s\n-kernel +model\n%s", seed, len(history), tail, cmp.Diff(kernel, mine))
		}
		require.NoError(t, x.Check())
	}
	return ""
}

// TestHugeAgainstKernel does the same with 2 MiB and more, where huge pages may be.
func TestHugeAgainstKernel(t *testing.T) {
	enabled, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	zero, err2 := os.ReadFile("/sys/kernel/mm/transparent_hugepage/use_zero_page")
	if err != nil || err2 != nil || strings.Contains(string(enabled), "[never]") {
		t.Skip("no transparent huge pages here")
	}
	if !release618(t) {
		t.Skip("tried with Linux 6.18 only")
	}
	mode := HugeMadvise
	if strings.Contains(string(enabled), "[always]") {
		mode = HugeAlways
	}
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, make([]byte, pageSize), 0o600))
	for seed := range uint64(2) {
		thrice(t, func() string {
			return hugeAgainstKernel(t, file, seed, mode, strings.TrimSpace(string(zero)) == "1")
		})
	}
}

// collapsed says that khugepaged has made a huge page of small ones meanwhile, or of
// all that it could: when it runs nobody knows. The model follows.
func collapsed(x *Memory, kernel []string) bool {
	var keys []uint64
	x.eachTable(rangeBase, rangeBase+rangeBytes, func(key uint64) {
		v, ok := x.s.At(key << hugeShift)
		if t := x.tables[key]; ok && !t.huge && t.used > 0 && x.eligible(&v, key<<hugeShift) {
			keys = append(keys, key)
		}
	})
	for _, key := range keys {
		if x.Collapse(key<<hugeShift) == nil && slices.Equal(kernel, comparable(x.smaps())) {
			return true
		}
	}
	return slices.Equal(kernel, comparable(x.smaps()))
}

func hugeAgainstKernel(t *testing.T, file string, seed uint64, mode HugeMode, zero bool) (difference string) {
	t.Helper()
	p := newProcess(t, file)
	defer p.end()
	s, err := vma.New(vma.Config{Unaccount: true})
	require.NoError(t, err)
	m := NewMachine()
	m.Huge, m.HugeZero, m.HugeZeroCopied = mode, zero, true
	x := New(m, s, 0)
	rng := rand.New(rand.NewPCG(seed, 7))
	const pages = rangeBytes >> pageShift
	var history []string
	do := func(call string, err error) {
		history = append(history, strings.TrimSpace(call))
		errno, kernel := p.do(call)
		want := 0
		switch e := err.(type) {
		case *Signal:
			want = int(syscall.EFAULT)
		case *vma.Error:
			want = map[string]int{"ENOMEM": int(syscall.ENOMEM), "EINVAL": int(syscall.EINVAL), "EFAULT": int(syscall.EFAULT), "EACCES": int(syscall.EACCES)}[e.Errno]
		}
		tail := strings.Join(history[max(0, len(history)-8):], "\n")
		require.Equal(t, errno, want, "seed %d, step %d:\n%s", seed, len(history), tail)
		if kernel, mine := comparable(kernel), comparable(x.smaps()); s.Count() > 0 && !slices.Equal(kernel, mine) && !collapsed(x, kernel) {
			difference = fmt.Sprintf("seed %d, step %d:\n%s\n-kernel +model\n%s", seed, len(history), tail, cmp.Diff(kernel, mine))
		}
		require.NoError(t, x.Check())
	}
	for range 120 {
		if difference != "" {
			return difference
		}
		// Often whole huge pages, often not.
		a, n := rng.IntN(pages-1024), 1+rng.IntN(1500)
		if rng.IntN(2) == 0 {
			a &^= 511
		}
		if rng.IntN(2) == 0 {
			n = (n + 511) &^ 511
		}
		n = min(n, pages-a)
		addr, size := rangeBase+uint64(a)<<pageShift, uint64(n)<<pageShift
		switch rng.IntN(12) {
		case 0, 1:
			_, err := x.Mmap(addr, size, rw, anon, nil, 0)
			do(fmt.Sprintln(syscall.SYS_MMAP, addr, size, uint64(rw), uint64(anon), ^uint64(0), 0), err)
		case 2:
			do(fmt.Sprintln(syscall.SYS_MUNMAP, addr, size, 0, 0, 0, 0), x.Munmap(addr, size))
		case 3, 4:
			v, ok := s.At(addr)
			if !ok {
				continue
			}
			size = min(size, v.End-addr)
			advice := []vma.Advice{vma.AdviseHugePage, vma.AdviseHugePage, vma.AdviseNoHugePage, vma.AdviseDontNeed, vma.AdviseDontFork}[rng.IntN(5)]
			do(fmt.Sprintln(syscall.SYS_MADVISE, addr, size, uint64(advice), 0, 0, 0), x.Madvise(addr, size, advice))
		case 5:
			prot := []vma.Prot{vma.ProtRead, rw, rw}[rng.IntN(3)]
			do(fmt.Sprintln(syscall.SYS_MPROTECT, addr, size, uint64(prot), 0, 0, 0), x.Mprotect(addr, size, prot))
		case 6:
			v, ok := s.At(addr)
			to := rng.IntN(pages - n + 1)
			if rng.IntN(2) == 0 {
				to = to&^511 | a&511
			}
			if !ok || v.End < addr+size || to+n > pages {
				continue
			}
			dest := rangeBase + uint64(to)<<pageShift
			_, err := x.Mremap(addr, size, size, vma.RemapMayMove|vma.RemapFixed, dest)
			do(fmt.Sprintln(syscall.SYS_MREMAP, addr, size, size, uint64(vma.RemapMayMove|vma.RemapFixed), dest, 0), err)
		case 7, 8:
			_, err := x.Access(addr, false, false)
			do(fmt.Sprintln(readCall, addr, 0, 0, 0, 0, 0), err)
		default:
			_, err := x.Access(addr, true, false)
			do(fmt.Sprintln(writeCall, addr, 0, 0, 0, 0, 0), err)
		}
	}
	return difference
}
