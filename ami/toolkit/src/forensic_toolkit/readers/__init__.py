"""What a system wrote about itself, parsed into records with times: logs, journals, log-ins, processes."""
