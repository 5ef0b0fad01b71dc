"""The SSM agents of the lab's instances: they take commands and run their documents in a sandbox."""
