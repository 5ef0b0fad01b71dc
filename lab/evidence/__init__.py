"""The lab's evidence: disk images built from scenarios, and a memory image captured from a real guest."""
