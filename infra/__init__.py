"""Infrastructure: templates, what deploys them, and the checks on both."""
