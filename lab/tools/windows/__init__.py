"""Windows artifacts written by this code: registry hives, event logs, prefetch files; none of them comes from a Windows system."""
