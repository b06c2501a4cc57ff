"""I: idempotency keys and the answers that are stored under them."""

from ordermill.audit.invariant import Invariant, Kind

# The UUID behind a TypeID (chassis.ids): 26 characters of Crockford's base32 are 130 bits, the first two of them 0.
_UUID_OF = """
    SELECT (lpad(to_hex(substr(bits, 3, 64)::bit(64)::bigint), 16, '0')
        || lpad(to_hex(substr(bits, 67, 64)::bit(64)::bigint), 16, '0'))::uuid
    FROM (
        SELECT string_agg((strpos('0123456789abcdefghjkmnpqrstvwxyz', letter) - 1)::bit(5)::text, '' ORDER BY place)
        FROM string_to_table(right({typeid}, 26), NULL) WITH ORDINALITY AS letters(letter, place)
    ) decoded(bits)
"""

KEYS = (
    # An answer begins with its order's id; it is taken to pieces only where it does not.
    Invariant(
        "I1",
        Kind.ALWAYS,
        "a stored response points at its order",
        f"""
        SELECT i.user_id, i.operation, i.key, i.status, i.location
        FROM (
            SELECT i.user_id, i.operation, i.key, i.status, i.headers ->> 'Location' AS location,
                convert_from(i.body, 'UTF8') AS body,
                ({_UUID_OF.format(typeid="i.headers ->> 'Location'")}) AS order_id
            FROM order_service.idempotency i WHERE i.operation = 'createOrder' /* since: i.created_at */
            OFFSET 0  -- else PostgreSQL decodes each id twice
        ) i
        LEFT JOIN order_service.orders o ON o.customer_id = i.user_id AND o.id = i.order_id
        WHERE o.id IS NULL OR NOT starts_with(i.body, '{{"id":"' || right(i.location, 30) || '"')
            AND right(i.location, 30) IS DISTINCT FROM i.body::jsonb ->> 'id'
        """,  # noqa: S608 -- written above
    ),
    # A key is in flight while a transaction holds its advisory lock, whose 64 bits are a hash. Those of relays and
    # migrations are of 32 bits, so that their upper half is 0, or all ones.
    Invariant(
        "I2",
        Kind.DRAINED,
        "no key is stuck in flight",
        """
        SELECT l.pid, l.classid, l.objid FROM pg_locks l JOIN pg_database d ON d.oid = l.database
        WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.objsubid = 1
            AND l.classid NOT IN (0, 4294967295)
        """,
    ),
)
