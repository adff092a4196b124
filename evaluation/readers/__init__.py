"""Readers: files of battles, scores and payoffs as the types of `evaluation.types`."""

from evaluation.readers.formats import FORMATS, read_evaluation, read_groups

__all__ = ["FORMATS", "read_evaluation", "read_groups"]
