package vma

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

	"github.com/stretchr/testify/require"
)

// The model against the kernel that runs the test: a child process makes random
// calls in a range of its address space that nobody else uses, and tells after
// each what it got and what /proc/self/maps shows there.

const (
	childEnv  = "KERNSIM_VMA_CHILD"
	rangeBase = uint64(0x200000000000)
	rangeSize = 48 // pages
)

func TestMain(m *testing.M) {
	if file := os.Getenv(childEnv); file != "" {
		child(file)
		return
	}
	os.Exit(m.Run())
}

// child does the calls that it reads: "number a b c d e f".
func child(file string) {
	fd, err := syscall.Open(file, syscall.O_RDWR, 0)
	if err != nil {
		fmt.Println(err)
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
			nr, a, b, c = syscall.SYS_PREAD64, uintptr(fd), a, 1
			d = 0
		case nr == syscall.SYS_MMAP && d&uintptr(MapAnonymous) == 0:
			e = uintptr(fd)
		}
		_, _, errno := syscall.Syscall6(nr, a, b, c, d, e, f)
		fmt.Fprintf(out, "%d\n", int(errno))
		maps, _ := os.ReadFile("/proc/self/maps")
		for line := range strings.Lines(string(maps)) {
			var start, end, off uint64
			var perms string
			if n, _ := fmt.Sscanf(line, "%x-%x %s %x", &start, &end, &perms, &off); n == 4 && start >= rangeBase && start < rangeBase+rangeSize<<pageShift {
				fmt.Fprintf(out, "%x-%x %s %x\n", start, end, perms, off)
			}
		}
		fmt.Fprintln(out, ".")
		out.Flush()
	}
}

// writeCall stands for writing a byte.
const writeCall = 9999

var errnos = map[string]syscall.Errno{"EINVAL": syscall.EINVAL, "ENOMEM": syscall.ENOMEM, "EACCES": syscall.EACCES, "EFAULT": syscall.EFAULT,
	"EEXIST": syscall.EEXIST, "EAGAIN": syscall.EAGAIN, "EPERM": syscall.EPERM}

// newKernel: the kernel that runs the test is 6.18; others than that and 6.1 to
// 6.5 are left out.
func newKernel(t *testing.T) bool {
	var u syscall.Utsname
	require.NoError(t, syscall.Uname(&u))
	var release []byte
	for _, c := range u.Release {
		release = append(release, byte(c))
	}
	var major, minor int
	_, err := fmt.Sscanf(string(release), "%d.%d", &major, &minor)
	require.NoError(t, err)
	version := major*100 + minor
	if version != 618 && (version < 601 || version > 605) {
		t.Skip("neither 6.1 to 6.5, whose rules these are, nor 6.18, which was tried")
	}
	return version == 618
}

// lines are the address space as the child prints it.
func (s *Space) lines() (out []string) {
	s.Each(func(v VMA) bool {
		off := uint64(0)
		if v.File != nil {
			off = v.PageOffset << pageShift
		}
		out = append(out, fmt.Sprintf("%x-%x %s %x", v.Start, v.End, v.Flags.Perms(), off))
		return true
	})
	return out
}

func TestAgainstKernel(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, make([]byte, 64<<pageShift), 0o600))
	for seed := range uint64(12) {
		againstKernel(t, file, seed)
	}
}

// process is a process that does system calls.
type process struct {
	t     *testing.T
	stdin io.Writer
	out   *bufio.Scanner
}

func newProcess(t *testing.T, file string) *process {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+file)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { stdin.Close(); require.NoError(t, cmd.Wait()) })
	return &process{t, stdin, bufio.NewScanner(stdout)}
}

// do does a call and gives its errno and the address space after it.
func (p *process) do(call string) (errno int, maps []string) {
	_, err := p.stdin.Write([]byte(call))
	require.NoError(p.t, err)
	require.True(p.t, p.out.Scan())
	_, err = fmt.Sscan(p.out.Text(), &errno)
	require.NoError(p.t, err)
	for p.out.Scan() && p.out.Text() != "." {
		maps = append(maps, p.out.Text())
	}
	return errno, maps
}

// TestSituationsOnKernel: the situations come out the same on the kernel that runs
// the test.
func TestSituationsOnKernel(t *testing.T) {
	unaccount := newKernel(t)
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, make([]byte, 64<<pageShift), 0o600))
	p := newProcess(t, file)
	for _, c := range situations {
		s, err := New(Config{Unaccount: unaccount})
		require.NoError(t, err)
		f := &File{Path: file}
		_, _ = p.do(fmt.Sprintln(syscall.SYS_MUNMAP, situationBase, rangeSize<<pageShift, 0, 0, 0, 0))
		for text := range strings.SplitSeq(c.calls, "; ") {
			x := situation(text)
			require.NoError(t, x.do(s, f))
			var call string
			switch x.verb {
			case "map":
				call = fmt.Sprintln(syscall.SYS_MMAP, x.from, x.size, uint64(x.prot), uint64(MapPrivate|MapAnonymous|MapFixed), ^uint64(0), 0)
			case "file":
				call = fmt.Sprintln(syscall.SYS_MMAP, x.from, x.size, uint64(ProtRead), uint64(MapPrivate|MapFixed), 0, x.n<<pageShift)
			case "unmap":
				call = fmt.Sprintln(syscall.SYS_MUNMAP, x.from, x.size, 0, 0, 0, 0)
			case "prot":
				call = fmt.Sprintln(syscall.SYS_MPROTECT, x.from, x.size, uint64(x.prot), 0, 0, 0)
			case "write":
				call = fmt.Sprintln(writeCall, x.from, 0, 0, 0, 0, 0)
			case "move":
				call = fmt.Sprintln(syscall.SYS_MREMAP, x.from, x.size, x.size, uint64(RemapMayMove|RemapFixed), situationBase+x.n<<pageShift, 0)
			case "grow":
				call = fmt.Sprintln(syscall.SYS_MREMAP, x.from, x.size, x.n<<pageShift, 0, 0, 0)
			}
			errno, maps := p.do(call)
			require.Zero(t, errno, "%s: %s", c.name, text)
			require.Equal(t, maps, s.lines(), "%s: %s", c.name, text)
		}
	}
}

