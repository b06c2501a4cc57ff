"""What inventory_service is told from outside: nothing beyond what every service is."""

from chassis.settings import ServiceSettings, named


class Settings(ServiceSettings, alias_generator=named("inventory_service")):
    """Settings of inventory_service."""
