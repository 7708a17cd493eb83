"""Factors of refinement: the scales of a network between the coarse grid and the fine one, and chains of networks.

The configuration needs them too, so this module imports no heavy library.
"""

from __future__ import annotations

from collections.abc import Sequence

from rainshaft.errors import UserError

GENERAL_FACTORS = (2, 3, 4, 5, 8)
"""the factors of the general networks that come with the package"""


def refinements(factor: int) -> tuple[int, ...]:
    """Split the downscaling factor into primes, largest first.

    Each prime is one step from a scale to the next finer one, so there is one scale more than primes.
    """
    primes, rest, p = [], factor, 2
    while rest > 1:
        while rest % p == 0:
            primes.append(p)
            rest //= p
        p += 1
    return tuple(sorted(primes, reverse=True))


def chained(factor: int, known: Sequence[int]) -> tuple[int, ...]:
    """Write a factor as a product of known ones, with as few of them as can be, the largest first.

    Raises
    ------
    UserError
        If the factor is no such product.
    """
    found = _products(factor, sorted(known, reverse=True)) if factor > 1 else []
    if not found:
        raise UserError(
            f"factor: found {factor}, expected {', '.join(map(str, sorted(known)))} or a product of these; take the "
            f"nearest one, {nearest_product(factor, known)}"
        )
    return min(found, key=lambda steps: (len(steps), [-step for step in steps]))


def _products(factor: int, known: Sequence[int]) -> list[tuple[int, ...]]:
    """List all ways to write a factor as a product of known ones in falling order."""
    if factor == 1:
        return [()]
    return [
        (step, *rest)
        for number, step in enumerate(known)
        if factor % step == 0
        for rest in _products(factor // step, known[number:])
    ]


def nearest_product(factor: int, known: Sequence[int]) -> int:
    """Give the product of known factors that is nearest to a factor."""
    candidates = [n for n in range(2, 2 * max(factor, 2) + 1) if _products(n, sorted(known, reverse=True))]
    return min(candidates, key=lambda n: (abs(n - factor), n))
