"""Drills: a whole case on a canary that the product launches for it, judged and removed (docs/drills.md)."""
