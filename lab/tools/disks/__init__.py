"""Builds disk images from scenarios: partition table, LVM, ext4 or XFS, and the traces of an intrusion."""
