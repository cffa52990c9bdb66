"""The runbook's own looks at the stack: every morning, and every week.

Rule: a report is values; what could not be asked is a row that says so, never a good one.
"""
