"""The published evaluation: its cases, and tests of the runner's sums."""
