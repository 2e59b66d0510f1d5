"""What a login costs: measured on the real server, as ratios within one run."""
