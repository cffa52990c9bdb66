-- From version 6.
PRAGMA user_version = 7;
