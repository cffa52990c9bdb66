#!/bin/bash
# One base image for every role, out of Debian's packages, where no image registry can be reached.
#
#   mkbase.sh WORK_FOLDER IMAGE
#
# Rule: the host stays as it is. apt resolves against an empty package database, the packages
# are unpacked, never installed, and what their scripts would have done is done here by hand.
set -euo pipefail
work=$1 image=$2
debs=$work/debs root=$work/root
rm -rf "$work"
mkdir -p "$debs" "$work/state"
: > "$work/state/status"
say() { printf '  base image: %s (%d s)\n' "$1" "$SECONDS"; }

want="base-files base-passwd libc-bin bash dash coreutils sed grep findutils mawk procps tar gzip
  hostname util-linux passwd debianutils netbase tzdata ca-certificates curl wget
  python3 python3-pip python3-venv postgresql-15 postgresql-client-15 redis-server redis-tools
  nginx prometheus prometheus-alertmanager"
# Dependencies that a server in a container never uses: the JIT compiler (110 MB), JavaScript of
# web pages (130 MB), perl, locales, and the tools of the maintainer scripts that do not run here.
drop='libllvm14|libz3-4|libedit2|libjs-.*|fonts-.*|javascript-common|locales|libc-l10n|perl.*'
drop+='|libperl.*|lib.*-perl|dpkg|debconf|adduser|ucf|ssl-cert|sensible-utils|usrmerge'
drop+='|postgresql-common|postgresql-client-common|init-system-helpers|sysvinit-utils|libdb5.3'
drop+='|libgdbm.*|libpam-modules.*|python3-lib2to3|gcc-12-base|lsb-base|iproute2|libelf1|libbpf1'
drop+='|libtirpc.*|libnsl2|libxtables12|libmnl0|libcap2-bin|libnginx-mod-.*'
apt=(-o "Dir::State::status=$work/state/status" -o Debug::NoLocking=1
  -o APT::Install-Recommends=0 -o APT::Sandbox::User=root)

ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1 || apt-get -qq update
# shellcheck disable=SC2086 # a list of names
names=$(apt-get -s -y "${apt[@]}" install $want | awk '/^Inst /{print $2}' \
  | grep -vxE "$drop" | sort -u) \
  || { echo "base image: needs apt with the packages of Debian 12" >&2; exit 1; }
# shellcheck disable=SC2086 # a list of names
download() { (cd "$debs" && apt-get -qq download "${apt[@]}" $names); }
download || { apt-get -qq update && download; } # lists may name versions that are gone
say "$(echo "$names" | wc -w) packages, $(du -sh "$debs" | cut -f1), downloaded"

# Merged /usr first, as the packages expect it.
mkdir -p "$root"/usr/{bin,sbin,lib,lib64,local/bin} \
  "$root"/{proc,sys,dev,tmp,run/lock,root,etc/ssl/certs,var/tmp}
for folder in bin sbin lib lib64; do ln -s "usr/$folder" "$root/$folder"; done
unpack() {
  dpkg-deb --fsys-tarfile "$2" | tar -x -C "$1" --keep-directory-symlink \
    --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' \
    --exclude='./usr/share/locale/*' --exclude='./usr/share/info/*' \
    --exclude='./usr/share/lintian' --exclude='./usr/share/bash-completion' \
    --exclude='./usr/share/javascript' --exclude='./usr/lib/postgresql/15/lib/llvmjit.so' \
    --exclude='./usr/lib/postgresql/15/lib/bitcode'
}
export -f unpack
find "$debs" -name '*.deb' -print0 \
  | xargs -0 -P "$(nproc)" -I{} bash -c 'unpack "$0" "$1"' "$root" {}
rm -rf "$debs"

# -- what the maintainer scripts would have done ----------------------------------------------
cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
number=901 # system users end at 999, and 100 is taken by a group of Debian's own
for user in postgres redis prometheus nginx; do
  echo "$user:x:$number:$number::/var/lib/$user:/bin/sh" >> "$root/etc/passwd"
  echo "$user:x:$number:" >> "$root/etc/group"
  mkdir -p "$root/var/lib/$user"
  chown "$number:$number" "$root/var/lib/$user"
  number=$((number + 1))
done
printf 'hosts: files dns\npasswd: files\ngroup: files\n' > "$root/etc/nsswitch.conf"
[ -e "$root/bin/sh" ] || ln -s dash "$root/usr/bin/sh"
ln -sf mawk "$root/usr/bin/awk"
[ -e "$root/usr/bin/which" ] || ln -s which.debianutils "$root/usr/bin/which"
rm -rf "$root/var/run" "$root/var/lock"
ln -s ../run "$root/var/run"
ln -s ../run/lock "$root/var/lock"
chmod 1777 "$root/tmp" "$root/var/tmp"

# Certificates: the host's bundle, so that TLS works in a build wherever it works on the host.
bundle=$root/etc/ssl/certs/ca-certificates.crt
cp /etc/ssl/certs/ca-certificates.crt "$bundle" 2>/dev/null \
  || cat "$root"/usr/share/ca-certificates/mozilla/*.crt > "$bundle"

# Names and paths under which the public images have their programs.
for program in "$root"/usr/lib/postgresql/15/bin/*; do
  ln -sf "../lib/postgresql/15/bin/$(basename "$program")" "$root/usr/bin/"
done
ln -sf prometheus-alertmanager "$root/usr/bin/alertmanager"
ln -sf /usr/bin/python3 "$root/usr/local/bin/python"
ln -sf pip3 "$root/usr/bin/pip"
rm -f "$root"/usr/lib/python3.11/EXTERNALLY-MANAGED # pip installs, as in the python images
sed -i "s/^#listen_addresses = 'localhost'/listen_addresses = '*'/" \
  "$root/usr/share/postgresql/15/postgresql.conf.sample"
install -d -o 901 -g 901 -m 2775 "$root/run/postgresql"
rm -rf "$root"/etc/nginx/{modules,sites}-{enabled,available} "$root"/etc/nginx/conf.d
mkdir -p "$root"/etc/nginx/conf.d "$root/var/log/nginx" "$root/var/cache/nginx"
mkdir -p "$root"/etc/{prometheus,alertmanager}

ldconfig -r "$root"
for program in postgres redis-server nginx curl wget useradd setpriv python3; do
  if chroot "$root" ldd "$(chroot "$root" which "$program")" | grep 'not found'; then
    echo "base image: $program misses the library above" >&2
    exit 1
  fi
done
say "$(du -sh "$root" | cut -f1) unpacked"
certificates=/etc/ssl/certs/ca-certificates.crt
tar -C "$root" --numeric-owner --sort=name --mtime='2024-01-01 UTC' -c . | docker import \
  -c "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8" \
  -c "ENV SSL_CERT_FILE=$certificates PIP_CERT=$certificates PIP_ROOT_USER_ACTION=ignore" \
  -c 'CMD ["bash"]' - "$image" >/dev/null
rm -rf "$work"
say "imported as $image"
