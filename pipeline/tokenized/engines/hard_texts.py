"""Texts on which tokenizers differ, if they differ: the fixed set that a fast engine must encode id by id."""

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

from tokenizers import Tokenizer

SEED = 20261
N_MIXED = 4000  # texts glued together from vocabulary entries and hard pieces
BLOCK = 256  # code points a text

PIECES = (
    *(chr(code) for code in range(0x21)),  # all ASCII controls and the space
    *"\x7f\x80\x85\x9f\xa0\xad",  # DEL, C1 controls, NEL, no-break space, soft hyphen
    *"\u1680\u180e\u2000\u2003\u2007\u2009\u200a\u2028\u2029\u202f\u205f\u3000",  # white space, and what once was
    *"\u200b\u200c\u200d\u2060\ufeff\u200e\u202e",  # zero width and direction
    *"\ufdd0\ufffe\uffff\U0001fffe\U0010ffff\u0378\U000e0041\ue000\U000f0000\ufffd",  # noncharacters, unassigned
    *(
        "\r\n",
        "\n\r",
        "\r\r\n",
        "\n\n",
        "\n \n",
        " \n",
        "\n ",
        "\t\t",
        " \t ",
        "  ",
        "   ",
        " " * 7,
        " " * 64,
        "\n" * 33,
    ),
    *("'s", "'S", "'t", "'re", "'VE", "'m", "'ll", "'LL", "'d", "'D", "\u2019s", "'ſ", "'K", "'", "''", "'x", "s'"),
    *"0123456789",
    *(
        "12",
        "123",
        "1234",
        "1234567890" * 3,
        "3.14",
        "1e-9",
        "0x1F",
        "١٢٣٤",
        "१२३",
        "٪",
        "²³¹",
        "½",
        "Ⅷ",
        "①",
        "𝟘𝟙",
        "一二三",
    ),
    *("漢字", "かな", "カタカナ", "한국어", "한", "𠀀𪛖", "、。", "「」", "ー", "ﾊﾝｶｸ", "ＦＵＬＬ"),
    *("ไทย", "กำลัง", "العربية", "ـ", "مُحَمَّد", "עברית", "שָׁלוֹם", "हिन्दी", "क्षत्रिय", "தமிழ்", "বাংলা", "မြန်မာ", "ខ្មែរ"),
    *(
        "é",
        "e\u0301",
        "ñ",
        "n\u0303",
        "a\u0300\u0301\u0302\u0323",
        "\u0301",
        "Å",
        "A\u030a",
        "ﬁ",
        "ß",
        "ẞ",
        "İ",
        "ı",
        "ς",
    ),
    *("Ǆ", "ǅ", "ǆ", "ʰ", "ꟸ", "ᾳ", "ŉ", "Ω", "Ω", "K", "ſ", "Ꭰ", "ꭰ", "Ა", "ა", "𐐀", "𐐨", "𞤀", "𞤢"),
    *("🦊", "👩‍👩‍👧", "👍🏽", "🇩🇪", "🇩", "❤️", "❤", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "1️⃣", "☃", "™", "©"),
    *(
        "!",
        "!!",
        "...",
        "…",
        "—",
        "–",
        "//",
        "/*",
        "*/",
        "#",
        "##",
        "___",
        "_",
        "-",
        "--",
        "$",
        "€",
        "~",
        "`",
        "^",
        "|",
        "\\",
    ),
    *(
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "<",
        ">",
        "</",
        "/>",
        "=",
        "==",
        "!=",
        "->",
        "=>",
        "&&",
        "&amp;",
        "@",
        "%",
        "%20",
        '"',
        '"""',
    ),
    *(
        "a",
        "A",
        "I",
        "x",
        "the",
        "The",
        "THE",
        "hello",
        "World",
        "camelCaseWord",
        "SCREAMING_SNAKE",
        "iPhone",
        "McDonald",
    ),
    *(
        "Ġ",
        "Ċ",
        "ĉ",
        "Ā",
        "ġ",
        "Ń",
        "▁",
        "▁▁",
        "##ing",
        "Ġthe",
        "<0x0A>",
        "<0x00>",
        "<unk>",
        "[UNK]",
        "</w>",
        "<|endoftext|>",
    ),
    *(
        "https://example.org/a?b=c&d=%20#e",
        "a@b.co",
        "C:\\Windows\\x",
        "def f(x):\n    return x",
        "x += 1;",
        "1,000.50",
    ),
)
LITERAL = (
    "",
    *(
        piece * n
        for piece in ("a", "A", "e", "ab", "abc", " a", "1", "0", ".", "=", "-", "é", "漢", "🦊", "\u0301")
        for n in (2, 3, 9)
    ),
    *(
        piece * 700
        for piece in (
            "a",
            "ab",
            "x1",
            " ",
            "\n",
            "\t",
            " \n",
            "\r\n",
            "1",
            "-",
            "漢",
            "🦊",
            "e\u0301",
            "\xa0",
            "\u200d",
        )
    ),
    "I'm sure they'll say it's what we'd've done; DON'T SHOUT, I'LL GO, O'Neill's 'quoted' words''s",
    "word\u00a0word\u2003word\u3000word \u00a0 word\u2028line\u2029paragraph\u0085next",
    "   leading and trailing   ",
    "\n\n\n   \n\t\t\n  text\n\n    indented\n\tTab\r\n\r\n  \r\nend \n",
    "a" * 5000 + " " + "b" * 5000,
    "AaBbCc" * 1500,
    "".join(chr(0x4E00 + k % 2000) for k in range(5000)),
    "<|endoftext|><|im_start|>user\n<|im_end|><s></s><pad>[CLS][SEP][MASK]<|begin_of_text|><think></think>",
)


