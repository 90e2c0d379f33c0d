"""Texts as compiled passes see them, for all stages: Arrow buffers, what a character is, cutting spans out.

buffers.py           Arrow strings as a byte array and offsets, without a copy of the text
unicode_tables.py    what a character is: white space, letter, number, sentence mark, script without spaces
characters.py        the decoder that compiled passes share; counts of characters
cuts.py              spans to cut or mask
edits.py             cutting and masking them, and the way back to the raw text
normal.py            the normal form in which texts are compared, and its hash
urls.py              the canonical form in which URLs are compared
"""
