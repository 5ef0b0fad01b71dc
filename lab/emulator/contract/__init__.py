"""Every answer of the lab is held against botocore's model of the service (docs/lab-fidelity.md)."""
