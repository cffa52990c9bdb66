"""The dashboards: written in Python, committed as JSON, provisioned from files."""
