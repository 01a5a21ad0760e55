package ingest

import "sync/atomic"

// firstBuffer is the memory that a body gets before any of it has arrived, in bytes.
const firstBuffer = 4 << 10

// room is the memory for the bodies of requests at work. A request takes from it what it
// has received, not what it announces, so that clients who send little and stall keep
// nobody else out.
type room struct {
	size int64
	used atomic.Int64
}

// hold is the part of the room that one request has.
type hold struct {
	room *room
	// stranger says that nobody knows yet whose the request is. Strangers get no more than
	// half of the room, so that there is always some for clients of known sources.
	stranger bool
	bytes    int64
}

// grow takes so much more, or answers that there is not enough. A nil hold has no bounds.
func (h *hold) grow(bytes int) bool {
	if h == nil {
		return true
	}
	limit := h.room.size
	if h.stranger {
		limit /= 2
	}
	if h.room.used.Add(int64(bytes)) > limit {
		h.room.used.Add(-int64(bytes))
		return false
	}
	h.bytes += int64(bytes)
	return true
}

// release gives all of it back.
func (h *hold) release() {
	h.room.used.Add(-h.bytes)
	h.bytes = 0
}
