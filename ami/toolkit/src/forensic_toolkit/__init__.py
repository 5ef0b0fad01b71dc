"""The program that SSM documents call on the forensic instance: memory and disk analysis with typed results."""

__version__ = "1.0.0"
