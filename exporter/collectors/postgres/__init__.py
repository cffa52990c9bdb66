"""Postgres: the session, the named queries, the statements, and the collector over them.

Rule: nothing is imported here, so that the names of the parts cost no client library.
"""
