-- From version 4.
PRAGMA user_version = 5;
