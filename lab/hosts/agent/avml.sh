#!/bin/sh
# Stand-in for AVML (Acquire Volatile Memory for Linux) on the lab's instances.
#
# In production the real AVML binary lies in the tools bucket; the capture document fetches it by a presigned URL,
# checks its SHA-256 and runs it from tmpfs. The lab puts this script there under the same name. It offers the one call
# the document makes: the memory of the instance, as a LiME image, on stdout. The lab shows that memory as /dev/crash.
#
# /run/lab/capture_rate_mib, when the lab has written it, limits the rate (MiB a second), so that a capture of a small
# image takes as long as one of a real machine's memory.
set -u

version='avml 0.14.0 (lab stand-in)'
# LAB_DEV_ROOT is set only where the lab runs without namespaces.
memory="${LAB_DEV_ROOT:-/dev}/crash"
rate_file=/run/lab/capture_rate_mib

stop() {
  printf 'avml: %s\n' "$1" >&2
  exit 1
}

throttled() {
  rate=$1
  size=$(wc -c <"$memory") || stop "cannot read $memory"
  chunk=$((rate * 1048576))
  sent=0
  seconds=0
  begin=$(date +%s)
  while [ "$sent" -lt "$size" ]; do
    dd if="$memory" bs=1048576 skip=$((sent / 1048576)) count="$rate" 2>/dev/null || exit 1
    sent=$((sent + chunk))
    seconds=$((seconds + 1))
    ahead=$((begin + seconds - $(date +%s)))
    if [ "$ahead" -gt 0 ] && [ "$sent" -lt "$size" ]; then sleep "$ahead"; fi
  done
}

case "${1:-}" in
  --version | -V)
    printf '%s\n' "$version"
    ;;
  acquire)
    if [ "${2:-}" != /dev/stdout ] || [ $# -ne 2 ]; then
      stop 'the lab stand-in knows one call: avml acquire /dev/stdout'
    fi
    if [ ! -r "$memory" ]; then
      stop "no memory source: $memory is not there or not readable (this lab instance has no memory image)"
    fi
    rate=
    if [ -r "$rate_file" ]; then rate=$(cat "$rate_file"); fi
    case "$rate" in
      '' | *[!0-9]* | 0) exec cat "$memory" ;;
      *) throttled "$rate" ;;
    esac
    ;;
  *)
    stop 'usage: avml acquire /dev/stdout | avml --version'
    ;;
esac
