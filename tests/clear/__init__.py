"""Each step of a case is broken for good and cleared once: the case ends as one that nothing disturbed."""
