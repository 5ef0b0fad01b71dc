"""The lab: an emulated AWS that behaves, for demonstrations and tests. Nothing in the product imports it."""
