"""Answers → tables in English or Chinese, and flat rows for CSV.

An answer is a dictionary of `chipwise.answers`; what is made here has no colour and no width, so
that a terminal and a page can both draw it. `kinds` says for each kind of answer which function
tells it.
"""

from chipwise.tables.sheet import Cell, Sheet, flat, number, short

__all__ = ["Cell", "Sheet", "flat", "number", "short"]
