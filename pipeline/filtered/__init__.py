"""The stage `filtered`: documents → the documents worth training on, and a number for everything that was measured.

Measuring, deciding and changing are apart::

    texts (Arrow strings) ─▶ signals.measure ─▶ {signal: a number each} ─▶ decisions.decide ─▶ kept ─▶ changes:
                             one compiled pass                             plain numpy         │       C4's lines,
                                                                                               ▼       masks
                                                                                     rejected: the first reason

So changed limits reuse stored signals, each rule can be looked at alone, and all rules see the document's own text.

What a text is made of (below it lies `pipeline.texts`: buffers, characters, cutting)
    words.py, lines.py   what a word, a line, a paragraph is; counts of them
What is measured
    catalogue.py         the signals by name, with unit and dtype, and how they differ from datatrove's
    signals.py           the signals as formulas over the counts
    ngrams.py            repeated n-grams of words, and
    repetition.py        repeated lines and paragraphs, both on numbers alone: they know nothing of text;
    first_places.py      their table
    code_marks.py        encoded data, marks of generated files
    c4.py                C4's line rules: what they keep, and the numbers that its page rules look at (c4_lines.py,
                         long_words.py, sentences.py: its compiled passes)
    pii/                 e-mail and IP addresses, phone and card numbers
    tables_mentioned.py  tables that a text speaks of and does not contain
    compression.py       how far a text can be compressed      } datasets of their own, measured
    language.py          the language of a text                } only where a recipe asks
What is decided
    rule_sets.py         rule sets with their published limits
    rules.py             what a recipe's `rules:` asks for; comparisons
    bad_words.py         a reason of another kind
    contamination.py     evaluation items in documents: match_words.py (normal form), item_index.py (what is looked
                         for), matching.py (the compiled pass), evaluation_items.py (given, stored), commonness.py (what
                         of them is common in a source: a dataset of its own)
    decisions.py         all reasons in their order, the first of which rejects
What is changed in kept texts
    edit_rules.py        what a recipe may have changed
    passages.py          contaminated passages with their margins
    changes.py           all kinds of changes together
What a person sees
    waterfall.py         hits, overlaps, moved limits, the choice of examples; waterfall_table.py prints them
    contamination_report.py   items found and not, passages beside them; contamination_table.py prints
    examples/            text around what triggered a reason
The stage
    specs.py, tasks.py, spark.py    what datasets are made of; what one task does; the jobs

Definitions that hold for all rule sets (where public tools differ from each other, one was chosen, and it is said at
the signal): a *character* is a Unicode code point; a *word* is what stands between Unicode white space, and each
letter of a script written without spaces; a *line* ends at LF, CR or CRLF; a *paragraph* is a run of lines that are not
blank. Shares lie in [0, 1] unless said otherwise, and a share of nothing is 0.
"""
