"""What is suspicious: functions from a tree, log lines or plugin rows to findings, and the rule files they apply."""
