"""Faker as a source of values: names, addresses, sentences.

Importing it takes a tenth of a second, so a scenario that uses only the common providers is
checked without it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from random import Random
from typing import TYPE_CHECKING

from stressrun.data.errors import GeneratorError
from stressrun.data.suggest import did_you_mean

if TYPE_CHECKING:
    from faker import Generator as Source

DEFAULT_LOCALE = "en_US"

# Providers of text that every version of Faker has.
_COMMON = (
    "address bs catch_phrase city color_name company country country_code credit_card_number "
    "currency_code domain_name email file_name first_name iban ipv4 job last_name license_plate "
    "name paragraph password phone_number postcode sentence street_address street_name text url "
    "user_agent user_name word"
)
COMMON = frozenset(_COMMON.split())
_SQL_TYPES = {
    str: "text",
    int: "bigint",
    float: "double precision",
    bool: "boolean",
    Decimal: "numeric",
    date: "date",
    datetime: "timestamp",
}
_TRIALS = 100


def faker_type(provider: str, locale: str) -> str:
    """The PostgreSQL type of what a provider gives. Raises GeneratorError where it is unusable."""
    if provider in COMMON and locale == DEFAULT_LOCALE:
        return "text"
    known = _providers(_source(locale))
    if provider not in known:
        raise GeneratorError(
            f"unknown faker provider {provider!r}",
            "faker",
            did_you_mean(provider, known) or "such as name, email or catch_phrase",
        )
    types = _types(provider, locale)
    if len(types) != 1 or not types <= _SQL_TYPES.keys():
        found = " or ".join(sorted(one.__name__ for one in types))
        raise GeneratorError(
            f"faker provider {provider!r} gives {found}, not one kind of single value",
            "faker",
            "choose one such as name, email or catch_phrase",
        )
    return _SQL_TYPES[types.pop()]


def faker_drawer(provider: str, locale: str) -> Callable[[Random], object]:
    """What draws one value of a provider that `faker_type` has accepted."""
    source = _source(locale)
    provide: Callable[[], object] = getattr(source, provider)

    def draw(random: Random) -> object:
        source.random = random
        return provide()

    return draw


@cache
def _source(locale: str) -> Source:
    from faker import Factory
    from faker.config import AVAILABLE_LOCALES

    if locale not in AVAILABLE_LOCALES:
        raise GeneratorError(
            f"unknown faker locale {locale!r}",
            "locale",
            did_you_mean(locale, AVAILABLE_LOCALES) or "such as en_US or de_DE",
        )
    return Factory.create(locale, use_weighting=False)


def _providers(source: Source) -> set[str]:
    return {
        name
        for provider in source.get_providers()
        for name in dir(provider)
        if not name.startswith("_") and callable(getattr(provider, name))
    }


def _types(provider: str, locale: str) -> set[type]:
    draw, random = faker_drawer(provider, locale), Random(0)
    try:
        return {type(draw(random)) for _ in range(_TRIALS)}
    except Exception as error:
        cause = str(error) or type(error).__name__
        raise GeneratorError(
            f"faker provider {provider!r} gives nothing: {cause}", "faker", "choose another one"
        ) from error
