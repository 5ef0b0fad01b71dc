"""Windows artifacts written by hand: registry hives, event logs, prefetch files; none of them comes from a Windows system."""
