"""From an evidence volume to a tree of files: devices, logical volumes, file systems, owners of files."""
