"""The scales of the network between the coarse grid and the fine one.

The configuration needs them too, so this module imports no heavy library.
"""

from __future__ import annotations


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
