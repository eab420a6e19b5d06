"""Damage to bytes, the same for the same seed."""

from __future__ import annotations

import random

_WILD = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def damaged(data: bytes, seed: int) -> bytes:
    """``data`` with one to eight mutations: bits, bytes, integers, pieces.

    Half of the mutations fall on the first 512 bytes, where the headers are.
    """
    chance = random.Random(seed)
    out = bytearray(data)
    for _ in range(2 ** chance.randrange(4)):
        if not out:
            break
        near = len(out) if chance.random() < 0.5 else min(len(out), 512)
        _mutate(out, chance.randrange(near), chance)
    return bytes(out)


def _mutate(out: bytearray, at: int, chance: random.Random) -> None:
    length = min(2 ** chance.randrange(11), len(out) - at)
    match chance.randrange(8):
        case 0:
            out[at] ^= 1 << chance.randrange(8)
        case 1:
            out[at] = chance.randrange(256)
        case 2 | 3:
            size = chance.choice((1, 2, 4, 4, 8))
            order = chance.choice(("little", "big"))
            value = chance.choice(_WILD) & (1 << 8 * size) - 1
            out[at : at + size] = value.to_bytes(size, order)
        case 4:
            del out[at : at + length]
        case 5:
            out[at:at] = out[at : at + length] * chance.choice((1, 1, 2, 16))
        case 6:
            other = chance.randrange(len(out))
            out[at : at + length] = out[other : other + length]
        case _:
            if chance.random() < 0.2:
                del out[at:]
            else:
                out[at : at + length] = chance.randbytes(length)
