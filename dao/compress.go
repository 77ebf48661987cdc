package dao

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"io"
)

// lengthBytes is the size of the length that begins compressed bytes.
const lengthBytes = 4

// compress returns what MySQL's COMPRESS() gives, so that UNCOMPRESS() reads it:
// nothing for nothing, else the length (32 bits, little-endian) and a zlib
// stream, followed by a full stop if it ends with a space, which some columns
// would trim (MySQL Reference Manual, "Encryption and Compression Functions").
func compress(plain []byte) []byte {
	if len(plain) == 0 {
		return []byte{}
	}
	var out bytes.Buffer
	length := make([]byte, lengthBytes)
	binary.LittleEndian.PutUint32(length, uint32(len(plain)))
	out.Write(length)
	w := zlib.NewWriter(&out)
	_, _ = w.Write(plain) // a Buffer takes everything
	_ = w.Close()
	if b := out.Bytes(); b[len(b)-1] == ' ' {
		out.WriteByte('.')
	}
	return out.Bytes()
}

// uncompress undoes compress, up to MaxLogBytes.
func uncompress(packed []byte) ([]byte, error) {
	if len(packed) == 0 {
		return []byte{}, nil
	}
	if len(packed) < lengthBytes {
		return nil, fmt.Errorf("%d bytes are not what COMPRESS() gives", len(packed))
	}
	length := binary.LittleEndian.Uint32(packed)
	if length > MaxLogBytes {
		return nil, fmt.Errorf("it is said to have %d bytes, over %d", length, MaxLogBytes)
	}
	r, err := zlib.NewReader(bytes.NewReader(packed[lengthBytes:]))
	if err != nil {
		return nil, fmt.Errorf("it is not what COMPRESS() gives: %w", err)
	}
	plain := make([]byte, length)
	if _, err := io.ReadFull(r, plain); err != nil {
		return nil, fmt.Errorf("it is not what COMPRESS() gives: %w", err)
	}
	return plain, nil
}
