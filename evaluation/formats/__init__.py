"""Labelled sets and predictions on disk: a reader and a writer for each format. See ../README.md."""
