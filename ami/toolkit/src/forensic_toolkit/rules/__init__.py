"""What is suspicious: functions from a tree of files, log lines or plugin rows to findings, and the rule files they apply."""
