"""How Deep Lake compares versions, which LangChain's class asks for."""

from __future__ import annotations


def version_compare(v1: str, v2: str) -> int:
    """Give -1 where the first version is older than the second, 1 where it is newer, 0 where they are the same."""
    one, other = ([int(part) for part in version.split(".")] for version in (v1, v2))
    longest = max(len(one), len(other))
    first, second = (parts + [0] * (longest - len(parts)) for parts in (one, other))
    return (first > second) - (first < second)
