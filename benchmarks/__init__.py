"""Benchmarks of maskmill against whatever rivals are installed: `maskmill bench`, or `pytest benchmarks`."""
