package engine

import "cmp"

// Buckets is the number of buckets, fixed for ever: it is stored in the database
// and a program with another number refuses to work with it.
const Buckets = 1024

// Lanes is the number of lanes of the queue; a lane is a range of buckets.
const Lanes = 16

// ProfileBucket is the bucket of a profile: a fixed hash of its number.
func ProfileBucket(profileID int64) int { return int(scatter(profileID) % Buckets) }

// scatter is the finaliser of SplitMix64: consecutive numbers land far apart.
func scatter(n int64) uint64 {
	x := uint64(n)
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	x ^= x >> 31
	return x
}

// IDBucket is the bucket of an external id: FNV-1a of its type and value.
func IDBucket(idType, value string) int {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for i := range len(idType) {
		h = (h ^ uint64(idType[i])) * prime
	}
	h *= prime // a zero byte keeps ("ab","c") apart from ("a","bc")
	for i := range len(value) {
		h = (h ^ uint64(value[i])) * prime
	}
	return int((h ^ h>>32) % Buckets)
}

// LaneOf is the lane of a bucket.
func LaneOf(bucket int) int { return bucket * Lanes / Buckets }

// CompareProfiles orders numbers of profiles by (bucket, number), as they are locked and
// as their rows lie.
func CompareProfiles(a, b int64) int {
	return cmp.Or(cmp.Compare(ProfileBucket(a), ProfileBucket(b)), cmp.Compare(a, b))
}
