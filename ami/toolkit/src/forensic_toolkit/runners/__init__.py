"""Analysis tools run as programs of their own: Volatility 3, dissect and plaso, with limits and counted output."""
