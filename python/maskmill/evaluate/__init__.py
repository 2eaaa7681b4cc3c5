"""Evaluation beyond the pycocotools drop-in: results as numbers and tables instead of prints."""

from maskmill.evaluate.coco import CocoEvaluation, evaluate
from maskmill.evaluate.evaluator import Evaluator

__all__ = ["CocoEvaluation", "Evaluator", "evaluate"]
