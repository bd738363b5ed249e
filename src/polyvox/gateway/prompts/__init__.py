"""Templates of prompts: named, in versions that never change, used by name in any call.

Belongs here: what a template is, how it is rendered without doing harm, its versions, tags and files.
Does not belong here: asking a model, and the options of ``[templates]`` in the configuration.
"""
