"""Alerts of the past through the real policy, planner, guards and journal, on a clock that jumps.

Rule: nothing here decides. What would have been done is asked of the same code that does it,
and what cannot be known (whether an action would have helped) is said and not guessed.
"""
