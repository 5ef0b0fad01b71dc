"""The emulated AWS: moto with its patches, IAM, CloudFormation, faults and control routes behind one HTTP server."""
