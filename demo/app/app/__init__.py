"""The piano practice site's backend and worker: small, but with a real pool, cache and queue."""
