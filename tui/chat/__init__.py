"""Conversations: records of their turns, the database that keeps them while they happen, export and import.

Never knows a model or a screen.

Begin with `conversation.py` for what a conversation is, `store.py` for what can be asked of the database.
"""
