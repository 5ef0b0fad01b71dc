#!/usr/bin/env bash
# Makes the RAID and LVM images of tests/toolkit/filesystems/test_real_arrays.py: mdadm and LVM2 on a kernel of Debian in QEMU, because
# both need drivers that a container's kernel may lack. Needs qemu-system-x86, busybox-static, cpio, mdadm, lvm2, dmsetup,
# thin-provisioning-tools, e2fsprogs, xz, and the unpacked package linux-image-*-cloud-amd64. Usage: make_arrays.sh UNPACKED_KERNEL [raid|lvm]
set -euo pipefail
OUT=$(cd "$(dirname "$0")" && pwd)
KERNEL=$(echo "$1"/boot/vmlinuz-*)
MODULES=$(echo "$1"/lib/modules/*)
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
ROOT=$WORK/root
mkdir -p "$ROOT"/{bin,sbin,etc/lvm,proc,sys,dev,run,tmp,mnt,modules,usr/sbin,usr/lib,lib,lib64}
cp "$(command -v busybox)" "$ROOT/bin/busybox"
for program in mdadm lvm dmsetup mke2fs thin_check; do
    path=$(readlink -f "$(command -v $program)")
    cp "$path" "$ROOT/sbin/$program"
    ldd "$path" | grep -o '/[^ ]*' | while read -r library; do mkdir -p "$ROOT$(dirname "$library")" && cp -Ln "$library" "$ROOT$library"; done
done
mkdir -p "$ROOT/usr/sbin" && cp "$ROOT/sbin/thin_check" "$ROOT/usr/sbin/thin_check"
cp /etc/mke2fs.conf "$ROOT/etc/"
# in an order in which each finds what it needs
for name in virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk crc16 crc32c_generic libcrc32c \
    crc32c-intel mbcache jbd2 ext4 xor raid6_pq async_tx async_memcpy async_xor async_pq async_raid6_recov md-mod linear raid0 raid1 raid10 \
    raid456 dm-mod dm-bufio dm-log dm-region-hash dm-mirror dm-raid dm-bio-prison dm-persistent-data dm-thin-pool dm-snapshot; do
    file=$(find "$MODULES" -name "$name.ko" | head -1)
    if [ -n "$file" ]; then cp "$file" "$ROOT/modules/" && echo "$name" >>"$ROOT/modules/order"; fi
done
cat >"$ROOT/init" <<'SH'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/sbin:/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
# several times, because some need others of the list
for turn in 1 2 3 4 5; do while read -r name; do insmod /modules/$name.ko 2>/dev/null; done </modules/order; done
lsmod | wc -l; ls /dev/vd*
fill() { # device words: an ext4 with a file that says which one it is
    /sbin/mke2fs -q -F -t ext4 -b 1024 -O ^has_journal "$1" && mount -t ext4 "$1" /mnt || return
    mkdir -p /mnt/etc /mnt/data
    echo 'root:x:0:0:root:/root:/bin/bash' >/mnt/etc/passwd
    : >/mnt/etc/fstab
    echo "$2" >/mnt/etc/name
    i=0; while [ $i -lt 40 ]; do seq $((i * 1000)) $((i * 1000 + 9000)) >/mnt/data/file$i; i=$((i + 1)); done
    (cd /mnt && sha256sum data/*) >/tmp/sums && cp /tmp/sums /mnt/etc/sums
    umount /mnt
}
array() { # name options… devices
    name=$1; shift
    /sbin/mdadm --create "/dev/$name" --run --homehost=web --name="$name" "$@" </dev/null && fill "/dev/$name" "$name"
    /sbin/mdadm --wait "/dev/$name"; /sbin/mdadm --stop "/dev/$name"
}
if grep -qv what=lvm /proc/cmdline; then
array md1 --level=1 --raid-devices=2 --metadata=1.2 /dev/vda /dev/vdb
array md2 --level=0 --raid-devices=2 --metadata=1.2 /dev/vdc /dev/vdd
array md3 --level=5 --raid-devices=3 --metadata=1.2 --chunk=16 /dev/vde /dev/vdf /dev/vdg
array md4 --level=6 --raid-devices=4 --metadata=1.1 --chunk=16 /dev/vdh /dev/vdi /dev/vdj /dev/vdk
array md5 --level=10 --raid-devices=3 --metadata=1.2 --chunk=16 /dev/vdl /dev/vdm /dev/vdn
array md6 --level=1 --raid-devices=2 --metadata=0.90 /dev/vdo /dev/vdp
array md7 --level=10 --layout=o2 --raid-devices=2 --metadata=1.0 --chunk=16 /dev/vdq /dev/vdr
fi
if grep -q what=raid /proc/cmdline; then echo made-all; poweroff -f; fi
L=/sbin/lvm
# no udev here: LVM makes its own device nodes
printf "activation {\n udev_sync=0\n udev_rules=0\n verify_udev_operations=1\n monitoring=0\n}\nglobal {\n use_lvmpolld=0\n}\n" >/etc/lvm/lvm.conf
$L pvcreate -ff -y /dev/vds /dev/vdt /dev/vdu
$L vgcreate -s 1m vg0 /dev/vds /dev/vdt /dev/vdu
make() { # name options…
    name=$1; shift
    $L lvcreate -y -Wn -Zn -n "$name" "$@" vg0 && $L vgmknodes; fill "/dev/mapper/vg0-$name" "$name"
}
make striped -i 3 -I 16k -l 12
make mirrored --type raid1 -m 1 -l 8
make copied --type mirror -m 1 -l 8 --mirrorlog core
make parity --type raid5 -i 2 -I 16k -l 8
$L lvcreate -y -Zn --type thin-pool -n pool -l 12 --poolmetadatasize 2m -c 64k vg0
$L lvcreate -y -V 24m --thin -n thin vg0/pool; $L vgmknodes; fill /dev/mapper/vg0-thin thin
$L lvcreate -y -s -n before vg0/thin
mount -t ext4 /dev/mapper/vg0-thin /mnt && echo changed >/mnt/etc/name && echo x >/mnt/etc/later && umount /mnt
sleep 5; $L lvs -a -o lv_name,segtype,devices; $L vgchange -an vg0; sync
echo made-all
poweroff -f
SH
chmod +x "$ROOT/init"
(cd "$ROOT" && find . | cpio --quiet -o -H newc | gzip -1) >"$WORK/initramfs.gz"
DRIVES=()
NAMES=(raid1-1 raid1-2 raid0-1 raid0-2 raid5-1 raid5-2 raid5-3 raid6-1 raid6-2 raid6-3 raid6-4 raid10-1 raid10-2 raid10-3 old-1 old-2 offset-1 offset-2 lvm-1 lvm-2 lvm-3)
for name in "${NAMES[@]}"; do
    truncate -s "$([[ $name == lvm-* ]] && echo 48M || echo 12M)" "$WORK/$name.raw"
    DRIVES+=(-drive "file=$WORK/$name.raw,format=raw,if=virtio,discard=ignore")
done
qemu-system-x86_64 -accel tcg,thread=multi -cpu max -m 768 -nographic -no-reboot -kernel "$KERNEL" -initrd "$WORK/initramfs.gz" \
    -append "console=ttyS0 quiet panic=-1 what=${2:-all}" "${DRIVES[@]}" | tee "$WORK/console"
grep -q made-all "$WORK/console"
for name in "${NAMES[@]}"; do
    [ -n "$(tr -d '\0' <"$WORK/$name.raw" | head -c 1)" ] || continue # not made this time
    xz -9e --threads=1 --stdout "$WORK/$name.raw" >"$OUT/$name.raw.xz"
done
