"""The benchmark of techniques: each planted by a generator with invented details and an exact time, looked for by the quick profile."""
