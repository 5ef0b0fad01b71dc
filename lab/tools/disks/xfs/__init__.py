"""XFS file systems: a template made once by mkfs.xfs, filled in with a scenario's contents, owners and times."""
