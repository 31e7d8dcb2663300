"""From run records to tables: records -> one tidy frame -> statistics -> tables."""
