"""Equal trials for every optimizer: search spaces, what to try next, what won."""
