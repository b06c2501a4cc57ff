"""One door in front of all services: routing, security headers, one document of everything, health."""
