"""Many runs: composed once, planned, stacked, side by side."""
