package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"testing"
)

// FuzzVerify checks that whatever is signed with the key is refused, or a task's;
// and never with another signature.
func FuzzVerify(f *testing.F) {
	const header = `{"alg":"HS256","typ":"JWT"}`
	f.Add(header, `{"iss":"jobnetes","sub":"42","aud":["jobapi"],"iat":1772366400}`)
	f.Add(header, `{"iss":"jobnetes","sub":"0","aud":"jobapi","exp":1}`)
	f.Add(`{"alg":"none"}`, `{"iss":"jobnetes","sub":"42","aud":["jobapi"]}`)
	f.Add(`{"alg":"HS256","crit":["x"]}`, `{"iss":"jobnetes","sub":"-1","aud":[]}`)
	f.Add("", "")
	tokens, err := NewTokens(key)
	if err != nil {
		f.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	f.Fuzz(func(t *testing.T, header, payload string) {
		text := encode([]byte(header)) + "." + encode([]byte(payload))
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(text))
		signature := mac.Sum(nil)
		id, err := tokens.Verify(text + "." + encode(signature))
		if (id == 0) != (err != nil) {
			t.Errorf("%s %s: task %d, %v", header, payload, id, err)
		}
		signature[0] ^= 1
		if id, err := tokens.Verify(text + "." + encode(signature)); err == nil {
			t.Errorf("%s %s with a wrong signature: task %d", header, payload, id)
		}
	})
}
