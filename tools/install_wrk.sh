#!/bin/sh
# Installs wrk, the load generator of `make bench`, from Debian's packages, where that is possible: as root, on a
# Debian system.
set -eu
command -v wrk >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends wrk >/dev/null && exit 0
fi
echo "wrk is needed for the benchmarks and cannot be installed here: as root, apt-get install wrk" >&2
exit 1
