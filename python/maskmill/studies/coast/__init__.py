"""Coasts labelled with Doodler: results, data sets such as Coast Train (Wernette et al. 2022, doi:10.5066/P91NP87I).

A verb of `maskmill coast` has its function here, and its options in `cli/coast`. Modules:

==============================  =======================================================================================
trials                          `read`: the trials of result files, the newest last; what the names of files tell
==============================  =======================================================================================

The files themselves are read and written by `maskmill.io.doodler`.
"""

from maskmill.io.doodler import Trial
from maskmill.studies.coast.trials import Name, find, name_of, read

__all__ = ["Name", "Trial", "find", "name_of", "read"]
