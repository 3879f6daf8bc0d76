#!/usr/bin/env bash
# The TensorBoard image: docker/tensorboard/image.sh name|build|push
#
#   name   prints its name. The tag is a hash of what goes into it, so that a tag never means something else.
#   build  builds it, unless it is there already
#   push   builds it, sends it to the registry that REGISTRY names (REGISTRY=registry.example.com/my-project), and writes
#          its tag into k8s/base, so that the overlays run what was pushed
#
# BASE_IMAGE replaces the one of docker/base-image.txt, for hosts without a registry (docker/base-image.sh makes one); the
# tag is then another. What `make images ACTION=push` was last given is remembered in build/base-image. DOCKER is the docker
# command, if it is not the first one on the PATH.
set -euo pipefail
cd "$(dirname "$0")/../.."

base=${BASE_IMAGE:-$(cat build/base-image 2>/dev/null || grep -v "^#" docker/base-image.txt)}
docker=${DOCKER:-docker}
parts=(docker/tensorboard/{Dockerfile,serve.py} docker/install.{sh,py} docker/requirements/{uv,tensorboard}.txt)
tag=$({ cat "${parts[@]}"; echo "$base"; } | sha256sum | cut -c1-12)
image=${REGISTRY:+${REGISTRY%/}/}conv2d-tensorboard:$tag

fail() { echo "error: $*" >&2; exit 1; }

build() {
    "$docker" version >/dev/null 2>&1 ||
        fail "expected a Docker engine, none answers; start one (dockerd, or: systemctl start docker)"
    "$docker" image inspect "$image" >/dev/null 2>&1 && return
    # How packages are reached, as pipeline/images/docker_build.py hands it on: without paths of this machine, and
    # without credentials but a proxy's, which Docker keeps to itself.
    local name reached=()
    for name in {HTTP,HTTPS,NO}_PROXY {http,https,no}_proxy PIP_{INDEX_URL,EXTRA_INDEX_URL,TRUSTED_HOST}; do
        [[ -z ${!name:-} || ($name = PIP_* && ${!name} =~ @|^file:|^/) ]] || reached+=(--build-arg "$name")
    done
    "$docker" build --network host --build-arg "BASE_IMAGE=$base" ${reached[@]+"${reached[@]}"} \
        --tag "$image" --file docker/tensorboard/Dockerfile . >&2 ||
        fail "the build of $image failed; its last words are above"
}

case ${1:-} in
name) ;;
build) build ;;
push)
    [ -n "${REGISTRY:-}" ] ||
        fail "expected REGISTRY, the registry to push to; try: REGISTRY=registry.example.com/my-project $0 push"
    build
    "$docker" push "$image" >&2 || fail "the registry did not take $image; are you logged in? try: docker login ${REGISTRY%%/*}"
    sed -i.before "/name: conv2d-tensorboard/{n;s/newTag: .*/newTag: $tag/;}" k8s/base/kustomization.yaml
    rm k8s/base/kustomization.yaml.before
    ;;
*) fail "expected name, build or push, received '${1:-}'" ;;
esac
echo "$image"
