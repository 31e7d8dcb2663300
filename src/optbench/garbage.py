"""Importing this spares Python's garbage collector what stays for good: our commands and servers do so first.

Imports leave millions of objects. To look through them again and again while they come takes a second, and to free one
after another at the end more than another; it is the system that takes them back.
"""

import atexit
import gc

gc.set_threshold(100_000)
atexit.register(gc.freeze)
