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
lock() { # NAME EXTRA...
    local name=$1 extras=() pins=$out/$1.txt.new
    for extra in "${@:2}"; do extras+=(--extra "$extra"); done
    # The resolver prefers what the file that it is to write already holds.
    : >"$pins"
    [ -z "$first" ] || cat "$out/$first.txt" >"$pins"
    [ "${UPGRADE:-}" = 1 ] || without "$old/$name.txt" ${UPGRADE:-} $(names "$pins") >>"$pins"
    .venv/bin/uv pip compile --quiet pyproject.toml "${extras[@]}" "${same[@]}" --universal --python-version 3.11 \
        --generate-hashes --no-emit-index-url --no-annotate --no-header -o "$pins"
    mv "$pins" "$out/$name.txt"
    echo "locked $out/$name.txt"
}

first='' same=()
lock cpu components cpu formats
same=(-c "$out/cpu.txt")
lock gpu components gpu
lock jax components cpu nodes
lock tensorboard dashboard
first=cpu same=()
lock test components cpu formats jax pipeline test
same=(-c "$out/test.txt")
lock local components cpu formats pipeline
lock uv installer

# kfp alone, without its dependencies, for the images: the same version and hashes as the SDK that compiles.
{ grep '^#' "$old/kfp.txt"; sed -n '/^kfp==/,/[^\\]$/p' "$out/local.txt"; } >"$out/kfp.txt"
echo "locked $out/kfp.txt"
