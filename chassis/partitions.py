"""The partitions of outbox and inbox, a day each: made ahead, dropped in the end, and it is noted what is kept."""

from collections.abc import Callable

_PARTITIONED = ("outbox", "inbox")

_FIRST_ID = """
CREATE FUNCTION {schema}.first_id(day date) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM day::timestamp AT TIME ZONE 'UTC') * 1000)::bigint), 12, '0')
        || '00000000000000000000')::uuid
$$
"""

_MAINTAIN = """
CREATE OR REPLACE FUNCTION {schema}.maintain_partitions(kept_days integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp SET lock_timeout = '1s' AS $$
DECLARE parent text; day date; child text; old record; busy boolean; gone date;
    today date := (now() AT TIME ZONE 'UTC')::date;
BEGIN
    kept_days := greatest(kept_days, 1);
    FOREACH parent IN ARRAY ARRAY['outbox', 'inbox'] LOOP
        gone := NULL;
        FOR day IN SELECT today + n FROM generate_series(1, 2) n LOOP
            child := format('%s_%s', parent, to_char(day, 'YYYYMMDD'));
            IF to_regclass('{schema}.' || child) IS NULL THEN
                EXECUTE format('CREATE TABLE {schema}.%I PARTITION OF {schema}.%I FOR VALUES FROM (%L) TO (%L)',
                    child, parent, {schema}.first_id(day), {schema}.first_id(day + 1));
            END IF;
        END LOOP;
        FOR old IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = ('{schema}.' || parent)::regclass AND c.relname ~ '_[0-9]{{8}}$'
              AND to_date(right(c.relname, 8), 'YYYYMMDD') < today - kept_days LOOP
            busy := false;
            IF parent = 'outbox' THEN
                EXECUTE format('SELECT EXISTS (SELECT 1 FROM {schema}.%I WHERE published_at IS NULL)', old.relname)
                    INTO busy;
            END IF;
            IF NOT busy THEN
                EXECUTE format('DROP TABLE {schema}.%I', old.relname);
                gone := greatest(gone, to_date(right(old.relname, 8), 'YYYYMMDD') + 1);
            END IF;
        END LOOP;
        {note}
    END LOOP;
END $$
"""
_NOTE = """
        INSERT INTO {schema}.kept AS noted VALUES (parent, gone, kept_days)
        ON CONFLICT (parcels) DO UPDATE SET since = greatest(noted.since, EXCLUDED.since), days = EXCLUDED.days;
"""

# What went before anybody noted it, went before the oldest day that is there; a schema of today has lost nothing.
_NOTE_THE_PAST = """
INSERT INTO {schema}.kept
SELECT c.parent, CASE WHEN min(c.day) <= (now() AT TIME ZONE 'UTC')::date THEN min(c.day) END, 30
FROM (SELECT p.relname AS parent, to_date(right(c.relname, 8), 'YYYYMMDD') AS day
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
      WHERE p.relnamespace = '{schema}'::regnamespace AND p.relkind = 'p' AND c.relname ~ '_[0-9]{{8}}$') c
GROUP BY c.parent
"""


def add_partitions(execute: Callable[[str], object], schema: str) -> None:
    """For a migration: default partitions for old and foreign ids, and the function that makes and drops a day's.

    The function runs as its owner (SECURITY DEFINER), since a service's role may not change its own schema.
    """
    for statement in (_FIRST_ID, _MAINTAIN):
        execute(statement.format(schema=schema, note=""))
    execute(f"REVOKE ALL ON FUNCTION {schema}.maintain_partitions(integer) FROM PUBLIC")
    for parent in _PARTITIONED:
        execute(f"CREATE TABLE {schema}.{parent}_default PARTITION OF {schema}.{parent} DEFAULT")
    execute(f"SELECT {schema}.maintain_partitions(30)")


def drop_partitions(execute: Callable[[str], object], schema: str) -> None:
    """Takes back what ``add_partitions`` added; the partitions go with their tables."""
    execute(f"DROP FUNCTION {schema}.maintain_partitions(integer)")
    execute(f"DROP FUNCTION {schema}.first_id(date)")


def note_what_is_kept(execute: Callable[[str], object], schema: str) -> None:
    """For a migration: the table `kept` is there, and from now on says what was dropped and what will be."""
    execute(_NOTE_THE_PAST.format(schema=schema))
    keep_a_day(execute, schema)


def keep_a_day(execute: Callable[[str], object], schema: str) -> None:
    """For a migration: a day at least is kept, and tomorrow's partition, whatever the function is told."""
    execute(_MAINTAIN.format(schema=schema, note=_NOTE.format(schema=schema)))


def note_no_more(execute: Callable[[str], object], schema: str) -> None:
    """Takes back what ``note_what_is_kept`` added."""
    execute(_MAINTAIN.format(schema=schema, note=""))
