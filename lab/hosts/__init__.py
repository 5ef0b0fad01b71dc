"""The instances of the lab: SSM agents that run documents' scripts in sandboxes."""
