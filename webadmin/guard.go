package webadmin

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// policy lets a page load its own style sheet and icon, and nothing else:
// whatever a job manages to print, it cannot run here.
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// guarded is the way in for every request.
func (s *Server) guarded(next http.Handler) http.Handler {
	origins := http.NewCrossOriginProtection()
	return s.handle(func(w http.ResponseWriter, r *http.Request) error {
		setSecurityHeaders(w.Header())
		if s.cfg.LoopbackOnly {
			if err := checkLoopback(r); err != nil {
				return err
			}
		}
		if err := origins.Check(r); err != nil {
			return problem{kind: errForbidden, message: "This request comes from a page of another origin, so it is refused.", cause: err}
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			return problem{kind: errMethod}
		}
		next.ServeHTTP(w, r)
		return nil
	})
}

func setSecurityHeaders(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store") // inputs, outputs and logs are nobody else's
}

// checkLoopback refuses what a page from elsewhere could make a browser on this
// computer send: by a name that resolves to 127.0.0.1 (DNS rebinding), or across
// origins.
func checkLoopback(r *http.Request) error {
	if !isLoopback(r.Host) {
		return problem{kind: errForbidden, message: fmt.Sprintf("jobnetes dev answers only at localhost, 127.0.0.1 and [::1], not at %q: "+
			"anything else could be a foreign web page that reaches for this computer. Open http://localhost with the same port.", r.Host)}
	}
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	if origin := r.Header.Get("Origin"); origin != "" && !strings.EqualFold(origin, scheme+r.Host) {
		return problem{kind: errForbidden, message: fmt.Sprintf("This request comes from a page of %q; jobnetes dev answers only its own pages.", origin)}
	}
	switch site := r.Header.Get("Sec-Fetch-Site"); site {
	case "", "none", "same-origin":
		return nil
	default:
		return problem{kind: errForbidden, message: fmt.Sprintf("This request was made by another site's page (Sec-Fetch-Site: %s); "+
			"jobnetes dev answers only its own pages. Type or paste the address instead of following a link to it.", site)}
	}
}

// isLoopback tells whether a Host header, with or without a port, names this
// computer and could not be anybody's DNS name.
func isLoopback(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil { // no port
		name = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if strings.EqualFold(name, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && addr.IsLoopback()
}

// authenticated asks for the password, if there is one.
func (s *Server) authenticated(next http.Handler) http.Handler {
	if s.cfg.Username == "" {
		return next
	}
	return s.handle(func(w http.ResponseWriter, r *http.Request) error {
		username, password, _ := r.BasicAuth()
		// Both are compared, whatever the first says, and as digests, so that
		// the time tells neither which is wrong nor how long the right one is.
		right := equal(username, s.cfg.Username) & equal(password, s.cfg.Password)
		if right != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="jobnetes", charset="UTF-8"`)
			return problem{kind: errUnauthorized}
		}
		next.ServeHTTP(w, r)
		return nil
	})
}

func equal(given, want string) int {
	g, w := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(g[:], w[:])
}
