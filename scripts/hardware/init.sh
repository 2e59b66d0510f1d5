#!/bin/busybox sh
# The first process in the guest of qemu.sh: mounts what is shared, runs the checks, switches off.
/bin/busybox --install -s /bin
mount -t devtmpfs devtmpfs /dev
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
while read -r module options; do
    # shellcheck disable=SC2086 # several options
    insmod "/modules/$module" $options
done </modules/order
for name in lib lib64 sbin; do
    ln -s "usr/$name" "/$name"
done
number=0
while read -r path; do
    mkdir -p "$path"
    mount -t 9p -o "trans=virtio,version=9p2000.L,ro,cache=loose,msize=262144" "share$number" "$path"
    number=$((number + 1))
done </etc/shares
ip link set lo up
mkdir -p /tmp/home
export HOME=/tmp/home
sh /etc/program >"$(echo /dev/vport*p*)" 2>&1
poweroff -f
