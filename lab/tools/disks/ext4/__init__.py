"""A small ext4 writer: enough of the format to hold a tree of files with true times and deleted entries."""
