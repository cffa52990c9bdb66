"""Whether configuration, rules, routes and dashboards of a stack agree with one another.

Rule: each part looks at documents and yields findings; no part ends because another found
something, and what cannot be looked at is named and not taken for good.
"""
