// The work of ../limit.cpp as a Go service would do it with the usual parts: golang.org/x/time/rate, a map, a mutex, and
// a sweep that holds it. limit ROW CLIENTS THREADS prints what was measured.
package main

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

const decisions = 3_000_000

type visitor struct {
	bucket *rate.Limiter
	seen   time.Time
}

type table struct {
	mutex    sync.Mutex
	visitors map[string]*visitor
}

func (t *table) decide(client string) bool {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	v := t.visitors[client]
	if v == nil {
		v = &visitor{bucket: rate.NewLimiter(10, 20)}
		t.visitors[client] = v
	}
	v.seen = time.Now()
	return v.bucket.Allow()
}

// Holds the lock until it has looked at everybody, as it must: a map cannot be walked in pieces.
func (t *table) sweep(idle time.Duration) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	for client, v := range t.visitors {
		if time.Since(v.seen) > idle {
			delete(t.visitors, client)
		}
	}
}

func clients(count int) []string {
	all := make([]string, count)
	for i := range all {
		all[i] = netip.AddrFrom4([4]byte{byte(10 + i>>24), byte(i >> 16), byte(i >> 8), byte(i)}).String()
	}
	return all
}

func newTable() *table { return &table{visitors: make(map[string]*visitor)} }

func report(row string, value float64) { fmt.Printf("%s\t%.3f\n", row, value) }

func resident() int64 {
	text, _ := os.ReadFile("/proc/self/statm")
	var size, pages int64
	fmt.Sscan(string(text), &size, &pages)
	return pages * int64(os.Getpagesize())
}

func hot(int, int) {
	t, client := newTable(), clients(1)[0]
	for i := 0; i < decisions; i++ {
		t.decide(client)
	}
	began := time.Now()
	for i := 0; i < decisions; i++ {
		t.decide(client)
	}
	report("hot", float64(time.Since(began).Nanoseconds())/decisions)
}

func first(count, _ int) {
	t, all := newTable(), clients(count)
	runtime.GC()
	before := resident()
	longest, last := time.Duration(0), time.Now()
	began := last
	for i, client := range all {
		t.decide(client)
		if i%8 != 0 {
			continue
		}
		at := time.Now()
		if at.Sub(last) > longest {
			longest = at.Sub(last)
		}
		last = at
	}
	report("first", float64(time.Since(began).Nanoseconds())/float64(count))
	report("bytes", float64(resident()-before)/float64(count))
	report("longest_first", float64(longest.Nanoseconds())/1e3)
	runtime.KeepAlive(all)
}

func random(count, threads int) {
	t, all := newTable(), clients(count)
	for _, client := range all {
		t.decide(client)
	}
	var group sync.WaitGroup
	began := time.Now()
	for k := 0; k < threads; k++ {
		group.Add(1)
		go func(x uint64) {
			defer group.Done()
			for i := 0; i < decisions; i++ {
				x ^= x << 13
				x ^= x >> 7
				x ^= x << 17
				t.decide(all[x%uint64(count)])
			}
		}(uint64(k*7919 + 12345))
	}
	group.Wait()
	report("random", float64(decisions*threads)/float64(time.Since(began).Microseconds()))
}

// The longest time from one decision to the next while everybody is swept.
func sweep(count, _ int) {
	t, all := newTable(), clients(count)
	for _, client := range all {
		t.decide(client)
	}
	var swept atomic.Bool
	began := make(chan struct{})
	go func() {
		close(began)
		t.sweep(0)
		swept.Store(true)
	}()
	<-began
	longest := time.Duration(0)
	for last := time.Now(); !swept.Load(); {
		t.decide(all[0])
		runtime.Gosched()
		at := time.Now()
		if at.Sub(last) > longest {
			longest = at.Sub(last)
		}
		last = at
	}
	report("sweep", float64(longest.Nanoseconds())/1e3)
}

func main() {
	rows := map[string]func(int, int){"hot": hot, "first": first, "random": random, "sweep": sweep}
	if len(os.Args) != 4 || rows[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: limit hot|first|random|sweep CLIENTS THREADS")
		os.Exit(2)
	}
	count, _ := strconv.Atoi(os.Args[2])
	threads, _ := strconv.Atoi(os.Args[3])
	runtime.GOMAXPROCS(threads)
	rows[os.Args[1]](count, threads)
}
