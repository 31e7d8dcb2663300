"""The page that a sweep ends with, made from its run directories alone."""
