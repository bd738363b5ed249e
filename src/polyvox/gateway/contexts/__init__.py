"""Conversations that the gateway keeps: begun, gone on with from any dialect, found, forked, made shorter.

Belongs here: what was said in a conversation, who may see it, who writes to it now, and how much of it
a model is given. Does not belong here: asking the model, and what a template says (``prompts``).
"""
