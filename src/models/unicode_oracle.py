"""What Python's unicodedata says of characters that had the same category long ago (in Unicode 3.2), so that it does not matter how
new Python's tables are; and how Python reads damaged UTF-8."""

import random
import unicodedata

import torch

from oracle_support import save


def is_settled(c):
    return unicodedata.ucd_3_2_0.category(c) == unicodedata.category(c) not in ("Cn", "Cs")


def folded(c):
    """The lower-case letter without its accents; all that is left of one that is composed, one character for those asked about."""
    return "".join(part for part in unicodedata.normalize("NFD", c.lower()) if unicodedata.category(part) != "Mn")


characters = [chr(i) for i in range(0x110000) if is_settled(chr(i))]
categories = [unicodedata.category(c) for c in characters]
letters = [c for c in characters if c < "\u0250" or "\u0370" <= c < "\u0530" or "\u1e00" <= c < "\u2000"]
letters = [c for c in letters if unicodedata.category(c) != "Mn"]


def code_points(text):
    return torch.tensor([ord(c) for c in text])


def flags(is_so):
    return torch.tensor([is_so(c, category) for c, category in zip(characters, categories)])


rng = random.Random(5)
bytes_ = bytearray()
for _ in range(20000):
    text = bytearray(chr(rng.choice([0x24, 0x7F, 0x80, 0x7FF, 0x800, 0xFFFF, 0x10000, 0x10FFFF, 0x4E2D])).encode())
    if rng.random() < 0.5:
        text[rng.randrange(len(text))] = rng.randrange(256)
    if rng.random() < 0.2:
        del text[rng.randrange(len(text))]
    bytes_ += text

save({
    "characters": code_points(characters),
    "is_control": flags(lambda c, category: category in ("Cc", "Cf", "Co") and c not in "\t\n\r"),
    "is_whitespace": flags(lambda c, category: category in ("Zs", "Zl", "Zp") or c in "\t\n\r"),
    "is_punctuation": flags(lambda c, category: category[0] == "P" or ("!" <= c <= "~" and not c.isalnum())),
    "is_nonspacing_mark": flags(lambda c, category: category == "Mn"),
    "letters": code_points(letters),
    "folded": code_points("".join(folded(c) for c in letters)),
    "bytes": torch.frombuffer(bytes_, dtype=torch.uint8),
    "decoded": code_points(bytes_.decode(errors="ignore")),
})
