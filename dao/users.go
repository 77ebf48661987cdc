package dao

// DefaultUserID is the user that owns what the services apply; the first
// migration inserts it.
const DefaultUserID = 1
