"""A and X: sign-ins, secrets, and who may read what."""

from ordermill.audit.events import NEWEST
from ordermill.audit.invariant import Invariant, Kind

# A run of 13 to 19 digits that a card could have, in groups or not, and a field that holds a secret. A span of a trace
# and a parcel's tracking number can look like a card, and are none.
_CARD = r'(?<![0-9a-f]{16}-|"tracking":")\m(?:3[47]\d{2}|[2456]\d{3})(?:[ -]?\d{4}){2}[ -]?\d{1,7}\M'
_HUSHED = r'"(?:password|password_hash|refresh_token|card_number|pan|cvv|cvc)"\s*:'

# The same without looking behind it, which takes three quarters of the time: few parcels go further. A number in JSON
# has something before and after it.
_LIKE_A_CARD = r"[^0-9A-Za-z_][2-6]\d{3}(?:[ -]?\d{4}){2}[ -]?\d{1,7}[^0-9A-Za-z_]"

# Luhn's sum: from the right, each second digit counts twice, and nine less where that has two digits.
_IS_CARD = """
    (SELECT sum(CASE WHEN place % 2 = 1 THEN digit ELSE digit * 2 - CASE WHEN digit > 4 THEN 9 ELSE 0 END END) % 10 = 0
     FROM (SELECT digit::int, row_number() OVER (ORDER BY place DESC) AS place
           FROM string_to_table(translate({digits}, ' -', ''), NULL) WITH ORDINALITY AS t(digit, place)) digits)
"""

ACCESS = (
    Invariant(
        "A1",
        Kind.ALWAYS,
        "one active refresh token a family",
        """
        SELECT t.session_id, count(*) AS active FROM auth_service.refresh_tokens t WHERE t.state = 'active'
        GROUP BY t.session_id HAVING count(*) > 1
        """,
    ),
    # The row names the event's parcel, never what was found in it.
    Invariant(
        "X1",
        Kind.ALWAYS,
        "no card number or password in any event",
        f"""
        SELECT o.service, o.id, o.topic FROM ({NEWEST}) o
        WHERE o.events ~ '{_HUSHED}' OR (o.events ~ '{_LIKE_A_CARD}' AND EXISTS (
            SELECT 1 FROM regexp_matches(o.events, '{_CARD}', 'g') AS found(digits)
            WHERE length(translate(found.digits[1], ' -', '')) BETWEEN 13 AND 19
                AND {_IS_CARD.format(digits="found.digits[1]")}))
        """,  # noqa: S608 -- written above
    ),
    # Superusers read everything and the owner of a schema what it owns; a service's role may be neither.
    Invariant(
        "X2",
        Kind.ALWAYS,
        "no role but the auditor's reads another service's schema",
        """
        SELECT role.rolname AS role, n.nspname AS schema
        FROM pg_roles role JOIN pg_namespace n ON n.nspname = ANY($schemas::text[])
        WHERE role.rolname NOT IN (n.nspname, 'auditor') AND role.rolname !~ '^pg_'
            AND (role.rolname = ANY($schemas::text[])
                OR NOT (role.rolsuper OR pg_has_role(role.oid, n.nspowner, 'USAGE')))
            AND (has_schema_privilege(role.oid, n.oid, 'USAGE') OR EXISTS (
                SELECT 1 FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v', 'm')
                    AND has_table_privilege(role.oid, c.oid, 'SELECT')))
        """,
    ),
)
