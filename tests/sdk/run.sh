#!/usr/bin/env bash
# Installs Segment's libraries, as published and pinned, and tests muster with them:
#
#	tests/sdk/run.sh [flags of go test, such as -v or -run TestLibraries/node]
#
# It needs Go, Node.js with npm, and PostgreSQL's programs. Chromium is installed with
# apt-get if it is missing and this is root; without it, it has to be there already.
set -euo pipefail
cd "$(dirname "$0")"

if ! command -v chromium >/dev/null; then
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "Chromium is needed for the browser's library: install it under the name chromium" >&2
		exit 1
	fi
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
fi

# Installing takes seconds, but only when the lock file has changed since.
if ! cmp -s package-lock.json node_modules/.installed; then
	npm ci --ignore-scripts --no-audit --no-fund
	cp package-lock.json node_modules/.installed
fi

(cd drivers/go && go vet ./... && go mod tidy -diff)
# The libraries mostly wait, so that they can all be tested at the same time.
MUSTER_SDK_TESTS=1 go test -count=1 -parallel 4 -timeout 10m "$@" .
