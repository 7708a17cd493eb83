"""Units as people write them, and what turns them into canonical ones: mm/day, K, m.

Input: the attribute `units` of a variable, and what the configuration says of it. Output: slope and offset.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import cf_xarray.units
import numpy as np
import pint

from rainshaft.data.header import Header
from rainshaft.data.sources import InputError, Source

SUM, MEAN = "sum", "mean"
METHODS = {
    **{"sum": SUM, "accumulated": SUM, "accumulation": SUM, "mean": MEAN, "average": MEAN},
    **{"maximum": "maximum", "max": "maximum", "minimum": "minimum", "min": "minimum", "median": "median"},
    **{"range": "range", "variance": "variance", "standard_deviation": "standard deviation"},
}
"""a word of `cell_methods` -> what it says; `point` says too little"""
GRIB_METHODS = {"accum": "sum", "avg": "mean", "max": "maximum", "min": "minimum"}
CURE_METHOD = "use a variable that holds totals or means"

CANONICAL = {"rain": "mm/day", "temperature": "K", "elevation": "m"}
"""quantity to units; other quantities keep the units of their file"""


@dataclass(frozen=True)
class Conversion:
    """How the values of a file become canonical: `slope * value + offset`."""

    raw_units: str
    """units of the values in the file; empty where nobody states them"""
    units: str
    """canonical units"""
    slope: float = 1.0
    offset: float = 0.0
    notes: tuple[str, ...] = ()


def conversion(header: Header) -> Conversion:
    """Find out how the values of a file become canonical.

    Raises
    ------
    InputError
        If the units are missing, are those of another quantity, or are not those that the configuration states.
    """
    source = header.source
    stated = str(header.data.attrs.get("units", "")).strip()
    if source.quantity not in CANONICAL:
        units = stated or source.units or ""
        return Conversion(units, units)
    canonical = CANONICAL[source.quantity]
    method = _method(header) if source.quantity == "rain" else ""
    if method and method not in (SUM, MEAN):
        raise header.fault(f"the {method} of each record ({_methods(header)})", "its total or its mean", CURE_METHOD)
    if source.quantity == "elevation" and not stated:
        return Conversion("", canonical)  # ASSUME m
    notes = []
    if method == MEAN and _is_depth(stated):
        if source.units is None or _is_depth(source.units):
            raise header.fault(
                f"a mean of depths (units {stated!r}, {_methods(header)})",
                "a sum in such units, or a rate",
                f"state what it is as {source.key}.units: `{stated}/h` for a mean of hourly sums, `{stated}/day` for "
                "daily amounts",
            )
        notes.append(f"units {stated!r} of a mean say nothing of its period; taken as {source.units}, as configured.")
        stated = ""  # the configuration decides
    elif method == SUM and stated and not _is_depth(stated) and (_factors(stated, "rain") or (1, 0))[0] != 1:
        notes.append(f"{_methods(header)} does not fit units {stated!r}; read as a rate.")
    units, (slope, offset) = _agreed_units(header, stated, canonical)
    if units != stated and not notes:
        found = f"units {stated!r} are of no such quantity" if stated else "no units in the file"
        notes.append(f"{found}; taken as {units}, as the configuration says.")
    if (slope, offset) != (1.0, 0.0):
        added = f" and {offset:+g}" if offset else ""
        notes.append(f"units {units} converted to {canonical} (times {slope:g}{added}).")
    elif source.quantity == "rain" and _is_depth(units):
        notes.append(f"units {units} read as daily totals, that is {canonical}.")
    return Conversion(units, canonical, slope, offset, tuple(map(source.note, notes)))


def _method(header: Header) -> str:
    """How the values of a record were made from shorter times, in the words of CF; empty where nothing says so."""
    attributes = {**header.data.encoding, **header.data.attrs}
    axes = r"(?:[\w-]*time[\w-]*|t|day)"
    found = re.findall(
        rf"\b{axes}\s*:\s*(?:\w+\s*:\s*)*(\w+)(\s+(?:within|over)\b)?", str(attributes.get("cell_methods", ""))
    )
    if len(found) == 1 and not found[0][1]:
        method = found[0][0].lower()
    else:
        method = GRIB_METHODS.get(str(attributes.get("GRIB_stepType", "")), "")
    return METHODS.get(method, "")


def _methods(header: Header) -> str:
    """The attribute that says how the values were made."""
    attributes = {**header.data.encoding, **header.data.attrs}
    name = "cell_methods" if "cell_methods" in attributes else "GRIB_stepType"
    return f"{name} {attributes.get(name)!r}"


def _is_depth(units: str) -> bool:
    """Whether units are those of an amount of rain, not of a rate."""
    try:
        unit = _unit(units)
    except (pint.PintError, ValueError, TypeError, AttributeError, AssertionError):
        return False
    return _factors(units, "rain") is not None and unit.dimensionality.get("[time]", 0) == 0


def _agreed_units(header: Header, stated: str, canonical: str) -> tuple[str, tuple[float, float]]:
    """Find the units with slope and offset. If the file has no units of the quantity, the configured ones count."""
    source, configured = header.source, header.source.units
    of_file, of_configuration = (_factors(text or "", source.quantity) for text in (stated, configured))
    if of_file is None:
        if not configured:
            raise header.fault(
                f"units {stated!r}" if stated else "no units", f"units that convert to {canonical}", _cure(source)
            )
        if of_configuration is None:
            raise InputError(
                f"{source.key}.units: found {configured!r}, expected units that convert to {canonical}; correct it"
            )
        return configured, of_configuration
    if configured and not np.allclose(of_file, of_configuration or (np.nan, np.nan)):
        raise header.fault(
            f"units {stated!r}",
            f"{configured!r} as {source.key}.units says",
            f"remove {source.key}.units, or correct the units in the file",
        )
    return stated, of_file


def _cure(source: Source) -> str:
    return "correct its attribute units" if source.static else f"state them as {source.key}.units"


def _factors(text: str, quantity: str) -> tuple[float, float] | None:
    """Slope and offset to the canonical units; None if the text is no such unit."""
    registry = cf_xarray.units.units
    try:
        unit = _unit(text)
        if quantity == "temperature":
            zero, one = (registry.Quantity(v, unit).to("kelvin").magnitude for v in (0.0, 1.0))
            return round(float(one - zero), 12), round(float(zero), 9)
        amount = registry.Quantity(1.0, unit)
        if quantity == "elevation":
            return float(amount.to("m").magnitude), 0.0
        if "[mass]" in amount.dimensionality:
            amount = amount / registry.Quantity(1000.0, "kg/m^3")  # water
        if "[time]" not in amount.dimensionality:
            amount = amount / registry.Quantity(1.0, "day")
        return round(float(amount.to("mm/day").magnitude), 9), 0.0
    except (pint.PintError, ValueError, TypeError, AttributeError, AssertionError):
        return None


def _unit(text: str) -> pint.Unit:
    """Read a unit as files write it. Spellings that the CF reader does not know are corrected first."""
    text = text.strip()
    for letter, name in (("c", "degC"), ("f", "degF"), ("k", "K")):
        words = {"c": "celsius", "f": "fahrenheit", "k": "kelvin"}[letter]
        if re.fullmatch(rf"(°|º|deg(ree)?s?)?[ _.]*({letter}|{words})", text, re.IGNORECASE):
            return cf_xarray.units.units.Unit(name)
    text = text.lower() if text.isupper() and len(text) > 1 else text
    text = re.sub(r"\s*(of water( equivalent)?|lwe|w\.?e\.?)\s*", "", text, flags=re.IGNORECASE)
    text = re.sub(r"(/|\bper\b)\s*(24\s*h(ou)?rs?|24\s*h|1?\s*days?)\s*$", "/day", text, flags=re.IGNORECASE)
    if not text:
        raise ValueError("no units")
    return cf_xarray.units.units.Unit(text)


def length_in(units: str, wanted: str) -> float:
    """Factor from one unit of length to another."""
    registry = cf_xarray.units.units
    return float(registry.Quantity(1.0, _unit(units)).to(_unit(wanted)).magnitude)


def factor_between(units: str, wanted: str) -> float | None:
    """Factor from one unit to another that has the same zero; None if they are of different kinds or no units."""
    factors = factors_between(units, wanted)
    return factors[0] if factors and factors[1] == 0 else None


def factors_between(units: str, wanted: str) -> tuple[float, float] | None:
    """Slope and offset from one unit to another; None if they are of different kinds or no units."""
    try:
        mine, other = _unit(units), _unit(wanted)
        zero, one = (float(cf_xarray.units.units.Quantity(v, mine).to(other).magnitude) for v in (0.0, 1.0))
    except (pint.PintError, ValueError, TypeError, AttributeError, AssertionError):
        return None
    return float(f"{one - zero:.12g}"), float(f"{zero:.12g}")


def is_amount(header: Header) -> bool:
    """Whether the values of a rain are amounts of their record, such as mm, and not rates or fluxes."""
    stated = str(header.data.attrs.get("units", "")).strip()
    is_settled = _method(header) == MEAN and _is_depth(stated) and header.source.units is not None
    text = stated if stated and _factors(stated, "rain") and not is_settled else header.source.units or stated
    return _is_depth(text)  # `conversion` refuses units of another quantity
