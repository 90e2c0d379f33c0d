"""The stage `filtered`: documents → the documents worth training on, and a number for everything that was measured.

Measuring and deciding are apart::

    texts (Arrow strings) ─▶ signals.measure ─▶ {signal: one number a document} ─▶ rules.decide ─▶ kept, or the first
                             one compiled pass                                     plain numpy     rule that rejects

So changed limits reuse stored signals, and each rule can be looked at alone (`rules.hits`).

    text_buffers.py    Arrow strings as a byte array and offsets, without a copy of the text
    unicode_tables.py  what a character is: white space, letter, number, sentence mark, script without spaces
    characters.py      counts of characters, and the decoder that the other passes share
    words.py           what a word is; counts of words
    lines.py           what a line and a paragraph is; counts of lines
    repetition.py      repeated lines, paragraphs and n-grams, on numbers alone: it knows nothing of text
    code_marks.py      encoded data, marks of generated files
    catalogue.py       the signals by name, with unit and dtype, and how they differ from datatrove's
    signals.py         the signals as formulas over the counts
    rules.py           rule sets with their published limits; custom comparisons; decisions

Definitions that hold for all rule sets (where public tools differ from each other, one was chosen, and it is said at
the signal): a *character* is a Unicode code point; a *word* is what stands between Unicode white space, and each
letter of a script written without spaces; a *line* ends at LF, CR or CRLF; a *paragraph* is a run of lines that are not
blank. Shares lie in [0, 1] unless said otherwise, and a share of nothing is 0.
"""
