#!/bin/sh
# uname as on the instance: a sandbox shares the kernel of the lab's host, whose release must not end up in a report.
# The facts are those of the instance: /proc/sys/kernel/{osrelease,hostname} and /proc/version.
release=$(cat /proc/sys/kernel/osrelease)
node=$(cat /etc/hostname)
version="#$(sed 's/^[^#]*#//' /proc/version)"
machine=@MACHINE@

if [ $# -eq 0 ]; then set -- -s; fi
wanted=
for argument in "$@"; do
  case "$argument" in
    --all) wanted="${wanted}a" ;;
    --kernel-name) wanted="${wanted}s" ;;
    --nodename) wanted="${wanted}n" ;;
    --kernel-release) wanted="${wanted}r" ;;
    --kernel-version) wanted="${wanted}v" ;;
    --machine) wanted="${wanted}m" ;;
    --operating-system) wanted="${wanted}o" ;;
    --*) printf 'uname: unknown option %s\n' "$argument" >&2; exit 1 ;;
    -*) wanted="${wanted}${argument#-}" ;;
    *) printf 'uname: extra operand %s\n' "$argument" >&2; exit 1 ;;
  esac
done
case "$wanted" in *[!asnrvmpio]*) printf 'uname: unknown option in -%s\n' "$wanted" >&2; exit 1 ;; esac
case "$wanted" in *a*) wanted=snrvmo ;; esac

line=
add() { case "$wanted" in *"$1"*) line="$line $2" ;; esac; }
add s Linux
add n "$node"
add r "$release"
add v "$version"
add m "$machine"
add p unknown
add i unknown
add o GNU/Linux
printf '%s\n' "${line# }"
