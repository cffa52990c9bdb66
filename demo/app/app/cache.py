"""The cache in Redis. A cache that fails costs time, never the answer."""

import json
import logging
from collections.abc import Callable
from typing import Any

import redis

from app import settings

log = logging.getLogger(__name__)


class Cache:
    def __init__(self) -> None:
        self.client: redis.Redis = redis.Redis.from_url(
            settings.CACHE_URL, socket_timeout=1, socket_connect_timeout=1
        )

    def ping(self) -> None:
        self.client.ping()

    def get_or(self, key: str, compute: Callable[[], Any]) -> Any:  # noqa: ANN401 - JSON
        found = self._get(key)
        if found is not None:
            return json.loads(found)
        value = compute()
        self.put(key, value)
        return value

    def put(self, key: str, value: Any, seconds: int = settings.CACHE_SECONDS) -> bool:  # noqa: ANN401 - JSON
        try:
            self.client.set(key, json.dumps(value), ex=seconds)
        except redis.RedisError:
            log.exception("cache write of %s failed", key)
            return False
        return True

    def _get(self, key: str) -> Any:  # noqa: ANN401 - bytes, as redis is typed loosely
        try:
            return self.client.get(key)
        except redis.RedisError:
            log.exception("cache read of %s failed", key)
            return None
