#!/bin/sh
# Installs Ray and pyarrow into an environment of their own inside the given one, whose packages it sees, so that
# the service and its tests run without them. For `make test-cluster` and `python -m bench.bulk`.
set -eu
base="${1:-.venv}"
[ -e "$base/ray/.ready" ] && exit 0
"$base/bin/python" -m venv "$base/ray"
packages='import sysconfig; print(sysconfig.get_path("purelib"))'
"$base/bin/python" -c "$packages" >"$("$base/ray/bin/python" -c "$packages")/base.pth"
"$base/ray/bin/python" -m pip install --quiet 'ray[client]>=2.50,<3' 'pyarrow>=20'
touch "$base/ray/.ready"