def hard_texts(tokenizer: Tokenizer) -> list[str]:
    """The set for this tokenizer, equal each time: `LITERAL`, each of `PIECES` in several surroundings, all code points
    of planes 0 and 1 and one in 61 of the others, this tokenizer's added tokens spelt out and its vocabulary entries
    decoded, and `N_MIXED` random texts of all these. A 16,000 vocabulary makes some 3 MB, a 200,000 one 8 MB."""
    added = [str(token["content"]) for token in json.loads(tokenizer.to_str())["added_tokens"]]
    entries = _entries(tokenizer)
    texts = [*LITERAL, *_surrounded(PIECES), *_surrounded(added), *_code_points(), *entries]
    return [*texts, *_mixed([*PIECES, *added], entries)]


def _entries(tokenizer: Tokenizer) -> list[str]:
    """Each vocabulary entry as text; entries that are no UTF-8 alone show the replacement character."""
    ids = sorted(tokenizer.get_vocab(with_added_tokens=True).values())
    return [str(text) for text in tokenizer.decode_batch([[one] for one in ids], skip_special_tokens=False)]


def _surrounded(pieces: Sequence[str]) -> Iterator[str]:
    for piece in pieces:
        yield piece
        yield f"{piece}{piece} {piece}"
        yield f"a{piece}b {piece}c{piece} 1{piece}2\n{piece}.{piece}!"


def _code_points() -> Iterator[str]:
    """Each code point between letters, digits and spaces, so that its class shows."""
    codes = [*range(0xD800), *range(0xE000, 0x20000), *range(0x20000, 0x110000, 61)]
    for first in range(0, len(codes), BLOCK):
        yield "".join(f"a{chr(code)}1{chr(code)} " for code in codes[first : first + BLOCK])


def _mixed(pieces: Sequence[str], entries: Sequence[str]) -> Iterator[str]:
    """Entries glued together bring up merges across their borders that no real word has."""
    chance = random.Random(SEED)
    for _ in range(N_MIXED):
        from_: Any = chance.choice((pieces, entries, [*pieces[:40], *chance.choices(entries, k=40)]))
        yield "".join(chance.choices(from_, k=chance.randrange(2, 40)))
