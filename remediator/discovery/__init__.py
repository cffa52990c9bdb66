"""A first configuration out of what runs: what the engine tells of its compose projects.

Rule: the engine is only read; what is guessed is written where a person reads it first, in
observe mode.
"""
