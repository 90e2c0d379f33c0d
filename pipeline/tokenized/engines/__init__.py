"""Engines that turn text into token ids: `tokenizers`, which defines them, and faster ones that must prove themselves.

`choice` asks each fast engine for the ids of `hard_texts` in a process of its own (`proof`) and takes the first that
gives those of `tokenizers`, id by id; else `tokenizers`, with each engine's reason. `engine` is what they have in
common; `reference`, `gigatoken` and `fastokens` are the engines, `opening` opens one by its name, and `pieces` bounds
what `tokenizers` holds of a long document.
"""
