"""A catalogue to begin with: plausible products with their stock, the same ones each time."""

from contracts.types import UnitPrice
from inventory_service.domain.movement import Reason
from inventory_service.domain.product import CreateProduct
from inventory_service.domain.stock import AdjustStock

_KINDS = (
    ("MUG", "mug", 1299, "Stoneware, 330 ml, safe in the dishwasher."),
    ("SHIRT", "T-shirt", 2490, "Organic cotton, cut straight, washed once before it is sewn."),
    ("NOTEBOOK", "notebook", 890, "160 dotted pages that lie flat, with a ribbon."),
    ("BOTTLE", "bottle", 2150, "Steel, 500 ml, keeps tea hot for eight hours."),
    ("CAP", "cap", 1890, "Brushed cotton with a brass buckle."),
    ("BAG", "tote bag", 1490, "Heavy canvas with a pocket inside."),
    ("LAMP", "desk lamp", 5900, "Aluminium, dimmable, turns every way."),
    ("BLANKET", "blanket", 7450, "Lambswool, 130 by 180 cm."),
    ("PEN", "fountain pen", 3200, "Steel nib, takes any cartridge."),
    ("APRON", "apron", 2790, "Linen, with long ties."),
    ("CLOCK", "wall clock", 4350, "Beech, silent, 28 cm across."),
    ("VASE", "vase", 3680, "Hand-blown glass, 24 cm tall."),
)
_COLOURS = ("red", "blue", "green", "black", "white", "yellow", "grey", "orange", "brown", "pink", "teal", "sand")

Seed = CreateProduct | AdjustStock


def seed_catalogue(n: int) -> tuple[Seed, ...]:
    """The first ``n`` products, each followed by the delivery that fills its shelf."""
    return tuple(seed for number in range(n) for seed in _filled(number, _product(number)))


def _product(number: int) -> CreateProduct:
    edition, place = divmod(number, len(_COLOURS) * len(_KINDS))
    colour = _COLOURS[place // len(_KINDS)]
    code, noun, price, description = _KINDS[place % len(_KINDS)]
    return CreateProduct(
        sku=f"{code}-{colour.upper()}" + (f"-{edition + 1}" if edition else ""),
        name=f"{colour.capitalize()} {noun}" + (f", edition {edition + 1}" if edition else ""),
        description=description,
        price=UnitPrice(amount=price + 100 * edition, currency="EUR"),
    )


def _filled(number: int, product: CreateProduct) -> tuple[Seed, Seed]:
    return product, AdjustStock(sku=product.sku, delta=100 + number * 37 % 400, reason=Reason.RECEIVED)
