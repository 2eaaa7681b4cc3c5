"""Electron microscopy: from volumes, stacks, videos and single images to a deduplicated, filtered training set."""
