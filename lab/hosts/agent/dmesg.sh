#!/bin/sh
# dmesg as root has it on an instance: a sandbox may not read the kernel's log, and that of the lab's host is not the
# instance's. One line of it: the banner.
printf '[    0.000000] %s\n' "$(cat /proc/version)"
