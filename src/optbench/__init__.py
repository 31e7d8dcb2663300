"""Optimizers compared on evidence: one definition of each, trained, certified and drawn."""

__version__ = "0.1.0"
