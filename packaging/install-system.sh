#!/bin/sh
# Install the Debian packages that are missing: of the lists beside this file that are named, else of
# all. Starts no server and is safe to repeat.
set -eu
cd "$(dirname "$0")"
[ $# -gt 0 ] || set -- debian-packages-window debian-packages
missing=
for package in $(cat "$@" | sed 's/#.*//'); do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null; then
    echo "GGnet Console needs these packages, and this system has no apt-get to install them:$missing" >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then as_root=; else
    command -v sudo >/dev/null || {
        echo "These packages are missing and installing them needs root or sudo:$missing" >&2; exit 1; }
    as_root=sudo
fi
echo "Installing:$missing"
export DEBIAN_FRONTEND=noninteractive
apt() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@"; }

# Nothing that is installed here may start by itself: services are the administrator's decision,
# and Debian's tgt would listen on 0.0.0.0:3260, its PostgreSQL on 5432.
policy=/usr/sbin/policy-rc.d
ours=
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
    $as_root chmod 755 $policy
    ours=yes
fi
trap '[ -z "$ours" ] || $as_root rm -f $policy' EXIT
trap 'exit 1' INT TERM  # else it went on, with nothing that keeps services from starting
apt update
case " $missing " in *" tgt "*)
    [ -e /etc/systemd/system/tgt.service ] || {
        $as_root mkdir -p /etc/systemd/system
        $as_root ln -s /dev/null /etc/systemd/system/tgt.service
    } ;;
esac
case " $missing " in *" postgresql "*)
    if ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
        apt install --no-install-recommends postgresql-common >/dev/null
        $as_root mkdir -p /etc/postgresql-common/createcluster.d
        echo "create_main_cluster = false" | $as_root tee /etc/postgresql-common/createcluster.d/ggnet.conf >/dev/null
    fi ;;
esac
# shellcheck disable=SC2086
apt install --no-install-recommends $missing >/dev/null
