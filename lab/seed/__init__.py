"""The resources of the lab's three accounts, made through boto3 or by the project's own templates."""
