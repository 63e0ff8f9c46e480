"""Composition: the only place where the rooms meet."""

from chipwise.plan.answer import Terms, corrected, describe, priced
from chipwise.plan.pipeline import search
from chipwise.plan.space import Search

__all__ = ["Search", "Terms", "corrected", "describe", "priced", "search"]