func againstKernel(t *testing.T, file string, seed uint64) {
	t.Helper()
	p := newProcess(t, file)
	s, err := New(Config{Unaccount: newKernel(t)})
	require.NoError(t, err)
	f := &File{Path: file}
	rng := rand.New(rand.NewPCG(seed, 0))
	page := func(n int) uint64 { return rangeBase + uint64(n)<<pageShift }
	prots := []Prot{ProtNone, ProtRead, ProtRead | ProtWrite, ProtRead | ProtWrite, ProtRead | ProtExec}
	advices := []Advice{AdviseNormal, AdviseRandom, AdviseSequential, AdviseDontFork, AdviseDoFork, AdviseDontDump, AdviseDoDump, AdviseDontNeed, 77}
	var history []string
	for range 400 {
		a, n := rng.IntN(rangeSize), 1+rng.IntN(8)
		n = min(n, rangeSize-a)
		addr, size := page(a), uint64(n)<<pageShift
		prot := prots[rng.IntN(len(prots))]
		var call string
		var got error
		switch rng.IntN(12) {
		case 0, 1, 2:
			flags := MapFixed | MapPrivate | MapAnonymous
			off := uint64(0)
			switch rng.IntN(6) {
			case 0:
				flags = MapFixed | MapShared | MapAnonymous
			case 1:
				flags, off = MapFixed|MapPrivate, uint64(a)
			case 2:
				flags |= MapNoReserve
			case 3:
				flags |= MapFixedNoReplace
			}
			call = fmt.Sprintln(syscall.SYS_MMAP, addr, size, uint64(prot), uint64(flags), ^uint64(0), off<<pageShift)
			_, got = s.Mmap(addr, size, prot, flags, f, off)
		case 3:
			call = fmt.Sprintln(syscall.SYS_MUNMAP, addr, size, 0, 0, 0, 0)
			got = s.Munmap(addr, size)
		case 4, 5, 6:
			call = fmt.Sprintln(syscall.SYS_MPROTECT, addr, size, uint64(prot), 0, 0, 0)
			got = s.Mprotect(addr, size, prot)
		case 7:
			advice := advices[rng.IntN(len(advices))]
			call = fmt.Sprintln(syscall.SYS_MADVISE, addr, size, uint64(advice), 0, 0, 0)
			got = s.Madvise(addr, size, advice)
		case 8:
			call = fmt.Sprintln(syscall.SYS_MLOCK, addr, size, 0, 0, 0, 0)
			if v, ok := s.At(addr); !ok || v.Flags&access == 0 || v.File != nil {
				continue // the kernel also reads the pages in
			}
			if v, _ := s.At(addr); v.End < addr+size {
				size = v.End - addr
				call = fmt.Sprintln(syscall.SYS_MLOCK, addr, size, 0, 0, 0, 0)
			}
			got = s.Mlock(addr, size)
		case 9:
			call = fmt.Sprintln(syscall.SYS_MUNLOCK, addr, size, 0, 0, 0, 0)
			got = s.Munlock(addr, size)
		case 10:
			// Within one VMA: newer kernels move several at once.
			v, ok := s.At(addr)
			if !ok {
				continue
			}
			old := min(size, v.End-addr)
			to := rng.IntN(rangeSize)
			length := uint64(1+rng.IntN(8)) << pageShift
			flags := RemapMayMove | RemapFixed
			switch rng.IntN(3) {
			case 0:
				flags = 0
			case 1:
				flags, length = flags|RemapDontUnmap, old
			}
			if to+int(length>>pageShift) > rangeSize || flags == 0 && a+int(length>>pageShift) > rangeSize {
				continue
			}
			call = fmt.Sprintln(syscall.SYS_MREMAP, addr, old, length, uint64(flags), page(to), 0)
			_, got = s.Mremap(addr, old, length, flags, page(to))
		default:
			if v, ok := s.At(addr); !ok || v.Flags&Write == 0 || v.Flags&Shared != 0 {
				continue
			}
			call = fmt.Sprintln(writeCall, addr, 0, 0, 0, 0, 0)
			got = s.Write(addr)
		}
		history = append(history, strings.TrimSpace(call))
		errno, kernel := p.do(call)
		want := 0
		if e, ok := got.(*Error); ok {
			want = int(errnos[e.Errno])
		}
		tail := history[max(0, len(history)-6):]
		require.Equal(t, errno, want, "seed %d, step %d: %v\n%s\nkernel\n%s", seed, len(history), got, strings.Join(tail, "\n"), strings.Join(kernel, "\n"))
		if mine := s.lines(); !slices.Equal(kernel, mine) {
			var all []string
			s.Each(func(v VMA) bool {
				all = append(all, fmt.Sprintf("%x-%x %v flags %x offset %x anon_vma %d", v.Start, v.End, v.Flags.Perms(), uint64(v.Flags), v.PageOffset, v.AnonVMA))
				return true
			})
			t.Fatalf("seed %d, step %d:\n%s\nkernel\n%s\nmodel\n%s", seed, len(history), strings.Join(tail, "\n"), strings.Join(kernel, "\n"), strings.Join(all, "\n"))
		}
		require.NoError(t, s.Check())
	}
}
