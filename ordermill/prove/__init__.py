"""`ordermill prove`: a split shop of its own, people at work in it, faults of every kind, then the audit."""
