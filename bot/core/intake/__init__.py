"""Intake: which ordinary messages ask for a change of the software. Pure; nothing here knows a chat.

`scorer.score` judges a text, `filter.skipped` says which are never judged, `extract.extract` makes a title without a
model. Import the modules where they are used: the weights are read on first use.
"""
