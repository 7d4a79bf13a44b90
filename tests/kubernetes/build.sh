#!/usr/bin/env bash
# Build the real Kubernetes 1.20.2 from Debian's own source package: the last one that is whole.
#
#   build.sh [FOLDER]    default: ${GAMEDAY_KUBERNETES:-${XDG_CACHE_HOME:-~/.cache}/gameday/kubernetes-1.20.2}
#
# FOLDER gets one program under six names and a compressed copy of it, kubernetes.xz (26 MB): when only that is
# there (a cache that was restored), it is unpacked and nothing is built. Otherwise about 5 minutes on two idle
# cores, 1 GB of disk that is given back, 2.5 GB of memory; only Debian's archive is asked. Root, or sudo, for
# apt-get where compilers are missing. Exit code 69: it cannot be had here (no root, no archive), nothing is wrong.
set -euo pipefail
readonly UNAVAILABLE=69
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-${GAMEDAY_KUBERNETES:-${XDG_CACHE_HOME:-$HOME/.cache}/gameday/kubernetes-1.20.2}}
version=1.20.2
names="kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl"
go=/usr/lib/go-1.19/bin

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

unable() { echo "build.sh: $*" >&2; exit "$UNAVAILABLE"; }

patiently() { # the archive is another machine, and somebody else may be installing something: three tries
  local tries=1
  until "$@"; do
    if [ "$tries" = 3 ]; then unable "$* failed three times: is Debian's archive reachable?"; fi
    sleep $((tries * 5)); tries=$((tries + 1))
  done
}

apt=(apt-get -q -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300)

link() {
  for name in $names; do ln -sfn kubernetes "$out/$name"; done
  "$out/kubectl" version --client --short
}

fetch() { # the source package, by a list of its own, so that the machine's stay as they are
  mkdir -p lists/partial
  local archive suite=bookworm
  archive=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -m1 debian || true)
  if [ -z "$archive" ]; then unable "apt knows no Debian archive: see /etc/apt/sources.list"; fi
  echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive $suite main" > sources.list
  local own=(-o "Dir::Etc::sourcelist=$PWD/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$PWD/lists")
  patiently "${apt[@]}" "${own[@]}" update
  patiently "${apt[@]}" "${own[@]}" source --download-only kubernetes
  tar xzf kubernetes_1.20*.orig.tar.gz
}

mend() { # its reflect2 is older than Go 1.18 and kills the API server when a custom object is written as JSON
  patiently "${apt[@]}" download golang-github-modern-go-reflect2-dev
  dpkg -x golang-github-modern-go-reflect2-dev_*.deb reflect2
  local vendored=kubernetes-$version/vendor/github.com/modern-go/reflect2
  rm -f "$vendored"/*.go "$vendored"/*.s
  cp reflect2/usr/share/gocode/src/github.com/modern-go/reflect2/*.{go,s} "$vendored/"
}

compile() {
  cd "kubernetes-$version"
  export PATH=$go:$PATH GO111MODULE=off GOFLAGS= KUBE_GIT_VERSION_FILE=$PWD/.kube-version
  printf "KUBE_GIT_COMMIT='debian'\nKUBE_GIT_TREE_STATE='archive'\nKUBE_GIT_VERSION='v%s'\nKUBE_GIT_MAJOR='1'\nKUBE_GIT_MINOR='20'\n" \
    "$version" > .kube-version
  mkdir -p cmd/onebin && cp "$here/onebin.go" cmd/onebin/main.go
  make generated_files > /dev/null
  mkdir -p "$work/go/src/k8s.io" && ln -sfn "$PWD" "$work/go/src/k8s.io/kubernetes"
  cd "$work/go/src/k8s.io/kubernetes"
  local flags="-s -w" vendor=k8s.io/kubernetes/vendor/
  for package in k8s.io/component-base/version ${vendor}k8s.io/component-base/version k8s.io/client-go/pkg/version ${vendor}k8s.io/client-go/pkg/version; do
    flags+=" -X $package.gitVersion=v$version -X $package.gitMajor=1 -X $package.gitMinor=20 -X $package.gitTreeState=archive"
  done
  GOPATH=$work/go CGO_ENABLED=0 go build -trimpath -ldflags "$flags" -o "$work/kubernetes" k8s.io/kubernetes/cmd/onebin
}

if [ -x "$out/kubernetes" ]; then link; exit; fi
mkdir -p "$out"
exec 9> "$out/.building" && flock 9      # Whoever comes second finds it built.
if [ -x "$out/kubernetes" ]; then link; exit; fi
if [ -e "$out/kubernetes.xz" ]; then
  xz -dc "$out/kubernetes.xz" > "$out/kubernetes.new" && chmod 755 "$out/kubernetes.new" && mv "$out/kubernetes.new" "$out/kubernetes"
  link; exit
fi
missing=
for package in golang-1.19-go make rsync gcc libc6-dev xz-utils jq; do
  dpkg -s "$package" > /dev/null 2>&1 || missing+=" $package"
done
command -v apt-get > /dev/null || unable "no apt-get: this machine is no Debian"
if [ -n "$missing" ]; then
  [ "$(id -u)" = 0 ] || sudo -n true 2> /dev/null || unable "root or sudo is needed to install:$missing"
  patiently as_root "${apt[@]}" update
  patiently as_root "${apt[@]}" install -y --no-install-recommends $missing
fi
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
fetch
mend
compile
xz -T2 -6 -c "$work/kubernetes" > "$out/kubernetes.xz.new" && mv "$out/kubernetes.xz.new" "$out/kubernetes.xz"
mv "$work/kubernetes" "$out/kubernetes"
link
