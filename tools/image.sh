#!/bin/sh
# Builds deploy/Containerfile on a base made of Debian's packages, runs the image, and writes what it found into
# bench/results/image.md: as root, on a Debian system. It needs 4 GB of disk for a quarter of an hour (IMAGE_WORK says where).
# The image runs without a container engine: as its own user, in a root that is read-only, with a data folder.
set -eu
cd "$(dirname "$0")/.."
results="${1:-bench/results/image.md}"
work="$(mktemp -d "${IMAGE_WORK:-/var/tmp}/image.XXXXXX")"
port="${IMAGE_PORT:-8099}"
server=""
base=localhost/debian-python
image=localhost/image-prediction-api

builder() {
    BUILDAH_ISOLATION=chroot buildah --storage-driver vfs --root "$work/storage" --runroot "$work/run" "$@"
}

clean() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    [ -z "$server" ] || wait "$server" 2>/dev/null || true
    builder unmount --all >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM

install_tools() {
    command -v buildah >/dev/null && command -v debootstrap >/dev/null && return
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends buildah debootstrap >/dev/null
}

# Python and what it needs, without documents and lists of packages.
make_base() {
    # shellcheck disable=SC2016 # the variable is apt's
    mirror="$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $1" | head -n 1)"
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates "$1" "$work/root" "$mirror" >"$work/log"
    rm -rf "$work"/root/var/cache/apt "$work"/root/var/lib/apt/lists "$work"/root/usr/share/doc \
        "$work"/root/usr/share/man "$work"/root/usr/share/locale "$work"/root/var/log/*
    container="$(builder from scratch)"
    builder add --quiet "$container" "$work/root" / >/dev/null
    builder commit --quiet "$container" "$base" >/dev/null
    builder rm "$container" >/dev/null
    rm -rf "$work/root"
}

# pip in the build trusts what this machine trusts, and asks the index that it asks.
build() {
    {
        echo "[global]"
        echo "cert = /etc/ssl/certs/ca-certificates.crt"
        [ -z "${PIP_INDEX_URL:-}" ] || echo "index-url = $PIP_INDEX_URL"
    } >"$work/pip.conf"
    builder build --quiet --format docker --network host --file deploy/Containerfile --build-arg BASE="$base" \
        --volume "$work/pip.conf:/etc/pip.conf:ro" --volume /etc/ssl/certs:/etc/ssl/certs:ro --tag "$image" .
}

# The image as a cluster runs it: its own user, nothing to write to but the data folder and the memory of the workers.
# shellcheck disable=SC2016 # the inner shell reads its arguments
ENTER='
set -e
mount --bind "$1" "$1"
mount -t tmpfs -o mode=770,uid=10001,gid=0 tmpfs "$1/data"
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount -t tmpfs -o size=64m,mode=1777 tmpfs "$1/dev/shm"
mount -o remount,bind,ro "$1"
exec env -i $(cat "$2") "PREDICTOR_BIND=127.0.0.1:$3" chroot --userspec=10001:0 "$1" image-prediction serve
'

start() {
    root="$(builder mount "$(builder from "$image")")"
    builder inspect --type image --format '{{range .OCIv1.Config.Env}}{{println .}}{{end}}' "$image" |
        grep '=' >"$work/environment"
    unshare --mount sh -c "$ENTER" sh "$root" "$work/environment" "$port" >"$work/service.log" 2>&1 &
    server=$!
    for _ in $(seq 120); do
        ! curl --silent --fail --output /dev/null "http://127.0.0.1:$port/readyz" || return 0
        sleep 1
    done
    cat "$work/service.log" >&2
    return 1
}

megabytes() {
    du --summarize --bytes "$@" | awk '{ total += $1 } END { printf "%.0f", total / 1e6 }'
}

inside() {
    chroot "$root" /opt/venv/bin/python -c "$1"
}

report() {
    builder push --quiet "$image" "oci:$work/oci" >/dev/null
    builder push --quiet "$base" "oci:$work/oci-base" >/dev/null
    site="$(echo "$root"/opt/venv/lib/python3*/site-packages)"
    cat <<END
# The container

\`make image\` on $(date --utc +%Y-%m-%d), $(uname -m), $(builder --version), base Debian $(cat "$root/etc/debian_version") by debootstrap:
$(inside 'import sys, importlib.metadata as m; print("Python", sys.version.split()[0] + "," , "image-prediction-api", m.version("image-prediction-api") + ",", "onnxruntime", m.version("onnxruntime"))').

| what | MB |
| --- | --- |
| image, compressed (gzip), the goal is below 400 | **$(megabytes "$work/oci/blobs")** |
| of this the base | $(megabytes "$work/oci-base/blobs") |
| image on disk | $(megabytes --one-file-system "$root") |
| packages of Python on disk | $(megabytes "$site") |

The largest packages on disk, in MB: $(du --bytes --max-depth 1 "$site" | sort -rn | sed -n '2,8p' | awk -F'[\t/]' '{ printf "%s%s %.0f", sep, $NF, $1 / 1e6; sep = ", " }').

The service in it ran as user 10001 in a read-only root, with a data folder and 64 MB of /dev/shm, and answered
\`POST /predict\` with the image of the tests:

\`\`\`json
$1
\`\`\`
END
}

install_tools
# shellcheck source=/dev/null
make_base "$(. /etc/os-release && echo "$VERSION_CODENAME")"
build
start
answer="$(curl --silent --show-error --fail --data-binary @tests/data/cat.jpg "http://127.0.0.1:$port/predict?top_k=1")"
report "$answer" >"$work/report.md"
cp "$work/report.md" "$results"
cat "$results"
