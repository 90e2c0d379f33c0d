"""What a character is, as a table for the compiled passes: one byte of flags for each code point.

Made from Python's `unicodedata` (its version is `UNICODE_VERSION`, which belongs in a dataset's manifest), except for
what that module does not know: which marks end a sentence, and which scripts are written without spaces.
"""

import unicodedata
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

UNICODE_VERSION = unicodedata.unidata_version

SPACE = 1  # str.isspace(): the property White_Space, and U+001C to U+001F
LETTER = 2  # general category L
NUMBER = 4  # general category N
DIGIT = 8  # general category Nd
UPPER = 16  # general category Lu or Lt
UNSPACED = 32  # a letter of a script that is written without spaces between words
TERMINAL = 64  # ends a sentence
CLOSING = 128  # may follow the sentence mark: closing brackets and quotes

# Blocks of scripts that are written without spaces between words (Unicode's Blocks.txt; the scripts are those to which
# UAX #14 gives the line breaking classes ID, CJ and SA): Thai, Lao, Tibetan, Myanmar, Khmer, Tai Le to New Tai Lue,
# Tai Tham, ideographic marks, Hiragana and Katakana, Katakana extensions, ideographs, Myanmar extensions and Tai Viet,
# compatibility ideographs, halfwidth Katakana, Kana supplements, ideographs of planes 2 and 3. Korean has spaces.
UNSPACED_BLOCKS = (
    (0x0E00, 0x0E7F), (0x0E80, 0x0EFF), (0x0F00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x1950, 0x19DF),
    (0x1A20, 0x1AAF), (0x3005, 0x3007), (0x3041, 0x30FF), (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF),
    (0xA9E0, 0xA9FF), (0xAA60, 0xAADF), (0xF900, 0xFAFF), (0xFF66, 0xFF9F), (0x1AFF0, 0x1B16F), (0x20000, 0x3FFFF),
)  # fmt: skip

# The property Sentence_Terminal (Unicode Character Database, PropList.txt, Unicode 18.0).
SENTENCE_TERMINALS = (
    (0x0021, 0x0021), (0x002E, 0x002E), (0x003F, 0x003F), (0x0589, 0x0589), (0x061D, 0x061F), (0x06D4, 0x06D4),
    (0x0700, 0x0702), (0x07F9, 0x07F9), (0x0837, 0x0837), (0x0839, 0x0839), (0x083D, 0x083E), (0x0964, 0x0965),
    (0x104A, 0x104B), (0x1362, 0x1362), (0x1367, 0x1368), (0x166E, 0x166E), (0x1735, 0x1736), (0x17D4, 0x17D5),
    (0x1803, 0x1803), (0x1809, 0x1809), (0x1944, 0x1945), (0x1AA8, 0x1AAB), (0x1B4E, 0x1B4F), (0x1B5A, 0x1B5B),
    (0x1B5E, 0x1B5F), (0x1B7D, 0x1B7F), (0x1C3B, 0x1C3C), (0x1C7E, 0x1C7F), (0x2024, 0x2024), (0x203C, 0x203D),
    (0x2047, 0x2049), (0x2CF9, 0x2CFB), (0x2E2E, 0x2E2E), (0x2E3C, 0x2E3C), (0x2E53, 0x2E54), (0x2E60, 0x2E61),
    (0x3002, 0x3002), (0xA4FF, 0xA4FF), (0xA60E, 0xA60F), (0xA6F3, 0xA6F3), (0xA6F7, 0xA6F7), (0xA876, 0xA877),
    (0xA8CE, 0xA8CF), (0xA92F, 0xA92F), (0xA9C8, 0xA9C9), (0xAA5D, 0xAA5F), (0xAAF0, 0xAAF1), (0xABEB, 0xABEB),
    (0xFE12, 0xFE12), (0xFE15, 0xFE16), (0xFE52, 0xFE52), (0xFE56, 0xFE57), (0xFF01, 0xFF01), (0xFF0E, 0xFF0E),
    (0xFF1F, 0xFF1F), (0xFF61, 0xFF61), (0x10A56, 0x10A57), (0x10F55, 0x10F59), (0x10F86, 0x10F89), (0x11047, 0x11048),
    (0x110BE, 0x110C1), (0x11141, 0x11143), (0x111C5, 0x111C6), (0x111CD, 0x111CD), (0x111DE, 0x111DF),
    (0x11238, 0x11239), (0x1123B, 0x1123C), (0x112A9, 0x112A9), (0x113D4, 0x113D5), (0x1144B, 0x1144C),
    (0x115C2, 0x115C3), (0x115C9, 0x115D7), (0x11641, 0x11642), (0x1173C, 0x1173E), (0x11944, 0x11944),
    (0x11946, 0x11946), (0x11A42, 0x11A43), (0x11A9B, 0x11A9C), (0x11C41, 0x11C42), (0x11EF7, 0x11EF8),
    (0x11F43, 0x11F44), (0x16A6E, 0x16A6F), (0x16AF5, 0x16AF5), (0x16B37, 0x16B38), (0x16B44, 0x16B44),
    (0x16D6E, 0x16D6F), (0x16E98, 0x16E98), (0x1BC9F, 0x1BC9F), (0x1DA88, 0x1DA88),
)  # fmt: skip
# Not in the property: the marks that end a clause in Tibetan (shad and its kin), and all of Thai and Lao, which have no
# mark for the end of a sentence, so that every line would count as unfinished.
ALSO_TERMINAL = ((0x0F0D, 0x0F12), (0x0E01, 0x0E5B), (0x0E81, 0x0EDF))


