"""What the command line starts: the examinations of memory and disk, collecting files, building a symbol table."""
