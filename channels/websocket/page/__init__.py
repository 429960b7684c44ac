"""The web page: its files as they are in this folder, and how they are served.

Nothing of it is built at install. `scripts` are ES modules, `vendor` holds those of others (`make vendor`).

bundle  the modules as one script, so that a browser asks once
assets  what is served: addresses that change with the content, and each file compressed once
routes  `/` and what belongs to it
"""
