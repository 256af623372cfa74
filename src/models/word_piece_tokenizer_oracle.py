"""The uncased BERT tokenizer, written anew on Python's unicodedata: the pieces of random texts in Latin, Greek, Cyrillic and Chinese."""

import random
import unicodedata

from oracle_support import save

IDEOGRAPHS = [(0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
              (0x2B820, 0x2CEAF), (0x2F800, 0x2FA1F)]


def cleaned(text):
    for c in text:
        if c in "\t\n\r" or unicodedata.category(c)[0] == "Z":
            yield " "
        elif c != "\ufffd" and unicodedata.category(c)[0] != "C":
            yield f" {c} " if any(first <= ord(c) <= last for first, last in IDEOGRAPHS) else c


def words_of(text):
    text = unicodedata.normalize("NFD", "".join(cleaned(text)))
    text = "".join(c.lower() for c in text if unicodedata.category(c) != "Mn")
    spaced = (f" {c} " if unicodedata.category(c)[0] == "P" or c in "$+<=>^`|~" else c for c in text)
    return "".join(spaced).split()


def pieces_of(word, vocab):
    if len(word) > 100:
        return ["[UNK]"]
    pieces, begin = [], 0
    while begin < len(word):
        prefix = "##" if begin else ""
        ends = [end for end in range(begin + 1, len(word) + 1) if prefix + word[begin:end] in vocab]
        if not ends:
            return ["[UNK]"]
        pieces.append(prefix + word[begin : ends[-1]])
        begin = ends[-1]
    return pieces


rng = random.Random(8)
LATIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ÀÉÎõüßæØłŁčŽİıŋẮệỶ"
GREEK = "αβγδεζηθικλμνξοπρσςτυφχψωΑΒΓΔΣΩάέήίόύώϊΐΆΏἀᾷῼ"
CYRILLIC = "абвгдежзийклмнопрстуфхцчшщъыьэюяАБЁЙЇЎЩѝӘґ"
MARKS = "\u0301\u0308\u0323\u0302"
SIGNS = ".,;:!?-_'\"()[]{}<>=+$%^`|~#@&*/\\«»“”‘’…–—¿¡§¶·\u037e€×÷°©™"
BLANKS = " \t\n\r\u00a0\u2003\u2028\u3000"
NOTHING = "\0\x07\x1b\u00ad\u200b\u200d\ufeff\ufffd\ue000"
OTHERS = "中文字𠀀のカשלוםمرحبا😀"  # without what NFD decomposes: the tokenizer leaves other scripts as they are


def random_word():
    letters = rng.choice([LATIN[:26], LATIN, LATIN, GREEK, CYRILLIC, OTHERS])
    word = ""
    for _ in range(rng.choice([1, 2, 3, 5, 8, 12])):
        word += rng.choice(letters) + (rng.choice(MARKS) if rng.random() < 0.1 else "")
        if rng.random() < 0.03:
            word += rng.choice(NOTHING + SIGNS)
    return word


texts = []
for _ in range(1000):
    text = ""
    for _ in range(rng.randrange(12)):
        text += random_word() + (rng.choice(SIGNS) if rng.random() < 0.3 else "") + rng.choice(BLANKS) * rng.choice([1, 1, 1, 2])
    texts.append(text)
texts += ["x" * length for length in (99, 100, 101)]

vocab = {"[PAD]", "[UNK]", "[CLS]", "[SEP]"}
for text in texts[:700]:
    for word in words_of(text):
        for _ in range(3):
            begin = rng.randrange(len(word))
            end = rng.randint(begin + 1, min(len(word), begin + 4))
            vocab.add(("##" if begin else "") + word[begin:end])
        for i, c in enumerate(word):
            if c.isascii() or rng.random() < 0.5:
                vocab.add(("##" if i else "") + c)
pieces = [[piece for word in words_of(text) for piece in pieces_of(word, vocab)] for text in texts]
save({"vocab": sorted(vocab), "texts": texts, "pieces": pieces})
