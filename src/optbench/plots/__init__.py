"""Figures: values in, matplotlib figures out."""
