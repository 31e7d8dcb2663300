"""What things cost, as ratios of contenders that take turns in one process; `scripts/speed` prints them all."""
