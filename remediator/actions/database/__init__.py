"""What is done to a database: maintenance, diagnosis, trial and real restores of its backup.

Rule: every wait has an end, foreign text never runs with rights over production, and what
was made for a trial is gone after it.
"""
