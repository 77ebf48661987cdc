package dao

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzUncompress checks that what is kept comes back, and that anything else is
// an error or no more than is allowed.
func FuzzUncompress(f *testing.F) {
	for _, text := range []string{"", "a", "line\n", strings.Repeat("x", 1000), "\x00\xff"} {
		f.Add([]byte(text))
		f.Add(compress([]byte(text)))
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x78, 0x9c})
	f.Fuzz(func(t *testing.T, data []byte) {
		packed := compress(data)
		if n := len(packed); n > 0 && packed[n-1] == ' ' {
			t.Errorf("what is packed ends with a space, which a column may trim: %q", packed)
		}
		if plain, err := uncompress(packed); err != nil || !bytes.Equal(plain, data) {
			t.Errorf("packed and unpacked, %q is %q, %v", data, plain, err)
		}
		if plain, err := uncompress(data); err == nil && len(plain) > MaxLogBytes || err != nil && plain != nil {
			t.Errorf("unpacked, %q has %d bytes, %v", data, len(plain), err)
		}
	})
}
