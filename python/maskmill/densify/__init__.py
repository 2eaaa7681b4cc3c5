"""Sparse labels to dense labels: pixel features, classifiers, honest scores."""
