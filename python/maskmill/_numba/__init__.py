"""Readable twins of the C++ kernels: the specification of what they compute, and the fallback where no core was built.

Function by function the same contract as maskmill/_core.pyi. Written to be read: never optimise one into something
unreadable.
"""
