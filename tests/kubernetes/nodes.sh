#!/usr/bin/env bash
# Tests on real nodes: containerd and kubelets as root, beside the control plane that build.sh makes.
#
#   nodes.sh [WORDS FOR PYTEST]      root, Linux with overlayfs, bridges and iptables; apt brings what is missing
#
# All of it lives in a network, a mount and a process namespace of its own: when this ends, whatever the way,
# the kernel ends every process, mount, bridge and rule with it. Nothing reaches or is reached from outside.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ "${1:-}" = --inside ]; then
  shift
  ip link set lo up
  "${GAMEDAY_PYTHON:-.venv/bin/python}" -m pytest tests/kubernetes/nodes -n 0 "$@" & tests=$!
  code=0; wait "$tests" || code=$?      # As the first process here it also takes the orphans of containers.
  exit "$code"
fi
if [ "$(id -u)" != 0 ]; then echo "nodes.sh: real nodes need root" >&2; exit 1; fi
missing=
for package in containerd runc containernetworking-plugins iptables conntrack busybox-static iproute2; do
  dpkg -s "$package" > /dev/null 2>&1 || missing+=" $package"
done
if [ -n "$missing" ]; then
  apt-get -q -o Acquire::Retries=3 update
  apt-get -q -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $missing
fi
tests/kubernetes/build.sh
tidy() { # Groups are the machine's; whoever was in them ended with the process namespace.
  if [ -n "${all:-}" ]; then kill -KILL "$all" 2> /dev/null || true; wait "$all" 2> /dev/null || true; fi
  for own in /sys/fs/cgroup/*/gd-node[0-9]; do
    if [ -d "$own" ]; then find "$own" -depth -type d -exec rmdir {} + || true; fi
  done
}
trap tidy EXIT
trap 'exit 143' TERM INT
GAMEDAY_NODES=1 unshare --net --mount --pid --fork --kill-child --mount-proc "$0" --inside "$@" & all=$!
code=0; wait "$all" || code=$?
all=
exit "$code"
