"""The target's documents on many systems: their scripts as an agent runs them, with a server that stands for S3."""
