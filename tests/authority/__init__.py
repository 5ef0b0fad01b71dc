"""Who may speak and who may approve: hostile and honest events against a lab with real lookups, signatures and stores."""
