#!/usr/bin/env bash
# A Kubernetes cluster on this machine with Kubeflow Pipelines and what this project adds: k8s/cluster-up.sh [IMAGE...]
#
# kind runs it in Docker: 4 cores and 8 GB are enough for it and a small run. IMAGE... are local images to load into it,
# the pipeline's for instance. Run again, it goes on where it stopped, or finds nothing to do but load.
set -euo pipefail
cd "$(dirname "$0")/.."

name=${CLUSTER:-conv2d}
# Of the line that the SDK speaks. 2.17.0 itself loses the defaults of optional inputs (kubeflow/pipelines#14175).
kubeflow=${KFP_VERSION:-2.17.2}
# Kubernetes by digest, as kind's release notes ask for. From kind 0.33.
node=${NODE_IMAGE:-kindest/node:v1.36.4@sha256:099e049362a1526b2db71494e1947aae99bd16290d7c895f2b7ea312e3cbfaed}
manifests=github.com/kubeflow/pipelines/manifests/kustomize

say() { echo "cluster-up: $*"; }
fail() { echo "error: $*" >&2; exit 1; }
need() { command -v "$1" >/dev/null || fail "expected the command $1, found none; install it from $2"; }

need docker https://docs.docker.com/engine/install
need kind https://kind.sigs.k8s.io
need kubectl https://kubernetes.io/docs/tasks/tools
need git https://git-scm.com # kubectl fetches Kubeflow's manifests with it
docker version >/dev/null 2>&1 ||
    fail "expected a Docker engine, none answers; start one (dockerd, or: systemctl start docker)"

# Never another cluster than this one, whatever the current context is.
k() { kubectl --context "kind-$name" "$@"; }
look="kubectl --context kind-$name --namespace kubeflow"

if kind get clusters 2>/dev/null | grep -qx "$name"; then
    say "cluster $name is there already"
else
    say "making cluster $name (about a minute)"
    kind create cluster --name "$name" --image "$node" --wait 2m ||
        fail "kind could not make the cluster; its last words are above"
fi

say "installing Kubeflow Pipelines $kubeflow (about five minutes the first time)"
k apply --kustomize "$manifests/cluster-scoped-resources?ref=$kubeflow" >/dev/null ||
    fail "Kubeflow's manifests could not be applied; is there a release $kubeflow, and is github.com in reach?"
k wait --for condition=established --timeout 60s crd/workflows.argoproj.io >/dev/null
# Not env/dev, which the quick start names: it takes the images of the day.
k apply --kustomize "$manifests/env/platform-agnostic?ref=$kubeflow" >/dev/null
k --namespace kubeflow wait --for condition=available --timeout 15m deployment --all >/dev/null ||
    fail "Kubeflow did not become available in 15 minutes; look: $look get pods"

tensorboard=$(docker/tensorboard/image.sh build)
say "loading $tensorboard $*"
kind load docker-image --name "$name" "$tensorboard" "$@" >/dev/null 2>&1 ||
    fail "kind could not load the images; are all of them here? try: docker images"

say "applying k8s/overlays/local"
k apply --server-side --force-conflicts --kustomize k8s/overlays/local >/dev/null
# Made from a base image of your own it has another tag than the overlay says.
k --namespace kubeflow set image deployment/tensorboard "tensorboard=$tensorboard" >/dev/null
k --namespace kubeflow rollout status deployment/tensorboard --timeout 5m >/dev/null ||
    fail "TensorBoard did not start; look: $look describe pods --selector app.kubernetes.io/name=tensorboard"

say "ready. Kubeflow's page at http://localhost:8080, its API at http://localhost:8888, while these run:"
echo "    $look port-forward service/ml-pipeline-ui 8080:80"
echo "    $look port-forward service/ml-pipeline 8888:8888"
