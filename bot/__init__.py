"""Codetask: a chat-ops bot that turns what a team asks for in chat into pull requests."""

__version__ = "0.1.0"
