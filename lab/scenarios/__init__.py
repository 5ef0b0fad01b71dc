"""What is run on the lab: the demo, the load test, the benchmarks, a real guest, checks of memory captures."""
