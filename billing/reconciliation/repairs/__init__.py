"""Repairs: they post new entries, rebuild what is derived, or deliver again, and edit nothing.

`action`: what a repair is. `actions`: all of them, one module each. `running`: preview and do.
"""
