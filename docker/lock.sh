#!/usr/bin/env bash
# Resolves pyproject.toml to docker/requirements/*.txt: every package pinned, with hashes.
#
# The images come first: they carry none of KFP's dependencies, so that KFP's pins don't hold them back. What runs on
# this machine takes their versions, but for the few that KFP wants otherwise. Pins that still fit stay as they are;
# UPGRADE=1 renews all of them, UPGRADE='kfp numpy' those.
set -euo pipefail
cd "$(dirname "$0")/.."
out=docker/requirements
old=$(mktemp -d)
trap 'rm -rf "$old"' EXIT
cp "$out"/*.txt "$old"

names() { grep -ohE '^[A-Za-z0-9][A-Za-z0-9._-]*' "$@" || true; }
without() { # FILE NAME...: the file's pins but for those of these packages
    awk -v names="$(printf '%s ' "${@:2}")" 'BEGIN { split(names, list, " "); for (i in list) off[list[i]] = 1 }
        /^[A-Za-z0-9]/ { split($0, word, "[=]"); skip = word[1] in off } !skip' "$1"
}
lock() { # NAME ARGUMENT...: what `uv pip compile` is to resolve
    local name=$1 pins=$out/$1.txt.new
    # The resolver prefers what the file that it is to write already holds.
    : >"$pins"
    touch "$old/$name.txt"
    [ -z "$first" ] || cat "$out/$first.txt" >"$pins"
    [ "${UPGRADE:-}" = 1 ] || without "$old/$name.txt" ${UPGRADE:-} $(names "$pins") >>"$pins"
    .venv/bin/uv pip compile --quiet "${@:2}" $same --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-annotate --no-header -o "$pins"
    mv "$pins" "$out/$name.txt"
    echo "locked $out/$name.txt"
}

all=pyproject.toml
first='' same=''
lock cpu $all --extra cpu --extra formats
same="-c $out/cpu.txt"
lock data $all
lock gpu $all --extra gpu
lock jax $all --extra nodes
lock tensorboard --group dashboard
first=cpu same=''
lock test $all --extra local --group test
same="-c $out/test.txt"
lock local $all --extra local
first='' # a few packages, added to what is there
lock local-jax --group jax
lock local-optuna --group optuna
lock uv --group installer

# kfp alone, without its dependencies, for the images: the same version and hashes as the SDK that compiles.
{ grep '^#' "$old/kfp.txt"; sed -n '/^kfp==/,/[^\\]$/p' "$out/local.txt"; } >"$out/kfp.txt"
echo "locked $out/kfp.txt"

# The bases of the images, and the tag of TensorBoard's, which the manifests name.
.venv/bin/python -m pipeline.images.base_image
tag=$(BASE_IMAGE='' REGISTRY='' docker/tensorboard/image.sh name | cut -d: -f2)
sed -i.before "/name: conv2d-tensorboard/{n;s/newTag: .*/newTag: $tag/;}" k8s/base/kustomization.yaml
rm k8s/base/kustomization.yaml.before
