"""The rules of an order, pure. Start reading at ``life.advance``."""
