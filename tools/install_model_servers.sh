#!/bin/sh
# Installs the servers of models that `tests/cluster/test_model_servers.py` drives: MLflow in an environment of its own
# below the one that is named (by default .venv), because its packages are many, and Debian's registry of OCI.
set -eu
environment="${1:-.venv}"
if [ ! -x "$environment/mlflow/bin/mlflow" ]; then
    "${PYTHON:-python3}" -m venv "$environment/mlflow"
    "$environment/mlflow/bin/python" -m pip install --quiet "mlflow>=3.17" onnx onnxruntime
fi
command -v docker-registry >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && apt-get update -qq &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker-registry >/dev/null; then
    # The tests run it themselves; the distribution's own service gives its port back.
    systemctl disable --now docker-registry >/dev/null 2>&1 || service docker-registry stop >/dev/null 2>&1 || true
    exit 0
fi
echo "Not installed: docker-registry. The tests that need it will fail." >&2
exit 1
