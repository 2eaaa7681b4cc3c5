"""Evaluation beyond the pycocotools drop-in: results as numbers and tables instead of prints."""

from maskmill.evaluate.coco import CocoEvaluation, evaluate

__all__ = ["CocoEvaluation", "evaluate"]
