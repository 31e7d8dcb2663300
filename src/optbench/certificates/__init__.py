"""Every optimizer stepped beside independent references: what `optbench certify` and the tests both run."""
