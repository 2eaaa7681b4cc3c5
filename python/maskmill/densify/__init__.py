"""Sparse labels to dense ones: from a few painted strokes to a class for every pixel, and how good that is.

>>> import numpy as np
>>> from maskmill import densify
>>> image = np.full((40, 60, 3), (200, 180, 140), np.uint8)
>>> image[:, 30:] = 60, 70, 160
>>> strokes = np.zeros((40, 60), np.uint8)
>>> strokes[5, 5:15], strokes[30, 40:55] = 1, 2
>>> model = densify.fit(image, strokes, features="lab")
>>> result = densify.predict(model, image)
>>> result.labels.shape, np.bincount(result.labels.ravel()).tolist()
((40, 60), [0, 1200, 1200])

`columns` describe a pixel, `classifiers` tell classes apart by them, `prediction` goes over an image tile by tile,
`smoothing` is a dense CRF behind that; `evaluation` scores on strokes (`blobs`) that were not trained with. `labels`
reads what was painted in any program, `classmaps` writes what came of it, `legend` has names and colours;
`files` does all this with photos in files, and `page` writes reports.
"""

from maskmill.densify.blobs import blobs
from maskmill.densify.classmaps import ClassMap, read_class_map, write_class_map, write_probabilities
from maskmill.densify.columns import Columns
from maskmill.densify.evaluation import evaluate
from maskmill.densify.labels import Labels, read_labels
from maskmill.densify.legend import Legend
from maskmill.densify.model import Model, load
from maskmill.densify.page import write_report
from maskmill.densify.prediction import Result, predict
from maskmill.densify.report import Report, Score
from maskmill.densify.training import fit

__all__ = [
    "ClassMap",
    "Columns",
    "Labels",
    "Legend",
    "Model",
    "Report",
    "Result",
    "Score",
    "blobs",
    "evaluate",
    "fit",
    "load",
    "predict",
    "read_class_map",
    "read_labels",
    "write_class_map",
    "write_probabilities",
    "write_report",
]
