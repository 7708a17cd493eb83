"""Units as people write them, and what turns them into canonical ones: mm/day, K, m.

Input: the attribute `units` of a variable and what the configuration says of it. Output: slope and offset.
"""

from __future__ import annotations

import re
from pathlib import Path

import cf_xarray.units
import numpy as np
import pint
import xarray as xr

from rainshaft.data.sources import InputError, Source, fault


def conversion(source: Source, path: Path, data: xr.DataArray, notes: list[str]) -> tuple[str, str, float, float]:
    """Units in the file, canonical units, and slope and offset from one to the other."""
    stated, assumed = str(data.attrs.get("units", "")).strip(), source.units
    if source.quantity in ("other", "land"):
        units = stated or assumed or ""
        return units, units, 1.0, 0.0
    canonical = {"rain": "mm/day", "temperature": "K", "elevation": "m"}[source.quantity]
    if source.quantity == "elevation" and not stated:
        return "", canonical, 1.0, 0.0  # ASSUME m
    usable = stated if _factors(stated, source.quantity) else ""
    if not usable and not assumed:
        raise fault(
            path,
            source.variable,
            f"units {stated!r}" if stated else "no units",
            f"units that convert to {canonical}",
            f"state them as {source.key}.units" if not source.static else "correct its attribute units",
        )
    factors = _factors(usable or assumed or "", source.quantity)
    if factors is None:
        raise InputError(
            f"{source.key}.units: found {assumed!r}, expected units that convert to {canonical}; correct it"
        )
    if usable and assumed and not np.allclose(factors, _factors(assumed, source.quantity) or (np.nan, np.nan)):
        raise fault(
            path,
            source.variable,
            f"units {stated!r}",
            f"{assumed!r} as {source.key}.units says",
            f"remove {source.key}.units, or correct the units in the file",
        )
    if not usable:
        notes.append(f"{source.name}: units {stated or 'missing'!r} in the file, taken as {assumed} as configured.")
    units = usable or assumed or ""
    if factors != (1.0, 0.0):
        offset = f" and {factors[1]:+g}" if factors[1] else ""
        notes.append(f"{source.name}: units {units} converted to {canonical} (times {factors[0]:g}{offset}).")
    elif source.quantity == "rain" and _unit(units).dimensionality.get("[time]", 0) == 0:
        notes.append(f"{source.name}: units {units} read as daily totals, that is {canonical}.")
    return units, canonical, *factors


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
    """A unit as written in files; habits that the CF reader does not know are put right first."""
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
