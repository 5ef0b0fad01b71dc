"""What makes the evidence that the lab ships; nothing that runs the lab imports it."""
