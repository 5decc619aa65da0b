#!/bin/sh
# Installs what the live tests drive, from Debian's packages, where that is possible: as root, on a Debian system.
# Elsewhere those tests are skipped, with the reason shown. Packages of npm go into the environment, where npm is.
set -eu
node="${1:-.venv}/node"
packages="axios@1.21.1 openapi-typescript@7 openapi-fetch typescript@5 @types/node@20 axe-core@4"
if command -v npm >/dev/null 2>&1 && [ ! -d "$node/node_modules/axe-core" ]; then
    # shellcheck disable=SC2086 # the names are separate words
    npm install --silent --no-audit --no-fund --no-save --prefix "$node" $packages ||
        echo "Not installed: $packages. The tests that need them will be skipped." >&2
fi
missing=""
browser=""
for name in chromium-headless-shell chromium chromium-browser google-chrome; do
    command -v "$name" >/dev/null 2>&1 && browser="$name"
done
[ -n "$browser" ] || missing="$missing chromium-headless-shell"
command -v redis-server >/dev/null 2>&1 || missing="$missing redis-server"
command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ] || missing="$missing nginx-light"
command -v promtool >/dev/null 2>&1 || missing="$missing prometheus"
command -v ip >/dev/null 2>&1 || missing="$missing iproute2"
[ -z "$missing" ] && exit 0
# shellcheck disable=SC2086 # the names are separate words
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && apt-get update -qq &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null; then
    # The tests run nginx and Prometheus themselves; the distribution's own services give their ports back.
    case "$missing" in *nginx*)
        systemctl disable --now nginx >/dev/null 2>&1 || service nginx stop >/dev/null 2>&1 || true ;;
    esac
    case "$missing" in *prometheus*)
        systemctl disable --now prometheus >/dev/null 2>&1 || service prometheus stop >/dev/null 2>&1 || true ;;
    esac
    exit 0
fi
echo "Not installed:$missing. Tests that need them will be skipped." >&2
