"""The command line: one file a verb, on top of everything else; no library imports one.

Each file has a `main`, which takes the words after the verb, and raises a `UserError` where something in them is wrong.
"""
