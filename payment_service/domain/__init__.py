"""The rules of payments: pure functions from a payment and a fact, a command or an answer to what follows."""
