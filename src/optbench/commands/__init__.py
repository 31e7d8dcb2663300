"""The command line: one file a verb, on top of everything else; no library imports one."""
