"""Reading -> metric families. Every exported name, help text and label set is written here, once.

Rule: pure. A families function gets its target and a reading, or Unreachable, and returns
complete families; a family it knows nothing about is absent, not zero.
"""
