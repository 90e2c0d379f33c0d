"""The commands of `shardmill`, one a file: what it is called, its arguments, and what it prints.

A command's module has `add`, which makes its parser, and what it needs beyond the core is imported when it runs, so
that `shardmill --help` is quick and a command that needs no Spark packages runs without them.
"""
