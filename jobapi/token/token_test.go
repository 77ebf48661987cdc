package token

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

var (
	key = bytes.Repeat([]byte{7}, MinKeyBytes)
	now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

func setup(t *testing.T) *Tokens {
	t.Helper()
	tokens, err := NewTokens(key)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func TestSignAndVerify(t *testing.T) {
	t.Parallel()
	tokens := setup(t)
	for _, want := range []uint64{1, 42, 1<<64 - 1} {
		signed, err := tokens.Sign(want, now)
		if err != nil {
			t.Fatalf("Sign(%d): %v", want, err)
		}
		// A clock that is behind the signer's must not matter.
		if got, err := tokens.Verify(signed); err != nil || got != want {
			t.Errorf("Verify(Sign(%d)) = %d, %v", want, got, err)
		}
	}
	if _, err := tokens.Sign(0, now); err == nil {
		t.Error("Sign(0): no error")
	}
}

func TestNewTokensRefusesShortKeys(t *testing.T) {
	t.Parallel()
	for _, short := range [][]byte{nil, {}, key[:MinKeyBytes-1]} {
		if _, err := NewTokens(short); err == nil {
			t.Errorf("NewTokens with %d bytes: no error", len(short))
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	good := jwt.RegisteredClaims{Issuer: issuer, Audience: jwt.ClaimStrings{audience}, Subject: "42"}
	with := func(change func(*jwt.RegisteredClaims)) jwt.RegisteredClaims {
		c := good
		change(&c)
		return c
	}
	sign := func(method jwt.SigningMethod, key any, c jwt.RegisteredClaims) string {
		signed, err := jwt.NewWithClaims(method, c).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	valid := sign(jwt.SigningMethodHS256, key, good)
	header, rest, _ := strings.Cut(valid, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	other := sign(jwt.SigningMethodHS256, key, with(func(c *jwt.RegisteredClaims) { c.Subject = "43" }))
	_, otherRest, _ := strings.Cut(other, ".")
	otherPayload, _, _ := strings.Cut(otherRest, ".")

	tests := map[string]string{
		"nothing":                 "",
		"no token":                "hunter2",
		"unsigned":                sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good),
		"signature cut off":       header + "." + payload + ".",
		"another's payload":       header + "." + otherPayload + "." + signature,
		"another key":             sign(jwt.SigningMethodHS256, bytes.Repeat([]byte{8}, MinKeyBytes), good),
		"another method":          sign(jwt.SigningMethodHS512, key, good),
		"another issuer":          sign(jwt.SigningMethodHS256, key, with(func(c *jwt.RegisteredClaims) { c.Issuer = "else" })),
		"another audience":        sign(jwt.SigningMethodHS256, key, with(func(c *jwt.RegisteredClaims) { c.Audience = jwt.ClaimStrings{"webadmin"} })),
		"a subject that is no id": sign(jwt.SigningMethodHS256, key, with(func(c *jwt.RegisteredClaims) { c.Subject = "-1" })),
		"task 0":                  sign(jwt.SigningMethodHS256, key, with(func(c *jwt.RegisteredClaims) { c.Subject = "0" })),
	}
	tokens := setup(t)
	if _, err := tokens.Verify(valid); err != nil {
		t.Fatalf("the valid token: %v", err)
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if id, err := tokens.Verify(tc); err == nil {
				t.Errorf("Verify(%q) = %d, want an error", tc, id)
			}
		})
	}
}
