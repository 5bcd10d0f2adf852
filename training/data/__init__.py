"""Labelled pictures for training: the packed format, the street set's converter, generated clips."""
