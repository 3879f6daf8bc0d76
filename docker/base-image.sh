#!/bin/bash
# Makes a Python base image out of the host's own Linux packages, for hosts that reach no image registry:
#
#     sudo docker/base-image.sh [NAME]        NAME is a repository name, conv2d-python-base by default
#
# A minimal Debian (or Ubuntu) of the host's release with its security updates, from the host's apt sources, with python3,
# venv and CA certificates: on bookworm that is Python 3.11 in about 150 MB and a minute. SUITE names another release on the
# same mirror: SUITE=trixie brings Python 3.13, as the recorded base has, also on bookworm. The host's own CA certificates
# and pip settings (never credentials, nor paths of this host) go in too, so that packages install inside as they do
# outside. The tag is a hash of the recipe: where that image exists already, nothing is done. Its name is the only
# thing printed on standard output. Needs root (debootstrap changes root), debootstrap and a Docker engine.
set -euo pipefail

name=${1:-conv2d-python-base}
packages=python3,python3-venv,ca-certificates

say() { echo "base-image: $*" >&2; }
fail() { echo "error: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail "expected to be run by root (debootstrap needs chroot and mknod); try: sudo $0"
command -v python3 >/dev/null || fail "expected python3 on this host; try: apt-get install python3"
command -v debootstrap >/dev/null || fail "expected debootstrap; try: apt-get install debootstrap"
command -v docker >/dev/null || fail "expected the docker command; try: apt-get install docker.io"
docker version >/dev/null 2>&1 || fail "expected a Docker engine that answers; start one (systemctl start docker)"

# Where the host's own packages and their updates come from, and which parts of it (main, or main and universe).
. /etc/os-release
host=${VERSION_CODENAME:-}
suite=${SUITE:-$host}
apt_sources() {
    apt-get indextargets --format '$(ORIGIN)|$(RELEASE)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        grep -iE "^$ID\|$host(-updates|-security)?\|" | sort -u
}
first() { # the place, or the first of a file of mirrors, as GitHub's machines have it
    local list=${1#mirror+file:}
    if [ "$list" = "$1" ]; then echo "$1"; else grep -m 1 -oE '^[a-z]+://[^[:space:]]+' "${list%/}" || true; fi
}
sources=$(apt_sources || { apt-get update -qq && apt_sources; } 2>/dev/null || true)
released=$(grep -F "|$host|" <<<"$sources" || true)
mirror=$(first "$(head -1 <<<"$released" | cut -d'|' -f4)")
components=$(cut -d'|' -f3 <<<"$released" | paste -sd,)
updates=$(while IFS='|' read -r _ release component place; do
    [ "$release" = "$host" ] || [ -z "$release" ] || echo "deb $(first "$place") $suite${release#"$host"} $component"
done <<<"$sources")
[ -n "$host" ] && [ -n "$mirror" ] ||
    fail "expected a Debian or Ubuntu host with apt sources, found none for '$ID ${host:-?}'; try: apt-get update"
[[ $mirror$updates != *@* ]] ||
    fail "expected an apt source without credentials, which would end in the image; put them into /etc/apt/auth.conf.d"

pip_conf=$(python3 "$(dirname "$0")/pip_settings.py")
certificates=$(find /usr/local/share/ca-certificates -name '*.crt' 2>/dev/null | sort)

recipe=$({ cat "$0"; echo "$ID $suite $components $(dpkg --print-architecture)"; echo "$updates"; echo "$pip_conf"
           [ -z "$certificates" ] || xargs -d '\n' cat <<<"$certificates"; } | sha256sum | cut -c1-12)
image=$name:$suite-$recipe
if docker image inspect "$image" >/dev/null 2>&1; then
    say "$image is there already"
    echo "$image"
    exit 0
fi

# /var/tmp, because /tmp is often mounted nodev, which debootstrap refuses.
work=$(mktemp -d "${TMPDIR:-/var/tmp}/base-image.XXXXXX")
root=$work/root
clean_up() {
    # An interrupted debootstrap can leave these mounted; the host's must not be reached by the removal.
    for inside in proc sys dev/pts dev; do ! mountpoint -q "$root/$inside" || umount "$root/$inside"; done
    rm -rf --one-file-system "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

say "making $image from $ID $suite (about a minute)"
# On a host without the keys of its release debootstrap would go on, and take what any network hands out.
debootstrap --force-check-gpg --variant=minbase --include="$packages" --components="$components" \
    "$suite" "$root" "$mirror" >"$work/log" 2>&1 || {
    { grep -vE "^I: (Retrieving|Validating|Extracting|Unpacking|Configuring)" "$work/log" || true; } | tail -5 >&2
    fail "debootstrap could not install $packages of $suite; its last words are above"
}

if [ -n "$certificates" ]; then
    xargs -d '\n' cp -t "$root/usr/local/share/ca-certificates" <<<"$certificates"
    chroot "$root" update-ca-certificates >"$work/log" 2>&1 ||
        fail "expected update-ca-certificates to take this host's certificates: $(tail -1 "$work/log")"
fi
# debootstrap takes the release as it was published.
if [ -n "$updates" ]; then
    echo "$updates" >"$root/etc/apt/sources.list.d/updates.list"
    DEBIAN_FRONTEND=noninteractive chroot "$root" sh -c "apt-get -q update && apt-get -qy dist-upgrade" >"$work/log" 2>&1 || {
        tail -5 "$work/log" >&2
        fail "expected the updates of $suite from this host's apt sources; what apt said last is above"
    }
fi
echo "$pip_conf" >"$root/etc/pip.conf"

# Nothing of this host or this moment stays, nor what only a person at a terminal reads, nor a way to another user.
echo localhost >"$root/etc/hostname"
: >"$root/etc/resolv.conf"
find "$root"/var/{cache,log} "$root"/var/lib/apt/lists -type f -delete
rm -rf "$root"/usr/share/{man,info,locale} "$root"/etc/{passwd,group,shadow,gshadow}- "$root"/var/lib/dpkg/*-old
find "$root"/usr/share/doc -type f ! -name copyright -delete
find "$root" -xdev -type f -perm /6000 -exec chmod a-s {} +

# Times later than the release's own are cut to it, so that two runs give the same bytes; older ones are the packages'
# and stay, because compiled Python modules remember them.
tar -C "$root" --sort=name --clamp-mtime --mtime="@$(stat -c %Y "$root/etc/debian_version")" --numeric-owner \
    --exclude='./dev/*' --exclude='./proc/*' --exclude='./sys/*' --exclude='./tmp/*' -c . |
    docker import --change 'CMD ["python3"]' \
        --change 'LABEL org.opencontainers.image.title="Python on the packages of its host"' \
        --change 'ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt' \
        --change 'ENV REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt' - "$image" >/dev/null ||
    fail "the Docker engine did not take the image; is its disk full? try: docker system df"
size=$(docker image inspect --format '{{.Size}}' "$image" | numfmt --to=si)
say "$(docker run --rm "$image" python3 --version), ${size}B"
echo "$image"
