"""Benchmark harness for attribute prediction with few labels."""

__version__ = "0.1.0"
