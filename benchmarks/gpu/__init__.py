"""Benchmarks of arrays on a GPU: `maskmill bench --backend cuda`."""
