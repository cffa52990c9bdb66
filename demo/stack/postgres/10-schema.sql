CREATE EXTENSION IF NOT EXISTS pg_stat_statements;

CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    joined_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE lessons (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    title text NOT NULL,
    composer text NOT NULL,
    level int NOT NULL CHECK (level BETWEEN 1 AND 10)
);

CREATE TABLE practice_sessions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users,
    lesson_id bigint NOT NULL REFERENCES lessons,
    notes_played int NOT NULL CHECK (notes_played >= 0),
    mistakes int NOT NULL CHECK (mistakes >= 0),
    score numeric(5, 2),
    scored_by text,
    practised_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX practice_sessions_lesson ON practice_sessions (lesson_id);
CREATE INDEX practice_sessions_user ON practice_sessions (user_id);
