// A rate-limiting proxy as it is commonly written in Go: the standard library's reverse proxy behind one token
// bucket for each address, in a map that a mutex guards and a goroutine sweeps.
package main

import (
	"flag"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

type visitor struct {
	bucket *rate.Limiter
	seen   time.Time
}

type visitors struct {
	mutex  sync.Mutex
	known  map[string]*visitor
	limit  rate.Limit
	burst  int
	behind bool // believe X-Forwarded-For
}

func (v *visitors) address(request *http.Request) (string, error) {
	if forwarded := request.Header.Get("X-Forwarded-For"); v.behind && forwarded != "" {
		return forwarded, nil
	}
	host, _, err := net.SplitHostPort(request.RemoteAddr)
	return host, err
}

func (v *visitors) admit(address string) bool {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	one, found := v.known[address]
	if !found {
		one = &visitor{bucket: rate.NewLimiter(v.limit, v.burst)}
		v.known[address] = one
	}
	one.seen = time.Now()
	return one.bucket.Allow()
}

func (v *visitors) sweep() {
	for range time.Tick(time.Minute) {
		v.mutex.Lock()
		for address, one := range v.known {
			if time.Since(one.seen) > 3*time.Minute {
				delete(v.known, address)
			}
		}
		v.mutex.Unlock()
	}
}

func main() {
	listen := flag.String("listen", "", "HOST:PORT")
	upstream := flag.String("upstream", "", "http://HOST:PORT")
	perSecond := flag.Float64("rate", 1, "requests a second")
	burst := flag.Int("burst", 1, "requests at once")
	behind := flag.Bool("behind", false, "the client is the address in X-Forwarded-For")
	flag.Parse()

	target, err := url.Parse(*upstream)
	if err != nil {
		log.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	// The default keeps two idle connections to a host, and would measure connecting.
	proxy.Transport = &http.Transport{MaxIdleConns: 1024, MaxIdleConnsPerHost: 1024, DisableCompression: true}

	all := &visitors{known: map[string]*visitor{}, limit: rate.Limit(*perSecond), burst: *burst, behind: *behind}
	go all.sweep()
	log.Fatal(http.ListenAndServe(*listen, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		address, err := all.address(request)
		switch {
		case err != nil:
			http.Error(w, "no address", http.StatusInternalServerError)
		case !all.admit(address):
			http.Error(w, "too many requests", http.StatusTooManyRequests)
		default:
			proxy.ServeHTTP(w, request)
		}
	})))
}
