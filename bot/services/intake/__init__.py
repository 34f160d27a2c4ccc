"""Intake: ordinary messages become suggestions and code tasks, once each.

`collecting` claims messages, `judging` judges what was collected, `deciding` acts on a judgement, `changes` follows
edits and deletions. The texts themselves are in memory only (`originals`) until an item is flagged.
"""
