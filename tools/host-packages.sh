#!/usr/bin/env bash
# Installs the Debian packages that building and running images needs; names them if not root.
set -euo pipefail

packages=(
    aardvark-dns    # names between containers
    buildah         # image builds
    ca-certificates # TLS for pip
    chromium        # opens reports in tests
    iproute2        # podman's networks; tc for links with a rate
    iptables        # netavark's rules
    mmdebstrap      # a base image where no registry can be reached
    netavark        # podman's networks
    openssh-client  # ssh-keygen, for keys in tests
    podman          # containers
    python3-venv    # .venv
    runc            # runs containers where crun refuses the cgroup layout
)

missing=()
for package in "${packages[@]}"; do
    dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null |
        grep --quiet --line-regexp installed || missing+=("$package")
done
[[ ${#missing[@]} -eq 0 ]] && exit 0

if [[ $EUID -ne 0 ]]; then
    echo "missing Debian packages; install them and call again:" >&2
    echo "  sudo apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 78
fi
echo "installing Debian packages: ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update --quiet=2
apt-get install --quiet=2 --yes --no-install-recommends "${missing[@]}" >/dev/null
