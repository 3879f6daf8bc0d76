#!/usr/bin/env bash
# Removes the cluster that cluster-up.sh made, with everything in it.
set -euo pipefail
name=${CLUSTER:-conv2d}
if ! command -v kind >/dev/null; then
    echo "error: expected the command kind, found none; install it from https://kind.sigs.k8s.io" >&2
    exit 1
fi
if kind get clusters 2>/dev/null | grep -qx "$name"; then
    kind delete cluster --name "$name"
else
    echo "cluster-down: there is no cluster $name"
fi
