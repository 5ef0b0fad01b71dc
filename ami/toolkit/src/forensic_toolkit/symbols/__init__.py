"""Symbol tables for Volatility: built from BTF and kallsyms or from a debug package, or unpacked from a store."""
