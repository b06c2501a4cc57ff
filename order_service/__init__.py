"""order_service: what a customer ordered, what it costs, and how far it has come."""
