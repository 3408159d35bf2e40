// The work of ../runtime.cpp on goroutines: runtime PROCS ROW SCALE prints what one operation took in
// nanoseconds (of parked: the bytes of one goroutine as well).
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"time"
)

func report(row string, value float64) { fmt.Printf("%s\t%.1f\n", row, value) }

func each(row string, began time.Time, operations int) {
	report(row, float64(time.Since(began).Nanoseconds())/float64(operations))
}

func resident() int64 {
	text, _ := os.ReadFile("/proc/self/statm")
	var size, pages int64
	fmt.Sscan(string(text), &size, &pages)
	return pages * int64(os.Getpagesize())
}

func spawn(n int) {
	var group sync.WaitGroup
	began := time.Now()
	group.Add(n)
	for i := 0; i < n; i++ {
		go group.Done()
	}
	group.Wait()
	each("spawn", began, n)
}

func yield(n int) {
	var group sync.WaitGroup
	began := time.Now()
	group.Add(2)
	for k := 0; k < 2; k++ {
		go func() {
			defer group.Done()
			for i := 0; i < n; i++ {
				runtime.Gosched()
			}
		}()
	}
	group.Wait()
	each("yield", began, 2*n)
}

func roundTrip(n int) {
	ping, pong := make(chan int), make(chan int)
	began := time.Now()
	go func() {
		for i := 0; i < n; i++ {
			ping <- i
			<-pong
		}
	}()
	for i := 0; i < n; i++ {
		<-ping
		pong <- i
	}
	each("round_trip", began, n)
}

func channel(n int) {
	items := make(chan int, 100)
	began := time.Now()
	go func() {
		for i := 0; i < n; i++ {
			items <- i
		}
		close(items)
	}()
	for range items {
	}
	each("channel", began, n)
}

func mutex(n int) {
	const tasks = 100
	var lock sync.Mutex
	var group sync.WaitGroup
	shared := 0
	began := time.Now()
	group.Add(tasks)
	for k := 0; k < tasks; k++ {
		go func() {
			defer group.Done()
			for i := 0; i < n/tasks; i++ {
				lock.Lock()
				shared++
				lock.Unlock()
			}
		}()
	}
	group.Wait()
	each("mutex", began, n)
}

func grow(out chan<- int64, number, size int64) {
	if size == 1 {
		out <- number
		return
	}
	in := make(chan int64)
	for i := int64(0); i < 10; i++ {
		go grow(in, number+i*(size/10), size/10)
	}
	sum := int64(0)
	for i := 0; i < 10; i++ {
		sum += <-in
	}
	out <- sum
}

func skynet(n int) {
	sum := make(chan int64)
	began := time.Now()
	go grow(sum, 0, int64(n))
	if <-sum != int64(n)*int64(n-1)/2 {
		panic("a wrong sum")
	}
	each("skynet", began, 1)
}

func parked(n int) {
	debug.FreeOSMemory()
	before := resident()
	var started sync.WaitGroup
	release := make(chan bool)
	began := time.Now()
	started.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			started.Done()
			<-release
		}()
	}
	started.Wait()
	each("parked", began, 1)
	report("parked_bytes", float64(resident()-before)/float64(n))
	close(release)
}

func sleeping(n int) {
	var group sync.WaitGroup
	began := time.Now()
	group.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			time.Sleep(time.Second)
			group.Done()
		}()
	}
	group.Wait()
	each("sleeping", began, 1)
}

var rows = map[string]struct {
	run func(int)
	n   int
}{
	"spawn": {spawn, 2_000_000}, "yield": {yield, 2_000_000}, "round_trip": {roundTrip, 2_000_000},
	"channel": {channel, 2_000_000}, "mutex": {mutex, 2_000_000}, "skynet": {skynet, 1_000_000},
	"parked": {parked, 1_000_000}, "sleeping": {sleeping, 1_000_000},
}

func main() {
	if len(os.Args) == 4 {
		procs, _ := strconv.Atoi(os.Args[1])
		row, known := rows[os.Args[2]]
		scale, _ := strconv.ParseFloat(os.Args[3], 64)
		if known && procs > 0 && scale > 0 {
			runtime.GOMAXPROCS(procs)
			n := row.n
			if os.Args[2] != "skynet" { // wants a power of ten
				n = int(float64(n) * scale)
			}
			row.run(n)
			return
		}
	}
	fmt.Fprintln(os.Stderr, "usage: runtime PROCS ROW SCALE")
	os.Exit(2)
}
