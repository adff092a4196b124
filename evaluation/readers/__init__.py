"""Readers: files of battles, scores and payoffs as the types of `evaluation.types`."""

from evaluation.readers.formats import FORMATS, read_evaluation, read_groups
from evaluation.readers.tournaments import is_tournament

__all__ = ["FORMATS", "is_tournament", "read_evaluation", "read_groups"]
