"""One run: from a composed config to a finished record."""
