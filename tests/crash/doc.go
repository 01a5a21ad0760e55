// Package crash kills muster serve, its PostgreSQL, and both, at random moments, while
// clients send calls, definitions are edited and two imitations of Mixpanel fail. When all
// has come to rest it compares what the clients were answered with what is stored, that
// with what is computed, and that with what Mixpanel was told.
//
// [Run] is what go run ./bench/crash and the package's tests do. Like a user it knows of
// the product its command line, its HTTP and its database.
package crash
