"""Starting programs that read hostile bytes: what they are denied, their limits, and the pipes to them."""
