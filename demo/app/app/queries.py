"""Every statement that the application sends, by name."""

LESSONS = """
SELECT l.id, l.title, l.composer, l.level, count(s.id) AS sessions,
       round(avg(s.score), 1)::float AS average_score
FROM lessons l LEFT JOIN practice_sessions s ON s.lesson_id = l.id
GROUP BY l.id ORDER BY l.level, l.id
"""

# What the bad release sends: its migration was never run.
LESSONS_BY_DIFFICULTY = "SELECT id, title, difficulty_rating FROM lessons ORDER BY 3"

NEW_SESSION = """
INSERT INTO practice_sessions (user_id, lesson_id, notes_played, mistakes)
VALUES (%(user_id)s, %(lesson_id)s, %(notes_played)s, %(mistakes)s) RETURNING id
"""

SESSION = """
SELECT id, user_id, lesson_id, notes_played, mistakes, score::float, scored_by
FROM practice_sessions WHERE id = %(id)s
"""

SCORE = """
UPDATE practice_sessions
SET score = greatest(0, 100 - 100.0 * mistakes / greatest(notes_played, 1)), scored_by = %(by)s
WHERE id = %(id)s RETURNING score::float
"""

LEADERBOARD = """
SELECT u.name, round(sum(s.score))::int AS points
FROM practice_sessions s JOIN users u ON u.id = s.user_id
WHERE s.score IS NOT NULL GROUP BY u.id ORDER BY points DESC, u.id LIMIT 10
"""

# For the fault error_logs.
MISSPELT = "INSERT INTO practice_sesions (user_id) VALUES (1)"
