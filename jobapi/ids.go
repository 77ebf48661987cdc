package jobapi

import (
	"math"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// checkIDs refuses a request with a number that no id can be: databases count
// with 63 bits, and their drivers fail on more. A message that is not jobapi's
// own (of the health service, say) has no such field.
func checkIDs(req any) error {
	msg, ok := req.(proto.Message)
	if !ok {
		return nil
	}
	var err error
	msg.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if field.Kind() == protoreflect.Uint64Kind && !field.IsList() && v.Uint() > math.MaxInt64 {
			err = refuse(errInvalid, "%s %d is no id: ids are below 2^63", field.Name(), v.Uint())
		}
		return err == nil
	})
	return err
}
