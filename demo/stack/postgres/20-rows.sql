INSERT INTO lessons (title, composer, level) VALUES
    ('Minuet in G', 'Christian Petzold', 2),
    ('Prelude in C, BWV 846', 'Johann Sebastian Bach', 4),
    ('Invention No. 8', 'Johann Sebastian Bach', 5),
    ('Sonatina in C, Op. 36 No. 1', 'Muzio Clementi', 3),
    ('Für Elise', 'Ludwig van Beethoven', 4),
    ('Moonlight Sonata, first movement', 'Ludwig van Beethoven', 6),
    ('Rondo alla Turca', 'Wolfgang Amadeus Mozart', 6),
    ('Sonata in C, K. 545', 'Wolfgang Amadeus Mozart', 5),
    ('Träumerei', 'Robert Schumann', 5),
    ('The Wild Horseman', 'Robert Schumann', 2),
    ('Prelude in E minor, Op. 28 No. 4', 'Frédéric Chopin', 5),
    ('Nocturne in E-flat, Op. 9 No. 2', 'Frédéric Chopin', 7),
    ('Waltz in A minor', 'Frédéric Chopin', 5),
    ('Gymnopédie No. 1', 'Erik Satie', 4),
    ('Clair de lune', 'Claude Debussy', 8),
    ('The Entertainer', 'Scott Joplin', 6),
    ('Solfeggietto', 'Carl Philipp Emanuel Bach', 6),
    ('Arabesque, Op. 100 No. 2', 'Friedrich Burgmüller', 3);

INSERT INTO users (name, joined_at)
SELECT 'pupil-' || n, now() - n * interval '1 day' FROM generate_series(1, 120) AS n;

INSERT INTO practice_sessions
    (user_id, lesson_id, notes_played, mistakes, score, scored_by, practised_at)
SELECT 1 + n * 7 % 120, 1 + n * 5 % 18, 200, n * 11 % 60, 100 - 100.0 * (n * 11 % 60) / 200,
    'import', now() - n * interval '7 minutes'
FROM generate_series(1, 3000) AS n;

ANALYZE;
