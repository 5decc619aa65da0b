#!/bin/sh
# Installs Debian's Chromium for the browser tests where that is possible: as root, on a Debian system.
# Elsewhere those tests are skipped, with the reason shown.
set -eu
command -v chromium >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null && exit 0
fi
echo "No Chromium: the browser tests will be skipped." >&2
