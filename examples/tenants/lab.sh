#!/usr/bin/env bash
# A data centre on one machine, out of network namespaces, to try this repository in: `lab.sh up`, `lab.sh down`, as root.
#
#   tenants-storage  192.0.2.10   the storage host's network; sharectl makes its tunnels there
#   tenants-hosts    192.0.2.20   the host that the tenants' machines are on, with the other ends of the tunnels
#   tenants-red      10.20.0.100  a machine of the tenant red, in VXLAN 5001
#   tenants-blue     10.20.0.100  a machine of the tenant blue, in VXLAN 5002
#
# A second word takes the place of `tenants` in the names.
set -euo pipefail

name=${2:-tenants}
storage=$name-storage
hosts=$name-hosts

down() {
  for namespace in "$name-red" "$name-blue" "$hosts" "$storage"; do
    if [ -e "/run/netns/$namespace" ]; then ip netns del "$namespace"; fi
  done
}

tenant() { # NAME VNI
  local machine=$name-$1
  ip -n "$hosts" link add "bridge$2" type bridge
  ip -n "$hosts" link add "tunnel$2" type vxlan id "$2" local 192.0.2.20 remote 192.0.2.10 dstport 4789
  ip -n "$hosts" link set "tunnel$2" master "bridge$2" up
  ip -n "$hosts" link set "bridge$2" up
  ip netns add "$machine"
  ip -n "$hosts" link add "port$2" type veth peer name eth0 netns "$machine"
  ip -n "$hosts" link set "port$2" master "bridge$2" up
  ip -n "$machine" link set lo up
  ip -n "$machine" link set eth0 mtu 1450 up
  ip -n "$machine" addr add 10.20.0.100/24 dev eth0
}

up() {
  down
  ip netns add "$storage"
  ip netns add "$hosts"
  ip -n "$storage" link add eth0 type veth peer name eth0 netns "$hosts"
  ip -n "$storage" addr add 192.0.2.10/24 dev eth0
  ip -n "$hosts" addr add 192.0.2.20/24 dev eth0
  for namespace in "$storage" "$hosts"; do
    ip -n "$namespace" link set lo up
    ip -n "$namespace" link set eth0 up
  done
  tenant red 5001
  tenant blue 5002
}

case ${1:-} in
up | down) "$1" ;;
*)
  echo "usage: lab.sh up|down [NAME]" >&2
  exit 2
  ;;
esac