@dataclass(frozen=True, kw_only=True)
class Tables:
    """The flags of code point c are `flags[(pages[c >> 8] << 8) + (c & 255)]`; those of ASCII are also `flags[c]`.

    `pages` int64 [8192]: any 21-bit number may be looked up, so that malformed UTF-8 cannot lead out of the table.
    `flags` uint8 [256 · pages in use].
    """

    pages: npt.NDArray[np.int64]
    flags: npt.NDArray[np.uint8]


@cache
def tables() -> Tables:
    """The tables, made once in a process."""
    flags = flags_of_all()
    padded = np.zeros(1 << 21, np.uint8)
    padded[: len(flags)] = flags
    used, pages = np.unique(padded.reshape(-1, 256), axis=0, return_inverse=True)
    first = int(pages.ravel()[0])  # page 0 goes first, so that ASCII needs no look-up of its page
    order = np.concatenate([[first], np.delete(np.arange(len(used)), first)])
    place = np.argsort(order)
    return Tables(pages=place[pages.ravel()].astype(np.int64), flags=np.ascontiguousarray(used[order].ravel()))


@cache
def flags_of_all() -> npt.NDArray[np.uint8]:
    """The flags of each code point, uint8 [0x110000], read-only; made once in a process (0.2 s)."""
    by_category = {"Nd": NUMBER | DIGIT, "Lu": LETTER | UPPER, "Lt": LETTER | UPPER, "Pe": CLOSING, "Pf": CLOSING}
    by_major = {"L": LETTER, "N": NUMBER}
    categories = [unicodedata.category(chr(code)) for code in range(0x110000)]
    kinds = {kind: by_category.get(kind, by_major.get(kind[0], 0)) for kind in set(categories)}
    flags = np.array([kinds[kind] for kind in categories], np.uint8)
    flags[[code for code in range(0x3001) if chr(code).isspace()]] |= SPACE
    flags[[ord('"'), ord("'")]] |= CLOSING
    for first, last in UNSPACED_BLOCKS:
        block = flags[first : last + 1]
        block[(block & LETTER) != 0] |= UNSPACED
    for first, last in SENTENCE_TERMINALS + ALSO_TERMINAL:
        flags[first : last + 1] |= TERMINAL
    flags.setflags(write=False)
    return flags
