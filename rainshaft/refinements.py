"""The scales of the network, from the coarse grid to the fine one; free of heavy libraries, for the configuration."""

from __future__ import annotations


def refinements(factor: int) -> tuple[int, ...]:
    """The prime factors of a factor, largest first: from each scale to the next, so that there is one scale more."""
    primes, rest, p = [], factor, 2
    while rest > 1:
        while rest % p == 0:
            primes.append(p)
            rest //= p
        p += 1
    return tuple(sorted(primes, reverse=True))
