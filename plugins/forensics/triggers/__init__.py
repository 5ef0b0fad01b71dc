"""Class paths under which an earlier release serialised its waits: kept for one release, so that an upgrade loses none."""
