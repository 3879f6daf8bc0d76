#!/usr/bin/env bash
# Resolves pyproject.toml to docker/requirements/*.txt: every package pinned, with hashes, one version everywhere.
set -euo pipefail
cd "$(dirname "$0")/.."
out=docker/requirements
uv=.venv/bin/uv

lock() { # NAME EXTRA...
    local name=$1 extras=()
    shift
    for extra in "$@"; do extras+=(--extra "$extra"); done
    "$uv" pip compile --quiet pyproject.toml "${extras[@]}" "${constraint[@]}" --universal --python-version 3.11 \
        --generate-hashes --no-emit-index-url --no-annotate --no-header "${upgrade[@]}" -o "$out/$name.txt"
    echo "locked $out/$name.txt"
}

upgrade=("$@") # for instance --upgrade, or --upgrade-package NAME
constraint=()
lock test components cpu formats jax pipeline test
constraint=(-c "$out/test.txt")
lock local components cpu formats pipeline
lock cpu components cpu formats
lock gpu components gpu
lock jax components cpu nodes
lock tensorboard dashboard

# kfp alone, without its dependencies, for the images: the same version and hashes as the SDK that compiles.
{ grep '^#' "$out/kfp.txt"; sed -n '/^kfp==/,/[^\\]$/p' "$out/local.txt"; } >"$out/kfp.txt.new"
mv "$out/kfp.txt.new" "$out/kfp.txt"
echo "locked $out/kfp.txt"
