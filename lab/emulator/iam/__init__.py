"""IAM in the lab: the templates' own policies decide about every call of a role's session."""
