"""S: the shelves. Stock is what its movements say, reserved is what reservations say, an order leaves once."""

from ordermill.audit.invariant import Invariant, Kind

_HOLDS = """
    SELECT r.order_id, r.status, hold.*
    FROM inventory_service.reservations r,
        jsonb_to_recordset(r.holds) AS hold(sku text, warehouse text, quantity bigint, shipped bigint)
    WHERE true /* orders: r.order_id */
"""

STOCK = (
    Invariant(
        "S1",
        Kind.ALWAYS,
        "on_hand is the sum of its movements, per sku and warehouse",
        """
        SELECT sku, warehouse, s.on_hand, m.moved
        FROM (SELECT * FROM inventory_service.stock s WHERE true /* skus: s.sku */) s
        FULL JOIN (
            SELECT m.sku, m.warehouse, sum(m.delta) AS moved FROM inventory_service.stock_movements m
            WHERE true /* skus: m.sku */ GROUP BY m.sku, m.warehouse
        ) m USING (sku, warehouse)
        WHERE coalesce(s.on_hand, 0) <> coalesce(m.moved, 0)
        """,
    ),
    # In two halves: the counter is the sum of the journal, and the journal of an order is what its reservation holds.
    Invariant(
        "S2",
        Kind.ALWAYS,
        "reserved is the sum of held and committed reservations",
        f"""
        WITH moved AS (
            SELECT m.order_id, m.sku, m.warehouse, sum(m.reserved_delta) AS moved
            FROM inventory_service.stock_movements m WHERE m.order_id IS NOT NULL /* references: m.reference */
            GROUP BY m.order_id, m.sku, m.warehouse
        ),
        held AS (
            SELECT order_id, sku, warehouse, sum(quantity - shipped) AS held
            FROM ({_HOLDS}) holds WHERE status IN ('held', 'committed') GROUP BY order_id, sku, warehouse
        )
        SELECT NULL::uuid AS order_id, sku, warehouse, s.reserved, m.moved
        FROM (SELECT * FROM inventory_service.stock s WHERE true /* skus: s.sku */) s
        FULL JOIN (
            SELECT m.sku, m.warehouse, sum(m.reserved_delta) AS moved FROM inventory_service.stock_movements m
            WHERE true /* skus: m.sku */ GROUP BY m.sku, m.warehouse
        ) m USING (sku, warehouse)
        WHERE coalesce(s.reserved, 0) <> coalesce(m.moved, 0)
        UNION ALL
        SELECT order_id, sku, warehouse, held.held, moved.moved
        FROM held FULL JOIN moved USING (order_id, sku, warehouse)
        WHERE coalesce(held.held, 0) <> coalesce(moved.moved, 0)
        """,  # noqa: S608 -- written above
    ),
    Invariant(
        "S3",
        Kind.ALWAYS,
        "0 <= reserved <= on_hand + backorder_limit",
        """
        SELECT s.sku, s.warehouse, s.on_hand, s.reserved, s.backorder_limit FROM inventory_service.stock s
        WHERE s.on_hand < 0 OR s.reserved < 0 OR s.reserved > s.on_hand + s.backorder_limit
        """,
    ),
    # First what left for an order that is shipped whole is its lines, and of any other order not more than that; then
    # nothing left for a shipment that its reservation does not know.
    Invariant(
        "S4",
        Kind.ALWAYS,
        "an order leaves stock once, with exactly its lines",
        """
        WITH gone AS (
            SELECT m.order_id, m.sku, -sum(m.delta) AS gone FROM inventory_service.stock_movements m
            WHERE m.kind = 'ship' AND m.order_id IS NOT NULL /* references: m.reference */ GROUP BY m.order_id, m.sku
        ),
        ordered AS (
            SELECT o.id AS order_id, line.sku, sum(line.quantity) AS ordered
            FROM order_service.orders o, jsonb_to_recordset(o.lines) AS line(sku text, quantity bigint)
            WHERE true /* orders: o.id */ GROUP BY o.id, line.sku
        )
        SELECT order_id, sku, ordered.ordered, gone.gone, NULL::uuid AS shipment_id
        FROM gone FULL JOIN ordered USING (order_id, sku)
        JOIN (
            SELECT r.order_id, r.status FROM inventory_service.reservations r WHERE true /* orders: r.order_id */
        ) r USING (order_id)
        WHERE coalesce(gone.gone, 0) > coalesce(ordered.ordered, 0)
            OR (r.status = 'consumed' AND coalesce(gone.gone, 0) <> coalesce(ordered.ordered, 0))
        UNION ALL
        SELECT m.order_id, m.sku, NULL, -m.delta, m.reference
        FROM inventory_service.stock_movements m
        LEFT JOIN inventory_service.reservations r ON r.order_id = m.order_id
        WHERE m.kind = 'ship' /* skus: m.sku */ /* since: m.created_at */
            AND (r.shipments @> jsonb_build_array(jsonb_build_object('id', m.reference))) IS NOT TRUE
        """,
    ),
    Invariant(
        "S5",
        Kind.DRAINED,
        "no hold is left without an open order",
        """
        SELECT r.order_id, r.status AS reservation, o.status AS "order"
        FROM inventory_service.reservations r LEFT JOIN order_service.orders o ON o.id = r.order_id
        WHERE r.status = 'held' AND coalesce(o.status, 'rejected') IN ('rejected', 'cancelling', 'cancelled')
            /* orders: r.order_id */
        """,
    ),
    Invariant(
        "S6",
        Kind.DRAINED,
        "stock is committed or consumed if and only if the order is confirmed or later",
        """
        SELECT coalesce(o.id, r.order_id) AS order_id, o.status AS "order", r.status AS reservation
        FROM (SELECT * FROM order_service.orders o WHERE true /* orders: o.id */) o
        FULL JOIN (
            SELECT * FROM inventory_service.reservations r WHERE true /* orders: r.order_id */
        ) r ON r.order_id = o.id
        WHERE coalesce(o.status IN ('confirmed', 'partially_shipped', 'shipped', 'delivered'), false)
            <> coalesce(r.status IN ('committed', 'consumed'), false)
        """,
    ),
)
