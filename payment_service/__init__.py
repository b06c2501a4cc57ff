"""payment_service: charges what an order owes, exactly once, and gives it back when the order ends."""
